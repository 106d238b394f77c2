#!/usr/bin/env perl
# What recovery does besides kills: failing functions, hung workers, missing slots, more TaskManagers by
# reload, the logs' rotation, the dump, a stop that is in a hurry.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Weir qw(wait_until build);

my $weir = Weir->start(conf => { 'restart-strategy.exponential-delay.max-backoff' => '300 ms' });
my $so = build() . '/t/jobs/numbers.so';

sub conf {
	my (%change) = @_;
	$weir->{conf} = { %{ $weir->{conf} }, %change };
	$weir->write_conf;
	kill 'HUP', $weir->{pid};
}
sub states { # of a job, as often as it can be asked in that time
	my ($id, $seconds) = @_;
	my (%seen, $until);
	for ($until = time + $seconds; time < $until; sleep 0.03) {
		my $job = $weir->job($id);
		$seen{ $job->{state} }++;
		$seen{"task $_"} += $job->{vertices}[0]{tasks}{$_} for qw(SCHEDULED DEPLOYING RUNNING);
	}
	return \%seen;
}

# A function that always fails.
my $id = $weir->run($so, '--fail-at', 50);
my $ex = wait_until('two failures', 10, sub {
	my $x = $weir->get("/jobs/$id/exceptions");
	return @{ $x->{exceptionHistory}{entries} } >= 2 ? $x : undef;
});
my ($new, $old) = @{ $ex->{exceptionHistory}{entries} };
like($new->{stacktrace}, qr/^java\.lang\.RuntimeException: .*number 50 is not wanted/, 'the function\'s own sentence');
is($new->{exceptionName}, 'java.lang.RuntimeException', 'under its name');
like($new->{taskName}, qr/^Square \(1\/1\) - execution #\d+$/, 'with task and execution');
like($new->{location}, qr/^localhost:\d+$/, 'and place');
cmp_ok($new->{timestamp}, '>=', $old->{timestamp}, 'newest first');
ok(!(grep { /kind=taskmanager/ } $weir->log_lines('child.died')), 'a function that fails costs no process');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED');

# A function that crashes. A sanitizer turns the signal into an exit of its own.
my $crash = ($ENV{BUILD} // '') =~ /san/ ? qr/SIG|exited with status/ : qr/SIGSEGV/;
$id = $weir->run($so, '--crash-at', 50);
wait_until('a crash', 10, sub { grep { /kind=taskmanager.*$crash/ } $weir->log_lines('child.died') });
$ex = wait_until('it is in the exceptions', 5, sub {
	my $x = $weir->get("/jobs/$id/exceptions");
	return defined $x->{'root-exception'} ? $x : undef;
});
like($ex->{'root-exception'}, qr/RemoteTransportException: Connection unexpectedly closed by remote task manager '127\.0\.0\.1:\d+-[0-9a-f]{6}'\. This might indicate that the remote task manager was lost\..*$crash/s, 'in Flink\'s words, with the signal');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED');

# A bounded job.
$id = $weir->run($so, '--to', 1000, '--rate', 0);
my $job = $weir->wait_job($id, 'FINISHED');
is($_->{tasks}{FINISHED}, $_->{parallelism}, "$_->{name} has finished") for @{ $job->{vertices} };
is($job->{vertices}[0]{metrics}{'write-records'}, 1001, 'its last counters are kept');

# More slots than there are.
$id = $weir->run('-p', 3, $so);
my $seen = states($id, 2.5);
ok($seen->{RUNNING} && $seen->{RESTARTING}, 'without slots a job cycles');
ok($seen->{'task SCHEDULED'} && !$seen->{'task DEPLOYING'}, 'its tasks are SCHEDULED');
like($weir->get("/jobs/$id/exceptions")->{'root-exception'}, qr/NoResourceAvailableException/, 'the reason');
my ($restarts) = @{ $weir->get("/jobs/$id/metrics?get=numRestarts") };
cmp_ok($restarts->{value}, '>=', 2, 'numRestarts grows');
is(scalar($weir->log_lines('job.starved')), 1, 'the log is told once');
conf('taskmanager.numberOfTaskManagers' => 3);
$weir->wait_job($id, 'RUNNING', 5);
pass('with one more TaskManager it runs');

# A worker that hangs while another one dies: it is killed after 100 ms.
my ($hung, $dead) = map { $weir->taskmanager_pid($_) } 1, 2;
kill 'STOP', $hung;
kill 'KILL', $dead;
wait_until('the hung one is killed', 5, sub { grep { /child_pid=$hung\b/ } $weir->log_lines('child.died') });
is(scalar($weir->log_lines('job.drop_overdue')), 1, 'for that reason');
$weir->wait_job($id, 'RUNNING', 10);
pass('and the job runs again');

# What cannot change is named, and nothing is applied.
conf('rest.port' => 12345, 'taskmanager.numberOfTaskManagers' => 4);
my $line = wait_until('the reload is refused', 5, sub { ($weir->log_lines('reload.refused'))[-1] });
like($line, qr/rest\.port cannot change/, 'a key that cannot change is named');
is($weir->get('/overview')->{taskmanagers}, 3, 'and nothing is applied');

# Rotation and dump.
rename "$weir->{dir}/log/jobmanager.log", "$weir->{dir}/log/jobmanager.log.1" or die $!;
kill 'USR1', $weir->{pid};
wait_until('the log is there again', 5, sub { -s "$weir->{dir}/log/jobmanager.log" });
kill 'USR2', $weir->{pid};
$line = wait_until('a dump', 5, sub { ($weir->log_lines('dump.job'))[-1] });
like($line, qr/job=$id .*state=RUNNING phase=RUNNING/, 'tells the job\'s state');
is(scalar($weir->log_lines('dump.taskmanager')), 3, 'and every place');

# Nothing of an ended job is left in the store; nothing of anything when the stop is in a hurry.
my @artifacts = glob "$weir->{dir}/state/artifacts/*";
is(@artifacts, 1, 'one artifact for the job that there is');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED');
wait_until('its artifact goes', 5, sub { my @a = glob "$weir->{dir}/state/artifacts/*"; !@a });
$weir->run($so, '--sleep-ms', 1);
my $worker = $weir->taskmanager_pid(1);
kill 'STOP', $worker;
kill 'TERM', $weir->{pid};
wait_until('it begins to stop', 5, sub { $weir->log_lines('supervisor.stopping') });
is($weir->stop, 0, 'a second SIGTERM ends at once with 0');
is_deeply($weir->{left}, [], 'no child is left');
done_testing();
