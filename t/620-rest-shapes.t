#!/usr/bin/env perl
# A live cluster's answers about a running click-count job have the shape that a real Flink's had
# (t/flink-rest/steady.json): the same keys, the same JSON types, the same vertices under the same ids.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Weir qw(top build);

open(my $fh, '<', top() . '/t/flink-rest/steady.json') or die "steady.json: $!";
my %recorded = map { $_->{name} => $_->{body} } @{ decode_json(do { local $/; <$fh> }) };

sub type {
	my ($v) = @_;
	return ref $v eq 'HASH' ? 'object' : ref $v eq 'ARRAY' ? 'array' : ref $v ? 'boolean' : !defined $v ? 'null'
		: B::svref_2object(\$v)->FLAGS & (B::SVp_IOK() | B::SVp_NOK()) ? 'number' : 'string';
}
# Every path of a document with its type; ids become ID, an array is its first element. Flink itself gives
# pending-operators of some jobs only.
sub shape {
	my ($v, $at) = @_;
	my $type = type($v);
	return (map { shape($v->{$_}, "$at." . (/^[0-9a-f]{32}$/ ? 'ID' : $_)) } grep { $_ ne 'pending-operators' } keys %$v) if $type eq 'object';
	return $type eq 'array' && @$v ? shape($v->[0], "$at\[]") : ("$at: $type");
}

use B ();
my $weir = Weir->start;
# No broker is there: the job is RUNNING all the same.
my $id = $weir->run('-p', 2, build() . '/jobs/ClickCountJob.so', '--bootstrap.servers', '127.0.0.1:1', '--checkpointing', '--event-time');
$weir->wait_job($id, 'RUNNING');
for my $case (['overview', '/overview'], ['jobs', '/jobs'], ['jobs_overview', '/jobs/overview'], ['job', "/jobs/$id"],
	['job_execution_result', "/jobs/$id/execution-result"], ['taskmanagers', '/taskmanagers'])
{
	my ($name, $path) = @$case;
	ok($recorded{$name}, "$name was recorded") or next;
	my (%got, %want);
	@got{ shape($weir->get($path), '') } = ();
	@want{ shape($recorded{$name}, '') } = ();
	is(join("\n", sort grep { !exists $got{$_} } keys %want), '', "$path: nothing of it is missing");
	is(join("\n", sort grep { !exists $want{$_} } keys %got), '', "$path: nothing is more");
}
my ($got, $want) = ($weir->get("/jobs/$id"), $recorded{job});
is($got->{name}, $want->{name}, 'the job\'s name');
is_deeply([map { [$_->{id}, $_->{name}] } @{ $got->{vertices} }], [map { [$_->{id}, $_->{name}] } @{ $want->{vertices} }],
	'its vertices, by Flink\'s ids and names');
is_deeply([sort keys %{ $got->{timestamps} }], [sort keys %{ $want->{timestamps} }], 'its states');
is_deeply([map { [sort keys %{ $_->{tasks} }] } @{ $got->{vertices} }], [map { [sort keys %{ $_->{tasks} }] } @{ $want->{vertices} }],
	'the states of its tasks');
is($weir->stop, 0, 'stop');
done_testing();
