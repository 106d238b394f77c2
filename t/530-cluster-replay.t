#!/usr/bin/env perl
# A job whose main is sound when it is submitted and misbehaves when a worker runs it again: it costs the
# worker, never the supervisor, and is said; once it behaves, the job runs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Weir qw(wait_until build);

my $weir = Weir->start(conf => { 'restart-strategy.exponential-delay.initial-backoff' => '10 ms',
	'restart-strategy.exponential-delay.max-backoff' => '50 ms', 'taskmanager.numberOfTaskManagers' => 1 });
my $flag = "$weir->{dir}/flag";
sub flag { open(my $fh, '>', $flag) or die; close $fh }
sub root_exception { return $weir->get("/jobs/$_[0]/exceptions")->{'root-exception'} // '' }
my @run = ('-p', 1, build() . '/t/jobs/numbers.so', '--bad-while', $flag, '--bad-main');

# Submitted while all is well; then the worker dies and the main loops in the next one.
my $id = $weir->run(@run, 'loop');
$weir->wait_job($id, 'RUNNING');
flag();
my $t0 = time;
kill 'KILL', $weir->taskmanager_pid(1);
my $looping = wait_until('the next worker', 5, sub { (grep { /generation=2/ } $weir->log_lines('tm.registered'))[0] });
my ($pid) = $looping =~ /child_pid=(\d+)/;
my $asked = time;
is($weir->job($id)->{state}, 'RUNNING', 'the job is deployed again');
cmp_ok(time - $asked, '<', 0.5, 'REST answers while its main loops in a worker');
is(scalar @{ $weir->get('/taskmanagers')->{taskmanagers} }, 1, 'which lives');
my $died = wait_until('the worker ends', 15, sub { (grep { /child_pid=$pid\b/ } $weir->log_lines('child.died'))[0] });
cmp_ok(abs(time - $t0 - 10), '<', 2, sprintf('a main that loops in a worker ends it after 10 s (%.1f)', time - $t0));
like($died, qr/main did not come back within 10 s/, 'and the log says why');
like(root_exception($id), qr/main did not come back within 10 s/, 'the exceptions, too');
unlink $flag;
wait_until('it runs again', 20, sub { Weir::all_running($weir->job($id)) });
pass('once its main behaves, the job runs');

# Cancel while it loops: the worker is killed, the job is CANCELED at once.
flag();
kill 'KILL', $weir->taskmanager_pid(1);
wait_until('another worker', 5, sub {
	my ($m) = @{ $weir->get("/jobs/$id/metrics?get=numRestarts") };
	$m->{value} >= 2 && $weir->taskmanager_pid(1) && $weir->get('/overview')->{taskmanagers} == 1;
});
$t0 = time;
is(($weir->cli('cancel', $id))[0], 0, 'cancel while its main loops in a worker');
$weir->wait_job($id, 'CANCELED', 5);
cmp_ok(time - $t0, '<', 3, sprintf('is done soon (%.1f s)', time - $t0));
unlink $flag;

# A main that crashes in the worker, and one that builds another graph there.
for my $case (['crash', qr/SIGABRT|SIGSEGV/], ['other', qr/builds another graph in the worker than when it was submitted/]) {
	my ($how, $re) = @$case;
	$id = $weir->run(@run, $how);
	$weir->wait_job($id, 'RUNNING');
	flag();
	kill 'KILL', $weir->taskmanager_pid(1);
	wait_until("$how is said", 10, sub { root_exception($id) =~ $re });
	pass("a main that does \"$how\" in the worker is in the exceptions");
	unlink $flag;
	$weir->wait_job($id, 'RUNNING', 15);
	$weir->cli('cancel', $id);
	$weir->wait_job($id, 'CANCELED');
}
is($weir->stop, 0, 'stop');
is_deeply($weir->{left}, [], 'no process is left');
done_testing();
