/* timing.c -- the rates of gemm backends, measured on products of a training step.
 *
 * They are measured on one thread, so that the choice, and with it the bits of a result, does not depend on the number of threads.
 */
#include "core/clock.h"
#include "kernels/gemm.h"
#include <stdlib.h>

static const double SECONDS = 0.2; /* for all candidates together, if one round takes less */

/* A linear layer's forward pass and the gradient of its weight, over ROWS tokens. */
enum { ROWS = 256, IN = 384, OUT = 1024, SHAPES = 2 };

typedef struct operands {
    real    *c, *x[2]; /* c: space for the largest output; x: values for both operands, each of OUT x ROWS or OUT x IN */
    kn_bf16 *pairs[2]; /* the same in bf16 */
} operands;

static kn_mat timing_operand(const operands *o, int i, kn_type t, int64_t ld, int trans)
{
    return (kn_mat){t == KN_BF16 ? (const void *)o->pairs[i] : (const void *)o->x[i], t, ld, trans};
}

static void timing_multiply(const operands *o, kn_type t, int shape)
{
    if (shape == 0) kn_gemm(o->c, KN_REAL, OUT, timing_operand(o, 0, t, IN, 0), timing_operand(o, 1, t, IN, 1), ROWS, OUT, IN, NULL);
    else kn_gemm(o->c, KN_REAL, IN, timing_operand(o, 0, t, OUT, 1), timing_operand(o, 1, t, IN, 0), OUT, IN, ROWS, NULL);
}

static rt_status operands_make(operands *o)
{
    enum { LARGEST = OUT * IN };
    RT_TRY(RT_NEW(o->c, LARGEST));
    for (int i = 0; i < 2; i++) {
        RT_TRY(RT_NEW(o->x[i], LARGEST));
        RT_TRY(RT_NEW(o->pairs[i], LARGEST));
        for (int64_t j = 0; j < LARGEST; j++) o->x[i][j] = (real)(j % 7 - 3) / 4;
        kn_get()->to_bf16(o->pairs[i], o->x[i], LARGEST);
    }
    return RT_OK;
}

static void operands_free(operands *o)
{
    free(o->c);
    for (int i = 0; i < 2; i++) free(o->x[i]), free(o->pairs[i]);
}

/* Multiplies both shapes with the candidate and keeps the least time of each. */
static void time_one(const operands *o, const kn_candidate *c, double least[SHAPES])
{
    for (int s = 0; s < SHAPES; s++) {
        const double began = rt_now();
        timing_multiply(o, c->backend->operands, s);
        const double took = rt_now() - began;
        if (least[s] == 0 || took < least[s]) least[s] = took;
    }
}

/* The candidates take turns, so that a change of the clock or a busy neighbour slows all of them. */
static rt_status time_rounds(const operands *o, kn_candidate *c, int n)
{
    double       least[KN_CANDIDATES][SHAPES] = {0}, round;
    const double end                          = rt_now() + SECONDS;
    do {
        round = rt_now();
        for (int i = 0; i < n; i++) {
            RT_TRY(kn_gemm_use(c[i].backend->name, kn_gemm_own.name));
            time_one(o, &c[i], least[i]);
        }
    } while (2 * rt_now() - round < end); /* another round of the same length ends in time */
    for (int i = 0; i < n; i++) c[i].gflops = 2e-9 * SHAPES * ROWS * IN * OUT / (least[i][0] + least[i][1]);
    return RT_OK;
}

int kn_time_candidates(kn_candidate *c, int n)
{
    const int threads = rt_threads();
    operands  o       = {0};
    rt_status st      = operands_make(&o);
    rt_threads_set(1);
    if (st == RT_OK) st = time_rounds(&o, c, n);
    rt_threads_set(threads);
    operands_free(&o);
    return st == RT_OK;
}
