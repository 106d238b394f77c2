#!/usr/bin/env perl
# Two jobs at once, cancels at awkward times, processes that hang or die beside the jobs, the workers' logs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Weir qw(wait_until build);

my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskSlots' => 2, 'restart-strategy.exponential-delay.max-backoff' => '5 s',
	'heartbeat.interval' => 500, 'heartbeat.timeout' => 1500 });
my $so = build() . '/t/jobs/numbers.so';
sub written { return $weir->job($_[0])->{vertices}[0]{metrics}{'write-records'} }
sub cancelled {
	my ($id, $what) = @_;
	my $t0 = time;
	is(($weir->cli('cancel', $id))[0], 0, "$what: cancel");
	$weir->wait_job($id, 'CANCELED', 5);
	cmp_ok(time - $t0, '<', 1, sprintf('... is done soon (%.0f ms)', (time - $t0) * 1000));
}

# Two jobs on 2 x 2 slots: each has one slot in each worker or both in one; both run.
my @id = map { $weir->run('-p', 2, $so, '--rate', 500) } 1, 2;
$weir->wait_job($_, 'RUNNING') for @id;
is($weir->get('/overview')->{'slots-available'}, 0, 'two jobs at once take all four slots');
is($weir->get('/overview')->{'jobs-running'}, 2, 'both run');
wait_until('records flow in both', 5, sub { !grep { written($_) < 100 } @id });

# A third one has no slot: SCHEDULED; it can be cancelled, waiting for the slots or for its restart.
my $third = $weir->run('-p', 1, $so);
wait_until('it is told', 5, sub {
	($weir->get("/jobs/$third/exceptions")->{'root-exception'} // '') =~ /NoResourceAvailableException/;
});
pass('a third job has no slot, by name');
cancelled($third, 'without slots');
$third = $weir->run('-p', 5, $so);
wait_until('it is restarting', 10, sub { $weir->job($third)->{state} eq 'RESTARTING' });
cancelled($third, 'while RESTARTING without slots');
$third = $weir->run('-p', 1, $so);
is($weir->job($third)->{vertices}[0]{tasks}{SCHEDULED}, 1, 'its task is SCHEDULED') if $weir->job($third)->{state} eq 'RUNNING';
cancelled($third, 'right after its start');

# A failing job is cancelled while it waits for its restart.
cancelled($id[1], 'the second job');
my $failing = $weir->run('-p', 1, $so, '--fail-at', 0);
wait_until('it waits', 10, sub {
	my ($m) = @{ $weir->get("/jobs/$failing/metrics?get=numRestarts") };
	$m->{value} >= 4 && $weir->job($failing)->{state} eq 'RESTARTING';
});
cancelled($failing, 'while it waits for its restart');

# The kill of one worker restarts what runs there, and only that.
my $other = $weir->run('-p', 2, $so, '--rate', 500);
$weir->wait_job($_, 'RUNNING') for $id[0], $other;
kill 'KILL', $weir->taskmanager_pid(1);
wait_until('both run again', 10, sub { !grep { !Weir::all_running($weir->job($_)) } $id[0], $other });
wait_until('records flow again', 5, sub { !grep { written($_) < 100 } $id[0], $other });
pass('two jobs survive the kill of a worker');
cancelled($other, 'the other one');

# The storage process dies while it is used: what it was doing is answered, the next works.
sub storage_pid { my $k = $weir->children; my ($title) = grep { /storage/ } keys %$k; return $title && $k->{$title} }
my $storage = storage_pid();
ok($storage, 'there is a storage process');
kill 'STOP', $storage; # so that requests are under way when it dies
my $client = fork // die;
if ($client == 0) {
	my ($rc) = $weir->cli('run', '-d', $so);
	POSIX::_exit($rc);
}
sleep 0.3;
cmp_ok(do { my $t0 = time; $weir->get('/overview'); time - $t0 }, '<', 0.5, 'REST answers while the storage process hangs');
kill 'KILL', $storage;
wait_until('the request is answered', 10, sub { waitpid($client, POSIX::WNOHANG()) == $client });
is($? >> 8, 1, 'what it was doing fails');
wait_until('it is forked anew', 5, sub { my $p = storage_pid(); $p && $p != $storage });
my $after = $weir->run($so, '--to', 100, '--rate', 0);
$weir->wait_job($after, 'FINISHED');
pass('and the next submission works');
is(scalar(grep { /kind=storage.*signal=9/ } $weir->log_lines('child.died')), 1, 'its death is named once');

# A TaskManager that is stopped past heartbeat.timeout is killed and replaced.
my $stopped = $weir->taskmanager_pid(2);
my $t0 = time;
kill 'STOP', $stopped;
my $line = wait_until('it is killed', 10, sub { (grep { /child_pid=$stopped\b/ } $weir->log_lines('child.died'))[0] });
like($line, qr/no heartbeat for 1500 ms/, 'a TaskManager that is stopped is killed for its silence');
cmp_ok(time - $t0, '<', 4, sprintf('soon after heartbeat.timeout (%.1f s)', time - $t0));
wait_until('it is replaced', 5, sub { my $p = $weir->taskmanager_pid(2); $p && $p != $stopped });
$weir->wait_job($id[0], 'RUNNING', 10);
pass('and the job runs');

# One that is stopped for less keeps its job.
my $restarts = $weir->get("/jobs/$id[0]/metrics?get=numRestarts")->[0]{value};
my $pid = $weir->taskmanager_pid(1);
kill 'STOP', $pid;
sleep 0.7;
kill 'CONT', $pid;
sleep 1.2;
is($weir->get("/jobs/$id[0]/metrics?get=numRestarts")->[0]{value}, $restarts, 'one that is stopped for less than it is left alone');

# SIGUSR1 reopens every log.
my $dir = "$weir->{dir}/log";
my @logs = map { ("taskmanager-$_.log", "taskmanager-$_.out") } 1, 2;
rename "$dir/$_", "$dir/$_.1" or die "$_: $!" for 'jobmanager.log', @logs;
kill 'USR1', $weir->{pid};
for my $name ('jobmanager.log', @logs) {
	wait_until("$name is there again", 5, sub { -e "$dir/$name" });
	pass("SIGUSR1: $name is there again");
}
wait_until('the workers write to it', 5, sub { -s "$dir/taskmanager-1.log" && -s "$dir/taskmanager-2.log" });
pass('and written to');
is($weir->stop, 0, 'stop');
is_deeply($weir->{left}, [], 'no process is left');
done_testing();
