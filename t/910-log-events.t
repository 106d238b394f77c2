#!/usr/bin/perl
# Every event= of a supervisor or a TaskManager is in weir-supervisor(8), and nothing else is.
use strict;
use warnings;
use FindBin;
use Test::More;

chdir "$FindBin::Bin/.." or die $!;

sub slurp {
	my ($path) = @_;
	open my $f, '<', $path or die "$path: $!";
	local $/;
	return <$f>;
}

my %logged;
for my $path (map { glob "$_/*.c" } qw(base shm rest supervisor worker), glob 'worker/*/') {
	my $text = slurp($path);
	$logged{$1} = $path while $text =~ /\blog_(?:debug|info|warnx?|errorx?)\(\s*"([a-z_.]+)"/g;
	$logged{$1} = $path while $text =~ /\blog_write\([^;]*?"([a-z_]+\.[a-z_]+)"/g;
}

my ($list) = slurp('man/weir-supervisor.8') =~ /^\.Sh LOG\n(.*?)^\.Sh /ms or die 'no section LOG';
my %told = map { $_ => 1 } $list =~ /^\.It Li ([a-z_]+\.[a-z_]+)$/mg;

cmp_ok(scalar keys %logged, '>', 40, 'events were found');
my @untold = grep { !$told{$_} } sort keys %logged;
is("@untold", '', 'every event is in the manual page');
my @unlogged = grep { !$logged{$_} } sort keys %told;
is("@unlogged", '', 'and every one there is an event');
done_testing();
