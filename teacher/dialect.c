/* dialect.c -- the table of dialects, and the record that they fill. */
#include "teacher/dialect.h"
#include <stdlib.h>
#include <string.h>

static const tc_dialect *const table[] = {&tc_dialect_retort, &tc_dialect_vllm};

rt_status tc_dialect_find(const tc_dialect **out, const char *name)
{
    rt_buf names = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strcmp(table[i]->name, name)) {
            rt_buf_free(&names);
            *out = table[i];
            return RT_OK;
        }
        RT_TRY(rt_buf_fmt(&names, ", %s", table[i]->name));
    }
    const rt_status st = rt_fail(RT_EINVAL, __FILE__, __LINE__, "--dialect %.40s: expected auto%s", name, names.p);
    rt_buf_free(&names);
    return st;
}

const char *tc_ask_path(const tc_ask *a) { return a->chat ? "/v1/chat/completions" : "/v1/completions"; }

void tc_answer_free(tc_answer *a)
{
    free(a->ids), free(a->prompt_mask), free(a->valid), free(a->topk_ids), free(a->topk_logprob);
    free(a->actual_logprob), free(a->rest_mass), free(a->tail_ids), free(a->rest_entropy);
    rt_buf_free(&a->text);
    *a = (tc_answer){0};
}

void tc_answer_doc(const tc_answer *a, int soft, ds_doc *d)
{
    *d = (ds_doc){.n = a->n, .ids = a->ids, .prompt_mask = a->prompt_mask, .finish = a->finish};
    if (!soft) return;
    d->valid          = a->valid;
    d->topk_ids       = a->topk_ids;
    d->topk_logprob   = a->topk_logprob;
    d->actual_logprob = a->actual_logprob;
    d->rest_mass      = a->rest_mass;
    d->tail_ids       = a->tail_ids;
    d->rest_entropy   = a->rest_entropy;
}
