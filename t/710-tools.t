#!/usr/bin/env perl
# The tools without a Kafka: the embedded broker seen by outside clients, the generator, the consumer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Weir qw(wait_until build);

my $build = build();
my $dir = File::Temp::tempdir(CLEANUP => 1);
sub spawn {
	my ($err, @cmd) = @_;
	my $pid = fork // die;
	if ($pid == 0) {
		open(STDIN, '<', '/dev/null');
		open(STDERR, '>', $err);
		open(STDOUT, '>', "$err.out");
		exec { $cmd[0] } @cmd or POSIX::_exit(127);
	}
	return $pid;
}
sub slurp { open(my $fh, '<', $_[0]) or return ''; local $/; return <$fh> // '' }
sub ended { my ($pid) = @_; my $rc; wait_until('it ends', 15, sub { waitpid($pid, POSIX::WNOHANG()) == $pid ? ($rc = $?, 1)[1] : 0 }); return $rc }

my $broker = spawn("$dir/broker", "$build/weir-broker", '-p', 0, '-t', 'input:2', '-t', 'output:3');
END { if ($broker) { local $?; kill 'KILL', $broker; waitpid $broker, 0 } }
my $port = wait_until('the broker listens', 5, sub { slurp("$dir/broker") =~ /event=broker\.listening port=(\d+)/ ? $1 : undef });
my $md = `kcat -b 127.0.0.1:$port -L 2>&1 </dev/null`;
like($md, qr/topic "input" with 2 partitions/, 'topics of -t');
like($md, qr/topic "output" with 3 partitions/, 'with their partitions');
is(ended(spawn("$dir/taken", "$build/weir-broker", '-p', $port)) >> 8, 1, 'a taken port: exit 1');
like(slurp("$dir/taken"), qr/port $port is taken/, 'said');
is(ended(spawn("$dir/usage", "$build/weir-broker", '-t', 'input')) >> 8, 1, 'a topic without partitions is refused');
like(slurp("$dir/usage"), qr/topic:partitions/, 'saying how');

my @gen = ("$build/clickevent-generator", '--bootstrap.servers', "127.0.0.1:$port", '--topic', 'input');
is(ended(spawn("$dir/gen", @gen, '--count', 12000, '--rate', 'unlimited')), 0, 'the generator writes 12,000 events');
my @lines = `$build/weir-consumer --bootstrap.servers 127.0.0.1:$port --topic input --from-beginning --max-messages 12000 </dev/null`;
is(scalar @lines, 12000, 'the consumer reads as many');
my (%per_page, $text);
$text = join '', @lines;
$per_page{$1}{$2}++ while $text =~ /"timestamp":"([^"]+)","page":"([^"]+)"/g;
my %pages;
$pages{$_}++ for map { keys %$_ } values %per_page;
is_deeply(\%pages, { map { $_ => 2000 } qw(/help /index /shop /jobs /about /news) }, 'each page at 2,000 times of its own, none twice');
is(scalar keys %per_page, 2000, 'the pages share their times');
my $kcat = () = `kcat -b 127.0.0.1:$port -C -t input -o beginning -e -q -X fetch.wait.max.ms=10 2>/dev/null </dev/null` =~ /\n/g;
is($kcat, 12000, 'kcat reads them too');

# Rate: 2 s at 1,000 a second.
my $t0 = time;
is(ended(spawn("$dir/rate", @gen, '--count', 2000, '--rate', 1000)), 0, 'at a rate');
my $took = time - $t0;
ok($took > 1.8 && $took < 3.5, sprintf('2,000 events at 1,000/s take %.2f s', $took));
# Asked to stop: ends well, saying how many were confirmed.
my $pid = spawn("$dir/stop", @gen);
wait_until('it has begun', 5, sub {
	my $n = () = `kcat -b 127.0.0.1:$port -C -t input -o beginning -e -q -X fetch.wait.max.ms=10 2>/dev/null </dev/null` =~ /\n/g;
	$n > 14000;
});
kill 'TERM', $pid;
is(ended($pid), 0, 'SIGTERM ends the generator well');
like(slurp("$dir/stop"), qr/event=generator\.stopped sent=\d+/, 'with what was sent');
for my $bad (['--rate', 'fast'], ['--count', -1], ['--start-time', 'now'], ['--timestamp-format', 'roman'], ['--colour', 'red']) {
	isnt(ended(spawn("$dir/bad", @gen, @$bad)), 0, "@$bad is refused");
	like(slurp("$dir/bad"), qr/\Q$bad->[0]\E|\Q@{[ $bad->[0] =~ s{^--}{}r ]}\E/, 'by name');
}
# Results are judged.
open(my $k, '|-', "kcat -b 127.0.0.1:$port -P -t output -p 0") or die;
print $k "{\"page\":\"/a\",\"count\":1000}\n{\"page\":\"/b\",\"count\":999}\n";
close $k;
my $out = `$build/weir-consumer --bootstrap.servers 127.0.0.1:$port --topic output --from-beginning --windows 1000 --max-messages 2 </dev/null`;
is($? >> 8, 3, 'a wrong window: exit 3');
like($out, qr/^\xe2\x9c\x93 .*1000.*\n\xe2\x9c\x97 .*999/, 'marked');
kill 'TERM', $broker;
is(ended($broker), 0, 'SIGTERM ends the broker well');
undef $broker;
done_testing();
