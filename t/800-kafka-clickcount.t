#!/usr/bin/env perl
# The scene on a real broker: 600,000 events over 2 partitions, parallelism 1 and 2, chained and not;
# every window of every page has exactly 1,000, none is missing or doubled.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);
use Kafka;
use Weir qw(wait_until build windows_of);

my $broker = $ENV{WEIR_KAFKA} or plan skip_all => 'no real broker';
my $tag = "800-$$";
Kafka::topic($broker, $_) for "$tag-in", map { "$tag-out-$_" } 1 .. 4;
my $n = 600_000;
my $t0 = time;
is(system(build() . "/clickevent-generator --bootstrap.servers $broker --topic $tag-in --rate unlimited --count $n"
		. " --timestamp-format HH 2>/dev/null </dev/null"), 0, 'the generator writes 600,000 events');
diag(sprintf 'generated in %.1f s', time - $t0);

my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskManagers' => 2 });
my $run = 0;
for my $p (1, 2) {
	for my $chaining (0, 1) {
		$run++;
		my $out = "$tag-out-$run";
		my $what = "parallelism $p, " . ($chaining ? 'chained' : 'not chained');
		$t0 = time;
		my $id = $weir->run('-p', $p, build() . '/jobs/ClickCountJob.so', '--bootstrap.servers', $broker,
			'--input-topic', "$tag-in", '--output-topic', $out, '--event-time', '--bounded', '--timestamp-format', 'HH',
			'--group.id', "$tag-$run", $chaining ? '--chaining' : ());
		my $job = eval { $weir->wait_job($id, 'FINISHED', 60) };
		ok($job, "$what: finishes") or diag($@), next;
		diag(sprintf '%s: %.2f s, %.0f events/s', $what, time - $t0, $n / (time - $t0));
		is(join(' -> ', map { $_->{id} } @{ $job->{vertices} }),
			join(' -> ', qw(bc764cd8ddf7a0cff126f51c16239658 0a448493b4782967b150582570326227 ea632d67b7d595e5b851708ae9ad79d6)),
			"$what: Flink's own vertex ids") if !$chaining;
		my $w = windows_of(Kafka::values($broker, $out));
		is(scalar keys %$w, 600, "$what: 100 windows of 6 pages, none missing");
		is(scalar(grep { @$_ != 1 } values %$w), 0, "$what: none doubled");
		is(scalar(grep { $_->[0] != 1000 } values %$w), 0, "$what: each counts exactly 1,000")
			or diag(join ', ', map { "$_ => @{ $w->{$_} }" } (grep { $w->{$_}[0] != 1000 } sort keys %$w)[0 .. 5]);
	}
}
is(scalar(grep { $_->{status} eq 'FINISHED' } @{ $weir->get('/jobs')->{jobs} }), 4, 'ended jobs stay in the list');
is($weir->stop, 0, 'stop');
is_deeply($weir->{left}, [], 'nothing is left');
done_testing();
