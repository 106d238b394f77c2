#!/usr/bin/env perl
# weir drill: 60 kills on a real broker lose nothing; without checkpoints it sees what is lost; a small one on the
# embedded broker; what a user can do wrong.
#
# SEED in the environment repeats a plan.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Weir qw(build);

my $tmp = tempdir('weir-test-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# Run the client's drill: (exit status, stdout, stderr).
sub drill {
	my (@args) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		$ENV{TMPDIR} = $tmp;
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', "$tmp/out");
		open(STDERR, '>', "$tmp/err");
		exec { build() . '/weir' } 'weir', 'drill', @args or POSIX::_exit(127);
	}
	waitpid($pid, 0);
	my $rc = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	return ($rc, map { open(my $fh, '<', "$tmp/$_") or die; local $/; <$fh> // '' } qw(out err));
}
sub dirs { return glob "$tmp/weir-drill-*" }

my @seed = defined $ENV{SEED} ? ('--seed', $ENV{SEED}) : ();

# What cannot be is refused with a sentence.
for (['--seed x', qr/--seed x: /], ['--kills -1', qr/--kills -1: /], ['--rate 0', qr/--rate 0: /], ['more', qr/unexpected argument more/]) {
	my ($rc, $out, $err) = drill(split ' ', $_->[0]);
	is($rc, 1, "$_->[0]: refused");
	like($err, $_->[1], "$_->[0]: with a sentence");
}
is_deeply([dirs()], [], 'nothing was started for that');

my ($rc, $out, $err) = drill(@seed, '--kills', 6);
is($rc, 0, 'six kills on the embedded broker') or diag($out . $err);
like($out, qr/\bverdict: nothing lost, nothing wrong, nothing left\n/, 'its verdict');
like($out, qr/^again: weir drill --seed \d+ --kills 6 --rate 4000$/m, 'how to repeat it');
is_deeply([dirs()], [], 'its directory is gone');

SKIP: {
	my $address = $ENV{WEIR_KAFKA} or skip 'no real broker', 1;
	my @kafka = ('--kafka', $address);

	($rc, $out, $err) = drill(@seed, @kafka, '--kills', 60);
	diag($out);
	is($rc, 0, '60 kills on a real broker') or diag($err);
	my ($n, $close) = $out =~ /^(\d+) kills in [\d.]+ s, (\d+) of them within 50 ms/m;
	is($n, 60, 'as many as were asked for');
	cmp_ok($close, '>=', 8, 'many of them close behind the one before');
	like($out, qr/windows of pages: 0 lost, 0 wrong,/, 'nothing lost, nothing wrong');
	like($out, qr/^left behind: 0 processes, 0 files;/m, 'nothing left behind');
	my ($p50) = $out =~ /^  worker\s+\d+\s+(\d+)\s+\d+\s+\d+\s+\d+$/m;
	ok(defined $p50, 'times of recovery are there');
	my %phase = $out =~ /^  (before the first checkpoint|between checkpoints|restart|restore|deploy) .*\s(\d+)$/mg;
	cmp_ok($phase{'before the first checkpoint'}, '>=', 2, 'kills before there is a checkpoint');
	cmp_ok($phase{restore} + $phase{deploy} + $phase{restart}, '>=', 3, 'and some during recovery');
	is_deeply([dirs()], [], 'its directory is gone');
	my ($seed) = $out =~ /^seed (\d+):/m;
	my @topics = grep { /"drill-$seed-/ } `kcat -b $address -L 2>/dev/null </dev/null`;
	is_deeply(\@topics, [], 'and so are its topics');

	# The same harness, without checkpoints, must see what is lost.
	($rc, $out, $err) = drill('--seed', 3, @kafka, '--kills', 8, '--no-checkpointing');
	is($rc, 1, 'without checkpoints the drill fails');
	my ($lost, $wrong) = $out =~ /(\d+) lost, (\d+) wrong/;
	cmp_ok(($lost // 0) + ($wrong // 0), '>', 0, 'because results are lost or wrong') or diag($out . $err);
	like($out, qr/^  results are lost or wrong\nverdict: FAILED$/m, 'for no other reason');
	my ($kept) = $out =~ /^kept: (.*)$/m;
	ok(-s "$kept/supervisor.log", 'its directory is kept');
	remove_tree($kept);
}
done_testing();
