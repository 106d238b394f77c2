#!/usr/bin/env perl
# A broker of the test's own that is stopped, unreachable, without the topic; events that are malformed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time sleep);
use Kafka;
use Weir qw(wait_until build windows_of);

$ENV{WEIR_KAFKA} or plan skip_all => 'no real broker';
my $broker = Kafka->start(tier => 1, heap => '384m') or die Kafka->why_not;
my $address = $broker->address;
my $job_so = build() . '/jobs/ClickCountJob.so';
my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskSlots' => 2 });
sub root_exception { return $weir->get("/jobs/$_[0]/exceptions")->{'root-exception'} // '' }
sub start_job {
	my ($in, $out, @args) = @_;
	return $weir->run($job_so, '--bootstrap.servers', $address, '--input-topic', $in, '--output-topic', $out, '--event-time',
		'--group.id', $in, @args);
}
sub generate {
	my ($topic, $n, @args) = @_;
	return system(build() . "/clickevent-generator --bootstrap.servers $address --topic $topic --rate unlimited --count $n"
		. " @args 2>/dev/null </dev/null");
}

# A malformed event: topic, partition, offset and the first bytes are named.
Kafka::topic($address, "bad-$_") for qw(in out skipped);
is(generate('bad-in', 12000), 0, 'two windows of events');
open(my $kcat, '|-', "kcat -b $address -P -t bad-in -p 0 2>/dev/null") or die;
print $kcat "{\"timestamp\":\"01-01-1970 12:00:10:000\",\"page\":oops}\n";
close $kcat;
my $id = start_job('bad-in', 'bad-out', '--bounded');
wait_until('the malformed event is named', 10, sub { root_exception($id) =~ /bad-in/ });
like(root_exception($id), qr/bad-in.*partition.?0.*offset.?6000/s, 'malformed: topic, partition and offset');
like(root_exception($id), qr/oops|\{"timestamp/, 'and its bytes');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED');
$id = start_job('bad-in', 'bad-skipped', '--bounded', '--on-malformed', 'skip', '--group.id', 'bad-skip');
$weir->wait_job($id, 'FINISHED', 20);
my $w = windows_of(Kafka::values($address, 'bad-skipped'));
is(join(' ', map { "@$_" } values %$w), join(' ', (1000) x 12), 'skipped: every window counts 1,000');

# A topic that is not there. (Auto-creation is for producers and metadata requests: the consumer does not ask for it.)
$id = start_job('missing-in', 'missing-out');
wait_until('the missing topic is named', 15, sub { root_exception($id) =~ /missing-in/ });
pass('a missing topic is a failure that names it');
wait_until('and is retried', 10, sub {
	my ($m) = @{ $weir->get("/jobs/$id/metrics?get=numRestarts") };
	return $m && $m->{value} >= 1;
});
pass('retried');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED');

# The broker is stopped: REST, heartbeats and cancel go on as always; continued, it goes on.
Kafka::topic($address, "stop-$_") for qw(in out);
is(generate('stop-in', 12000), 0, 'two windows of events');
$id = start_job('stop-in', 'stop-out');
$weir->wait_job($id, 'RUNNING');
wait_until('the first window', 15, sub { Kafka::values($address, 'stop-out') >= 6 });
kill 'STOP', $broker->pid;
sleep 2;
my $t0 = time;
is($weir->job($id)->{state}, 'RUNNING', 'broker stopped: the job is RUNNING');
cmp_ok(time - $t0, '<', 0.5, 'and REST answers at once');
my $second = $weir->run($job_so, '--bootstrap.servers', $address, '--input-topic', 'stop-in', '--output-topic', 'stop-out2', '--event-time');
$t0 = time;
my ($rc) = $weir->cli('cancel', $second);
is($rc, 0, 'cancel with the broker stopped');
eval { $weir->wait_job($second, 'CANCELED', 5) };
is($@, '', 'is done soon') and diag(sprintf 'cancelled in %.0f ms', (time - $t0) * 1000);
kill 'CONT', $broker->pid;
is(system(build() . "/clickevent-generator --bootstrap.servers $address --topic stop-in --rate unlimited --count 12000"
		. ' --start-time 30000 2>/dev/null </dev/null'), 0, 'two more windows');
wait_until('it goes on by itself', 20, sub { Kafka::values($address, 'stop-out') >= 18 });
$w = windows_of(Kafka::values($address, 'stop-out'));
is(scalar(grep { @$_ != 1 || $_->[0] != 1000 } values %$w), 0, 'and every window counts 1,000');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED');

# An unreachable broker: the job stays up and says so.
my $nowhere = '127.0.0.1:' . Kafka::free_port();
$id = $weir->run($job_so, '--bootstrap.servers', $nowhere, '--event-time');
$weir->wait_job($id, 'RUNNING');
wait_until('it is said', 15, sub { grep { /\Q$nowhere\E/ || /unreachable/ } $weir->log_lines });
is($weir->job($id)->{state}, 'RUNNING', 'an unreachable broker: the job stays up and says so');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED', 5);
is($weir->get('/overview')->{taskmanagers}, 2, 'no worker died in all this');
is(scalar(grep { /kind=taskmanager/ } $weir->log_lines('child.died')), 0, 'not one') or diag($weir->log_lines('child.died'));
is($weir->stop, 0, 'stop');
$broker->stop;
done_testing();
