#!/usr/bin/env perl
# The REST API on a live cluster: upload, run, look, cancel, delete; and everything a user can do wrong.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use List::Util qw(max);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Weir qw(wait_until build);

my $weir = Weir->start;
my $so = build() . '/t/jobs/numbers.so';

sub upload {
	my ($file, $as) = @_;
	$as //= $file =~ s{.*/}{}r;
	my $out = `curl -s -X POST -H 'Expect:' -F 'jarfile=\@$file;filename=$as' @{[ $weir->url('/jars/upload') ]}`;
	return decode_json($out);
}

my $up = upload($so, 'Numbers.jar');
is($up->{status}, 'success', 'upload');
like($up->{filename}, qr{/flink-web-upload/[0-9a-f-]{36}_Numbers\.jar$}, 'the stored path, as Flink names it');
my ($jar) = $up->{filename} =~ m{([^/]+)$};
my $jars = $weir->get('/jars');
is_deeply([map { $_->{name} } @{ $jars->{files} }], ['Numbers.jar'], 'it is listed');
is($jars->{files}[0]{id}, $jar, 'by its id');

my ($status, $body) = $weir->request('POST', "/v1/jars/$jar/run", { programArgs => '--rate 100 --to 1000000', parallelism => 2 });
is($status, 200, 'run') or diag(ref $body ? encode_json($body) : $body);
my $id = $body->{jobid};
like($id, qr/^[0-9a-f]{32}$/, 'a job id');
my $job = $weir->wait_job($id, 'RUNNING');
is($job->{name}, 'Numbers', 'the job by its name');
is_deeply([map { $_->{name} } @{ $job->{vertices} }], ['Source: Numbers', 'Square', 'Sum', 'Sink Nowhere'], 'its vertices');
is_deeply([map { $_->{parallelism} } @{ $job->{vertices} }], [2, 2, 2, 2], 'with the parallelism asked for');
is($weir->get("/v1/jobs/$id")->{jid}, $id, 'the same below /v1');
is_deeply([sort map { $_->{id} } @{ $weir->get('/jobs')->{jobs} }], [$id], '/jobs');
is($weir->get('/jobs/overview')->{jobs}[0]{tasks}{running}, 8, '/jobs/overview counts the tasks');
is($weir->get('/overview')->{'slots-available'}, 0, 'both slots are taken');
is(scalar @{ $weir->get('/taskmanagers')->{taskmanagers} }, 2, '/taskmanagers');
is_deeply($weir->get("/jobs/$id/execution-result"), { status => { id => 'IN_PROGRESS' } }, 'execution-result while it runs');
is_deeply($weir->get("/jobs/$id/exceptions")->{'all-exceptions'}, [], 'no exceptions');
my %m = map { $_->{id} => $_->{value} } @{ $weir->get("/jobs/$id/metrics?get=uptime,numRestarts,nonsense") };
ok($m{uptime} >= 0 && $m{numRestarts} == 0 && !exists $m{nonsense}, 'metrics, unknown ones left out');
wait_until('records are counted', 5, sub { $weir->job($id)->{vertices}[1]{metrics}{'read-records'} > 10 });
pass('records are counted');

($status, $body) = $weir->request('PATCH', "/jobs/$id?mode=cancel", '{}');
is($status, 202, 'cancel is accepted');
is_deeply($body, {}, 'with an empty object');
$job = $weir->wait_job($id, 'CANCELED');
ok($job->{'end-time'} > 0 && $job->{timestamps}{CANCELLING} > 0, 'with its times');
is($weir->get("/jobs/$id/execution-result")->{'job-execution-result'}{'application-status'}, 'CANCELED', 'its result');
wait_until('the slots are free', 3, sub { $weir->get('/overview')->{'slots-available'} == 2 });
pass('its slots are free again');

# ---- what a user can do wrong
sub refused {
	my ($what, $want_status, $want, $method, $path, $req) = @_;
	my ($s, $b) = $weir->request($method, $path, $req);
	is($s, $want_status, "$what: $want_status");
	like(ref $b eq 'HASH' ? join("\n", @{ $b->{errors} // [] }) : $b, $want, "$what: the sentence");
}
my $none = '0' x 32;
refused('unknown job', 404, qr/Job $none not found/, 'GET', "/jobs/$none");
refused('malformed job id', 400, qr/Cannot resolve path parameter \(jobid\) from value "xyz"/, 'GET', '/jobs/xyz');
refused('cancel of an unknown job', 404, qr/Job could not be found/, 'PATCH', "/jobs/$none?mode=cancel", '{}');
refused('cancel of an ended job', 404, qr/Job could not be found/, 'PATCH', "/jobs/$id?mode=cancel", '{}');
refused('unknown jar', 500, qr/does not exist/, 'POST', '/jars/none.jar/run', '{}');
refused('unknown path', 404, qr/Unable to load requested file \/nothing/, 'GET', '/nothing');
refused('unknown field', 400, qr/did not match expected format/, 'POST', "/jars/$jar/run", { colour => 'red' });
refused('unknown argument', 400, qr/--colour/, 'POST', "/jars/$jar/run", { programArgs => '--colour red' });
refused('an argument out of range', 400, qr/rate/, 'POST', "/jars/$jar/run", { programArgs => '--rate -5' });
refused('parallelism 0', 400, qr/parallelism/i, 'POST', "/jars/$jar/run", { parallelism => 0 });

# The zoo of shared objects: each is one clear sentence, and the cluster lives.
my $tmp = $weir->{dir};
sub write_file { my ($name, $data) = @_; open(my $fh, '>:raw', "$tmp/$name") or die; print $fh $data; close $fh; return "$tmp/$name" }
open(my $in, '<:raw', $so) or die;
my $bytes = do { local $/; <$in> };
my $jobs = build() . '/t/jobs';
my %zoo = (
	'truncated' => [write_file('truncated.so', substr($bytes, 0, 3000)), qr/\S/],
	'empty' => [write_file('empty.so', ''), qr/empty|short|not/i],
	'a script' => [write_file('script.so', "#!/bin/sh\nexit 0\n"), qr/script/i],
	'a Java archive' => [write_file('java.jar', "PK\x03\x04" . "\0" x 200), qr/Java archive|jar/i],
	'no job at all' => ["$jobs/plugin_no_symbol.so", qr/it has no symbol weir_job_v1/],
	'another major ABI' => ["$jobs/plugin_abi_major.so", qr/built for ABI 2\.0 of weir\.h, and this cluster has 1\.\d+/],
	'a later minor ABI' => ["$jobs/plugin_abi_minor.so", qr/built for ABI 1\.7 of weir\.h, and this cluster has 1\.\d+/],
	'an unresolved symbol' => ["$jobs/plugin_unresolved.so", qr/it cannot be loaded: undefined symbol: nobody_has_this/],
);
for my $what (sort keys %zoo) {
	my ($file, $re) = @{ $zoo{$what} };
	my $u = upload($file);
	my ($j) = ($u->{filename} // '') =~ m{([^/]+)$};
	if (!$j) {
		like(join(' ', @{ $u->{errors} // [] }), $re, "$what: refused at upload");
		next;
	}
	refused($what, 400, $re, 'POST', "/jars/$j/run", '{}');
	($status) = $weir->request('DELETE', "/jars/$j");
	is($status, 200, "$what: deleted");
}

# Mains that misbehave.
my ($bad) = upload("$jobs/plugin_bad.so")->{filename} =~ m{([^/]+)$};
my %how = (
	crash => qr/main crashed: its process was killed by SIGABRT/,
	exit => qr/main function ended the process by exit\(3\)/,
	grumble => qr/returned -1 and gave no reason .*it wrote: grumble \?/,
	'pid-block' => qr/two different graphs.*operator "Same": its parameter block/,
	'pid-parallelism' => qr/two different graphs.*operator "Same": its parallelism is \d+ in one run and \d+ in another/,
	'pid-name' => qr/two different graphs.*its name is "Same \d+" in one run and "Same \d+" in another/,
	'time-setting' => qr/two different graphs.*execution\.checkpointing\.interval/,
);
refused("a main that does $_", 400, $how{$_}, 'POST', "/jars/$bad/run", { programArgs => "--how $_" }) for sort keys %how;
refused('a parallelism over the maximum', 400, qr/parallelism 32769 is not in 1\.\.32768/, 'POST', "/jars/$jar/run",
	{ parallelism => 32769 });
refused('a parallelism over the job\'s maximum', 400, qr/parallelism 129 is over its max parallelism of 128/, 'POST',
	"/jars/$jar/run", { parallelism => 129 });

# A main that loops has 10 s; the supervisor answers meanwhile.
my $t0 = time;
my $looping = fork // die "fork: $!";
if ($looping == 0) {
	my ($s, $b) = $weir->request('POST', "/jars/$bad/run", { programArgs => '--how loop' });
	POSIX::_exit($s == 400 && "@{ $b->{errors} }" =~ /main did not come back within 10 s, so it was killed/ ? 0 : 1);
}
my $worst = 0;
while (waitpid($looping, POSIX::WNOHANG()) == 0) {
	my $asked = time;
	$weir->get('/overview');
	$worst = max($worst, time - $asked);
	sleep 0.05;
}
is($?, 0, 'a main that loops: 400 and a sentence');
cmp_ok(abs(time - $t0 - 10), '<', 2, sprintf('after 10 s (%.1f)', time - $t0));
cmp_ok($worst, '<', 0.5, sprintf('meanwhile REST answers (longest %.0f ms)', $worst * 1000));
($status) = $weir->request('DELETE', "/jars/$bad");
is($weir->get('/overview')->{taskmanagers}, 2, 'the cluster lives');
is(scalar(grep { /kind=taskmanager/ } $weir->log_lines('child.died')), 0, 'with the workers that it had');
($status) = $weir->request('DELETE', "/jars/$jar");
is($status, 200, 'delete');
is_deeply($weir->get('/jars')->{files}, [], 'nothing is listed');
is($weir->stop, 0, 'stop');
done_testing();
