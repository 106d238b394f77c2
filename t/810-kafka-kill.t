#!/usr/bin/env perl
# kill -9 of a worker while the job counts live events: running again and new windows within 5 s.
# Also: a broker that is stopped for a while, a worker that is stopped for 8 s with a backlog.
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
my $tag = "810-$$";
Kafka::topic($address, "$tag-$_") for qw(in out);

my $weir = Weir->start(conf => { 'heartbeat.timeout' => '50 s' });
# 15 s of event time each 0.3 s: 20,000 events a second.
my $gen = fork // die;
if ($gen == 0) {
	open(STDERR, '>', '/dev/null');
	exec build() . '/clickevent-generator', '--bootstrap.servers', $address, '--topic', "$tag-in", '--rate', 20000,
		'--timestamp-format', 'HH' or POSIX::_exit(127);
}
END { if ($gen) { local $?; kill 'KILL', $gen; waitpid $gen, 0 } }

my $id = $weir->run('-p', 2, build() . '/jobs/ClickCountJob.so', '--bootstrap.servers', $address, '--input-topic', "$tag-in",
	'--output-topic', "$tag-out", '--event-time', '--timestamp-format', 'HH', '--group.id', $tag);
$weir->wait_job($id, 'RUNNING');
sub n_windows { return scalar Kafka::values($address, "$tag-out") }
wait_until('the first windows', 15, sub { n_windows() >= 12 });
my $w = windows_of(Kafka::values($address, "$tag-out"));
is(scalar(grep { @$_ != 1 || $_->[0] != 1000 } values %$w), 0, 'every window counts 1,000');
is($weir->job($id)->{vertices}[2]{name}, 'Sink ClickEventStatistics Sink', 'vertex names as Flink 1.14 has them');

# A worker that does not run for 8 s, longer than the idle timeout, with a backlog: its splits are not idle.
my $victim = $weir->taskmanager_pid(1);
my $before = n_windows();
kill 'STOP', $victim;
sleep 8;
kill 'CONT', $victim;
wait_until('windows after the stop', 15, sub { n_windows() >= $before + 60 });
$w = windows_of(Kafka::values($address, "$tag-out"));
is(scalar(grep { @$_ != 1 || $_->[0] != 1000 } values %$w), 0, 'a worker stopped for 8 s with a backlog: still 1,000 each')
	or diag(join ', ', map { "$_ => @{ $w->{$_} }" } grep { "@{ $w->{$_} }" ne '1000' } sort keys %$w);

for my $tm (1, 2) {
	$victim = $weir->taskmanager_pid($tm);
	$before = n_windows();
	my $t0 = time;
	kill 'KILL', $victim;
	wait_until('the death is logged', 5, sub { grep { /child_pid=$victim\b/ && /tm=tm-$tm\b/ } $weir->log_lines('child.died') });
	wait_until('running again', 5, sub {
		my $job = $weir->job($id);
		return Weir::all_running($job) && $job->{timestamps}{RUNNING} > $t0 * 1000;
	});
	my $running = time - $t0;
	wait_until('new windows', 5, sub { n_windows() > $before + 6 });
	diag(sprintf 'kill -9 of tm-%d: RUNNING after %.0f ms, new windows after %.1f s', $tm, $running * 1000, time - $t0);
	pass("kill -9 of tm-$tm: running and new windows within 5 s");
}
my ($rc) = $weir->cli('cancel', $id);
is($rc, 0, 'cancel');
$weir->wait_job($id, 'CANCELED', 5);
is($weir->stop, 0, 'stop');
is_deeply($weir->{left}, [], 'nothing is left');
done_testing();
