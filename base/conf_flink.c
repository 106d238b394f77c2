/*
 * Names of configuration keys that Flink 1.14 knows and that have no effect
 * here, so that the warning about them can say just that.
 */
#include "base/conf_flink.h"

#include "base/mem.h"

static const char *const keys[] = {
	"blob.server.port",
	"client.timeout",
	"env.hadoop.conf.dir",
	"env.java.home",
	"env.java.opts",
	"env.java.opts.jobmanager",
	"env.java.opts.taskmanager",
	"env.log.max",
	"env.pid.dir",
	"env.ssh.opts",
	"execution.attached",
	"execution.checkpointing.unaligned",
	"execution.runtime-mode",
	"execution.shutdown-on-attached-exit",
	"execution.target",
	"heartbeat.rpc-failure-threshold",
	"high-availability",
	"high-availability.cluster-id",
	"high-availability.jobmanager.port",
	"historyserver.archive.fs.dir",
	"historyserver.archive.fs.refresh-interval",
	"historyserver.web.address",
	"historyserver.web.port",
	"io.tmp.dirs",
	"jobmanager.archive.fs.dir",
	"jobmanager.bind-host",
	"jobmanager.execution.failover-strategy",
	"jobmanager.heap.size",
	"jobmanager.memory.flink.size",
	"jobmanager.memory.heap.size",
	"jobmanager.memory.process.size",
	"jobmanager.rpc.address",
	"jobmanager.rpc.port",
	"jobmanager.scheduler",
	"jobstore.cache-size",
	"jobstore.type",
	"pipeline.auto-generate-uids",
	"pipeline.auto-type-registration",
	"pipeline.classpaths",
	"pipeline.jars",
	"pipeline.max-parallelism",
	"pipeline.name",
	"pipeline.object-reuse",
	"pipeline.operator-chaining",
	"query.server.port",
	"queryable-state.enable",
	"rest.await-leader-timeout",
	"rest.bind-port",
	"rest.client.max-content-length",
	"rest.connection-timeout",
	"rest.flamegraph.enabled",
	"rest.idleness-timeout",
	"rest.retry.delay",
	"rest.retry.max-attempts",
	"rest.server.numThreads",
	"restart-strategy.exponential-delay.backoff-multiplier",
	"restart-strategy.exponential-delay.jitter-factor",
	"scheduler-mode",
	"state.backend",
	"state.backend.fs.checkpointdir",
	"state.backend.incremental",
	"state.backend.local-recovery",
	"state.checkpoint-storage",
	"state.storage.fs.memory-threshold",
	"state.storage.fs.write-buffer-size",
	"task.cancellation.interval",
	"task.cancellation.timers.timeout",
	"taskmanager.bind-host",
	"taskmanager.data.bind-port",
	"taskmanager.data.port",
	"taskmanager.data.ssl.enabled",
	"taskmanager.debug.memory.log",
	"taskmanager.debug.memory.log-interval",
	"taskmanager.exit-on-fatal-akka-error",
	"taskmanager.heap.size",
	"taskmanager.host",
	"taskmanager.jvm-exit-on-oom",
	"taskmanager.log.path",
	"taskmanager.memory.flink.size",
	"taskmanager.memory.managed.fraction",
	"taskmanager.memory.managed.size",
	"taskmanager.memory.network.fraction",
	"taskmanager.memory.network.max",
	"taskmanager.memory.network.min",
	"taskmanager.memory.process.size",
	"taskmanager.memory.task.heap.size",
	"taskmanager.registration.timeout",
	"taskmanager.resource-id",
	"taskmanager.rpc.bind-port",
	"taskmanager.rpc.port",
	"taskmanager.slot.timeout",
	"web.access-control-allow-origin",
	"web.address",
	"web.backpressure.refresh-interval",
	"web.checkpoints.history",
	"web.history",
	"web.log.path",
	"web.port",
	"web.timeout",
	"web.tmpdir",
};

/* clang-format off */
static const char *const families[] = {
	"akka.", "blob.", "classloader.", "client.", "cluster.", "env.", "execution.", "fs.", "heartbeat.",
	"high-availability.", "historyserver.", "io.", "jobmanager.", "jobstore.", "kubernetes.", "mesos.",
	"metrics.", "pipeline.", "python.", "queryable-state.", "resourcemanager.", "rest.", "restart-strategy.",
	"s3.", "security.", "slot.", "slotmanager.", "state.", "table.", "task.", "taskmanager.", "web.", "yarn.",
	"zookeeper.",
};
/* clang-format on */

bool conf_flink_has_key(const char *key)
{
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

bool conf_flink_has_family(const char *key)
{
	for (unsigned i = 0; i < ARRAY_LEN(families); i++)
		if (strncmp(families[i], key, strlen(families[i])) == 0)
			return true;
	return false;
}
