#!/usr/bin/env perl
# The jobs in README and weir(3) compile, export one symbol and are taken by a cluster; the files that pages and README
# name exist.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Weir qw(top build);

chdir top() or die $!;
sub slurp { open(my $fh, '<', $_[0]) or die "$_[0]: $!"; local $/; return <$fh> }

my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskManagers' => 1 });
sub compiles {
	my ($name, $text, @flags) = @_;
	my $c = "$weir->{dir}/$name.c";
	open(my $fh, '>', $c) or die;
	print $fh $text;
	close $fh;
	my $out = `cc -Wall -Werror @flags -shared -fPIC -o $weir->{dir}/$name.so $c 2>&1`;
	is($?, 0, "the job in $name compiles") or diag($out);
	my $symbols = `nm -D --defined-only $weir->{dir}/$name.so`;
	like($symbols, qr/\A\S+ [DR] weir_job_v1\n\z/, '... and exports its job only');
	return "$weir->{dir}/$name.so";
}
# A main that is refused would say so; what has no broker behind it stays up.
sub is_taken {
	my ($so, @args) = @_;
	my ($rc, $out, $err) = $weir->cli('run', '-d', $so, @args);
	is($rc, 0, '... and is taken') or diag($err);
	$weir->cli('cancel', $1) if $out =~ /JobID ([0-9a-f]{32})/;
}

my ($words) = slurp('man/weir.3') =~ /^\.Sh EXAMPLES.*?^\.Bd -literal\n(.*?)^\.Ed/ms or die 'weir.3 has no example';
$words =~ s/\\e/\\/g;
is_taken(compiles('weir.3', $words, '-Iinclude'), '--topic', 'lines');

my ($clicks) = slurp('README.md') =~ /^```c\n(.*?)^```/ms or die 'README has no job';
# What the text says that it leaves out.
my $params = <<'END';
static const weir_param params[] = {
	{ "bootstrap.servers", 's', "127.0.0.1:1", "" }, { "input-topic", 's', "input", "" }, { "output-topic", 's', "output", "" },
	{ NULL, 0, NULL, NULL },
};
END
$clicks =~ s/^(#include "click_event\.h".*\n)/$1$params/;
is_taken(compiles('README', $clicks, '-Iinclude', '-Ijobs', '-Wno-unused-function'));

# What the header promises to refuse.
open(my $wide, '>', "$weir->{dir}/wide.c") or die;
print $wide qq{#include "weir.h"\ntypedef struct wide { int64_t n; } __attribute__((aligned(16))) wide;\nWEIR_TYPE(wide);\n};
close $wide;
like(`cc -Iinclude -fsyntax-only $weir->{dir}/wide.c 2>&1`, qr/wide_wants_an_alignment_over_8_bytes/,
	'a type that wants more than 8 bytes of alignment does not compile');

my @missing;
for my $file ('README.md', glob 'man/*.[1-9]') {
	my $text = slurp($file);
	push @missing, "$file: $1" for grep { !-e } $text =~ /\]\(([\w.\/-]+)\)/g;
	push @missing, map { "$file: .Xr $_" } grep { my ($n, $s) = split / /; /^(weir|click)/i && !-e "man/$n.$s" } $text =~ /^\.Xr (\S+ \d)/mg;
	push @missing, map { "$file: $_" } grep { !-e } $text =~ m{(?<![\w./])((?:base|shm|worker|rest|supervisor|jobs|etc|include)/[\w/]+\.[chd]\w*)}g;
}
is("@missing", '', 'every file and page that is named is there');
my $installed = `make -s install DESTDIR=$weir->{dir}/root 2>&1`;
is($?, 0, 'make install') or diag($installed);
for my $path (qw(bin/weir-supervisor bin/weir bin/weir-broker bin/clickevent-generator bin/weir-consumer lib/weir/jobs/ClickCountJob.so
	include/weir.h etc/weir/flink-conf.yaml share/man/man8/weir-supervisor.8)) {
	ok(-s "$weir->{dir}/root/usr/local/$path", "installs $path");
}
`make -s uninstall DESTDIR=$weir->{dir}/root 2>&1`;
my @left = `find $weir->{dir}/root -type f`;
is_deeply([map { s{.*/}{}r =~ s/\n//r } @left], ['flink-conf.yaml'], 'make uninstall leaves the configuration only');
is($weir->stop, 0, 'stop');
done_testing();
