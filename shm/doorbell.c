/*
 * The doorbell's two system calls; the rest is in the header.
 */
#include "shm/doorbell.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"

void doorbell_ring_always(struct doorbell *d)
{
	const uint64_t one = 1;
	int saved_errno = errno;
	ssize_t n;

	do
		n = write(d->eventfd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	/* EAGAIN: the count is at its maximum, so the sleeper will see it anyhow. Anything else
	 * would be a wake-up lost for ever: better to die and be restarted than to hang. */
	ASSERT(n == (ssize_t)sizeof(one) || errno == EAGAIN);
	errno = saved_errno;
}

void doorbell_drain(struct doorbell *d)
{
	uint64_t count;
	ssize_t n;

	do
		n = read(d->eventfd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
	ASSERT(n == (ssize_t)sizeof(count) || errno == EAGAIN);
}
