/*
 * What the children of a real supervisor run.
 */
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/child.h"
#include "supervisor/storage.h"
#include "worker/adopt.h"
#include "worker/graph/plugin.h"

/* The one descriptor of its own that such a child has, and where its complaints go. */
static int adopt_plain(const struct child_birth *b, const char *title, const char *comm)
{
	int control_fd = b->control_fd, stderr_fd = b->stderr_fd;
	int *const keep[] = { &control_fd, &stderr_fd };
	const struct adoption a = { .title = title,
		.comm = comm,
		.parent_pid = b->parent_pid,
		.output_fd = b->stderr_fd,
		.keep = keep,
		.n_keep = ARRAY_LEN(keep) };

	adopt(&a);
	log_init(title, LOG_INFO, stderr_fd, -1);
	return control_fd;
}

static void run_storage(const struct child_birth *b)
{
	storage_main(adopt_plain(b, "storage", "weir-storage"));
}

static void run_builder(const struct child_birth *b, const char *artifact, int argc, const char *const *argv)
{
	builder_main(adopt_plain(b, "builder", "weir-builder"), artifact, argc, argv);
}

static void run_taskmanager(const struct inheritance *in)
{
	taskmanager_main(in);
}

const struct child_programs child_programs_weir = { run_taskmanager, run_storage, run_builder };
