/*
 * weir.h - all that the author of a Weir job sees.
 *
 * A job is a shared object that includes this header alone and exports one data
 * symbol, made by WEIR_JOB.  Its main function builds the graph of the stream and
 * calls weir_execute.  Main runs several times: twice at submission, to see that
 * it builds the same graph each time, and once in every worker, for the
 * addresses of its functions.  It must depend on its arguments alone.
 *
 *   typedef struct word { char text[32]; int64_t count; } word;
 *   WEIR_TYPE(word);
 *
 *   WEIR_MAP(shout, word, word)(weir_ctx *ctx, const word *in, word *out) { ... return 0; }
 *
 *   static int build(weir_env *env)
 *   {
 *           weir_stream *s = weir_source(env, "kafka", &read_word);
 *           s = weir_name(weir_map(s, &shout), "Shout");
 *           ...
 *           return weir_execute(env, "Words");
 *   }
 *   WEIR_JOB(build, "words", "1.0", NULL);
 *
 * Rules.  A record is (pointer, length), valid during the call only; nobody keeps
 * the pointer.  A function fails its task by returning a negative number, after
 * weir_fail has said why.  Emitting always succeeds: with no room downstream it
 * waits.  Time, parameters, metrics and log come from the context and from
 * nowhere else.  Builder calls never return NULL: the first error sticks to the
 * environment and is reported once, by weir_execute, with the operator's name.
 *
 * Clean as C99, C11 and C++11.  Units: event time and windows are int64_t ms since
 * the epoch, lengths are bytes.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A .so of another major, or of a newer minor than the cluster's, is refused. */
#define WEIR_ABI_MAJOR 1
#define WEIR_ABI_MINOR 0

#define WEIR_MIN_TIMESTAMP INT64_MIN /* no timestamp, no watermark yet */
#define WEIR_MAX_TIMESTAMP INT64_MAX /* the watermark behind the last record */

#if defined(__GNUC__)
#define WEIR_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define WEIR_UNUSED       __attribute__((unused))
#define WEIR_VISIBLE      __attribute__((visibility("default"))) /* on a declaration: C++ ignores it later */
#define WEIR_USED         __attribute__((used))                  /* on a definition: C ignores it before */
#else
#define WEIR_PRINTF(f, a)
#define WEIR_UNUSED
#define WEIR_VISIBLE
#define WEIR_USED
#endif
#ifdef __cplusplus
#define WEIR_EXTERN extern "C"
#else
#define WEIR_EXTERN extern
#endif

/* ------------------------------------------------------------------ types */

/*
 * What a record is in memory, and how it is written where it crosses from one
 * task to another.  Without a serializer its bytes are written as they are: right
 * for every fixed-size struct without pointers.
 */
typedef struct weir_type {
	uint32_t struct_size;
	const char *name; /* compared where streams and functions meet */
	uint32_t size;    /* of every record in memory, 0: varies */
	uint32_t version; /* of the wire format */
	/* Write v to buf; returns the bytes written, or needed where that is more
	 * than cap (nothing is kept then); negative: v cannot be written. */
	int64_t (*serialize)(const void *v, uint32_t len, void *buf, uint32_t cap);
	/* The reverse; returns the length in memory. */
	int64_t (*deserialize)(const void *buf, uint32_t len, void *v, uint32_t cap);
} weir_type;

/*
 * Declare the typedef T, a fixed-size struct without pointers, as a record type.  Records and
 * accumulators lie at multiples of 8 bytes; a type that wants more does not compile.
 */
#define WEIR_TYPE(T) \
	struct T##_weir_align_ { char c; T t; }; \
	typedef char T##_wants_an_alignment_over_8_bytes[offsetof(struct T##_weir_align_, t) <= 8 ? 1 : -1]; \
	WEIR_UNUSED static const weir_type T##_weir_type = { sizeof(weir_type), #T, sizeof(T), 1, NULL, NULL }
/* The same with a serializer of its own; size 0 for records of varying length. */
#define WEIR_TYPE_WITH(T, size, version, serialize, deserialize) \
	WEIR_UNUSED static const weir_type T##_weir_type = { sizeof(weir_type), #T, (size), (version), (serialize), (deserialize) }
#define WEIR_TYPE_OF(T) (&T##_weir_type)

WEIR_TYPE(int32_t);
WEIR_TYPE(int64_t);
WEIR_TYPE(double);

/* ---------------------------------------------------------------- handles */

typedef struct weir_env weir_env;       /* StreamExecutionEnvironment */
typedef struct weir_stream weir_stream; /* DataStream, KeyedStream, WindowedStream */
typedef struct weir_ctx weir_ctx;       /* RuntimeContext and the element's context */

/* The collector. One indirect call an emit. */
typedef struct weir_out weir_out;
struct weir_out {
	uint32_t struct_size;
	/* Hand one record on, stamped with the current element's timestamp. */
	void (*emit)(weir_out *out, const void *rec, uint32_t len);
	/* Lend zeroed room for one record; commit hands it on with its final length (0: drop).
	 * A second reserve before commit fails the task. */
	void *(*reserve)(weir_out *out, uint32_t len);
	void (*commit)(weir_out *out, uint32_t len);
	/* emit with a timestamp of its own. */
	void (*emit_at)(weir_out *out, const void *rec, uint32_t len, int64_t timestamp_ms);
};

/* Emit *ptr, which must be a T: another type does not compile. */
#define WEIR_EMIT(out, T, ptr) ((out)->emit((out), 1 ? (ptr) : (const T *)0, (uint32_t)sizeof(T)))

/* A key as a selector gives it. */
typedef enum weir_key_kind { WEIR_KEY_NONE, WEIR_KEY_INT, WEIR_KEY_LONG, WEIR_KEY_STRING, WEIR_KEY_BYTES } weir_key_kind;
typedef struct weir_key {
	int64_t num;      /* int and long */
	const void *data; /* string (UTF-8, no NUL) and bytes; valid as long as the record */
	uint32_t len;
} weir_key;

typedef struct weir_window {
	int64_t start_ms; /* inclusive */
	int64_t end_ms;   /* exclusive */
} weir_window;

/* A message as a connector brings it. Grows at the end. */
typedef struct weir_message {
	uint32_t struct_size;
	const void *value; /* NULL: a tombstone */
	uint32_t value_len;
	const void *key; /* NULL: none */
	uint32_t key_len;
	int64_t timestamp_ms; /* the connector's own, WEIR_MIN_TIMESTAMP: none */
	const char *topic;
	int32_t partition;
	int64_t offset;
} weir_message;

/* A message as a serializer writes it. */
typedef struct weir_message_out {
	uint32_t struct_size;
	void *value; /* room lent to the serializer */
	uint32_t value_cap;
	uint32_t value_len; /* set by it; over value_cap: called again with that much */
	const void *key;    /* optional, valid until the call's return */
	uint32_t key_len;
	int64_t timestamp_ms; /* the record's; may be changed */
} weir_message_out;

/* -------------------------------------------------------------- functions */

typedef enum weir_fn_kind {
	WEIR_FN_MAP = 1,
	WEIR_FN_FILTER,
	WEIR_FN_FLAT_MAP,
	WEIR_FN_DESERIALIZE,
	WEIR_FN_SERIALIZE,
	WEIR_FN_TIMESTAMP,
	WEIR_FN_KEY,
	WEIR_FN_AGGREGATE,
	WEIR_FN_WINDOW
} weir_fn_kind;

/*
 * A function as the graph keeps it.  Made by the macros below, which generate the
 * untyped call from a typed body; only the calls of its kind are set.
 */
typedef struct weir_function {
	uint32_t struct_size;
	weir_fn_kind kind;
	const char *name;
	const weir_type *in;  /* NULL: any */
	const weir_type *out; /* NULL: as in */
	const weir_type *acc; /* aggregates */
	weir_key_kind key_kind;
	uint32_t instance_size; /* zeroed memory an instance, weir_instance(ctx) */
	int (*open)(weir_ctx *ctx);
	void (*close)(weir_ctx *ctx);

	/* map, filter, flatMap: 0, or negative with weir_fail */
	int (*process)(weir_ctx *ctx, const void *in, uint32_t len, weir_out *out);
	/* 1: a record was committed, 0: skip the message, negative: it is malformed */
	int (*deserialize)(weir_ctx *ctx, const weir_message *msg, weir_out *out);
	int (*serialize)(weir_ctx *ctx, const void *in, uint32_t len, weir_message_out *out);
	int64_t (*timestamp)(weir_ctx *ctx, const void *in, uint32_t len, int64_t timestamp_ms);
	void (*key)(const void *in, uint32_t len, weir_key *key);
	/* aggregate: acc is acc->size bytes, zeroed before create */
	void (*acc_create)(void *acc);
	int (*acc_add)(weir_ctx *ctx, void *acc, const void *in, uint32_t len);
	int (*acc_merge)(weir_ctx *ctx, void *acc, const void *other);
	int (*acc_result)(weir_ctx *ctx, const void *acc, weir_out *out);
	/* window function over an aggregate's result */
	int (*window)(weir_ctx *ctx, const weir_key *key, const weir_window *w, const void *in, uint32_t len, weir_out *out);
} weir_function;

#define WEIR_FN_HEAD_(kind, fn, in, out, acc, key_kind) \
	sizeof(weir_function), (kind), #fn, (in), (out), (acc), (key_kind), 0, NULL, NULL

/* int body(weir_ctx *ctx, const In *in, Out *out): fill *out (zeroed before). */
#define WEIR_MAP(fn, In, Out) \
	static int fn##_body(weir_ctx *, const In *, Out *); \
	static int fn##_call(weir_ctx *ctx_, const void *in_, uint32_t len_, weir_out *out_) \
	{ \
		Out *o_ = (Out *)out_->reserve(out_, (uint32_t)sizeof(Out)); \
		int rc_; \
		(void)len_; \
		if (o_ == NULL) \
			return 0; /* cancelled */ \
		rc_ = fn##_body(ctx_, (const In *)in_, o_); \
		out_->commit(out_, rc_ < 0 ? 0 : (uint32_t)sizeof(Out)); \
		return rc_; \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_MAP, fn, WEIR_TYPE_OF(In), WEIR_TYPE_OF(Out), NULL, WEIR_KEY_NONE), \
		fn##_call, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }; \
	static int fn##_body

/* int body(weir_ctx *ctx, const T *in): 1 keep, 0 drop, negative fail. */
#define WEIR_FILTER(fn, T) \
	static int fn##_body(weir_ctx *, const T *); \
	static int fn##_call(weir_ctx *ctx_, const void *in_, uint32_t len_, weir_out *out_) \
	{ \
		int rc_ = fn##_body(ctx_, (const T *)in_); \
		if (rc_ > 0) \
			out_->emit(out_, in_, len_); \
		return rc_ < 0 ? rc_ : 0; \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_FILTER, fn, WEIR_TYPE_OF(T), WEIR_TYPE_OF(T), NULL, WEIR_KEY_NONE), \
		fn##_call, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }; \
	static int fn##_body

/* int body(weir_ctx *ctx, const In *in, weir_out *out): WEIR_EMIT(out, Out, &o) any number of times. */
#define WEIR_FLAT_MAP(fn, In, Out) \
	static int fn##_body(weir_ctx *, const In *, weir_out *); \
	static int fn##_call(weir_ctx *ctx_, const void *in_, uint32_t len_, weir_out *out_) \
	{ \
		(void)len_; \
		return fn##_body(ctx_, (const In *)in_, out_); \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_FLAT_MAP, fn, WEIR_TYPE_OF(In), WEIR_TYPE_OF(Out), NULL, WEIR_KEY_NONE), \
		fn##_call, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }; \
	static int fn##_body

/* int body(weir_ctx *ctx, const weir_message *msg, Out *out): 1 a record, 0 skip, negative malformed. */
#define WEIR_DESERIALIZER(fn, Out) \
	static int fn##_body(weir_ctx *, const weir_message *, Out *); \
	static int fn##_call(weir_ctx *ctx_, const weir_message *msg_, weir_out *out_) \
	{ \
		Out *o_ = (Out *)out_->reserve(out_, (uint32_t)sizeof(Out)); \
		int rc_; \
		if (o_ == NULL) \
			return 0; /* cancelled */ \
		rc_ = fn##_body(ctx_, msg_, o_); \
		out_->commit(out_, rc_ > 0 ? (uint32_t)sizeof(Out) : 0); \
		return rc_; \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_DESERIALIZE, fn, NULL, WEIR_TYPE_OF(Out), NULL, WEIR_KEY_NONE), \
		NULL, fn##_call, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }; \
	static int fn##_body

/* int body(weir_ctx *ctx, const In *in, weir_message_out *out): write out->value, set out->value_len. */
#define WEIR_SERIALIZER(fn, In) \
	static int fn##_body(weir_ctx *, const In *, weir_message_out *); \
	static int fn##_call(weir_ctx *ctx_, const void *in_, uint32_t len_, weir_message_out *out_) \
	{ \
		(void)len_; \
		return fn##_body(ctx_, (const In *)in_, out_); \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_SERIALIZE, fn, WEIR_TYPE_OF(In), NULL, NULL, WEIR_KEY_NONE), \
		NULL, NULL, fn##_call, NULL, NULL, NULL, NULL, NULL, NULL, NULL }; \
	static int fn##_body

/* int64_t body(weir_ctx *ctx, const In *in, int64_t timestamp_ms): the record's event time;
 * timestamp_ms is the connector's. WEIR_MIN_TIMESTAMP fails the task. */
#define WEIR_TIMESTAMP_ASSIGNER(fn, In) \
	static int64_t fn##_body(weir_ctx *, const In *, int64_t); \
	static int64_t fn##_call(weir_ctx *ctx_, const void *in_, uint32_t len_, int64_t ts_) \
	{ \
		(void)len_; \
		return fn##_body(ctx_, (const In *)in_, ts_); \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_TIMESTAMP, fn, WEIR_TYPE_OF(In), NULL, NULL, WEIR_KEY_NONE), \
		NULL, NULL, NULL, fn##_call, NULL, NULL, NULL, NULL, NULL, NULL }; \
	static int64_t fn##_body

/* Key selectors: the member itself is the key. A string member is a char array, NUL-terminated or full. */
#define WEIR_KEY_FN_(fn, In, kind, stmt) \
	static void fn##_call(const void *in_, uint32_t len_, weir_key *key_) \
	{ \
		const In *r_ = (const In *)in_; \
		(void)len_; \
		stmt \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_KEY, fn, WEIR_TYPE_OF(In), NULL, NULL, kind), \
		NULL, NULL, NULL, NULL, fn##_call, NULL, NULL, NULL, NULL, NULL }
#define WEIR_KEY_BY_INT(fn, In, member)  WEIR_KEY_FN_(fn, In, WEIR_KEY_INT, key_->num = (int32_t)r_->member;)
#define WEIR_KEY_BY_LONG(fn, In, member) WEIR_KEY_FN_(fn, In, WEIR_KEY_LONG, key_->num = (int64_t)r_->member;)
#define WEIR_KEY_BY_STRING(fn, In, member) \
	WEIR_KEY_FN_(fn, In, WEIR_KEY_STRING, key_->data = r_->member; \
	    key_->len = (uint32_t)weir_strnlen_(r_->member, sizeof(r_->member));)
#define WEIR_KEY_BY_BYTES(fn, In, member) \
	WEIR_KEY_FN_(fn, In, WEIR_KEY_BYTES, key_->data = &r_->member; key_->len = (uint32_t)sizeof(r_->member);)

WEIR_UNUSED static inline size_t weir_strnlen_(const char *s, size_t max)
{
	const void *nul = memchr(s, 0, max);
	return nul == NULL ? max : (size_t)((const char *)nul - s);
}

/*
 * AggregateFunction.  Declares and expects four static functions:
 *   void fn_create(Acc *acc)                                  (acc is zeroed before)
 *   int  fn_add(weir_ctx *ctx, Acc *acc, const In *in)
 *   int  fn_merge(weir_ctx *ctx, Acc *acc, const Acc *other)
 *   int  fn_result(weir_ctx *ctx, const Acc *acc, Out *out)
 */
#define WEIR_AGGREGATE(fn, In, Acc, Out) \
	static void fn##_create(Acc *); \
	static int fn##_add(weir_ctx *, Acc *, const In *); \
	static int fn##_merge(weir_ctx *, Acc *, const Acc *); \
	static int fn##_result(weir_ctx *, const Acc *, Out *); \
	static void fn##_create_call(void *a_) { fn##_create((Acc *)a_); } \
	static int fn##_add_call(weir_ctx *c_, void *a_, const void *in_, uint32_t len_) \
	{ \
		(void)len_; \
		return fn##_add(c_, (Acc *)a_, (const In *)in_); \
	} \
	static int fn##_merge_call(weir_ctx *c_, void *a_, const void *b_) \
	{ \
		return fn##_merge(c_, (Acc *)a_, (const Acc *)b_); \
	} \
	static int fn##_result_call(weir_ctx *c_, const void *a_, weir_out *out_) \
	{ \
		Out *o_ = (Out *)out_->reserve(out_, (uint32_t)sizeof(Out)); \
		int rc_; \
		if (o_ == NULL) \
			return 0; /* cancelled */ \
		rc_ = fn##_result(c_, (const Acc *)a_, o_); \
		out_->commit(out_, rc_ < 0 ? 0 : (uint32_t)sizeof(Out)); \
		return rc_; \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_AGGREGATE, fn, WEIR_TYPE_OF(In), WEIR_TYPE_OF(Out), WEIR_TYPE_OF(Acc), WEIR_KEY_NONE), \
		NULL, NULL, NULL, NULL, NULL, \
		fn##_create_call, fn##_add_call, fn##_merge_call, fn##_result_call, NULL }

/* ProcessWindowFunction over an aggregate's result:
 * int body(weir_ctx *ctx, const weir_key *key, const weir_window *w, const In *in, weir_out *out). */
#define WEIR_WINDOW_FUNCTION(fn, In, Out) \
	static int fn##_body(weir_ctx *, const weir_key *, const weir_window *, const In *, weir_out *); \
	static int fn##_call(weir_ctx *ctx_, const weir_key *key_, const weir_window *w_, const void *in_, uint32_t len_, weir_out *out_) \
	{ \
		(void)len_; \
		return fn##_body(ctx_, key_, w_, (const In *)in_, out_); \
	} \
	static const weir_function fn = { \
		WEIR_FN_HEAD_(WEIR_FN_WINDOW, fn, WEIR_TYPE_OF(In), WEIR_TYPE_OF(Out), NULL, WEIR_KEY_NONE), \
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, fn##_call }; \
	static int fn##_body

/* ------------------------------------------- assigners, watermark strategy */

typedef enum weir_window_kind { WEIR_WINDOW_TUMBLING = 1 } weir_window_kind;
typedef enum weir_time { WEIR_EVENT_TIME = 1, WEIR_PROCESSING_TIME } weir_time;

typedef struct weir_assigner {
	uint32_t struct_size;
	weir_window_kind kind;
	weir_time time;
	int64_t size_ms;   /* > 0 */
	int64_t offset_ms; /* |offset| < size */
} weir_assigner;

WEIR_UNUSED static inline weir_assigner weir_tumbling_event_time(int64_t size_ms)
{
	weir_assigner a = { sizeof(weir_assigner), WEIR_WINDOW_TUMBLING, WEIR_EVENT_TIME, 0, 0 };
	a.size_ms = size_ms;
	return a;
}
WEIR_UNUSED static inline weir_assigner weir_tumbling_processing_time(int64_t size_ms)
{
	weir_assigner a = { sizeof(weir_assigner), WEIR_WINDOW_TUMBLING, WEIR_PROCESSING_TIME, 0, 0 };
	a.size_ms = size_ms;
	return a;
}

typedef struct weir_watermark_strategy {
	uint32_t struct_size;
	int64_t out_of_orderness_ms;   /* bound; 0: monotonous timestamps */
	int64_t idle_timeout_ms;       /* 0: a silent split is never idle */
	const weir_function *timestamp; /* NULL: the connector's own */
} weir_watermark_strategy;

WEIR_UNUSED static inline weir_watermark_strategy weir_bounded_out_of_orderness(int64_t bound_ms)
{
	weir_watermark_strategy s = { sizeof(weir_watermark_strategy), 0, 0, NULL };
	s.out_of_orderness_ms = bound_ms;
	return s;
}

/* ---------------------------------------------------------------- the job */

/* A parameter the job takes as `--name value`; an argument that no row names is refused.
 * kind: 's' text, 'i' integer, 'f' flag without value. A name that ends in ".*" takes every
 * `--prefix.KEY=VALUE` or `--prefix.KEY VALUE`. The table ends with a NULL name. */
typedef struct weir_param {
	const char *name;
	char kind;
	const char *def; /* NULL: none */
	const char *help;
} weir_param;

typedef struct weir_job {
	uint32_t abi_major;
	uint32_t abi_minor;
	uint32_t struct_size;
	const char *name;
	const char *version;
	const weir_param *params; /* NULL: no parameters */
	int (*main)(weir_env *env);
} weir_job;

#define WEIR_JOB_SYMBOL "weir_job_v1"
#define WEIR_JOB(main_fn, name, version, params) \
	WEIR_EXTERN WEIR_VISIBLE const weir_job weir_job_v1; \
	WEIR_USED const weir_job weir_job_v1 = { \
		WEIR_ABI_MAJOR, WEIR_ABI_MINOR, sizeof(weir_job), (name), (version), (params), (main_fn) }

/* The tables behind the calls below. They only grow at their ends. */
typedef struct weir_env_api {
	uint32_t struct_size;
	const char *(*param)(weir_env *, const char *name);
	const char *(*param_next)(weir_env *, const char *prefix, const char **key, unsigned *iter);
	int (*param_i64)(weir_env *, const char *name, int64_t min, int64_t max, int64_t *v);
	void (*fail)(weir_env *, const char *fmt, va_list ap);
	const char *(*file)(weir_env *, const char *path, uint32_t *len);
	void (*env_set)(weir_env *, const char *key, const char *value);
	weir_stream *(*source)(weir_env *, const char *connector, const weir_function *deserializer);
	weir_stream *(*transform)(weir_stream *, const weir_function *fn, const void *block, uint32_t len);
	weir_stream *(*key_by)(weir_stream *, const weir_function *selector);
	weir_stream *(*window)(weir_stream *, const weir_assigner *assigner);
	weir_stream *(*aggregate)(weir_stream *, const weir_function *agg, const weir_function *window_fn);
	weir_stream *(*partition)(weir_stream *, const char *strategy);
	weir_stream *(*watermarks)(weir_stream *, const weir_watermark_strategy *strategy);
	weir_stream *(*sink)(weir_stream *, const char *connector, const weir_function *serializer);
	weir_stream *(*set)(weir_stream *, const char *key, const char *value);
	int (*execute)(weir_env *, const char *job_name);
} weir_env_api;

typedef struct weir_ctx_api {
	uint32_t struct_size;
	void (*fail)(weir_ctx *, const char *fmt, va_list ap);
	void (*sleep_ms)(weir_ctx *, int64_t ms);
	int64_t (*timestamp)(weir_ctx *);
	int64_t (*watermark)(weir_ctx *);
	int64_t (*processing_time)(weir_ctx *);
	const char *(*param)(weir_ctx *, const char *name);
	const void *(*block)(weir_ctx *, uint32_t *len);
	void *(*instance)(weir_ctx *);
	uint32_t (*subtask_index)(weir_ctx *);
	uint32_t (*parallelism)(weir_ctx *);
	uint32_t (*attempt)(weir_ctx *);
	void (*log)(weir_ctx *, const char *fmt, va_list ap);
	int64_t *(*counter)(weir_ctx *, const char *name);
} weir_ctx_api;

/* The first member of every handle; the rest is the engine's. */
struct weir_env { const weir_env_api *api; };
struct weir_stream { const weir_env_api *api; };
struct weir_ctx { const weir_ctx_api *api; };

/* ----------------------------------------------------- building the graph */

#define WEIR_CALL_ WEIR_UNUSED static inline

/* The value of --name, its default, or NULL. For a flag: "true" or NULL. */
WEIR_CALL_ const char *weir_param_str(weir_env *env, const char *name) { return env->api->param(env, name); }
WEIR_CALL_ int weir_param_flag(weir_env *env, const char *name) { return env->api->param(env, name) != NULL; }
/* An integer in min..max; otherwise the environment fails with the name and both bounds. */
WEIR_CALL_ int64_t weir_param_int(weir_env *env, const char *name, int64_t min, int64_t max)
{
	int64_t v = min;
	env->api->param_i64(env, name, min, max, &v);
	return v;
}
/* Walk the values given for "prefix.*": set *iter = 0 first; NULL at the end. *key is what stands for the star. */
WEIR_CALL_ const char *weir_param_each(weir_env *env, const char *prefix, const char **key, unsigned *iter)
{
	return env->api->param_next(env, prefix, key, iter);
}
/* The job cannot be built: say why. Returns -1. */
WEIR_PRINTF(2, 3) WEIR_CALL_ int weir_env_fail(weir_env *env, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	env->api->fail(env, fmt, ap);
	va_end(ap);
	return -1;
}
/* The content of a file, read once by the builder and kept in the plan. */
WEIR_CALL_ const char *weir_file(weir_env *env, const char *path, uint32_t *len) { return env->api->file(env, path, len); }

/* Settings of the whole job; values are text, keys as below. */
WEIR_CALL_ void weir_env_set(weir_env *env, const char *key, const char *value) { env->api->env_set(env, key, value); }
WEIR_CALL_ void weir_disable_operator_chaining(weir_env *env) { weir_env_set(env, "pipeline.operator-chaining", "false"); }
WEIR_CALL_ const char *weir_i64_text_(char *buf, int64_t v)
{
	char *p = buf + 23;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	*p = '\0';
	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	if (v < 0)
		*--p = '-';
	return p;
}
WEIR_CALL_ void weir_env_set_int(weir_env *env, const char *key, int64_t v)
{
	char buf[24];
	weir_env_set(env, key, weir_i64_text_(buf, v));
}
WEIR_CALL_ void weir_env_parallelism(weir_env *env, int64_t n) { weir_env_set_int(env, "parallelism.default", n); }
WEIR_CALL_ void weir_env_max_parallelism(weir_env *env, int64_t n) { weir_env_set_int(env, "pipeline.max-parallelism", n); }
/* Take a checkpoint every interval_ms. */
WEIR_CALL_ void weir_enable_checkpointing(weir_env *env, int64_t interval_ms)
{
	weir_env_set_int(env, "execution.checkpointing.interval", interval_ms);
}
WEIR_CALL_ void weir_buffer_timeout(weir_env *env, int64_t ms) { weir_env_set_int(env, "execution.buffer-timeout", ms); }

/* A source by its connector's name ("kafka"); options by weir_set. */
WEIR_CALL_ weir_stream *weir_source(weir_env *env, const char *connector, const weir_function *deserializer)
{
	return env->api->source(env, connector, deserializer);
}
/* map, filter, flatMap: the function's kind says which. */
WEIR_CALL_ weir_stream *weir_transform(weir_stream *s, const weir_function *fn, const void *block, uint32_t len)
{
	return s->api->transform(s, fn, block, len);
}
WEIR_CALL_ weir_stream *weir_map(weir_stream *s, const weir_function *fn) { return weir_transform(s, fn, NULL, 0); }
WEIR_CALL_ weir_stream *weir_filter(weir_stream *s, const weir_function *fn) { return weir_transform(s, fn, NULL, 0); }
WEIR_CALL_ weir_stream *weir_flat_map(weir_stream *s, const weir_function *fn) { return weir_transform(s, fn, NULL, 0); }
WEIR_CALL_ weir_stream *weir_key_by(weir_stream *s, const weir_function *selector) { return s->api->key_by(s, selector); }
WEIR_CALL_ weir_stream *weir_window_by(weir_stream *s, weir_assigner assigner)
{
	return s->api->window(s, &assigner); /* cppcheck-suppress returnDanglingLifetime ; the call copies it */
}
/* aggregate(agg) or, with window_fn, aggregate(agg, processWindowFunction). */
WEIR_CALL_ weir_stream *weir_aggregate(weir_stream *s, const weir_function *agg, const weir_function *window_fn)
{
	return s->api->aggregate(s, agg, window_fn);
}
/* Redistribute round robin. */
WEIR_CALL_ weir_stream *weir_rebalance(weir_stream *s) { return s->api->partition(s, "REBALANCE"); }
/* Right behind a source: made in the source, from the watermark of each split. Elsewhere an operator of its own. */
WEIR_CALL_ weir_stream *weir_with_watermarks(weir_stream *s, weir_watermark_strategy w)
{
	return s->api->watermarks(s, &w); /* cppcheck-suppress returnDanglingLifetime ; the call copies it */
}
WEIR_CALL_ weir_stream *weir_sink(weir_stream *s, const char *connector, const weir_function *serializer)
{
	return s->api->sink(s, connector, serializer);
}

/* Settings of the operator that s comes from. Options of a connector go by their own names. */
WEIR_CALL_ weir_stream *weir_set(weir_stream *s, const char *key, const char *value) { return s->api->set(s, key, value); }
WEIR_CALL_ weir_stream *weir_set_int(weir_stream *s, const char *key, int64_t v)
{
	char buf[24];
	return weir_set(s, key, weir_i64_text_(buf, v));
}
WEIR_CALL_ weir_stream *weir_name(weir_stream *s, const char *name) { return weir_set(s, "weir.name", name); }
WEIR_CALL_ weir_stream *weir_uid(weir_stream *s, const char *uid) { return weir_set(s, "weir.uid", uid); }
WEIR_CALL_ weir_stream *weir_parallelism(weir_stream *s, int64_t n) { return weir_set_int(s, "weir.parallelism", n); }
WEIR_CALL_ weir_stream *weir_max_parallelism(weir_stream *s, int64_t n) { return weir_set_int(s, "weir.max-parallelism", n); }
WEIR_CALL_ weir_stream *weir_disable_chaining(weir_stream *s) { return weir_set(s, "weir.chaining", "never"); }
WEIR_CALL_ weir_stream *weir_start_new_chain(weir_stream *s) { return weir_set(s, "weir.chaining", "head"); }

/* Hand the graph over. 0, or -1 where something of it was refused. */
WEIR_CALL_ int weir_execute(weir_env *env, const char *job_name) { return env->api->execute(env, job_name); }

/* ------------------------------------------------- inside a user function */

/* The task fails with this sentence; return a negative number after it. Returns -1. */
WEIR_PRINTF(2, 3) WEIR_CALL_ int weir_fail(weir_ctx *ctx, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	ctx->api->fail(ctx, fmt, ap);
	va_end(ap);
	return -1;
}
/* Wait without holding up the slot's other tasks; counts as busy time, ends early when the task is cancelled. */
WEIR_CALL_ void weir_sleep_ms(weir_ctx *ctx, int64_t ms) { ctx->api->sleep_ms(ctx, ms); }
WEIR_CALL_ int64_t weir_timestamp(weir_ctx *ctx) { return ctx->api->timestamp(ctx); } /* of the element in hand */
WEIR_CALL_ int64_t weir_watermark(weir_ctx *ctx) { return ctx->api->watermark(ctx); } /* current event time */
WEIR_CALL_ int64_t weir_processing_time(weir_ctx *ctx) { return ctx->api->processing_time(ctx); } /* ms since the epoch */
WEIR_CALL_ const char *weir_ctx_param(weir_ctx *ctx, const char *name) { return ctx->api->param(ctx, name); }
WEIR_CALL_ const void *weir_block(weir_ctx *ctx, uint32_t *len) { return ctx->api->block(ctx, len); }
WEIR_CALL_ void *weir_instance(weir_ctx *ctx) { return ctx->api->instance(ctx); }
WEIR_CALL_ uint32_t weir_subtask_index(weir_ctx *ctx) { return ctx->api->subtask_index(ctx); }
WEIR_CALL_ uint32_t weir_ctx_parallelism(weir_ctx *ctx) { return ctx->api->parallelism(ctx); }
WEIR_CALL_ uint32_t weir_attempt(weir_ctx *ctx) { return ctx->api->attempt(ctx); }
WEIR_PRINTF(2, 3) WEIR_CALL_ void weir_log(weir_ctx *ctx, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	ctx->api->log(ctx, fmt, ap);
	va_end(ap);
}
/* A user counter, shown by the metrics endpoints; ask once in open, add to it freely. */
WEIR_CALL_ int64_t *weir_counter(weir_ctx *ctx, const char *name) { return ctx->api->counter(ctx, name); }

#ifdef __cplusplus
}
#endif

#endif
