/*
 * A queue and a thread.
 */
#include "worker/runtime/connector_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "worker/crash.h"
#include "worker/runtime/task.h"

struct connector_thread {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct connector_job *first, **last;
	bool ending;
	pthread_t thread;
};

static struct connector_job *next_job(struct connector_thread *c)
{
	struct connector_job *job;

	pthread_mutex_lock(&c->lock);
	while (c->first == NULL && !c->ending)
		pthread_cond_wait(&c->cond, &c->lock);
	job = c->first;
	if (job != NULL) {
		c->first = job->next;
		if (c->first == NULL)
			c->last = &c->first;
	}
	pthread_mutex_unlock(&c->lock);
	return job;
}

static void *connector_main(void *arg)
{
	struct connector_thread *c = arg;
	struct connector_job *job;

	crash_thread_enter("the connector thread");
	while ((job = next_job(c)) != NULL) {
		/* After done is set the job's memory is its owner's again; the slot outlives the attempt. */
		struct slot *slot = job->task != NULL ? job->task->slot : NULL;

		crash_set_task(job->task != NULL ? task_name(job->task) : NULL);
		job->fn(job->arg);
		crash_set_task(NULL);
		/* release: what fn wrote before the word that it is done */
		atomic_store_explicit(&job->done, true, memory_order_release);
		if (slot != NULL)
			/* not slot_wake: a source that has just looked at `done` waits for the eventfd alone */
			slot_ring(slot);
	}
	crash_thread_leave();
	return NULL;
}

struct connector_thread *connector_thread_create(struct err *e)
{
	struct connector_thread *c = xcalloc(1, sizeof(*c));
	sigset_t all, old;
	int rc;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	c->last = &c->first;
	/* Signals are the main thread's, but for those of a crash. */
	slot_thread_signals(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&c->thread, NULL, connector_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		errno = rc;
		err_set_errno(e, ERR_UNAVAILABLE, "cannot start a connector thread");
		free(c);
		return NULL;
	}
	pthread_setname_np(c->thread, "connector");
	return c;
}

void connector_thread_destroy(struct connector_thread *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->ending = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void connector_thread_post(struct connector_thread *c, struct connector_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&c->lock);
	*c->last = job;
	c->last = &job->next;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void connector_submit(struct task *t, struct connector_job *job, void (*fn)(void *arg), void *arg)
{
	job->fn = fn;
	job->arg = arg;
	job->task = t;
	atomic_store_explicit(&job->done, false, memory_order_relaxed);
	connector_thread_post(t->env->connector, job);
}

bool connector_job_done(void *job)
{
	const struct connector_job *j = job;

	return atomic_load_explicit(&j->done, memory_order_acquire);
}

void connector_run(struct task *t, void (*fn)(void *arg), void *arg, enum wait_kind kind)
{
	struct connector_job job = { 0 };

	connector_submit(t, &job, fn, arg);
	while (!connector_job_done(&job))
		task_wait_always(t, kind, connector_job_done, &job);
}
