#!/usr/bin/env perl
# The playground from start to Ctrl-C: six windows of 1,000, taken ports said, nothing left.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Weir qw(wait_until top build);

plan skip_all => 'runs the release build only' if ($ENV{BUILD} // 'build') ne 'build';
my $dir = File::Temp::tempdir(CLEANUP => 1);
# Somebody is on 8081: a port that is taken is said and the next one used.
my $other = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 8081, Listen => 1, ReuseAddr => 1);
sub slurp { open(my $fh, '<', $_[0]) or return ''; local $/; return <$fh> // '' }
sub start {
	my ($file, %env) = @_;
	my $pid = fork // die;
	if ($pid == 0) {
		POSIX::setsid();
		$ENV{$_} = $env{$_} for keys %env;
		$ENV{TMPDIR} = $dir;
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', $file);
		open(STDERR, '>&', \*STDOUT);
		exec top() . '/etc/playground' or POSIX::_exit(127);
	}
	return $pid;
}
my $t0 = time;
my $pid = start("$dir/out", SPEED => 10, WINDOWS => 6);
wait_until('it ends', 30, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
is($?, 0, 'WINDOWS=6: ends by itself, all right') or diag(slurp("$dir/out"));
my $out = slurp("$dir/out");
my @good = $out =~ /^\xe2\x9c\x93 .*"count":1000\}$/mg;
is(scalar @good, 6, 'six windows of exactly 1,000');
cmp_ok(time - $t0, '<', 15, sprintf('within 15 s (%.1f)', time - $t0));
like($out, qr/port 8081 is taken/, 'the taken port is said') if $other;
like($out, qr{REST API\s+http://localhost:\d+}, 'and where the REST API listens');
like($out, qr/embedded: .*no transactions.*forgets/, 'what the embedded broker does not do is in the first line');
is_deeply([glob "$dir/weir-playground-*"], [], 'no directory is left');

$pid = start("$dir/out2", SPEED => 10);
wait_until('a window', 20, sub { slurp("$dir/out2") =~ /^\xe2\x9c\x93/m });
my @pids = `pgrep -s $pid` =~ /(\d+)/g;
cmp_ok(scalar @pids, '>=', 5, 'broker, supervisor, workers, generator, consumer run');
kill 'INT', @pids; # as the terminal does it: to all of the group
wait_until('it ends', 15, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
wait_until('all its processes end', 5, sub { !grep { kill 0, $_ } @pids });
pass('Ctrl-C ends all of it');
is_deeply([glob "$dir/weir-playground-*"], [], 'no directory is left');
my $bad = `SPEED=fast @{[ top() ]}/etc/playground 2>&1 </dev/null`;
like($bad, qr/SPEED must be/, 'a SPEED that is no number is refused');
done_testing();
