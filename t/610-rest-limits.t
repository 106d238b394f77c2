#!/usr/bin/env perl
# The REST API's limits: large uploads, curl's own manners, many and slow clients, what is switched off.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Weir qw(wait_until build);

my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskManagers' => 1 });
my $so = build() . '/t/jobs/numbers.so';
sub rss_kb { # of the supervisor
	open(my $fh, '<', "/proc/$weir->{pid}/status") or die;
	return (grep { defined } map { /^VmRSS:\s+(\d+)/ ? $1 : undef } <$fh>)[0];
}
sub padded { # a job of so many MB: what follows the sections is nobody's
	my ($mb) = @_;
	my $file = "$weir->{dir}/$mb.so";
	open(my $in, '<:raw', $so) or die;
	open(my $out, '>:raw', $file) or die;
	local $/;
	print $out scalar <$in>;
	truncate $out, $mb << 20 or die;
	close $out or die;
	return $file;
}
sub curl { # (status, decoded answer)
	my ($path, @args) = @_;
	open(my $fh, '-|', 'curl', '-s', '-w', '\n%{http_code}', @args, $weir->url($path)) or die;
	local $/;
	my ($body, $status) = (<$fh> // '') =~ /^(.*)\n(\d+)$/s;
	return ($status, eval { decode_json($body) } // $body);
}

# 90 MB, as curl sends it (Expect: 100-continue), while the API answers.
my $big = padded(90);
my $before = rss_kb();
my $t0 = time;
my $pid = fork // die "fork: $!";
if ($pid == 0) {
	my ($s, $b) = curl('/jars/upload', '-H', 'Expect: 100-continue', '-F', "jarfile=\@$big");
	POSIX::_exit($s == 200 && $b->{status} eq 'success' ? 0 : 1);
}
my $worst = 0;
while (waitpid($pid, POSIX::WNOHANG()) == 0) {
	my $asked = time;
	$weir->get('/overview');
	my $took = time - $asked;
	$worst = $took if $took > $worst;
}
is($?, 0, sprintf('90 MB are taken (%.1f s)', time - $t0));
cmp_ok($worst, '<', 0.5, sprintf('meanwhile REST answers (longest %.0f ms)', $worst * 1000));
SKIP: {
	skip 'a sanitizer keeps what is freed', 1 if ($ENV{BUILD} // '') =~ /san/;
	cmp_ok(rss_kb() - $before, '<', 20_000, 'and the supervisor does not grow by them');
}
my ($jar) = @{ $weir->get('/jars')->{files} };
my ($status, $body) = $weir->request('POST', "/jars/$jar->{id}/run", { programArgs => '--to 10 --rate 0' });
is($status, 200, 'a job of 90 MB runs') or diag(ref $body ? encode_json($body) : $body);
$weir->wait_job($body->{jobid}, 'FINISHED');
($status) = $weir->request('DELETE', "/jars/$jar->{id}");
is($status, 200, 'and is deleted');

# Over the limit: refused before it is sent, or while; nothing of it stays.
my $huge = padded(110);
for my $expect ('Expect: 100-continue', 'Expect:') {
	($status, $body) = curl('/jars/upload', '-H', $expect, '-F', "jarfile=\@$huge");
	is($status, 413, "110 MB are too large ($expect)");
}
is_deeply([glob "$weir->{dir}/upload/flink-web-upload/*"], [], 'nothing of it stays');
unlink $big, $huge;

# A head that never ends, one that is too large, a slow client: none of them holds up another.
my @slow = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $weir->{port}) or die } 1 .. 50;
print $_ "GET /jobs HTTP/1.1\r\nHost: x\r\nX-Slow: " for @slow;
$_->flush for @slow;
$t0 = time;
$weir->get('/overview');
cmp_ok(time - $t0, '<', 0.2, '50 clients that do not finish their head hold nobody up');
close $_ for @slow;
my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $weir->{port}) or die;
print $s "GET /jobs HTTP/1.1\r\nHost: x\r\nX-Large: " . 'x' x 100_000 . "\r\n\r\n";
like(scalar <$s> // '', qr{^HTTP/1\.1 (431|400)}, 'a head of 100 kB is refused');
close $s;
($status, $body) = $weir->request('POST', "/jars/x/run", '{"programArgs": ');
is($status, 400, 'JSON that is cut off');
($status, $body) = $weir->request('PUT', '/jobs');
ok($status == 404 || $status == 405, "a method that is not there: $status");

# Switched off.
my $id = $weir->run('-p', 1, $so);
$weir->wait_job($id, 'RUNNING');
$weir->{conf}{'web.submit.enable'} = 'false';
$weir->{conf}{'web.cancel.enable'} = 'false';
$weir->write_conf;
kill 'HUP', $weir->{pid};
wait_until('the reload', 5, sub { !$weir->get('/config')->{features}{'web-submit'} });
ok(!$weir->get('/config')->{features}{'web-cancel'}, 'web.cancel.enable: the dashboard is told not to offer it');
for my $case (['POST', '/jars/upload'], ['GET', '/jars'], ['POST', '/jars/x/run'], ['DELETE', '/jars/x']) {
	($status) = $weir->request(@$case, $case->[0] eq 'POST' ? '{}' : ());
	is($status, 404, "web.submit.enable: false: @$case is not there");
}
my ($rc, $out, $err) = $weir->cli('run', '-d', $so);
is($rc, 1, 'weir run fails');
like($err . $out, qr/\S/, 'and says so') and note($err . $out);
is(($weir->cli('cancel', $id))[0], 0, 'the API itself still cancels, as Flink\'s does');
$weir->wait_job($id, 'CANCELED');
is($weir->stop, 0, 'stop');
done_testing();
