/* schedule.c -- computes the learning rate of a step. */
#include "optim/optim.h"
#include <math.h>

const char *opt_schedule_word(int i)
{
    static const char *const words[] = {[OPT_COSINE] = "cosine", [OPT_WSD] = "wsd", [OPT_CONSTANT] = "constant"};
    return i <= OPT_CONSTANT ? words[i] : NULL;
}

double opt_rate(const opt_schedule *o, int64_t s)
{
    const double span = (double)(o->steps - o->warmup);
    if (s < o->warmup) return o->lr * (double)(s + 1) / (double)o->warmup;
    if (o->kind == OPT_COSINE) {
        const double along = span > 0 ? (double)(s - o->warmup) / span : 0;
        return o->lr * (o->min_ratio + (1 - o->min_ratio) * (1 + cos(3.14159265358979323846 * along)) / 2);
    }
    const int64_t left = o->steps - s; /* 1 in the last step */
    if (o->kind == OPT_CONSTANT || left > o->decay) return o->lr;
    return o->lr * (o->min_ratio + (1 - o->min_ratio) * (double)left / (double)(o->decay + 1));
}
