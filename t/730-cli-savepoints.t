#!/usr/bin/env perl
# Savepoints by the command line client, against a live cluster.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Weir qw(build);

my $weir = Weir->start;
my $so = build() . '/t/jobs/numbers.so';
my $sp = "$weir->{dir}/savepoints";
my ($rc, $out, $err);

sub lines_are {
	my ($what, $want, @args) = @_;
	($rc, $out, $err) = $weir->cli(@args);
	is($rc, 0, "$what: exit 0") or diag($out . $err);
	like($out, $want, "$what: the recorded lines");
	is($err, '', "$what: nothing else");
	return ($out =~ $want)[0];
}

my $id = $weir->run('-p', 2, $so);
$weir->wait_job($id, 'RUNNING');
my $six = substr $id, 0, 6;
my $path = lines_are('savepoint',
	qr{\ATriggering savepoint for job $id\.\nWaiting for response\.\.\.\nSavepoint completed\. Path: (file:\Q$sp\E/savepoint-$six-[0-9a-f]{12})\nYou can resume your program from this savepoint with the run command\.\n\z},
	'savepoint', $id);
lines_are('savepoint -d', qr{\ADisposing savepoint '\Q$path\E'\.\nWaiting for response\.\.\.\nSavepoint '\Q$path\E' disposed\.\n\z},
	'savepoint', '-d', $path);
ok(!-e $path =~ s/^file://r, 'it is gone');
($rc, $out, $err) = $weir->cli('savepoint', '-d', $path);
is($rc, 1, 'a second time: exit 1');
like($err, qr{FlinkException: Disposing the savepoint '\Q$path\E' failed\.\nCaused by: }, 'said on stderr');
$path = lines_are('stop -p', qr{\ASuspending job "$id" with a savepoint\.\nSavepoint completed\. Path: (file:\Q$sp\E/mine/savepoint-$six-[0-9a-f]{12})\n\z},
	'stop', '-p', "$sp/mine", $id);
$weir->wait_job($id, 'FINISHED');
($rc, $out, $err) = $weir->cli('stop', $id);
is($rc, 1, 'stop of an ended job: exit 1');
is($out, "Suspending job \"$id\" with a savepoint.\n", 'the recorded line');
like($err, qr/Could not stop with a savepoint job "$id"\.\nCaused by: .*FlinkJobNotFoundException: Could not find Flink job \($id\)/,
	'said on stderr');

$id = lines_are('run -s', qr/\AJob has been submitted with JobID ([0-9a-f]{32})\n\z/, 'run', '-d', '-p', 1, '-n', '-s', $path, $so);
$weir->wait_job($id, 'RUNNING');
$six = substr $id, 0, 6;
lines_are('stop --drain', qr{\ADraining job "$id" with a savepoint\.\nSavepoint completed\. Path: file:\Q$sp\E/savepoint-$six-[0-9a-f]{12}\n\z},
	'stop', '--drain', $id);
$weir->wait_job($id, 'FINISHED');
($rc, $out, $err) = $weir->cli('run', '-d', '-s', '/no/such/savepoint', $so);
is($rc, 1, 'run -s of nothing: exit 1');
like($err, qr{/no/such/savepoint}, 'named on stderr');

$id = $weir->run('-p', 1, $so);
$weir->wait_job($id, 'RUNNING');
lines_are('cancel -s',
	qr{\ADEPRECATION WARNING: Cancelling a job with savepoint is deprecated\. Use "stop" instead\.\nCancelling job $id with savepoint to \Q$sp\E\.\nCancelled job $id\. Savepoint stored in file:\Q$sp\E/savepoint-[0-9a-f]{6}-[0-9a-f]{12}\.\n\z},
	'cancel', '-s', $sp, $id);
$weir->wait_job($id, 'CANCELED');

for (['stop', qr/\AMissing JobId\n/], ['savepoint', qr/\AMissing JobID\. Specify a Job ID to trigger a savepoint\.\n/]) {
	my ($action, $want) = @$_;
	($rc, $out) = $weir->cli($action);
	is($rc, 1, "$action of nothing: exit 1");
	like($out, $want, "$action of nothing: said");
	($rc, $out) = $weir->cli($action, 'xyz');
	is($rc, 1, "$action of xyz: exit 1");
	like($out, qr/^Cannot parse JobID from "xyz"\. The expected format is/, "$action of xyz: said");
}
is($weir->stop, 0, 'stop');
done_testing();
