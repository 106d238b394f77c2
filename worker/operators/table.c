/*
 * Which operator a node is.
 */
#include "worker/operators/operators.h"

const struct operator_type *operator_type_find(const struct graph_node *n, struct err *e)
{
	const struct connector *c;
	const struct operator_type *type = NULL;

	switch (n->type) {
	case NODE_MAP:
	case NODE_FILTER:
	case NODE_FLAT_MAP:
		return &operator_function;
	case NODE_WATERMARKS:
		return &operator_watermarks;
	case NODE_WINDOW:
		return &operator_window;
	case NODE_SOURCE:
	case NODE_SINK:
		c = connector_find(n->connector);
		if (c == NULL) {
			err_set(e, ERR_INVALID, "operator \"%s\": no connector is called \"%s\"", n->name, n->connector);
			return NULL;
		}
		type = n->type == NODE_SOURCE ? c->source : c->sink;
		if (type == NULL)
			err_set(e, ERR_INVALID, "operator \"%s\": connector \"%s\" cannot be a %s", n->name, n->connector,
			    node_type_name(n->type));
		return type;
	case NODE_N_TYPES:
		break;
	}
	err_set(e, ERR_INTERNAL, "operator \"%s\" is of unknown type %d", n->name, (int)n->type);
	return NULL;
}
