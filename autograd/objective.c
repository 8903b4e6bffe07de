/* objective.c -- the loss of a row of logits: the divergence from its teacher, cross-entropy, z-loss.
 *
 *   loss = w [ (1 - a) f D(p_T, q_T) + a (-log q_x) + c lse^2 ],   q_T = softmax(z / T),  f = T^2 or 1 (t2)
 *
 * w is the row's weight, a is ce_weight, c is z_loss; cross-entropy and z-loss are taken at temperature 1.  Every gradient
 * has the form "a coefficient times q, minus targets": that of -log q_x by z is q - 1_x, that of lse^2 is 2 lse q, that of D by z
 * is 1/T times that of D by z/T.  At T = 1 both softmaxes are equal and each exponential is computed once; at another
 * temperature the exponentials at 1 are kept in the work space.
 */
#include "autograd/objective.h"
#include <math.h>
#include <string.h>

const ag_objective_info ag_objectives[AG_OBJECTIVES] = {
#define X(id, ...) {__VA_ARGS__},
    AG_OBJECTIVE_LIST(X)
#undef X
};

const ag_objective_info *ag_objective_find(const char *word)
{
    for (int i = 0; i < AG_OBJECTIVES; i++)
        if (!strcmp(ag_objectives[i].word, word)) return &ag_objectives[i];
    return NULL;
}

/* Returns the temperature; 1 for AG_CE, which has no divergence. */
static double temperature(const ag_loss_settings *t) { return t->objective != AG_CE && t->temperature > 0 ? t->temperature : 1; }

/* The shares of a global batch add up to 1 except for rounding, hence the 1e-9. */
double ag_mean_kl(double kl, double kl_missing) { return kl_missing < 1 - 1e-9 ? kl / (1 - kl_missing) : NAN; }

static double ce_weight(const ag_loss_settings *t) { return t->objective == AG_CE ? 1 : t->ce_weight; }

static int is_whole(const ag_loss_settings *t) { return ag_objectives[t->objective].needs == AG_WHOLE; }

static int has_kernel(const ag_loss_settings *t) { return ag_objectives[t->objective].divergence >= 0; }

int ag_row_work(const ag_loss_settings *t) { return temperature(t) != 1 || has_kernel(t); }

double ag_block_sum(const kn_table *k, const real *x, int64_t n)
{
    double s = 0;
    for (int64_t v = 0; v < n; v += KN_ROW_BLOCK) s += (double)k->sum(x + v, n - v < KN_ROW_BLOCK ? n - v : KN_ROW_BLOCK);
    return s;
}

double ag_soften(const kn_table *k, real *e, const real *z, int64_t n, double *max)
{
    const real m = k->max(z, n);
    double     s = 0;
    for (int64_t v = 0; v < n; v += KN_ROW_BLOCK) s += (double)k->exp_sub(e + v, z + v, m, n - v < KN_ROW_BLOCK ? n - v : KN_ROW_BLOCK);
    *max = (double)m;
    return s;
}

static void objective_begin(ag_state *s, const ag_row *r)
{
    const ag_loss_settings *t = r->set;
    const double            T = temperature(t);
    s->r                      = *r;
    s->x                      = r->rows->target[r->n];
    s->zx                     = (double)r->z[s->x];
    s->scale                  = r->rows->scale * (r->rows->weight ? (double)r->rows->weight[r->n] : 1);
    s->by_kl                  = (1 - ce_weight(t)) * (t->t2 ? T : 1 / T); /* T^2 or 1, times d(z / T)/dz */
    s->by_q                   = 0;
    s->value                  = 0;
    s->kl                     = NAN;
}

/* Computes cross-entropy and z-loss from a log-sum-exp at temperature 1; returns the coefficient of q in their gradient. */
static double at_one(const ag_state *s, double lse, double zx, ag_row_result *o)
{
    const ag_loss_settings *t = s->r.set;
    o->ce                     = lse - zx;
    o->loss                   = ce_weight(t) * o->ce + t->z_loss * lse * lse;
    return ce_weight(t) + 2 * t->z_loss * lse;
}

/* Computes cross-entropy and z-loss at temperature 1, keeps their exponentials in the work space and divides both rows by T.
 * Returns the coefficient of these exponentials in the gradient. */
static double leave_one(ag_state *s, ag_row_result *o)
{
    const ag_row *r = &s->r;
    const real    T = (real)temperature(r->set);
    double        max;
    const double  sum = ag_soften(r->k, r->work, r->z, r->V, &max), by_q = at_one(s, max + log(sum), s->zx, o);
    r->k->scale(r->z, r->z, 1 / T, r->V);
    if (is_whole(r->set)) r->k->scale(r->y, r->y, 1 / T, r->V);
    s->zx /= (double)T;
    return s->scale * by_q / sum;
}

ag_row_result ag_row_loss(const ag_row *r, int gradient)
{
    const ag_loss_settings *t = r->set;
    const double            T = temperature(t), a = ce_weight(t);
    const int               whole = is_whole(t);
    ag_row_result           o     = {0};
    ag_state                s;
    double                  waiting = 0;
    RT_ASSERT(r->rows->target[r->n] >= 0 && r->rows->target[r->n] < r->V);
    RT_ASSERT(t->k >= 0 && t->k <= AG_MAX_ENTRIES && t->m >= 0 && t->m <= AG_MAX_ENTRIES);
    RT_ASSERT(whole ? r->y != NULL : ag_objectives[t->objective].needs == AG_TEXT || !t->k || r->rows->topk_ids);
    RT_ASSERT(!ag_row_work(t) || r->work);
    objective_begin(&s, r);
    if (T != 1) waiting = leave_one(&s, &o);
    (whole ? ag_whole_take : ag_stored_take)(&s);
    s.sum = ag_soften(r->k, has_kernel(t) ? r->work + r->V : r->z, r->z, r->V, &s.max);
    s.lse = s.max + log(s.sum);
    if (T == 1) s.by_q = at_one(&s, s.lse, s.zx, &o);
    (whole ? ag_whole_lose : ag_stored_lose)(&s, gradient);
    if (gradient && T != 1) r->k->axpy(r->z, r->work, (real)waiting, r->V);
    if (gradient && a > 0) r->z[s.x] -= (real)(s.scale * a);
    const double w = r->rows->weight ? (double)r->rows->weight[r->n] : 1;
    if (a < 1) o.loss += (1 - a) * (t->t2 ? T * T : 1) * s.value;
    return (ag_row_result){.loss = w * o.loss, .kl = w * s.kl, .ce = w * o.ce};
}
