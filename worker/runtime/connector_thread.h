/*
 * The connector thread: one an attempt a worker.  It makes the calls that can wait
 * (offsets, metadata, transactions, create and destroy of clients; and the attempt's own setting up and
 * clearing away), one after the other, in the order of submission.
 *
 * operator.h has what operators use: connector_submit, connector_job_done, connector_run.
 */
#ifndef WORKER_RUNTIME_CONNECTOR_THREAD_H
#define WORKER_RUNTIME_CONNECTOR_THREAD_H

#include "worker/runtime/operator.h"

struct connector_thread;

struct connector_thread *connector_thread_create(struct err *e);
/* Finish what was submitted, end, join, free. From another thread. */
void connector_thread_destroy(struct connector_thread *c);
/* Any thread. job->task may be NULL: nobody is woken. */
void connector_thread_post(struct connector_thread *c, struct connector_job *job);

#endif
