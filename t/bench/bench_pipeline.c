/*
 * bench_pipeline [records]: a source and a counting sink joined by keyed rings, the whole runtime
 * between them.  Prints ns a record with both on one thread and on two, and with 2x2 rings.
 */
#include "t/unit/worker_fixture.h"

#include "worker/connectors/connectors.h"

static _Atomic int64_t counted;

WEIR_DESERIALIZER(read_row, fx_row)(weir_ctx *ctx, const weir_message *msg, fx_row *out)
{
	(void)ctx;
	memcpy(&out->b, msg->value, sizeof(out->b));
	out->a = out->b % 1000;
	return 1;
}

struct count {
	struct operator op;
	int64_t n, sum;
};

static void count_record(struct operator *op, const struct record *r)
{
	struct count *c = (struct count *)(void *)op;

	c->n++;
	c->sum += ((const fx_row *)r->data)->b;
}

static void count_end(struct operator *op)
{
	atomic_fetch_add(&counted, ((struct count *)(void *)op)->n);
}

static const struct operator_type count_sink = {
	.name = "count", .size = sizeof(struct count), .record = count_record, .end = count_end,
};

static const struct operator_type *find(const struct graph_node *n, struct err *e)
{
	(void)e;
	return n->type == NODE_SOURCE ? connector_sequence.source : &count_sink;
}

static void run(int64_t n, const char *sink, int parallelism, uint32_t n_slots, const char *what)
{
	struct fx fx;
	struct err e = { 0 };
	char to[32];
	int64_t start;
	uint32_t a, b;

	atomic_store(&counted, 0);
	fx_init(&fx, find, n_slots, &clock_system);
	a = fx_node(&fx, NODE_SOURCE, "sequence", parallelism, &read_row);
	snprintf(to, sizeof(to), "%lld", (long long)n - 1);
	graph_option_set(&fx.g->nodes[a].options, &fx.g->nodes[a].n_options, "to", to);
	b = fx_node(&fx, NODE_SINK, sink, parallelism, NULL);
	fx_edge(&fx, a, b, SHIP_HASH);
	if (!fx_prepare(&fx, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		exit(1);
	}
	start = clock_mono_ns(&clock_system);
	fx_go(&fx);
	if (!FX_UNTIL(fx_all(&fx, TASK_FINISHED), 120) || atomic_load(&counted) != n) {
		fprintf(stderr, "%lld of %lld records arrived: %s\n", (long long)counted, (long long)n,
		    fx_cause(&fx));
		exit(1);
	}
	printf("%-36s %6.1f ns a record\n", what, (double)(clock_mono_ns(&clock_system) - start) / (double)n);
	fflush(stdout);
	fx_drop(&fx);
	fx_fini(&fx);
}

int main(int argc, char **argv)
{
	int64_t n = argc > 1 ? (int64_t)strtoll(argv[1], NULL, 10) : 20000000;

	run(n, "count", 1, 1, "both tasks on one thread");
	run(n, "count@1", 1, 2, "one thread each");
	run(n, "count", 2, 2, "2 sources, 2 sinks, 2 threads");
	return 0;
}
