#!/usr/bin/env perl
# Fewer and more TaskManagers and slots by reload, with a job that goes on from its checkpoint; dead ones that stay
# dead until SIGHUP; restart strategies that give up.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Weir qw(wait_until build);

my $weir = Weir->start(conf => { 'execution.checkpointing.interval' => '100 ms',
	'restart-strategy.exponential-delay.max-backoff' => '300 ms' });
my $so = build() . '/t/jobs/numbers.so';

sub conf {
	my (%change) = @_;
	my $n = $weir->log_lines('reload.done');
	$weir->{conf} = { %{ $weir->{conf} }, %change };
	$weir->write_conf;
	kill 'HUP', $weir->{pid};
	wait_until('the reload is done', 5, sub { $weir->log_lines('reload.done') > $n });
}
sub overview { return $weir->get('/overview') }
sub checkpoints { return $weir->get("/jobs/$_[0]/checkpoints") }
sub beyond { my ($id, $n) = @_; wait_until("a checkpoint behind $n", 10, sub { my $c = checkpoints($id)->{latest}{completed}; $c && $c->{id} > $n }) }

my $id = $weir->run('-p', 2, $so, '--rate', 1000);
$weir->wait_job($id, 'RUNNING');
beyond($id, 1);
conf('taskmanager.numberOfTaskManagers' => 1);
wait_until('the surplus one is gone', 10, sub { overview()->{taskmanagers} == 1 && !$weir->taskmanager_pid(2) });
wait_until('the job misses its slot', 10, sub { $weir->log_lines('job.starved') });
ok(!(grep { /signal=/ && !/signal=0/ } $weir->log_lines('child.died')), 'a drained TaskManager is not killed');
conf('taskmanager.numberOfTaskManagers' => 3);
wait_until('three are there', 10, sub { overview()->{taskmanagers} == 3 });
$weir->wait_job($id, 'RUNNING', 10);
my $c = checkpoints($id);
ok($c->{latest}{restored} && $c->{latest}{restored}{id} >= 2, 'the job goes on from its checkpoint');
beyond($id, $c->{latest}{restored}{id});
like($weir->get("/taskmanagers")->{taskmanagers}[1]{id}, qr/^127\.0\.0\.1:\d+-/, 'a place that was drained is used again');

# More slots: the idle one has them at once.
conf('taskmanager.numberOfTaskSlots' => 3);
wait_until('the idle one has three slots', 10, sub { overview()->{'slots-total'} == 5 && overview()->{taskmanagers} == 3 });
pass('and the busy ones keep theirs');
my $id2 = $weir->run('-p', 3, $so, '--rate', 1000);
$weir->wait_job($id2, 'RUNNING', 10);
is(overview()->{'slots-available'}, 0, 'another job has them');
$weir->cli('cancel', $id2);
$weir->wait_job($id2, 'CANCELED');

# The dead stay dead until SIGHUP.
conf('taskmanager.numberOfTaskSlots' => 1, 'taskmanager.numberOfTaskManagers' => 2, 'taskmanager.restart' => 'never');
wait_until('two are there', 10, sub { overview()->{taskmanagers} == 2 });
$weir->wait_job($id, 'RUNNING', 10);
beyond($id, checkpoints($id)->{latest}{completed}{id});
my $n = $weir->log_lines('job.starved');
kill 'KILL', $weir->taskmanager_pid(1);
wait_until('its slot is missing', 10, sub { $weir->log_lines('job.starved') > $n });
is(overview()->{taskmanagers}, 1, 'a dead TaskManager stays dead');
my $before = checkpoints($id)->{latest}{completed}{id};
conf();
$weir->wait_job($id, 'RUNNING', 10);
cmp_ok(checkpoints($id)->{latest}{restored}{id}, '>=', $before, 'until SIGHUP; then the job goes on from its checkpoint');

# Restart strategies.
conf('taskmanager.restart' => 'always', 'restart-strategy' => 'fixed-delay', 'restart-strategy.fixed-delay.attempts' => 2,
	'restart-strategy.fixed-delay.delay' => '10 ms', 'execution.checkpointing.externalized-checkpoint-retention' => 'DELETE_ON_CANCELLATION');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED');
$id = $weir->run($so, '--rate', 100, '--fail-at', 80);
$weir->wait_job($id, 'FAILED', 20);
my $ex = $weir->get("/jobs/$id/exceptions");
like($ex->{'root-exception'}, qr/^org\.apache\.flink\.runtime\.JobException: Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy\(maxNumberRestartAttempts=2, backoffTimeMS=10\)/, 'after its restarts a job is FAILED, in Flink\'s words');
like($ex->{'root-exception'}, qr/Caused by: .*number 80 is not wanted/, 'with what it failed with');
is(scalar(grep { /job=$id/ } $weir->log_lines('job.restarting')), 2, 'so often it was restarted');
ok(glob("$weir->{dir}/checkpoints/$id/chk-*"), 'its checkpoints stay, as they shall');
wait_until('its record goes', 5, sub { !-e "$weir->{dir}/state/jobs/$id" });
conf('restart-strategy' => 'none');
$id = $weir->run($so, '--fail-at', 20);
$weir->wait_job($id, 'FAILED', 10);
like($weir->get("/jobs/$id/exceptions")->{'root-exception'}, qr/NoRestartBackoffTimeStrategy/, 'none');
is($weir->stop, 0, 'the supervisor stops');
is_deeply($weir->{left}, [], 'and leaves nobody');
done_testing();
