#!/usr/bin/env perl
# Checkpoints of a running cluster: recovery begins with the newest one, whatever process was killed; the
# supervisor's own death; savepoints, stop, start from one; a damaged file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Fcntl qw(:flock);
use Test::More;
use Time::HiRes qw(sleep time);
use Weir qw(wait_until build);

my $weir = Weir->start(conf => { 'execution.checkpointing.interval' => '100 ms', 'state.checkpoints.num-retained' => 3,
	'restart-strategy.exponential-delay.max-backoff' => '300 ms' });
my $so = build() . '/t/jobs/numbers.so';

sub checkpoints { return $weir->get("/jobs/$_[0]/checkpoints") }
sub latest { my $c = checkpoints($_[0])->{latest}{completed}; return $c ? $c->{id} : 0 }
sub wait_beyond { # a completed checkpoint with a higher id: its id
	my ($id, $n) = @_;
	return wait_until("a checkpoint behind $n", 10, sub { my $l = latest($id); $l > $n ? $l : undef });
}
sub known { my ($status) = $weir->request('GET', "/jobs/$_[0]"); return $status == 200 }
sub relaunched_with { # after the end of the supervisor: the job goes on
	my ($id) = @_;
	$weir->launch;
	wait_until('the job is known again', 10, sub { known($id) });
	$weir->wait_job($id, 'RUNNING', 10);
}
sub kill_supervisor {
	my @workers = map { $weir->taskmanager_pid($_) } 1, 2;
	kill 'KILL', $weir->{pid};
	waitpid($weir->{pid}, 0);
	return @workers;
}
sub operation { # a savepoint or stop, to its end: (status, operation)
	my ($id, $what, $body) = @_;
	my ($status, $answer) = $weir->request('POST', "/jobs/$id/$what", $body);
	die "POST $what: $status\n" if $status != 202;
	return wait_until("the end of $what", 10, sub {
		my $r = $weir->get("/jobs/$id/savepoints/$answer->{'request-id'}");
		return $r->{status}{id} eq 'COMPLETED' ? $r->{operation} : undef;
	});
}
sub dirs { my ($id) = @_; return sort map { s{.*/}{}r } glob "$weir->{dir}/checkpoints/$id/*" }

# Workers are killed, one after the other.
my $id = $weir->run('-p', 2, $so, '--rate', 1000);
$weir->wait_job($id, 'RUNNING');
my $done = wait_beyond($id, 2);
my @kept = dirs($id);
cmp_ok(scalar(@kept), '<=', 4, 'as many are kept as shall be');
for my $tm (1, 2, 1, 2) {
	my $before = latest($id);
	my $pid = $weir->taskmanager_pid($tm);
	kill 'KILL', $pid;
	wait_until('its death is seen', 5, sub { grep { /child_pid=$pid\b/ } $weir->log_lines('child.died') });
	$weir->wait_job($id, 'RUNNING', 10);
	my $r = wait_until('it is restored', 5, sub { checkpoints($id)->{latest}{restored} });
	cmp_ok($r->{id}, '>=', $before, "after the death of tm-$tm it goes on with the newest checkpoint");
	wait_beyond($id, $r->{id});
}
my ($restarts) = @{ $weir->get("/jobs/$id/metrics?get=numRestarts") };
cmp_ok($restarts->{value}, '>=', 4, 'numRestarts counts them');
my $c = checkpoints($id);
cmp_ok($c->{counts}{restored}, '>=', 4, 'so does the count of restores');
ok(!$c->{latest}{restored}{is_savepoint}, 'which were no savepoints');
like($c->{latest}{completed}{external_path}, qr{^file:/.*/$id/chk-\d+$}, 'a checkpoint has its path');
my ($line) = $weir->log_lines('checkpoint.completed');
like($line, qr/msg="Completed checkpoint 1 for job $id \(\d+ bytes/, 'the log tells in Flink\'s words');

# The supervisor is killed; its workers go with it; the next one goes on under the same id.
my $before = latest($id);
my $start = $weir->job($id)->{'start-time'};
my @workers = kill_supervisor();
wait_until('its workers are gone', 5, sub { !grep { kill 0, $_ } @workers });
relaunched_with($id);
$c = checkpoints($id);
cmp_ok($c->{latest}{restored}{id}, '>=', $before, 'after kill -9 of the supervisor the job goes on with its newest checkpoint');
is($weir->job($id)->{'start-time'}, $start, 'it is the same job');
my $next = wait_beyond($id, $c->{latest}{restored}{id});
cmp_ok($next, '>', $c->{latest}{restored}{id}, 'ids go on');
is(scalar($weir->log_lines('job.resumed')), 1, 'and the log tells');

# So it is when it is stopped in order.
$before = latest($id);
is($weir->stop, 0, 'stopped by SIGTERM');
relaunched_with($id);
cmp_ok(checkpoints($id)->{latest}{restored}{id}, '>=', $before, 'after SIGTERM, too');

# An old worker that will not die would write beside the new ones: its job waits.
kill_supervisor();
open(my $lock, '+<', "$weir->{dir}/state/workers.lock") or die $!;
wait_until('its workers let go of the lock', 5, sub { flock($lock, LOCK_EX | LOCK_NB) });
$weir->launch;
wait_until('the log tells that somebody has it', 5, sub { $weir->log_lines('workers.alive') });
is($weir->get('/overview')->{taskmanagers} >= 0 && known($id), '', 'while an old worker lives the job does not go on');
close $lock;
wait_until('the job goes on', 10, sub { known($id) });
$weir->wait_job($id, 'RUNNING', 10);

# The newest one is damaged meanwhile.
wait_until('three are kept', 10, sub { my @d = dirs($id); @d >= 3 });
kill_supervisor();
my ($newest, $older) = map { "chk-$_" } sort { $b <=> $a } map { /chk-(\d+)/ && -s "$weir->{dir}/checkpoints/$id/chk-$1/_metadata" ? $1 : () } dirs($id);
open(my $fh, '+<', "$weir->{dir}/checkpoints/$id/$newest/_metadata") or die $!;
seek($fh, 100, 0);
read($fh, my $byte, 1);
seek($fh, 100, 0);
print $fh chr(ord($byte) ^ 1);
close $fh;
relaunched_with($id);
is('chk-' . checkpoints($id)->{latest}{restored}{id}, $older, 'a damaged checkpoint is left out and the one before is taken');
like(($weir->log_lines('checkpoint.damaged'))[0], qr/$newest\b/, 'and the log names it');
my ($damaged) = $newest =~ /(\d+)/;
cmp_ok(wait_beyond($id, 0), '>', $damaged, 'its id is not used again');

# A savepoint while it runs; then a stop.
my $op = operation($id, 'savepoints', { 'target-directory' => "$weir->{dir}/sp", 'cancel-job' => JSON::PP::false });
like($op->{location}, qr{^file:$weir->{dir}/sp/savepoint-@{[substr $id, 0, 6]}-[0-9a-f]{12}$}, 'a savepoint has its place');
is($weir->job($id)->{state}, 'RUNNING', 'and the job goes on');
$op = operation($id, 'stop', { targetDirectory => "$weir->{dir}/sp", drain => JSON::PP::false });
my $savepoint = $op->{location} // diag(explain $op);
is($weir->wait_job($id, 'FINISHED')->{state}, 'FINISHED', 'a stopped job is FINISHED');
wait_until('its checkpoints go', 5, sub { !-e "$weir->{dir}/checkpoints/$id" });
wait_until('its record goes', 5, sub { !-e "$weir->{dir}/state/jobs/$id" });
my ($file) = $savepoint =~ /^file:(.*)/;
ok(-s "$file/_metadata", 'the savepoint stays');

# Start from it with another parallelism, from another place.
rename $file, "$weir->{dir}/moved" or die $!;
my $id2 = $weir->run('-s', "$weir->{dir}/moved", $so, '--rate', 1000);
$weir->wait_job($id2, 'RUNNING');
$c = checkpoints($id2);
ok($c->{latest}{restored}{is_savepoint}, 'a job begins with a savepoint');
is($c->{latest}{restored}{external_path}, "file:$weir->{dir}/moved", 'with that one');
cmp_ok(wait_beyond($id2, 0), '>', $c->{latest}{restored}{id}, 'and its checkpoints have higher ids');
my $pid = wait_until('where it runs', 5, sub { ($weir->job($id2), $weir->taskmanager_pid(1))[1] });
ok(-s "$weir->{dir}/moved/_metadata", 'the savepoint is not taken for one of its checkpoints');
kill_supervisor();
relaunched_with($id2);
cmp_ok(checkpoints($id2)->{latest}{restored}{id}, '>', $c->{latest}{restored}{id}, 'killed then, it goes on with its own checkpoint');

# What cannot be is refused before anything starts.
my $n = @{ $weir->get('/jobs')->{jobs} };
for (["$weir->{dir}/nowhere", qr/nowhere/, 'a path without a savepoint'], ['http://x/y', qr/http/, 'another scheme']) {
	my ($rc, $out, $err) = $weir->cli('run', '-d', '-s', $_->[0], $so);
	isnt($rc, 0, "$_->[2] is refused");
	like($out . $err, $_->[1], 'with a sentence that names it');
}
open($fh, '+<', "$weir->{dir}/moved/_metadata") or die $!;
seek($fh, 90, 0);
read($fh, $byte, 1);
seek($fh, 90, 0);
print $fh chr(ord($byte) ^ 16);
close $fh;
my ($rc, $out, $err) = $weir->cli('run', '-d', '-s', "$weir->{dir}/moved", $so);
isnt($rc, 0, 'a damaged savepoint is refused');
is(scalar(@{ $weir->get('/jobs')->{jobs} }), $n, 'and no job has started');

# Cancel.
$weir->cli('cancel', $id2);
$weir->wait_job($id2, 'CANCELED');
wait_until('nothing of it stays', 5, sub { !-e "$weir->{dir}/checkpoints/$id2" && !-e "$weir->{dir}/state/jobs/$id2" });
wait_until('its artifact goes, too', 5, sub { my @a = glob "$weir->{dir}/state/artifacts/*"; !@a });
is($weir->stop, 0, 'the supervisor stops');
$weir->launch;
is(scalar(@{ $weir->get('/jobs')->{jobs} }), 0, 'an ended job does not come again');
done_testing();
