#!/usr/bin/env perl
# Checkpoints and savepoints by the REST API of a live cluster: statistics, savepoint, disposal, stop, drain, restore,
# and everything a user can do wrong.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Weir qw(wait_until build);

my $weir = Weir->start(conf => { 'execution.checkpointing.interval' => '100 ms' });
my $so = build() . '/t/jobs/numbers.so';
my $sp = "$weir->{dir}/savepoints";
my $none = 'deadbeef' x 4;

# Trigger by a POST and wait for the end: the operation.
sub operation {
	my ($path, $body, $poll, $want_status) = @_;
	my ($status, $answer) = $weir->request('POST', $path, $body);
	is($status, $want_status // 202, "POST $path") or diag(ref $answer ? encode_json($answer) : $answer);
	my $id = $answer->{'request-id'};
	like($id, qr/^[0-9a-f]{32}$/, 'a request id');
	my $end = wait_until("the end of $path", 15, sub {
		my $a = $weir->get("$poll/$id");
		return $a->{status}{id} eq 'COMPLETED' ? $a : undef;
	});
	return wantarray ? ($end->{operation}, $id) : $end->{operation};
}
sub savepoint { my ($job, $body) = @_; return operation("/jobs/$job/savepoints", $body, "/jobs/$job/savepoints") }
sub stop_job { my ($job, $body) = @_; return operation("/v1/jobs/$job/stop", $body, "/jobs/$job/savepoints") }
sub is_savepoint {
	my ($op, $job, $dir, $what) = @_;
	my $prefix = substr $job, 0, 6;
	like($op->{location} // encode_json($op), qr{^file:\Q$dir\E/savepoint-$prefix-[0-9a-f]{12}$}, "$what: its place");
	my $path = ($op->{location} // '') =~ s/^file://r;
	ok(-s "$path/_metadata", "$what: its _metadata");
	return $path;
}
sub is_failure {
	my ($op, $class, $text, $what) = @_;
	my $cause = $op->{'failure-cause'};
	is($cause->{class}, $class, "$what: the class") or diag(encode_json($op));
	like($cause->{'stack-trace'}, $text, "$what: the sentence");
	like($cause->{'serialized-throwable'}, qr{^rO0AB}, "$what: in Java's form");
}
sub records { my ($job, $vertex) = @_; return $weir->job($job)->{vertices}[$vertex]{metrics}{'read-records'} }

# ---- how many numbers there are, undisturbed
my $last = 12000;
my $id = $weir->run('-p', 1, $so, '--to', $last, '--rate', 0);
$weir->wait_job($id, 'FINISHED');
my $all = records($id, 1);
cmp_ok($all, '>=', $last, 'the undisturbed run');

# ---- checkpoints of a running job
$id = $weir->run('-p', 2, $so, '--to', $last, '--rate', 1500);
$weir->wait_job($id, 'RUNNING');
my $ck = wait_until('three checkpoints', 10, sub {
	my $c = $weir->get("/jobs/$id/checkpoints");
	return $c->{counts}{completed} >= 3 ? $c : undef;
});
is($ck->{counts}{failed}, 0, 'none has failed');
is($ck->{counts}{restored}, 0, 'none was restored');
my $latest = $ck->{latest}{completed};
is($latest->{status}, 'COMPLETED', 'the latest is completed');
is($latest->{checkpoint_type}, 'CHECKPOINT', 'and no savepoint');
is($latest->{num_subtasks}, 8, 'of all subtasks');
is($latest->{num_acknowledged_subtasks}, 8, 'which have acknowledged');
cmp_ok($latest->{state_size}, '>', 0, 'it has a size');
cmp_ok($latest->{end_to_end_duration}, '>=', 0, 'it took its time');
cmp_ok($latest->{latest_ack_timestamp}, '>=', $latest->{trigger_timestamp}, 'acknowledged behind the trigger');
like($latest->{external_path}, qr{^file:\Q$weir->{dir}\E/checkpoints/$id/chk-$latest->{id}$}, 'its place');
my @ids = map { $_->{id} } @{ $ck->{history} };
is_deeply(\@ids, [sort { $b <=> $a } @ids], 'the history begins with the newest');
ok($ck->{summary}{state_size}{min} > 0 && $ck->{summary}{state_size}{p50} > 0, 'the summary');
my $details = $weir->get("/jobs/$id/checkpoints/details/$latest->{id}");
is(scalar keys %{ $details->{tasks} }, 4, 'the details have every vertex');
my $vertex = $weir->job($id)->{vertices}[2]{id};
my $sub = $weir->get("/jobs/$id/checkpoints/details/$latest->{id}/subtasks/$vertex");
is_deeply([map { $_->{status} } @{ $sub->{subtasks} }], ['completed', 'completed'], 'and every subtask');
is($sub->{state_size}, $details->{tasks}{$vertex}{state_size}, 'with the same size');
my $config = $weir->get("/jobs/$id/checkpoints/config");
is($config->{interval}, 100, 'the interval of the configuration');
is($config->{mode}, 'exactly_once', 'exactly once');
my %m = map { $_->{id} => $_->{value} }
	@{ $weir->get("/jobs/$id/metrics?get=numberOfCompletedCheckpoints,lastCheckpointSize,lastCheckpointExternalPath") };
cmp_ok($m{numberOfCompletedCheckpoints}, '>=', 3, 'metrics count them');
cmp_ok($m{lastCheckpointSize}, '>', 0, 'and know the size of the last');
like($m{lastCheckpointExternalPath}, qr{^file:/.*/chk-\d+$}, 'and its place');
is_deeply($weir->get("/jobs/$id/status"), { status => 'RUNNING' }, '/status');

# ---- a savepoint, and its removal
my ($op, $request) = savepoint($id, {});
my $path = is_savepoint($op, $id, $sp, 'savepoint');
is_deeply($weir->get("/v1/jobs/$id/savepoints/$request")->{operation}, $op, 'the answer stays');
is($weir->job($id)->{state}, 'RUNNING', 'the job runs on');
is($weir->get("/jobs/$id/checkpoints")->{latest}{savepoint}{external_path}, $op->{location}, 'the latest savepoint');
my $other = is_savepoint(scalar savepoint($id, { 'target-directory' => "file://$weir->{dir}/other", formatType => 'CANONICAL',
	'cancel-job' => JSON::PP::false }), $id, "$weir->{dir}/other", 'elsewhere');
is_deeply(scalar operation('/savepoint-disposal', { 'savepoint-path' => "file:$other" }, '/savepoint-disposal', 200), {},
	'its removal');
ok(!-e $other, 'it is gone');
is_failure(scalar operation('/savepoint-disposal', { 'savepoint-path' => "file:$other" }, '/savepoint-disposal', 200),
	'org.apache.flink.util.FlinkException', qr/Could not dispose savepoint file:\Q$other\E/, 'a second removal');

# ---- what a user can do wrong
my $exception = 'org.apache.flink.runtime.checkpoint.CheckpointException';
my $not_found = 'org.apache.flink.runtime.messages.FlinkJobNotFoundException';
is_failure(scalar savepoint($none, {}), $not_found, qr/Could not find Flink job \($none\)/, 'savepoint of an unknown job');
is_failure(scalar stop_job($none, {}), $not_found, qr/Could not find Flink job \($none\)/, 'stop of an unknown job');
is_failure(scalar savepoint($id, { 'target-directory' => '/proc/nope' }), $exception, qr{/proc/nope}, 'savepoint nowhere');
is_failure(scalar stop_job($id, { targetDirectory => '/proc/nope' }), $exception, qr{/proc/nope}, 'stop nowhere');
is_failure(scalar savepoint($id, { 'target-directory' => 'nofs://x/y' }), $exception, qr{nofs://x/y}, 'no such file system');
cmp_ok($weir->get("/jobs/$id/checkpoints")->{counts}{failed}, '>=', 2, 'they are counted');
$weir->wait_job($id, 'RUNNING');
pass('the job runs on');

sub refused {
	my ($what, $want_status, $want, $method, $where, $req) = @_;
	my ($s, $b) = $weir->request($method, $where, $req);
	is($s, $want_status, "$what: $want_status");
	like(ref $b eq 'HASH' ? join("\n", @{ $b->{errors} // [] }) : $b, $want, "$what: the sentence");
}
refused('unknown request', 404, qr/Operation not found under key: .*AsynchronousJobOperationKey@/, 'GET', "/jobs/$id/savepoints/$none");
refused('malformed request', 400, qr/path parameter \(triggerid\) from value "xyz"/, 'GET', "/jobs/$id/savepoints/xyz");
refused('malformed job', 400, qr/path parameter \(jobid\) from value "xyz"/, 'POST', '/jobs/xyz/savepoints', {});
refused('malformed job of a stop', 400, qr/path parameter \(jobid\) from value "xyz"/, 'POST', '/jobs/xyz/stop', {});
refused('unknown field', 400, qr/expected format SavepointTriggerRequestBody/, 'POST', "/jobs/$id/savepoints", { dir => 1 });
refused('the other field', 400, qr/expected format StopWithSavepointRequestBody/, 'POST', "/jobs/$id/stop",
	{ 'target-directory' => '/x' });
refused('no path to remove', 400, qr/Field savepoint-path must not be omitted or be null/, 'POST', '/savepoint-disposal', {});
refused('unknown removal', 404, qr/Operation not found under key/, 'GET', "/savepoint-disposal/$none");
refused('unknown checkpoint', 404, qr/checkpointing statistics for checkpoint 999999\./, 'GET', "/jobs/$id/checkpoints/details/999999");
refused('malformed checkpoint', 400, qr/\(checkpointid\) from value "abc"/, 'GET', "/jobs/$id/checkpoints/details/abc");
refused('checkpoints of an unknown job', 404, qr/Job $none not found/, 'GET', "/jobs/$none/checkpoints");
refused('rescaling', 503, qr/Rescaling is temporarily disabled\. See FLINK-12312\./, 'PATCH', "/jobs/$id/rescaling?parallelism=3");

# ---- stop, and go on: no number is lost or seen twice
$op = stop_job($id, { drain => JSON::PP::false });
$path = is_savepoint($op, $id, $sp, 'stop');
my $job = $weir->wait_job($id, 'FINISHED');
my $before = records($id, 1);
cmp_ok($before, '<', $all, 'it was stopped on its way');
is($weir->get("/jobs/$id/execution-result")->{'job-execution-result'}{'application-status'}, 'SUCCEEDED', 'its result');
is_failure(scalar stop_job($id, {}), $not_found, qr/Could not find Flink job \($id\)/, 'stop of an ended job');
is_failure(scalar savepoint($id, {}), $not_found, qr/Could not find Flink job \($id\)/, 'savepoint of an ended job');
my $stopped = $weir->get("/jobs/$id/checkpoints")->{latest}{savepoint};
is($stopped->{checkpoint_type}, 'SYNC_SAVEPOINT', 'a stop is a savepoint of its kind');

my $out = `curl -s -X POST -H 'Expect:' -F 'jarfile=\@$so' @{[ $weir->url('/jars/upload') ]}`;
my ($jar) = decode_json($out)->{filename} =~ m{([^/]+)$};
sub run_jar {
	my ($body) = @_;
	my ($status, $answer) = $weir->request('POST', "/jars/$jar/run", $body);
	is($status, 200, 'run') or diag(ref $answer ? encode_json($answer) : $answer);
	return $answer->{jobid};
}
for my $parallelism (2, 1) {
	my $again = run_jar({ savepointPath => $parallelism == 2 ? $op->{location} : $path, parallelism => $parallelism,
		programArgs => "--to $last --rate 0" });
	$weir->wait_job($again, 'FINISHED');
	is($before + records($again, 1), $all, "parallelism $parallelism: every number once");
	my $c = $weir->get("/jobs/$again/checkpoints");
	ok($c->{latest}{restored}{is_savepoint}, "parallelism $parallelism: restored from a savepoint");
	is($c->{latest}{restored}{id}, $stopped->{id}, "parallelism $parallelism: this one");
	is($c->{latest}{restored}{external_path}, $op->{location}, "parallelism $parallelism: which lay there");
	is($c->{counts}{restored}, 1, "parallelism $parallelism: once");
	cmp_ok($_->{id}, '>', $stopped->{id}, "parallelism $parallelism: ids go on") for @{ $c->{history} };
}

# A savepoint that is none: the run is refused or fails, with a sentence that names it.
sub run_refused {
	my ($what, $where, $want) = @_;
	my ($status, $answer) = $weir->request('POST', "/jars/$jar/run", { savepointPath => $where });
	is($status, 400, "$what: 400");
	like(join("\n", @{ $answer->{errors} // [] }), qr/RestHandlerException: Could not execute application\./, "$what: the sentence");
	like(join("\n", @{ $answer->{errors} // [] }), $want, "$what: why");
}
run_refused('a directory that is not there', '/no/such/dir', qr{/no/such/dir});
run_refused('an empty directory', $weir->{dir}, qr{\Q$weir->{dir}\E});
{
	my $copy = "$weir->{dir}/damaged";
	mkdir $copy;
	open(my $in, '<:raw', "$path/_metadata") or die;
	my $bytes = do { local $/; <$in> };
	open(my $to, '>:raw', "$copy/_metadata") or die;
	substr($bytes, length($bytes) / 2, 1) ^= "\x01";
	print $to $bytes;
	close $to;
	run_refused('a damaged one', $copy, qr{\Q$copy\E});
}

# ---- drain: all windows fire
$id = $weir->run('-p', 1, $so, '--rate', 2000);
$weir->wait_job($id, 'RUNNING');
wait_until('some windows', 10, sub { records($id, 3) >= 14 });
$op = stop_job($id, { targetDirectory => "$weir->{dir}/drained", drain => JSON::PP::true });
is_savepoint($op, $id, "$weir->{dir}/drained", 'drain');
$weir->wait_job($id, 'FINISHED');
my $numbers = records($id, 1);
my $rest = $numbers % 1000;
is(records($id, 3), 7 * int($numbers / 1000) + ($rest < 7 ? $rest : 7), 'every window of every key has fired');

# ---- a savepoint, and cancelled behind it
$id = $weir->run('-p', 1, $so);
$weir->wait_job($id, 'RUNNING');
is_savepoint(scalar savepoint($id, { 'cancel-job' => JSON::PP::true }), $id, $sp, 'cancel-job');
$weir->wait_job($id, 'CANCELED');
pass('the job is CANCELED behind it');

# ---- two requests at a time, and a cancel in between: each has its end
$id = $weir->run('-p', 2, $so);
$weir->wait_job($id, 'RUNNING');
my @twice = map { ($weir->request('POST', "/jobs/$id/stop", {}))[1]{'request-id'} } 1 .. 2;
my @ends = map {
	my $trigger = $_;
	wait_until('the end of a stop', 15, sub {
		my $a = $weir->get("/jobs/$id/savepoints/$trigger");
		return $a->{status}{id} eq 'COMPLETED' ? $a->{operation} : undef;
	});
} @twice;
is_savepoint($ends[0], $id, $sp, 'the first stop');
like($ends[1]{'failure-cause'}{'stack-trace'}, qr/is being stopped with a savepoint already|Could not find Flink job/, 'the second one is told');
$weir->wait_job($id, 'FINISHED');
$id = $weir->run('-p', 2, $so);
$weir->wait_job($id, 'RUNNING');
my ($accepted, $answer) = $weir->request('POST', "/jobs/$id/savepoints", {});
$weir->request('PATCH', "/jobs/$id?mode=cancel", '{}');
my $end = wait_until('the end of the savepoint', 15, sub {
	my $a = $weir->get("/jobs/$id/savepoints/$answer->{'request-id'}");
	return $a->{status}{id} eq 'COMPLETED' ? $a->{operation} : undef;
});
ok($end->{location} || $end->{'failure-cause'}{'stack-trace'} =~ /the job was cancelled/, 'a savepoint of a job that is cancelled meanwhile');
$weir->wait_job($id, 'CANCELED');

# ---- a job that waits for slots cannot be saved; it is cancelled as the dashboard does it
$id = $weir->run('-p', 3, $so);
is_failure(scalar savepoint($id, {}), $exception, qr/Not all required tasks are currently running/, 'savepoint of a waiting job');
my ($status) = $weir->request('GET', "/jobs/$id/yarn-cancel");
is($status, 202, 'yarn-cancel');
$weir->wait_job($id, 'CANCELED');
is($weir->stop, 0, 'stop');

# ---- without a directory, and without checkpoints
$weir = Weir->start(conf => { 'state.savepoints.dir' => undef });
$id = $weir->run('-p', 1, $so);
$weir->wait_job($id, 'RUNNING');
refused('no directory', 400, qr/Config key \[state\.savepoints\.dir\] is not set\. Property \[target-directory\] must be provided\./,
	'POST', "/jobs/$id/savepoints", {});
refused('no directory to stop', 400, qr/Config key \[state\.savepoints\.dir\] is not set\. Property \[targetDirectory\] must be provided\./,
	'POST', "/jobs/$id/stop", '{"drain": false}');
is_deeply($weir->get("/jobs/$id/checkpoints")->{counts}, { restored => 0, total => 0, in_progress => 0, completed => 0, failed => 0 },
	'without an interval there are no checkpoints');
is($weir->get("/jobs/$id/checkpoints")->{summary}{state_size}{p50}, 'NaN', 'nor percentiles');
is($weir->get("/jobs/$id/checkpoints/config")->{interval}, '9223372036854775807', 'nor an interval');
my $curl = decode_json(`curl -s -X POST @{[ $weir->url("/jobs/$id/stop") ]} -d '{"targetDirectory": "$weir->{dir}/mine", "drain": false}'`);
my $by_curl = wait_until('the end of the stop', 15, sub {
	my $a = decode_json(`curl -s @{[ $weir->url("/jobs/$id/savepoints/$curl->{'request-id'}") ]}`);
	return $a->{status}{id} eq 'COMPLETED' ? $a->{operation} : undef;
});
is_savepoint($by_curl, $id, "$weir->{dir}/mine", 'but stop by curl works');
$weir->wait_job($id, 'FINISHED');
is($weir->stop, 0, 'stop');
done_testing();
