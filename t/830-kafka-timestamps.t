#!/usr/bin/env perl
# Timestamp formats: the playground's 12-hour clock repeats itself after 12 h of event time, the others do not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Kafka;
use Weir qw(build windows_of);

my $broker = $ENV{WEIR_KAFKA} or plan skip_all => 'no real broker';
my $tag = "830-$$";
my $weir = Weir->start;
for my $format (qw(playground HH iso millis)) {
	Kafka::topic($broker, "$tag-$format-$_") for qw(in out);
	# four windows, the third begins at 12:00:00
	is(system(build() . "/clickevent-generator --bootstrap.servers $broker --topic $tag-$format-in --rate unlimited --count 24000"
			. " --start-time 43170000 --timestamp-format $format 2>/dev/null </dev/null"), 0, "$format: generated");
	my $id = $weir->run('-p', 2, build() . '/jobs/ClickCountJob.so', '--bootstrap.servers', $broker, '--input-topic',
		"$tag-$format-in", '--output-topic', "$tag-$format-out", '--event-time', '--bounded', '--timestamp-format', $format,
		'--group.id', "$tag-$format");
	$weir->wait_job($id, 'FINISHED', 30);
	my $w = windows_of(Kafka::values($broker, "$tag-$format-out"));
	if ($format ne 'playground') {
		is(scalar keys %$w, 24, "$format: all windows");
		is(scalar(grep { "@$_" ne '1000' } values %$w), 0, "$format: each counts 1,000");
		next;
	}
	# What lies behind 12 h is read as the morning: late, but for what a partition gives before the other has begun.
	my @before = grep { /11:59:(?:30|45)/ } keys %$w;
	is(scalar @before, 12, "$format: the windows before 12 h");
	is(scalar(grep { "@{ $w->{$_} }" ne '1000' } @before), 0, "$format: each counts 1,000");
	is(scalar(grep { !/11:59/ && grep { $_ >= 1000 } @{ $w->{$_} } } keys %$w), 0, "$format: none behind it does");
}
my ($first) = map { /"windowStart":("?[^",]+"?)/ } sort(Kafka::values($broker, "$tag-iso-out"));
is($first, '"1970-01-01T11:59:30.000Z"', 'iso as it is written');
($first) = map { /"windowStart":("?[^",]+"?)/ } sort(Kafka::values($broker, "$tag-millis-out"));
is($first, '43170000', 'millis as a number');
($first) = map { /"windowStart":("?[^",]+"?)/ } sort(Kafka::values($broker, "$tag-playground-out"));
is($first, '"01-01-1970 11:59:30:000"', 'the playground\'s own');
is($weir->stop, 0, 'stop');
done_testing();
