#!/usr/bin/env perl
# kill -9 of workers under a running job: named in log and REST, running again, nothing left.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(sleep time);
use Weir qw(wait_until build);

my $weir = Weir->start(conf => { 'restart-strategy.exponential-delay.initial-backoff' => '10 ms',
	'restart-strategy.exponential-delay.max-backoff' => '50 ms' });
my $so = build() . '/t/jobs/numbers.so';
my $t0 = time;
my $id = $weir->run('-p', 2, $so, '--rate', 2000);
$weir->wait_job($id, 'RUNNING');
diag(sprintf 'weir run to RUNNING: %.0f ms', (time - $t0) * 1000);

sub written { # records written by the sources of the present attempt
	my $v = $weir->job($id)->{vertices}[0];
	return $v->{metrics}{'write-records'};
}
wait_until('records flow', 5, sub { written() > 100 });

my $pid = $weir->taskmanager_pid(1);
kill 'KILL', $pid;
wait_until('the death is logged', 5, sub { grep { /child_pid=$pid\b/ } $weir->log_lines('child.died') });
my @died = grep { /child_pid=$pid\b/ } $weir->log_lines('child.died');
is(@died, 1, 'one obituary');
like($died[0], qr/tm=tm-1\b/, 'naming the worker');
like($died[0], qr/signal=9\b/, 'and the signal');
$weir->wait_job($id, 'RUNNING', 5);
wait_until('records flow again', 5, sub { written() > 100 });
pass('the job and all its tasks run again and records flow');
my $ex = $weir->get("/jobs/$id/exceptions");
like($ex->{'root-exception'}, qr/tm-1|lost|SIGKILL|signal 9/i, 'the exceptions name the cause');
ok(@{ $ex->{exceptionHistory}{entries} } >= 1, 'and keep it in the history');

# Again and again: nothing may pile up. Wait after each until all is quiet, then count.
sub settle {
	$weir->wait_job($id, 'RUNNING', 10);
	wait_until('both TaskManagers', 5, sub { $weir->get('/overview')->{taskmanagers} == 2 });
}
settle();
my $fds = $weir->n_fds;
my $worst = 0;
for my $n (1 .. 10) {
	my $victim = $weir->taskmanager_pid(1 + $n % 2);
	my $k0 = time;
	kill 'KILL', $victim;
	wait_until('it is gone', 5, sub { !kill 0, $victim });
	wait_until("running after kill $n", 10, sub {
		my $job = $weir->job($id);
		return Weir::all_running($job) && $job->{timestamps}{RUNNING} > $k0 * 1000;
	});
	$worst = max($worst, time - $k0);
}
settle();
diag(sprintf 'longest of 10 recoveries as a client sees it: %.0f ms', $worst * 1000);
my $now = wait_until('descriptors are back', 3, sub { my $n = $weir->n_fds; $n <= $fds ? $n : undef; });
is($now, $fds, 'no descriptor more than before');
is((grep { /^zombie/ } keys %{ $weir->children }), 0, 'no zombie');

# A function that fails: the process lives, the job restarts, the sentence is shown.
my $pids = join ' ', map { $weir->taskmanager_pid($_) } 1, 2;
my ($rc, $out) = $weir->cli('cancel', $id);
is($rc, 0, 'cancel') or diag($out);
$weir->wait_job($id, 'CANCELED');
my $failing = $weir->run('-p', 2, $so, '--fail-at', 500, '--rate', 5000);
wait_until('the failure is shown', 5, sub {
	($weir->get("/jobs/$failing/exceptions")->{'root-exception'} // '') =~ /number 500 is not wanted/;
});
pass('a function\'s own sentence is in the exceptions');
wait_until('it restarts', 5, sub {
	my ($m) = grep { $_->{id} eq 'numRestarts' } @{ $weir->get("/jobs/$failing/metrics?get=numRestarts") };
	$m && $m->{value} >= 2;
});
is(join(' ', map { $weir->taskmanager_pid($_) } 1, 2), $pids, 'no process died of it');
$weir->cli('cancel', $failing);
$weir->wait_job($failing, 'CANCELED');

# User code that crashes takes its worker along, with last words.
my $crashing = $weir->run('-p', 1, $so, '--crash-at', 300, '--rate', 5000);
# A sanitizer turns the signal into an exit of its own.
my $crash = ($ENV{BUILD} // '') =~ /san/ ? qr/SIG|exited with status/ : qr/SIGSEGV/;
wait_until('the crash is in the log', 5, sub { grep { /kind=taskmanager.*$crash/ } $weir->log_lines('child.died') });
pass('a crash is named by its signal');
$weir->cli('cancel', $crashing);
$weir->wait_job($crashing, 'CANCELED');

# A bounded job ends.
my $bounded = $weir->run('-p', 2, $so, '--to', 20000, '--rate', 0);
my $job = $weir->wait_job($bounded, 'FINISHED');
is($job->{'status-counts'}{FINISHED}, 4, 'a bounded job finishes, every vertex of it');
is($weir->stop, 0, 'and all ends well');
is_deeply($weir->{left}, [], 'no process is left');
done_testing();
