/* op.h -- what an operator is.  Private to autograd/.
 *
 * One operator = one file in ops/ that defines one `const ag_op`.  Everything the
 * planner must know is data (keeps, saved, scratch); everything that can fail happens
 * in infer(); forward() and backward() cannot fail, allocate or print.
 */
#ifndef AG_OP_H
#define AG_OP_H
#include "autograd/autograd.h"

enum { AG_KEEP_OUT = 1 << 8, AG_KEEP_SAVED = 1 << 9 }; /* bits 0..5: input i */

typedef struct ag_shape {
    int     nd;
    int64_t d[AG_MAX_DIM];
} ag_shape;
typedef struct ag_attr {
    double  f;
    int64_t i[5];
} ag_attr;

typedef struct ag_infer { /* infer() reads in[], type[]; writes the rest */
    const ag_shape *in[AG_MAX_IN];
    kn_type         type[AG_MAX_IN];
    kn_type         out_type; /* the graph's activation type unless infer() sets another */
    ag_shape        out;
    int64_t         saved;   /* reals that forward leaves for backward, e.g. 1/rms */
    int64_t         scratch; /* reals of work space for each thread inside one step */
    int64_t         shared;  /* reals of work space for all threads together */
} ag_infer;

typedef struct ag_args { /* resolved once per plan, read at every replay */
    const kn_table *k;
    const ag_shape *shape[AG_MAX_IN];
    kn_type         type[AG_MAX_IN], out_type, din_type[AG_MAX_IN];
    void           *in[AG_MAX_IN];
    void           *out;
    real           *saved, *shared, *scratch; /* thread t's scratch: scratch + t * stride */
    int64_t         stride;
    const void     *dout;
    void           *din[AG_MAX_IN]; /* NULL: this gradient is not wanted */
    unsigned        acc;            /* bit i: add to din[i] instead of setting it */
    ag_attr         attr;
} ag_args;

typedef struct ag_op {
    const char *name;
    int         n_in;
    unsigned    keeps;   /* what backward reads besides dout */
    unsigned    passes;  /* bit i: din[i] is dout, unless it is added to: it may be the same memory */
    int         inplace; /* input 0 may be overwritten with the output, and dout with din[0] */
    int         cheap;   /* its output is made again for backward rather than kept */
    unsigned    nograd;  /* bit i: input i is never differentiated */
    ag_work     work;    /* what its time counts as */
    int         fused;   /* backward also does forward's work: ag_step skips forward */
    rt_status (*infer)(ag_infer *i, const ag_attr *attr);
    void (*forward)(const ag_args *a);
    void (*backward)(const ag_args *a); /* NULL: forward only */
} ag_op;

static inline int64_t ag_len(const ag_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->nd; i++) n *= s->d[i];
    return n;
}
static inline int ag_same(const ag_shape *a, const ag_shape *b)
{
    int same = a->nd == b->nd;
    for (int i = 0; same && i < a->nd; i++) same = a->d[i] == b->d[i];
    return same;
}
static inline real *ag_scratch(const ag_args *a, int thread) { return a->scratch + thread * a->stride; }

/* din[j] = dout, or += dout; nothing where they are the same memory. */
void ag_pass(const ag_args *a, int j);

/* din[j], a vector of C, = or += the sum of parts [parts, C] in `shared`, in their order: the end of a sum over rows. */
void ag_add_parts(const ag_args *a, int j, int64_t parts);

enum { AG_BLOCK = 1024 }; /* elements of an elementwise item; reals on the stack */
static inline int64_t ag_blocks(int64_t n) { return (n + AG_BLOCK - 1) / AG_BLOCK; }

/* The operator table.  enum, table and tests all expand this list. */
#define AG_OPS(X) \
    X(add)        \
    X(mul)        \
    X(bias) X(sum) X(embed) X(linear) X(linear_add) X(rmsnorm) X(swiglu) X(rope) X(attention) X(attention_cached) X(match_hidden) X(head)
#define X(n) extern const ag_op ag_op_##n;
AG_OPS(X)
#undef X
#endif
