# A real Apache Kafka in KRaft mode, one node, on loopback with free ports.
#
#   my $broker = Kafka->start or plan skip_all => Kafka->why_not;
#   ... $broker->address ...
#   $broker->stop;
package Kafka;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

my $why = '';
sub why_not { $why }

sub _top {
	return abs_path(__FILE__) =~ s{/t/lib/Kafka\.pm$}{}r;
}

# The class path, fetched once into build/kafka.
sub _class_path {
	my $lib = _top() . '/build/kafka/lib';
	my $complete = -e "$lib/.complete";
	for my $tool ('java', $complete ? () : 'mvn') {
		next if grep { -x "$_/$tool" } split /:/, $ENV{PATH};
		$why = "$tool is not installed (make deps-test)";
		return;
	}
	return "$lib/*" if $complete;
	make_path($lib);
	my $log = "$lib/../fetch.log";
	my $rc = system('sh', '-c',
		'exec mvn -q -B -f "$1" dependency:copy-dependencies -DoutputDirectory="$2" >"$3" 2>&1 </dev/null',
		'sh', _top() . '/t/kafka/pom.xml', abs_path($lib), $log);
	if ($rc != 0) {
		$why = "Maven could not fetch Kafka, see $log";
		return;
	}
	open(my $fh, '>', "$lib/.complete") or die "$lib/.complete: $!";
	return "$lib/*";
}

sub free_port {
	my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp', Listen => 1, ReuseAddr => 1)
		or die "no free port: $!";
	return $s->sockport;
}

sub start {
	my ($class, %opt) = @_;
	my $cp = _class_path() or return;
	my $dir = tempdir('weir-kafka-XXXXXX', TMPDIR => 1);
	my ($port, $ctl) = (free_port(), free_port());
	my $heap = $opt{heap} // '512m';
	open(my $conf, '>', "$dir/server.properties") or die "$dir: $!";
	print $conf <<"EOF";
process.roles=broker,controller
node.id=1
controller.quorum.voters=1\@127.0.0.1:$ctl
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$ctl
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
num.partitions=2
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.segment.bytes=268435456
EOF
	close $conf;
	open(my $l4j, '>', "$dir/log4j.properties") or die "$dir: $!";
	print $l4j "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
		. "log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%d %p %c %m%n\n";
	close $l4j;
	my @java = ('java', "-Xmx$heap", '-Xms128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=' . ($opt{tier} // 4),
		"-Dlog4j.configuration=file:$dir/log4j.properties", '-cp', $cp);
	my $self = bless { owner => $$, dir => $dir, port => $port, java => \@java }, $class;
	my $id = 'MkU3OEVBNTcwNTJENDM2Qg';
	my $rc = system('sh', '-c', 'log=$1; shift; exec "$@" >"$log" 2>&1 </dev/null', 'sh', "$dir/format.log",
		@java, 'kafka.tools.StorageTool', 'format', '-t', $id, '-c', "$dir/server.properties");
	if ($rc != 0) {
		$why = "the storage format of Kafka failed, see $dir/format.log";
		return;
	}
	$self->launch or return;
	return $self;
}

# Start the broker's process (again) on the same data and port.
sub launch {
	my ($self) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		POSIX::setsid();
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$self->{dir}/kafka.log");
		open(STDERR, '>&', \*STDOUT);
		exec { $self->{java}[0] } @{ $self->{java} }, 'kafka.Kafka', "$self->{dir}/server.properties"
			or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $deadline = time + 60;
	while (time < $deadline) {
		if (waitpid($pid, POSIX::WNOHANG()) == $pid) {
			$why = "Kafka ended at its start, see $self->{dir}/kafka.log";
			return;
		}
		my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Proto => 'tcp', Timeout => 1);
		return 1 if $s;
		sleep 0.1;
	}
	$why = 'Kafka did not listen within 60 s';
	return;
}

# Make a topic and wait until its leaders are known. Two partitions come by auto-creation, another number costs
# the start of a JVM.
sub topic {
	my ($address, $topic, $partitions) = @_;
	if (defined $partitions) {
		my $rc = system('sh', '-c', 'exec "$@" >/dev/null 2>&1 </dev/null', 'sh', 'java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC',
			'-cp', _class_path(), 'org.apache.kafka.tools.TopicCommand', '--bootstrap-server', $address, '--create',
			'--topic', $topic, '--partitions', $partitions);
		die "topic $topic of $partitions partitions could not be made\n" if $rc != 0;
	}
	my $deadline = time + 30;
	while (time < $deadline) {
		my $answer = `kcat -b $address -L -t $topic 2>&1 </dev/null`;
		return 1 if $answer =~ /with ([1-9]\d*) partitions/ && $answer !~ /not available|leader -1/;
		sleep 0.1;
	}
	die "topic $topic was not made within 30 s\n";
}

# Every value of a topic, from its beginning to its present end.
sub values {
	my ($address, $topic) = @_;
	my @lines = `kcat -b $address -C -t $topic -o beginning -e -q -X fetch.wait.max.ms=10 2>/dev/null </dev/null`;
	chomp @lines;
	return @lines;
}

sub address { '127.0.0.1:' . $_[0]{port} }
sub pid { $_[0]{pid} }

sub stop {
	my ($self) = @_;
	return unless $self->{pid};
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	delete $self->{pid};
	remove_tree($self->{dir});
}

sub DESTROY {
	local ($?, $@, $!);
	$_[0]->stop if $$ == $_[0]{owner}; # not in a child that inherited the object
}

1;
