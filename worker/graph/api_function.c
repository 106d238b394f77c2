/*
 * What a job hands in as a function or a type, checked before it is kept.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "worker/graph/env.h"
#include "worker/graph/utf8.h"

const char *fn_kind_name(weir_fn_kind kind)
{
	static const char *const names[] = {
		[WEIR_FN_MAP] = "map function",
		[WEIR_FN_FILTER] = "filter",
		[WEIR_FN_FLAT_MAP] = "flat map function",
		[WEIR_FN_DESERIALIZE] = "deserializer",
		[WEIR_FN_SERIALIZE] = "serializer",
		[WEIR_FN_TIMESTAMP] = "timestamp assigner",
		[WEIR_FN_KEY] = "key selector",
		[WEIR_FN_AGGREGATE] = "aggregate function",
		[WEIR_FN_WINDOW] = "window function",
	};

	return (size_t)kind < ARRAY_LEN(names) && names[kind] != NULL ? names[kind] :
									"function of an unknown kind";
}

static bool has_calls(const weir_function *fn)
{
	switch (fn->kind) {
	case WEIR_FN_MAP:
	case WEIR_FN_FILTER:
	case WEIR_FN_FLAT_MAP:
		return fn->process != NULL;
	case WEIR_FN_DESERIALIZE:
		return fn->deserialize != NULL;
	case WEIR_FN_SERIALIZE:
		return fn->serialize != NULL;
	case WEIR_FN_TIMESTAMP:
		return fn->timestamp != NULL;
	case WEIR_FN_KEY:
		return fn->key != NULL;
	case WEIR_FN_AGGREGATE:
		return fn->acc_create != NULL && fn->acc_add != NULL && fn->acc_merge != NULL &&
		    fn->acc_result != NULL;
	case WEIR_FN_WINDOW:
		return fn->window != NULL;
	}
	return false;
}

static int check_type(const weir_function *fn, const weir_type *t, const char *what, struct err *e)
{
	if (t == NULL)
		return 0;
	if (t->struct_size < sizeof(weir_type) || t->name == NULL || t->name[0] == '\0' ||
	    !utf8_valid(t->name, strlen(t->name)))
		return err_set(e, ERR_USER, "the %s type of \"%s\" is not one that WEIR_TYPE made", what,
		    fn->name);
	if (t->size > INT32_MAX)
		return err_set(e, ERR_USER, "the %s type %s of \"%s\" is larger than 2 GiB", what, t->name,
		    fn->name);
	if ((t->serialize == NULL) != (t->deserialize == NULL))
		return err_set(e, ERR_USER,
		    "the %s type %s of \"%s\" has only one of serialize and deserialize", what, t->name,
		    fn->name);
	return 0;
}

int fn_check(const weir_function *fn, weir_fn_kind kind, struct err *e)
{
	if (fn == NULL)
		return err_set(e, ERR_USER, "its %s is missing", fn_kind_name(kind));
	if (fn->struct_size < sizeof(weir_function) || fn->name == NULL ||
	    !utf8_valid(fn->name, strlen(fn->name)))
		return err_set(e, ERR_USER, "its %s is not one that the macros of weir.h made",
		    fn_kind_name(kind));
	if (fn->kind != kind)
		return err_set(e, ERR_USER, "its %s cannot be \"%s\", a %s", fn_kind_name(kind), fn->name,
		    fn_kind_name(fn->kind));
	if (!has_calls(fn))
		return err_set(e, ERR_USER, "the %s \"%s\" lacks one of its calls", fn_kind_name(kind),
		    fn->name);
	if (check_type(fn, fn->in, "input", e) != 0 || check_type(fn, fn->out, "output", e) != 0)
		return -1;
	if (kind == WEIR_FN_KEY && (fn->key_kind <= WEIR_KEY_NONE || fn->key_kind > WEIR_KEY_BYTES))
		return err_set(e, ERR_USER, "the key selector \"%s\" does not say the kind of its key",
		    fn->name);
	if (kind != WEIR_FN_AGGREGATE)
		return 0;
	if (fn->acc == NULL || fn->acc->struct_size < sizeof(weir_type) || fn->acc->size == 0)
		return err_set(e, ERR_USER, "the accumulator of \"%s\" has no fixed size", fn->name);
	return check_type(fn, fn->acc, "accumulator's", e);
}

int fn_check_input(const weir_function *fn, const struct graph_type *have, const char *from, struct err *e)
{
	struct graph_type want = { 0 };

	if (fn->in == NULL)
		return 0;
	want.name = xstrdup(fn->in->name);
	want.size = fn->in->size;
	if (!graph_type_fits(have, &want)) {
		if (strcmp(want.name, have->name) != 0)
			err_set(e, ERR_USER, "the %s \"%s\" takes records of type %s, and \"%s\" gives %s",
			    fn_kind_name(fn->kind), fn->name, want.name, from, have->name);
		else
			err_set(e, ERR_USER,
			    "the %s \"%s\" takes records of type %s with %" PRIu32
			    " bytes, and \"%s\" gives another %s with %" PRIu32,
			    fn_kind_name(fn->kind), fn->name, want.name, want.size, from, have->name,
			    have->size);
		free(want.name);
		return -1;
	}
	free(want.name);
	return 0;
}

void fn_type(struct graph_type *t, const weir_type *code)
{
	if (code == NULL)
		return;
	free(t->name);
	*t = (struct graph_type){ xstrdup(code->name), code->size, code->version, code };
}

void fn_keep(struct graph_fn *slot, const weir_function *fn, const void *block, uint32_t len)
{
	slot->present = true;
	slot->name = xstrdup(fn->name);
	slot->block = len > 0 ? xmemdup(block, len) : NULL;
	slot->block_len = len;
	slot->code = fn;
}
