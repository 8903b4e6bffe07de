/* op.h -- the interface of an operator.  Private to autograd/.
 *
 * A file in ops/ defines an operator as a `const ag_op`.  The planner reads only data
 * (keeps, saved, scratch).  Only infer() may fail; forward() and backward() never fail,
 * allocate or print.
 */
#ifndef AG_OP_H
#define AG_OP_H
#include "autograd/autograd.h"

enum { AG_KEEP_OUT = 1 << 8, AG_KEEP_SAVED = 1 << 9 }; /* bits 0..6: input i */

typedef struct ag_shape {
    int     nd;
    int64_t d[AG_MAX_DIM];
} ag_shape;
typedef struct ag_attr {
    double  f, g;
    int64_t i[6];
} ag_attr;

typedef struct ag_infer { /* infer() reads in[] and type[] and writes the other members */
    const ag_shape *in[AG_MAX_IN];
    kn_type         type[AG_MAX_IN];
    kn_type         out_type; /* the graph's activation type unless infer() sets another */
    ag_shape        out;
    int64_t         saved;   /* reals that forward stores for backward, e.g. 1/rms */
    int64_t         scratch; /* reals of work space per thread within one step */
    int64_t         shared;  /* reals of work space shared by all threads within one step */
} ag_infer;

typedef struct ag_args { /* resolved at the first replay after a bind, read at every replay */
    const kn_table *k;
    const ag_shape *shape[AG_MAX_IN];
    kn_type         type[AG_MAX_IN], out_type, din_type[AG_MAX_IN];
    void           *in[AG_MAX_IN];
    void           *out;
    real           *saved, *shared, *scratch; /* thread t's scratch: scratch + t * stride */
    int64_t         stride;
    const void     *dout;
    void           *din[AG_MAX_IN]; /* NULL: this gradient is not needed */
    unsigned        acc;            /* bit i: add to din[i] instead of setting it */
    ag_attr         attr;
} ag_args;

typedef struct ag_op {
    const char *name;
    int         n_in;
    unsigned    keeps;   /* values that backward reads besides dout: bit i input i, AG_KEEP_* */
    unsigned    passes;  /* bit i: din[i] equals dout and may share its memory, unless acc adds to it */
    int         inplace; /* the output may overwrite input 0, and din[0] may overwrite dout */
    int         cheap;   /* its output is recomputed for backward instead of kept */
    unsigned    nograd;  /* bit i: input i is never differentiated */
    ag_work     work;    /* category of its time */
    int         fused;   /* backward also computes the output, so that ag_step can leave forward out */
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
static inline real *ag_scratch(const ag_args *a, int thread)
{
    RT_ASSERT(thread >= 0 && thread < rt_threads());
    return a->scratch + thread * a->stride;
}

/* din[j] = dout, or din[j] += dout.  Does nothing if both are the same memory and nothing is added. */
void ag_pass(const ag_args *a, int j);

/* Ends a sum over rows: sets the vector din[j] [C] to the sum of the rows of `shared` [parts, C], or adds it.  Rows are added in order. */
void ag_add_parts(const ag_args *a, int j, int64_t parts);

enum { AG_BLOCK = 1024 }; /* elements per work item of elementwise operators, which hold them on the stack */
static inline int64_t ag_blocks(int64_t n) { return (n + AG_BLOCK - 1) / AG_BLOCK; }

/* The list of operators.  The declarations below and the tests expand it. */
#define AG_OPS(X) \
    X(add)        \
    X(mul)        \
    X(scale)      \
    X(bias)       \
    X(sum) X(embed) X(linear) X(linear_add) X(rmsnorm) X(swiglu) X(geglu) X(rope) X(attention) X(attention_cached) X(match_hidden) X(head)
#define X(n) extern const ag_op ag_op_##n;
AG_OPS(X)
#undef X
#endif
