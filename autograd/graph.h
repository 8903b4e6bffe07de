/* graph.h -- the graph's data structures.  Private to autograd/; the gradient checks in tests/ read them too. */
#ifndef AG_GRAPH_H
#define AG_GRAPH_H
#include "autograd/op.h"

enum { AG_ACT, AG_INPUT, AG_PARAM };

typedef struct ag_value {
    char     name[80];
    ag_shape shape;
    kn_type  type;
    int      role;
    ag_id    root; /* owner of the memory: itself, or the viewed value */
} ag_value;

typedef struct ag_node {
    const ag_op *op;
    ag_id        in[AG_MAX_IN], out;
    int64_t      saved, scratch, shared; /* reals */
    ag_attr      attr;
    int          segment; /* 0: none */
} ag_node;

struct ag_graph {
    ag_value *v;
    int64_t   nv, cap_v;
    ag_node  *n; /* in call order, which is a topological order */
    int64_t   nn, cap_n;
    kn_type   activations;
    int       segment, n_segments;
    rt_status st; /* first error; later calls return -1 */
};
#endif
