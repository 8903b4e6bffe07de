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

const char *tc_request_path(const tc_request *q) { return q->chat ? "/v1/chat/completions" : "/v1/completions"; }

void tc_response_free(tc_response *x)
{
    free(x->ids), free(x->prompt_mask), free(x->valid), free(x->topk_ids), free(x->topk_logprob);
    free(x->actual_logprob), free(x->rest_mass), free(x->tail_ids), free(x->rest_entropy);
    rt_buf_free(&x->text);
    *x = (tc_response){0};
}

void tc_response_doc(const tc_response *x, int soft, ds_doc *d)
{
    *d = (ds_doc){.n = x->n, .ids = x->ids, .prompt_mask = x->prompt_mask, .finish = x->finish};
    if (!soft) return;
    d->valid          = x->valid;
    d->topk_ids       = x->topk_ids;
    d->topk_logprob   = x->topk_logprob;
    d->actual_logprob = x->actual_logprob;
    d->rest_mass      = x->rest_mass;
    d->tail_ids       = x->tail_ids;
    d->rest_entropy   = x->rest_entropy;
}
