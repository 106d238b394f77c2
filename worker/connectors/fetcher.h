/*
 * Fetcher: brings batches of raw messages of a source's splits, and nothing else.
 * What they mean is the reader's business (connectors/reader.h).  Runs on the
 * task's fiber; never waits.
 */
#ifndef WORKER_CONNECTORS_FETCHER_H
#define WORKER_CONNECTORS_FETCHER_H

#include <stdint.h>

#include "base/err.h"
#include "include/weir.h"

enum raw_kind {
	RAW_MESSAGE,
	RAW_END /* the split's end was reached: msg.offset is the next offset there will be */
};

struct raw_message {
	enum raw_kind kind;
	uint32_t split; /* index, in the order in which the reader was told of them */
	weir_message msg;
};

struct fetcher {
	/*
	 * Bring at most max messages that are here already, in order within a split.
	 * Returns their number, 0: none, or -1 with e filled: the task fails.
	 * They are borrowed until the next call.
	 */
	int (*fetch)(struct fetcher *f, struct raw_message *out, unsigned max, struct err *e);
	/*
	 * A monotonic time up to which the other side is known to have answered and every message
	 * that it had sent by then has come out of fetch.  Never falls; INT64_MIN: none yet.
	 */
	int64_t (*evidence_ns)(struct fetcher *f);
};

#endif
