/* metrics.c -- a step's line in metrics.jsonl, written and read. */
#include "train/trainer.h"
#include <stddef.h>

static const struct field {
    const char *name;
    size_t      at;
} FIELDS[] = {{"loss", offsetof(tr_metrics, loss)},           {"kl", offsetof(tr_metrics, kl)}, {"ce", offsetof(tr_metrics, ce)},
              {"grad_norm", offsetof(tr_metrics, grad_norm)}, {"lr", offsetof(tr_metrics, lr)}, {"tok_s", offsetof(tr_metrics, tok_s)}};

enum { FIELDS_N = sizeof FIELDS / sizeof *FIELDS };

rt_status tr_metrics_json(rt_buf *b, const tr_metrics *m)
{
    RT_TRY(rt_buf_fmt(b, "{\"step\":%lld", (long long)m->step));
    for (int i = 0; i < FIELDS_N; i++) {
        RT_TRY(rt_buf_fmt(b, ",\"%s\":", FIELDS[i].name));
        RT_TRY(rt_json_number(b, *(const double *)((const char *)m + FIELDS[i].at), 9));
    }
    if (m->skipped) RT_TRY(rt_buf_fmt(b, ",\"skipped\":%lld", (long long)m->skipped));
    if (m->validated) {
        RT_TRY(rt_buf_str(b, ",\"valid_ce\":"));
        RT_TRY(rt_json_number(b, m->valid_ce, 9));
        RT_TRY(rt_buf_str(b, ",\"valid_kl\":"));
        RT_TRY(rt_json_number(b, m->valid_kl, 9));
    }
    return rt_buf_str(b, "}\n");
}

rt_status tr_metrics_read(tr_metrics *m, int64_t step, rt_buf *line)
{
    cJSON *o = NULL;
    RT_TRY(rt_json_parse(&o, line->p, line->len, 0, "metrics.jsonl"));
    *m = (tr_metrics){.step = step, .validated = cJSON_GetObjectItemCaseSensitive(o, "valid_ce") != NULL};
    for (int i = 0; i < FIELDS_N; i++)
        *(double *)((char *)m + FIELDS[i].at) = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, FIELDS[i].name));
    cJSON_Delete(o);
    return RT_OK;
}
