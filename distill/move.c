/* move.c -- a model's embeddings under another vocabulary. */
#include "distill/first.h"
#include <stdlib.h>

/* Sets the rows of entries that the former tokenizer lacks. */
static rt_status make_rows(md_model *n, const md_model *m, const md_selection *s, const ds_tokenizer *former, const ds_tokenizer *to)
{
    ds_ids    ids  = {0};
    rt_buf    text = {0};
    rt_status st   = RT_OK;
    for (int32_t id = 0; st == RT_OK && id < s->V; id++) {
        if (s->id[id] >= 0 || id >= ds_tokenizer_size(to)) continue;
        ids.n = 0;
        rt_buf_clear(&text);
        st = ds_token_text(to, id, &text);
        if (st == RT_OK && text.len) st = ds_encode(former, text.p, text.len, 0, &ids);
        if (st == RT_OK && ids.n) st = md_mean_rows(n, id, m, ids.v, ids.n);
    }
    free(ids.v);
    rt_buf_free(&text);
    return st;
}

/* Lists the former id of each of the new ids; counts them.  With one tokenizer all ids stay, also those that it lacks. */
static rt_status list_ids(md_selection *s, const md_model *m, const ds_tokenizer *former, const ds_tokenizer *to, di_first_report *r)
{
    int32_t *map = NULL;
    r->shared    = s->V;
    if (former == to) return RT_OK;
    r->shared = 0;
    s->V      = ds_tokenizer_size(to);
    free(s->id);
    s->id = NULL;
    RT_TRY(RT_NEW(s->id, s->V));
    RT_TRY(RT_NEW(map, s->V));
    const rt_status st = ds_tokenizer_map(to, former, map);
    for (int64_t v = 0; v < s->V; v++) {
        s->id[v] = map[v] < m->config.V ? map[v] : -1;
        r->shared += s->id[v] >= 0;
    }
    r->made    = ds_tokenizer_entries(to) - r->shared;
    r->dropped = m->config.V - r->shared;
    free(map);
    return st;
}

rt_status di_move_ids(md_model **out, const md_model *m, const ds_tokenizer *former, const ds_tokenizer *to, di_first_report *r)
{
    md_selection s;
    md_model    *n  = NULL;
    rt_status    st = md_selection_all(&s, &m->config);
    if (st == RT_OK) st = list_ids(&s, m, former, to, r);
    if (st == RT_OK) st = md_select(&n, m, &s);
    if (st == RT_OK && r->made) st = make_rows(n, m, &s, former, to);
    md_selection_free(&s);
    if (st == RT_OK) *out = n;
    else md_destroy(&n);
    return st;
}
