/* metrics.c -- writing and parsing the line of a step in metrics.jsonl. */
#include "core/json_write.h"
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
    rt_json_writer w = {.out = b};
    rt_put_object(&w, NULL);
    rt_put_int(&w, "step", m->step);
    for (int i = 0; i < FIELDS_N; i++) rt_put_real(&w, FIELDS[i].name, *(const double *)((const char *)m + FIELDS[i].at), 9);
    if (m->skipped) rt_put_int(&w, "skipped", m->skipped);
    if (m->validated) rt_put_real(&w, "valid_ce", m->valid_ce, 9);
    if (m->validated) rt_put_real(&w, "valid_kl", m->valid_kl, 9);
    rt_put_end(&w);
    rt_put_line_end(&w);
    return w.st;
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
