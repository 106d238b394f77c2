#!/usr/bin/env perl
# While 20,000 events a second come: stop with a savepoint, go on from it with another parallelism, and again;
# every window of every page is written once and counts exactly 1,000.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use Kafka;
use Weir qw(wait_until build windows_of);

my $address = $ENV{WEIR_KAFKA} or plan skip_all => 'no real broker';
my $tag = "860-$$";
Kafka::topic($address, "$tag-$_") for qw(in out);
use constant { RATE => 20_000, WINDOWS => 30, A_WINDOW => 6_000 };

my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskManagers' => 2 });
my $gen = fork // die;
if ($gen == 0) {
	open(STDERR, '>', '/dev/null');
	exec build() . '/clickevent-generator', '--bootstrap.servers', $address, '--topic', "$tag-in", '--rate', RATE,
		'--count', WINDOWS * A_WINDOW, '--timestamp-format', 'HH' or POSIX::_exit(127);
}
END { if ($gen) { local $?; kill 'KILL', $gen; waitpid $gen, 0 } }

sub windows { return windows_of(Kafka::values($address, "$tag-out")) }
my $savepoint;
for my $p (2, 1, 2) {
	my $before = keys %{ windows() };
	my $t0 = time;
	my $id = $weir->run('-p', $p, $savepoint ? ('-s', $savepoint) : (), build() . '/jobs/ClickCountJob.so',
		'--bootstrap.servers', $address, '--input-topic', "$tag-in", '--output-topic', "$tag-out", '--event-time',
		'--checkpointing', '--timestamp-format', 'HH', '--group.id', $tag);
	$weir->wait_job($id, 'RUNNING');
	diag(sprintf 'parallelism %d: RUNNING after %.0f ms', $p, (time - $t0) * 1000);
	wait_until('new windows', 10, sub { keys %{ windows() } > $before + 30 });
	# The last one reads to the end, and closes what is open.
	my $last = defined $savepoint && $p == 2;
	if ($last) {
		waitpid $gen, 0;
		undef $gen;
		wait_until('all windows but the last', 15, sub { keys %{ windows() } >= (WINDOWS - 1) * 6 });
	}
	$t0 = time;
	my ($rc, $out, $err) = $weir->cli('stop', $last ? '--drain' : (), $id);
	is($rc, 0, "parallelism $p: stopped with a savepoint") or diag("$out$err");
	diag(sprintf 'stopped after %.0f ms', (time - $t0) * 1000);
	($savepoint) = $out =~ m{(/\S*savepoint-[0-9a-f-]+)};
	ok(defined $savepoint && -e "$savepoint/_metadata", 'which is there') or diag($out);
	$weir->wait_job($id, 'FINISHED', 10);
}
my $w = windows();
is(scalar keys %$w, WINDOWS * 6, 'no window is missing');
my @wrong = grep { "@{ $w->{$_} }" ne '1000' } sort keys %$w;
is(scalar @wrong, 0, 'each was written once and counts exactly 1,000')
	or diag(join ', ', map { "$_ => @{ $w->{$_} }" } @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]);
is($weir->stop, 0, 'stop');
is_deeply($weir->{left}, [], 'nothing is left');
done_testing();
