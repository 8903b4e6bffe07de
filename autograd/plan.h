/* plan.h -- the plan's data structures.  Private to autograd/: plan.c builds a plan, replay.c runs it, show.c prints it. */
#ifndef AG_PLAN_H
#define AG_PLAN_H
#include "autograd/graph.h"

enum { AG_FWD, AG_BWD };
enum { AG_MAX_IV = 3, AG_ALIGN = 64 };

typedef struct ag_entry {
    int64_t  node;
    int      phase;
    unsigned acc, param_first; /* bit i: input i */
    ag_args  args;
} ag_entry;

typedef struct ag_buffer {
    int64_t bytes, offset, from[AG_MAX_IV], to[AG_MAX_IV];
    int     n_iv;
} ag_buffer;

struct ag_plan {
    const ag_graph *g;
    ag_plan_opts    o;
    ag_id           loss;
    ag_entry       *s;
    int64_t         n_fwd, n_bwd, n_steps; /* ends of the forward, backward and late steps */
    int64_t         n_b;
    ag_buffer      *b;
    unsigned char  *wants;             /* per value: gradient needed */
    unsigned char  *late;              /* per value: ag_step does not compute it in the forward steps */
    ag_id          *data_of, *grad_of; /* per value: the value whose buffer it uses */
    void          **data, **grad;      /* per value: memory bound by the caller */
    char           *arena;
    size_t          arena_bytes, sum_bytes;
    int             resolved;
    double          seconds[AG_WORKS];
};

static inline ag_id root(const ag_plan *p, ag_id v) { return p->g->v[v].root; }

static inline ag_buffer *b_data(const ag_plan *p, ag_id v) { return &p->b[2 * p->data_of[root(p, v)]]; }
static inline ag_buffer *b_grad(const ag_plan *p, ag_id v) { return &p->b[2 * p->grad_of[root(p, v)] + 1]; }
static inline ag_buffer *b_saved(const ag_plan *p, int64_t node) { return &p->b[2 * (p->g->nv + node)]; }
static inline ag_buffer *b_work(const ag_plan *p, int64_t node) { return &p->b[2 * (p->g->nv + node) + 1]; }

/* Returns 1 if input j of this node needs a gradient. */
static inline int wanted(const ag_plan *p, const ag_node *n, int j) { return p->wants[root(p, n->in[j])] && !(n->op->nograd >> j & 1); }

static inline int64_t ag_round_up(int64_t n) { return (n + AG_ALIGN - 1) / AG_ALIGN * AG_ALIGN; }
#endif
