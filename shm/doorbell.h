/*
 * The doorbell: how a sleeping slot is woken without a lock and without a
 * system call while it is awake.
 *
 * A slot has one eventfd and one `sleeping` word in shared memory.  Whoever made
 * something for it stores that (release), fences (seq_cst), loads `sleeping`, and
 * writes the eventfd only if it is set.  The sleeper publishes its own positions,
 * sets the word, fences, checks everything it may be woken for once more, and only
 * then waits.  Only the sleeper clears the word.  Without either fence a wake-up
 * can be lost: t/unit/shm_doorbell.c says so.
 */
#ifndef SHM_DOORBELL_H
#define SHM_DOORBELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A page a slot, written by that slot only. */
struct slot_page {
	_Atomic uint32_t sleeping;
	_Atomic uint32_t turn; /* counts the slot's turns */
	uint8_t pad[4096 - 8];
};
_Static_assert(sizeof(struct slot_page) == 4096, "one page");

struct doorbell {
	struct slot_page *page; /* read-only unless it is our own slot */
	int eventfd;
};

/*
 * The store before it is seen by others before the load behind it is done: what
 * release and acquire alone do not give.  TSan does not model fences, and gcc says
 * so; nothing here needs the fence to order plain accesses, so it loses nothing.
 */
static inline void doorbell_fence(void)
{
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan" /* see above */
#endif
	atomic_thread_fence(memory_order_seq_cst);
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
}

/* Ring whether or not the slot sleeps (another thread's mail). Async-signal-safe, keeps errno. */
void doorbell_ring_always(struct doorbell *d);

/* Producer's side: fence, look, ring if asleep. Returns true when it rang. */
static inline bool doorbell_ring(struct doorbell *d)
{
	doorbell_fence();
	if (atomic_load_explicit(&d->page->sleeping, memory_order_relaxed) == 0)
		return false;
	doorbell_ring_always(d);
	return true;
}

/* Sleeper's side. Between the two, check every input, output and the mailbox. */
static inline void doorbell_prepare_sleep(struct doorbell *d) /* sleeping = 1; fence */
{
	atomic_store_explicit(&d->page->sleeping, 1, memory_order_relaxed);
	doorbell_fence();
}
static inline void doorbell_awake(struct doorbell *d) /* sleeping = 0 */
{
	atomic_store_explicit(&d->page->sleeping, 0, memory_order_relaxed);
}
/* Take the eventfd's count so that epoll is quiet again. */
void doorbell_drain(struct doorbell *d);

#endif
