# A Weir of a test's own: a supervisor on a free port in a temporary directory, its REST
# API, its log, its processes; everything ends with the object, and the directory stays
# when a test failed.
#
#   my $weir = Weir->start(conf => { 'taskmanager.numberOfTaskManagers' => 2 });
#   my $job = $weir->run('build/jobs/ClickCountJob.so', '--bootstrap.servers', $broker);
#   $weir->wait_job($job, 'RUNNING');
package Weir;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP;
use POSIX ();
use Scalar::Util qw(weaken);
use Test::More ();
use Time::HiRes qw(sleep time);

my %live;
our @EXPORT_OK = qw(wait_until top build windows_of);

sub top { return abs_path(__FILE__) =~ s{/t/lib/Weir\.pm$}{}r }
# Where the programs under test are: BUILD selects another kind.
sub build { return top() . '/' . ($ENV{BUILD} // 'build') }

# Poll until code returns true; its value, or die with what was waited for.
sub wait_until {
	my ($what, $timeout_s, $code) = @_;
	my $deadline = time + $timeout_s * ($ENV{WEIR_SLOW} // 1);
	my $v;
	do {
		$v = $code->();
		return $v if $v;
		sleep 0.02;
	} while (time < $deadline);
	die "timed out after $timeout_s s: $what\n";
}

sub start {
	my ($class, %opt) = @_;
	my $dir = $opt{dir} // tempdir('weir-test-XXXXXX', TMPDIR => 1);
	my $self = bless { dir => $dir, owner => $$, conf => { %{ $opt{conf} // {} } }, args => $opt{args} // [] }, $class;
	weaken($live{$dir} = $self);
	$self->write_conf;
	$self->launch;
	return $self;
}
# Before the globals go: a test that died still leaves no process.
END { my $rc = $?; $_ && $_->finish for values %live; $? = $rc }

sub write_conf {
	my ($self) = @_;
	my %conf = ('rest.port' => 0, 'high-availability.storageDir' => "$self->{dir}/state",
		'env.log.dir' => "$self->{dir}/log", 'web.upload.dir' => "$self->{dir}/upload",
		'state.checkpoints.dir' => "$self->{dir}/checkpoints", 'state.savepoints.dir' => "$self->{dir}/savepoints",
		%{ $self->{conf} });
	open(my $fh, '>', "$self->{dir}/flink-conf.yaml") or die "$self->{dir}: $!";
	print $fh "$_: $conf{$_}\n" for grep { defined $conf{$_} } sort keys %conf;
	close $fh;
}

sub launch {
	my ($self) = @_;
	my $port_file = "$self->{dir}/state/rest.port";
	unlink $port_file;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$self->{dir}/supervisor.out");
		open(STDERR, '>>', "$self->{dir}/supervisor.err");
		exec { build() . '/weir-supervisor' } 'weir-supervisor', '-c', "$self->{dir}/flink-conf.yaml", @{ $self->{args} }
			or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $t0 = time;
	my $text = wait_until('the supervisor writes rest.port', 10, sub {
		die 'the supervisor ended at its start: ' . $self->err_text . "\n" if waitpid($pid, POSIX::WNOHANG()) == $pid;
		open(my $fh, '<', $port_file) or return;
		my $line = <$fh>;
		return defined $line && $line =~ /^(\d+)$/ ? $1 : undef;
	});
	$self->{port} = $text;
	$self->{start_s} = time - $t0;
	return $self;
}

sub err_text {
	my ($self) = @_;
	open(my $fh, '<', "$self->{dir}/supervisor.err") or return '';
	local $/;
	return <$fh> // '';
}
sub log_lines {
	my ($self, $event) = @_;
	return grep { !defined $event || /\bevent=\Q$event\E\b/ } split /\n/, $self->err_text;
}

sub url { return "http://127.0.0.1:$_[0]{port}$_[1]" }

# A request: (status, decoded body).
sub request {
	my ($self, $method, $path, $body) = @_;
	my $http = HTTP::Tiny->new(timeout => 15, keep_alive => 0);
	my $r = $http->request($method, $self->url($path), {
		defined $body ? (content => ref $body ? encode_json($body) : $body,
			headers => { 'Content-Type' => 'application/json' }) : () });
	my $json = eval { JSON::PP->new->utf8->allow_nonref->decode($r->{content}) };
	return ($r->{status}, $json // $r->{content});
}
sub get {
	my ($self, $path) = @_;
	my ($status, $body) = $self->request('GET', $path);
	die "GET $path: $status " . (ref $body ? encode_json($body) : $body) . "\n" if $status != 200;
	return $body;
}

# The command line client: (exit status, stdout, stderr).
sub cli {
	my ($self, @args) = @_;
	my $tmp = "$self->{dir}/cli";
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', "$tmp.out");
		open(STDERR, '>', "$tmp.err");
		my $cmd = shift @args;
		exec { build() . '/weir' } 'weir', $cmd, '-m', "127.0.0.1:$self->{port}", @args or POSIX::_exit(127);
	}
	waitpid($pid, 0);
	my $rc = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	my @text = map { open(my $fh, '<', "$tmp.$_") or die; local $/; <$fh> // '' } qw(out err);
	return ($rc, @text);
}

# Submit by the client, detached; the job's id.
sub run {
	my ($self, @args) = @_;
	my ($rc, $out, $err) = $self->cli('run', '-d', @args);
	die "weir run: exit $rc\n$out$err" if $rc != 0;
	$out =~ /Job has been submitted with JobID ([0-9a-f]{32})/ or die "weir run printed: $out$err";
	return $1;
}

sub job { return $_[0]->get("/jobs/$_[1]") }
sub all_running {
	my ($job) = @_;
	return $job->{state} eq 'RUNNING' && @{ $job->{vertices} }
		&& !grep { $_->{tasks}{RUNNING} != $_->{parallelism} } @{ $job->{vertices} };
}
# Wait until the job is in that state; RUNNING means that all its tasks are.
sub wait_job {
	my ($self, $id, $state, $timeout_s) = @_;
	my $last;
	my $job = eval {
		wait_until("job $id is $state", $timeout_s // 15, sub {
			$last = $self->job($id);
			return if $last->{state} ne $state || ($state eq 'RUNNING' && !all_running($last));
			return $last;
		});
	};
	die $@ . 'last seen: ' . encode_json($last // {}) . "\n" if !$job;
	return $job;
}

# Pids of this supervisor's children by title, from /proc: { "taskmanager tm-1" => pid }.
sub children {
	my ($self) = @_;
	my %by_title;
	for my $task (glob "/proc/$self->{pid}/task/*/children") {
		open(my $fh, '<', $task) or next;
		for my $pid (split ' ', <$fh> // '') {
			open(my $cl, '<', "/proc/$pid/cmdline") or next;
			local $/;
			my $title = (split /\0/, <$cl> // '')[0] // "zombie $pid";
			$by_title{$title} = $pid;
		}
	}
	return \%by_title;
}
sub taskmanager_pid { return $_[0]->children->{"taskmanager tm-$_[1]"} }
sub n_fds { my @fd = glob "/proc/$_[0]{pid}/fd/*"; return scalar @fd }

# End the supervisor by SIGTERM: its exit status.
sub stop {
	my ($self, $signal) = @_;
	return unless $self->{pid};
	my @kids = values %{ $self->children };
	kill $signal // 'TERM', $self->{pid};
	my $ended = eval {
		wait_until('the supervisor ends', 15, sub { waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid} });
	};
	my $rc = $?;
	if (!$ended) {
		kill 'KILL', $self->{pid};
		waitpid($self->{pid}, 0);
		$rc = 9;
	}
	delete $self->{pid};
	$self->{left} = [grep { kill 0, $_ } @kids];
	return $rc & 127 ? 128 + ($rc & 127) : $rc >> 8;
}

sub DESTROY { $_[0]->finish }
sub finish {
	my ($self) = @_;
	local ($?, $@, $!);
	return if $$ != $self->{owner} || $self->{finished}++;
	delete $live{ $self->{dir} };
	$self->stop;
	if (Test::More->builder->is_passing) {
		remove_tree($self->{dir});
	} else {
		Test::More::diag("kept: $self->{dir}");
	}
}

# Windows as the job wrote them: { "start page" => [counts] }.
sub windows_of {
	my %w;
	for (@_) {
		my $r = decode_json($_);
		push @{ $w{"$r->{windowStart} $r->{page}"} }, $r->{count};
	}
	return \%w;
}

1;
