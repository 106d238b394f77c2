#!/usr/bin/env perl
# Splits without events: a partition that is silent, an empty topic; more partitions than subtasks, and fewer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Kafka;
use Weir qw(wait_until build windows_of);

my $broker = $ENV{WEIR_KAFKA} or plan skip_all => 'no real broker';
my $tag = "840-$$";
my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskManagers' => 2, 'taskmanager.numberOfTaskSlots' => 4 });
my @pages = qw(/help /index /shop /jobs /about /news);

# Write events first..last (of 1,000) of one window of each of the pages to one partition.
sub events {
	my ($topic, $partition, $pages, $window, $first, $last) = @_;
	open(my $kcat, '|-', "kcat -b $broker -P -t $topic -p $partition 2>/dev/null") or die;
	for my $i ($first .. $last) {
		printf $kcat "{\"timestamp\":%d,\"page\":\"%s\"}\n", $window * 15000 + $i * 15, $_ for @$pages;
	}
	close $kcat or die "kcat: $?";
}
sub produce { # whole windows
	my ($topic, $partition, $pages, $from, $to) = @_;
	events($topic, $partition, $pages, $_, 0, 999) for $from .. $to;
}
sub start_job {
	my ($p, $in, $out, @args) = @_;
	return $weir->run('-p', $p, build() . '/jobs/ClickCountJob.so', '--bootstrap.servers', $broker, '--input-topic', $in,
		'--output-topic', $out, '--event-time', '--group.id', "$in-$out", '--timestamp-format', 'millis', @args);
}
sub outcome { # of a topic: how many windows, how many of them wrong
	my ($topic) = @_;
	my $w = windows_of(Kafka::values($broker, $topic));
	return (scalar keys %$w, scalar grep { @$_ != 1 || $_->[0] != 1000 } values %$w);
}

# One partition is silent from the beginning while the other one goes on: the windows come out once it has been
# idle for 5 s.
Kafka::topic($broker, "$tag-$_") for qw(half half-1 half-2);
produce("$tag-half", 0, \@pages, 0, 2);
my $t0 = time;
my @half = map { start_job($_, "$tag-half", "$tag-half-$_") } 1, 2;
my $sent = 0;
my %first;
while ($sent < 1000 || keys %first < 2) {
	die "no window with a silent partition within 20 s\n" if time - $t0 > 20 * ($ENV{WEIR_SLOW} // 1);
	if ($sent < 1000 && time - $t0 > $sent / 125) { # a page's events of the next window, over 8 s
		events("$tag-half", 0, ['/help'], 3, $sent, $sent + 49);
		$sent += 50;
	}
	for my $p (1, 2) {
		$first{$p} = time - $t0 if !$first{$p} && (outcome("$tag-half-$p"))[0] >= 18;
	}
	sleep 0.05;
}
for my $p (1, 2) {
	is_deeply([outcome("$tag-half-$p")], [18, 0], "parallelism $p, a silent partition: the three windows that ended come out");
	cmp_ok($first{$p}, '>=', 4.5, sprintf('not before it has been silent for 5 s (%.1f s)', $first{$p}));
}
# The silent one speaks: it takes part and nothing is lost.
produce("$tag-half", 1, \@pages, 4, 6);
produce("$tag-half", 1, ['/shop'], 7, 7);
produce("$tag-half", 0, ['/news'], 7, 7);
for my $p (1, 2) {
	wait_until("windows after it speaks, parallelism $p", 15, sub { (outcome("$tag-half-$p"))[0] >= 37 });
	is_deeply([outcome("$tag-half-$p")], [37, 0], "parallelism $p: the partition that speaks again is counted whole");
}
for my $id (@half) {
	$weir->cli('cancel', $id);
	$weir->wait_job($id, 'CANCELED');
}

# All of it falls silent at once, one partition never having spoken: nothing wakes the source, and the windows come out.
Kafka::topic($broker, "$tag-$_") for qw(still still-out);
produce("$tag-still", 1, \@pages, 0, 2);
$t0 = time;
my $still = start_job(1, "$tag-still", "$tag-still-out");
wait_until('windows of a topic that has fallen silent', 10, sub { (outcome("$tag-still-out"))[0] >= 12 });
is_deeply([outcome("$tag-still-out")], [12, 0], sprintf('a topic that has fallen silent: the windows that ended (%.1f s)', time - $t0));
$weir->cli('cancel', $still);
$weir->wait_job($still, 'CANCELED');

# A bounded job on an empty topic ends at once with nothing.
Kafka::topic($broker, "$tag-$_") for qw(empty empty-out);
my $id = start_job(2, "$tag-empty", "$tag-empty-out", '--bounded');
$weir->wait_job($id, 'FINISHED', 10);
is(scalar(Kafka::values($broker, "$tag-empty-out")), 0, 'bounded on an empty topic: finished with no window');

# Parallelism 3 on 2 partitions: the subtask without a split holds nothing up, unbounded and bounded.
Kafka::topic($broker, "$tag-$_") for qw(two two-out two-bounded);
produce("$tag-two", 0, [@pages[0 .. 2]], 0, 2);
produce("$tag-two", 1, [@pages[3 .. 5]], 0, 2);
$t0 = time;
$id = start_job(3, "$tag-two", "$tag-two-out");
wait_until('windows at parallelism 3', 10, sub { (outcome("$tag-two-out"))[0] >= 12 });
cmp_ok(time - $t0, '<', 4, sprintf('parallelism 3 on 2 partitions: windows at once (%.1f s)', time - $t0));
is((outcome("$tag-two-out"))[1], 0, 'each counts 1,000');
$weir->cli('cancel', $id);
$weir->wait_job($id, 'CANCELED');
$id = start_job(3, "$tag-two", "$tag-two-bounded", '--bounded');
$weir->wait_job($id, 'FINISHED', 15);
is_deeply([outcome("$tag-two-bounded")], [18, 0], 'bounded: all windows, all right');

# 3 partitions on 2 subtasks.
Kafka::topic($broker, "$tag-three-out");
Kafka::topic($broker, "$tag-three", 3);
produce("$tag-three", $_, [@pages[2 * $_, 2 * $_ + 1]], 0, 2) for 0 .. 2;
$id = start_job(2, "$tag-three", "$tag-three-out", '--bounded');
$weir->wait_job($id, 'FINISHED', 15);
is_deeply([outcome("$tag-three-out")], [18, 0], '3 partitions on 2 subtasks: all windows, all right');

is($weir->stop, 0, 'stop');
done_testing();
