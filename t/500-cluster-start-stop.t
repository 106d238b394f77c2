#!/usr/bin/env perl
# The daemon's life: start, files, refusals, stop; nothing is left.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);
use Weir qw(wait_until build);

# Run the supervisor to its end: (exit status, stderr).
sub supervisor {
	my (@args) = @_;
	my $dir = tempdir(CLEANUP => 1);
	my $rc = system('sh', '-c', 'err=$1; shift; exec "$@" >/dev/null 2>"$err" </dev/null', 'sh', "$dir/err",
		build() . '/weir-supervisor', @args);
	open(my $fh, '<', "$dir/err") or die;
	local $/;
	return ($rc >> 8, <$fh> // '');
}

my $weir = Weir->start;
diag(sprintf 'start to rest.port: %.0f ms', $weir->{start_s} * 1000);
my $overview = wait_until('both TaskManagers register', 5, sub {
	my $o = $weir->get('/overview');
	return $o->{taskmanagers} == 2 ? $o : undef;
});
is($overview->{'slots-total'}, 2, 'two TaskManagers of one slot by default');
is($overview->{'slots-available'}, 2, 'both free');
ok($weir->taskmanager_pid(1) && $weir->taskmanager_pid(2), 'they are direct children with their titles');
is(scalar($weir->log_lines('rest.listening')), 1, 'where REST listens is logged');
ok(-s "$weir->{dir}/log/jobmanager.log", 'the JobManager has a log file');
ok(-e "$weir->{dir}/log/taskmanager-$_.log", "taskmanager-$_ too") for 1, 2;

# A second supervisor on the same state directory says which pid holds it.
my ($rc, $err) = supervisor('-D', "high-availability.storageDir=$weir->{dir}/state", '-D', 'rest.port=0',
	'-D', "env.log.dir=$weir->{dir}/log2", '-D', "web.upload.dir=$weir->{dir}/upload2");
is($rc, 1, 'a second supervisor on one state directory exits 1');
like($err, qr/\b$weir->{pid}\b/, 'and names the holder');

# The port is taken.
my $other = tempdir(CLEANUP => 1);
($rc, $err) = supervisor('-D', "high-availability.storageDir=$other/state", '-D', "rest.port=$weir->{port}",
	'-D', "env.log.dir=$other/log", '-D', "web.upload.dir=$other/upload");
is($rc, 1, 'a taken port: exit 1');
like($err, qr/$weir->{port}/, 'and the port is named');

# Configuration that cannot be.
open(my $fh, '>', "$other/conf") or die;
print $fh "rest.port: 0\ntaskmanager.numberOfTaskSlots: many\n";
close $fh;
($rc, $err) = supervisor('-c', "$other/conf");
is($rc, 78, 'an unacceptable value: exit 78');
like($err, qr/conf:2.*taskmanager\.numberOfTaskSlots.*many/s, 'file, line, key and value are named');
($rc, $err) = supervisor('-n', '-c', "$other/conf");
is($rc, 78, '-n finds it too');
open($fh, '>', "$other/conf") or die;
print $fh "taskmanager.numberOfTaskSlotz: 2\n";
close $fh;
($rc, $err) = supervisor('-n', '-c', "$other/conf");
is($rc, 0, 'an unknown key is no error');
like($err, qr/taskmanager\.numberOfTaskSlots\b/, 'but one warning with the nearest known one');
($rc, $err) = supervisor('-c', "$other/none");
is($rc, 78, 'a missing file: exit 78');
($rc, $err) = supervisor('--bogus');
is($rc, 1, 'an unknown option is refused');
like($err, qr/there is no option --bogus; --help prints the options/, 'by its name');
($rc) = supervisor('--help');
is($rc, 0, '--help is one');

# Reload: a broken file changes nothing.
open($fh, '>>', "$weir->{dir}/flink-conf.yaml") or die;
print $fh "heartbeat.interval: soon\n";
close $fh;
kill 'HUP', $weir->{pid};
ok(wait_until('the reload is refused', 5, sub { grep { /heartbeat\.interval/ } $weir->log_lines }), 'a broken file is named at reload');
is($weir->get('/overview')->{taskmanagers}, 2, 'and nothing changed');

my $t0 = time;
is($weir->stop, 0, 'SIGTERM: exit 0');
cmp_ok(time - $t0, '<', 5, 'soon');
is_deeply($weir->{left}, [], 'no child is left');
my @shm = glob '/dev/shm/*weir*';
is_deeply(\@shm, [], 'nothing in /dev/shm');
done_testing();
