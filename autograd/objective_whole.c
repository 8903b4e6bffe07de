/* objective_whole.c -- divergences from the teacher's whole distribution.
 *
 * p = softmax(y), q = softmax(z); both logits are already divided by the temperature.  For any divergence D,
 *
 *   dD/dz_j = a_j - q_j sum a,   a_j = q_j dD/dq_j
 *
 * KL(p||q) has a = -p, so its gradient is q - p.  Its value is the mean over p of (y - z), minus the difference of the
 * log-sum-exps; this takes two exponentials per id.  The other divergences (kn_divergence, kernels.h) take logarithms and need
 * both sums first, so both rows' exponentials are kept in the work space.
 */
#include "autograd/objective.h"
#include <math.h>

void ag_whole_take(ag_state *s)
{
    const ag_row *r = &s->r;
    double        sum, max, moment = 0;
    if (r->set->objective == AG_KL) {
        s->soft.max_y = r->k->max(r->y, r->V), s->soft.max_z = r->k->max(r->z, r->V);
        sum = 0;
        for (int64_t v = 0; v < r->V; v += KN_ROW_BLOCK) {
            real part = 0;
            sum += (double)r->k->exp_moment(r->y + v, r->z + v, s->soft.max_y, s->soft.max_z,
                                            r->V - v < KN_ROW_BLOCK ? r->V - v : KN_ROW_BLOCK, &part);
            moment += (double)part;
        }
    } else {
        sum           = ag_soften(r->k, r->work + 2 * r->V, r->y, r->V, &max);
        s->soft.max_y = (real)max;
    }
    s->moment     = moment;
    s->sum_y      = sum;
    s->soft.log_y = (real)log(sum);
}

/* Clamps at 0: rounding may make the divergence of equal distributions negative. */
static double not_negative(double d) { return d < 0 ? 0 : d; }

static void lose_kl(ag_state *s, int gradient)
{
    const ag_row *r = &s->r;
    s->value = s->kl = not_negative(s->moment / s->sum_y - log(s->sum_y) + log(s->sum));
    if (gradient) r->k->axpby(r->z, (real)(s->scale * (s->by_kl + s->by_q) / s->sum), r->y, (real)(-s->scale * s->by_kl / s->sum_y), r->V);
}

static void lose_other(ag_state *s, int gradient)
{
    const ag_row           *r   = &s->r;
    const ag_loss_settings *t   = r->set;
    kn_divergence_sums      d   = {0};
    const real              mix = (real)(t->objective == AG_JSD ? t->beta : t->alpha);
    const real             *ez = r->work + r->V, *ey = ez + r->V;
    s->soft.max_z = (real)s->max, s->soft.log_z = (real)log(s->sum);
    s->soft.inv_z = (real)(1 / s->sum), s->soft.inv_y = (real)(1 / s->sum_y);
    for (int64_t v = 0; v < r->V; v += KN_ROW_BLOCK)
        r->k->diverge[ag_objectives[t->objective].divergence](r->z + v, r->y + v, ez + v, ey + v, &s->soft, mix,
                                                              r->V - v < KN_ROW_BLOCK ? r->V - v : KN_ROW_BLOCK, &d);
    s->value = not_negative(d.value);
    s->kl    = not_negative(d.kl);
    if (gradient) r->k->axpby(r->z, (real)(s->scale * (s->by_q - s->by_kl * d.moment)), r->y, (real)(s->scale * s->by_kl), r->V);
}

void ag_whole_lose(ag_state *s, int gradient) { (s->r.set->objective == AG_KL ? lose_kl : lose_other)(s, gradient); }
