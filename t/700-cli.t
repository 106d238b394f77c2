#!/usr/bin/env perl
# The command line client against a live cluster.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Weir qw(wait_until build);

my $weir = Weir->start;
my $so = build() . '/t/jobs/numbers.so';
my ($rc, $out, $err) = $weir->cli('list');
is($rc, 0, 'list without a job');
is($out, "Waiting for response...\nNo running jobs.\nNo scheduled jobs.\n", 'says so');

my $id = $weir->run('-p', 2, $so);
$weir->wait_job($id, 'RUNNING');
($rc, $out) = $weir->cli('list');
is($rc, 0, 'list');
like($out, qr/^-+ Running\/Restarting Jobs -+\n\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d : $id : Numbers \(RUNNING\)\n-+\nNo scheduled jobs\.\n\z/m,
	'the recorded lines');
($rc, $out, $err) = $weir->cli('cancel', $id);
is($rc, 0, 'cancel');
is($out, "Cancelling job $id.\nCancelled job $id.\n", 'the recorded lines');
$weir->wait_job($id, 'CANCELED');
($rc, $out) = $weir->cli('list', '-a');
like($out, qr/-+ Terminated Jobs -+\n.* : $id : Numbers \(CANCELED\)\n/, 'list -a has the ended one');
($rc, $out) = $weir->cli('list');
unlike($out, qr/$id/, 'list has not');

($rc, $out, $err) = $weir->cli('run', '-p', 1, $so, '--to', 5000, '--rate', 0);
is($rc, 0, 'run attached') or diag($out . $err);
like($out, qr/Job has been submitted with JobID ([0-9a-f]{32})\n/, 'the id first');
like($out, qr/Program execution finished\nJob with JobID [0-9a-f]{32} has finished\.\nJob Runtime: \d+ ms\n/, 'then its end');
is(scalar @{ $weir->get('/jars')->{files} }, 0, 'what run uploads it takes away again');

($rc, $out) = $weir->cli('cancel', 'xyz');
is($rc, 1, 'a malformed id: exit 1');
like($out, qr/^Cannot parse JobID from "xyz"\. The expected format is \[0-9a-fA-F\]\{32\}/, 'and the recorded sentence');
($rc, $out, $err) = $weir->cli('cancel', '0' x 32);
is($rc, 1, 'an unknown job: exit 1');
like($err, qr/Could not cancel job 0{32}/, 'said on stderr');
($rc, $out, $err) = $weir->cli('run', '-d', "$weir->{dir}/none.so");
is($rc, 1, 'a missing file: exit 1');
like($out . $err, qr/none\.so/, 'named');
($rc, $out, $err) = $weir->cli('run', '-d', $so, '--colour', 'red');
is($rc, 1, 'an unknown argument of the job: exit 1');
like($out . $err, qr/--colour/, 'named');
# What is no job, and mains that misbehave: exit 1 and one sentence on stderr.
my $jobs = build() . '/t/jobs';
open(my $cut, '>:raw', "$weir->{dir}/cut.so") or die;
print $cut substr(do { open(my $in, '<:raw', $so) or die; local $/; <$in> }, 0, 3000);
close $cut;
for my $case (["$weir->{dir}/cut.so", qr/truncated|cut/], ["$jobs/plugin_no_symbol.so", qr/no symbol weir_job_v1/],
	["$jobs/plugin_abi_major.so", qr/ABI 2\.0 .* has 1\.\d+/], ["$jobs/plugin_unresolved.so", qr/undefined symbol: nobody_has_this/],
	["$jobs/plugin_bad.so --how crash", qr/SIGABRT/], ["$jobs/plugin_bad.so --how exit", qr/exit\(3\)/],
	["$jobs/plugin_bad.so --how pid-name", qr/two different graphs/], ["$jobs/plugin_bad.so --how loop", qr/did not come back within 10 s/])
{
	my ($what, $re) = @$case;
	($rc, $out, $err) = $weir->cli('run', '-d', split / /, $what);
	is($rc, 1, "exit 1: " . $what =~ s{.*/}{}r);
	like($err, $re, '... says why');
}
for my $case (['-p 0', qr/must be a positive number: 0/], ['-p 32769', qr/must be at most 32768: 32769/],
	['-p 129', qr/parallelism 129 is over its max parallelism of 128/], ['--nonsense', qr/Unrecognized option: --nonsense/])
{
	my ($what, $re) = @$case;
	($rc, $out, $err) = $weir->cli('run', '-d', split(/ /, $what), $so);
	is($rc, 1, "weir run $what: exit 1");
	like($out . $err, $re, '... says why');
}
is(scalar @{ $weir->get('/jars')->{files} }, 0, 'nothing of the refused ones stays');
is($weir->stop, 0, 'stop');

my $rc2 = system(build() . "/weir list -m 127.0.0.1:1 >/dev/null 2>&1 </dev/null");
is($rc2 >> 8, 1, 'no server: exit 1');
done_testing();
