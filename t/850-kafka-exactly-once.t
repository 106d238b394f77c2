#!/usr/bin/env perl
# With --checkpointing, kill -9 loses nothing: 20,000 events a second, six kills of workers and one of the
# supervisor at random moments; every window of every page still counts exactly 1,000, and none is missing.
# The sink writes at least once: a window may be written again, but always the same.
#
# SEED in the environment repeats the moments of a run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use Kafka;
use Weir qw(wait_until build windows_of);

my $address = $ENV{WEIR_KAFKA} or plan skip_all => 'no real broker';
my $tag = "850-$$";
my $seed = $ENV{SEED} // time * 1000 % 1_000_000;
srand $seed;
diag("SEED=$seed");
Kafka::topic($address, "$tag-$_") for qw(in out);

use constant { RATE => 20_000, WINDOWS => 50, A_WINDOW => 6_000, N_KILLS => 7 };
my $seconds = WINDOWS * A_WINDOW / RATE;

my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskManagers' => 2 });
my $id = $weir->run('-p', 2, build() . '/jobs/ClickCountJob.so', '--bootstrap.servers', $address, '--input-topic', "$tag-in",
	'--output-topic', "$tag-out", '--event-time', '--checkpointing', '--timestamp-format', 'HH', '--group.id', $tag);
$weir->wait_job($id, 'RUNNING');
my $gen = fork // die;
if ($gen == 0) {
	open(STDERR, '>', '/dev/null');
	exec build() . '/clickevent-generator', '--bootstrap.servers', $address, '--topic', "$tag-in", '--rate', RATE,
		'--count', WINDOWS * A_WINDOW, '--timestamp-format', 'HH' or POSIX::_exit(127);
}
END { if ($gen) { local $?; kill 'KILL', $gen; waitpid $gen, 0 } }
my $t0 = time;

# The moments, and at which of them the supervisor dies; from before the first checkpoint to the last events.
my @moments = sort { $a <=> $b } map { 0.3 + rand($seconds - 0.5) } 1 .. N_KILLS;
my $of_supervisor = int rand N_KILLS;
for my $i (0 .. $#moments) {
	my $left = $t0 + $moments[$i] - time;
	sleep $left if $left > 0;
	if ($i == $of_supervisor) {
		diag(sprintf '%5.2f s: supervisor', time - $t0);
		kill 'KILL', $weir->{pid};
		waitpid $weir->{pid}, 0;
		$weir->launch;
		next;
	}
	my $tm = 1 + int rand 2;
	my $victim = wait_until("taskmanager tm-$tm is there", 5, sub { $weir->taskmanager_pid($tm) });
	diag(sprintf '%5.2f s: tm-%d', time - $t0, $tm);
	kill 'KILL', $victim;
}
waitpid $gen, 0;
is($?, 0, 'the generator has written all events');
undef $gen;

# The last window stays open until time goes on: to the end of it, by a stop that drains.
my $closed = (WINDOWS - 1) * 6;
my $w;
my $all = eval {
	wait_until('all closed windows', 15, sub {
		$w = windows_of(Kafka::values($address, "$tag-out"));
		return keys %$w >= $closed;
	});
};
ok($all, 'no window is missing') or diag($@ . scalar(keys %$w) . " of $closed windows");
my $job = $weir->job($id);
is($job->{state}, 'RUNNING', 'the job runs');
my ($rc, $out, $err) = $weir->cli('stop', '--drain', $id);
is($rc, 0, 'stop with savepoint, drained') or diag("$out$err");
eval { $weir->wait_job($id, 'FINISHED', 10) } or diag($@);
$w = windows_of(Kafka::values($address, "$tag-out"));
is(scalar keys %$w, WINDOWS * 6, 'drained: ' . WINDOWS . ' windows of 6 pages, to the very last');
my @wrong = grep { grep { $_ != 1000 } @{ $w->{$_} } } sort keys %$w;
is(scalar @wrong, 0, 'every window counts exactly 1,000, each time it was written')
	or diag(join ', ', map { "$_ => @{ $w->{$_} }" } @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]);
my $n_again = grep { @$_ > 1 } values %$w;
diag(sprintf '%.1f s, %d of %d windows written more than once', time - $t0, $n_again, scalar keys %$w);
is($weir->stop, 0, 'stop');
is_deeply($weir->{left}, [], 'nothing is left');
done_testing();
