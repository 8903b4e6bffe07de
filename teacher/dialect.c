/* dialect.c -- the table of dialects, the check of what a run needs, and the record of a response. */
#include "teacher/dialect.h"
#include <stdlib.h>
#include <string.h>

static const tc_dialect *const table[] = {
#define X(name) &tc_dialect_##name,
    TC_DIALECTS(X)
#undef X
};

const tc_dialect *tc_dialect_at(int i) { return (size_t)i < sizeof table / sizeof *table ? table[i] : NULL; }

rt_status tc_dialect_find(const tc_dialect **out, const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i]->name, name)) {
            *out = table[i];
            return RT_OK;
        }
    RT_FAIL(RT_EINVAL, "--dialect %.40s: expected " TC_DIALECT_NAMES, name);
}

rt_status tc_dialect_gives(const tc_dialect *d, const tc_need *need)
{
    RT_CHECK(
        !need->k || d->max_k, RT_EINVAL,
        "--k %lld: a server of dialect %s returns only text, no log-probabilities; let it write text with 'retort textbook --text-only' "
        "and collect log-probabilities from another teacher with 'retort score'",
        (long long)need->k, d->name);
    RT_CHECK(need->k <= d->max_k, RT_EINVAL, "--k %lld: a server of dialect %s returns at most %lld alternatives", (long long)need->k,
             d->name, (long long)d->max_k);
    RT_CHECK(!need->scores || d->scores, RT_EINVAL,
             "a server of dialect %s returns log-probabilities only for text that it generates; use 'retort textbook', or score with "
             "another teacher",
             d->name);
    RT_CHECK(need->m <= 0 || d->tails, RT_EINVAL, "--m %lld: a server of dialect %s draws no tail samples; use --m 0", (long long)need->m,
             d->name);
    return RT_OK;
}

void tc_response_free(tc_response *x)
{
    free(x->ids), free(x->prompt_mask);
    ds_rows_free(&x->rows);
    rt_buf_free(&x->text);
    *x = (tc_response){0};
}

void tc_response_doc(const tc_response *x, int soft, ds_doc *d)
{
    *d = (ds_doc){.n = x->n, .ids = x->ids, .prompt_mask = x->prompt_mask, .finish = x->finish};
    if (soft) d->rows = x->rows;
}
