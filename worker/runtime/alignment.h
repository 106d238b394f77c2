/*
 * Barrier alignment: which inputs of a task have brought the barrier of the checkpoint that is being
 * aligned, and which are held back for it.  Pure bookkeeping; the gate acts on it.
 *
 *   - An input whose barrier came is held back until all have (unless at-least-once).
 *   - An input that has ended counts as aligned for ever.
 *   - A newer barrier cancels the alignment of an older one, unless the input has brought that one's too:
 *     with at-least-once it is held back then.
 *   - Barriers of checkpoints that are over or given up are dropped; ids on one input only grow.
 */
#ifndef WORKER_RUNTIME_ALIGNMENT_H
#define WORKER_RUNTIME_ALIGNMENT_H

#include <stdbool.h>
#include <stdint.h>

#define ALIGNMENT_N_ABORTED 32 /* given up before their barriers came; more than can be in progress */

enum alignment_step {
	ALIGNMENT_DAMAGED,  /* ids of this input fell, or 0 */
	ALIGNMENT_DROPPED,  /* nobody waits for this one */
	ALIGNMENT_WAITING,  /* for the barriers of others */
	ALIGNMENT_COMPLETE, /* it was the last one: take the snapshot */
};

struct alignment {
	bool holds_back; /* exactly once */
	uint64_t id;     /* being aligned, 0: none */
	uint64_t done_id; /* up to here all are over */
	struct alignment_input {
		uint64_t last_id;
		bool ended;
	} *inputs;
	uint32_t n_inputs, cap_inputs;
	uint64_t aborted[ALIGNMENT_N_ABORTED];
	uint32_t next_aborted;
};

void alignment_init(struct alignment *a, bool holds_back);
void alignment_fini(struct alignment *a);
void alignment_add_input(struct alignment *a);

/* Whether a barrier must wait at the head of its input until the one that is being aligned is over. */
bool alignment_too_early(const struct alignment *a, uint32_t input, uint64_t id);
/* A barrier came. *canceled: the older checkpoint whose alignment it ends, 0: none. */
enum alignment_step alignment_barrier(struct alignment *a, uint32_t input, uint64_t id, uint64_t *canceled);
/* An input has ended: COMPLETE or WAITING. */
enum alignment_step alignment_ended(struct alignment *a, uint32_t input);
/* A checkpoint was given up. True: it was being aligned. */
bool alignment_abort(struct alignment *a, uint64_t id);
/* Whether nothing may be read from this input now. */
bool alignment_holds(const struct alignment *a, uint32_t input);

#endif
