/* first.c -- the steps from a model to the first weights of a student: ids, layers, widths. */
#include "distill/first.h"
#include <math.h>
#include <stdlib.h>

static int64_t or_all(int64_t wanted, int64_t has) { return wanted ? wanted : has; }

/* Copies the layers r->layer of m, with narrower parts. */
static rt_status cut_width(md_model **out, const md_model *m, const di_first_opts *o, const di_sample *s, di_first_report *r)
{
    const md_config *c = &m->config;
    md_model        *v = NULL;
    md_selection     keep;
    RT_TRY(md_view_layers(&v, m, r->layer, or_all(o->L, c->L)));
    rt_status st = md_selection_all(&keep, &v->config);
    if (st == RT_OK) st = di_prune_width(v, s, or_all(o->H, c->H), or_all(o->F, c->F), or_all(o->C, c->C), &keep, o->p);
    if (st == RT_OK) st = md_select(out, v, &keep);
    md_selection_free(&keep);
    md_view_destroy(&v);
    return st;
}

static rt_status cut(md_model **out, const md_model *m, const di_first_opts *o, const di_sample *s, di_first_report *r)
{
    RT_TRY(di_prune_layers(m, s, or_all(o->L, m->config.L), r->layer, &r->kl_layers, o->p));
    RT_TRY(cut_width(out, m, o, s, r));
    const rt_status st = di_prune_divergence(m, *out, s, &r->kl);
    if (st != RT_OK) md_destroy(out);
    return st;
}

/* Rotary tables are made for the whole context, so that m has that of the sample while it is measured. */
static rt_status cut_in_context(md_model **out, md_model *m, const di_first_opts *o, di_first_report *r)
{
    const int64_t context = m->config.context;
    di_sample     s;
    rt_status     st = di_sample_take(&s, o->shards, o->tokenizer, o->tokens);
    for (int64_t i = 0; st == RT_OK && i < s.n; i++)
        if (s.pos[i] >= context)
            st = rt_fail(RT_EINVAL, __FILE__, __LINE__,
                         "a document has more than %lld tokens, the model's context; import it with --max-doc", (long long)context);
    if (st == RT_OK) {
        if (s.n < context) m->config.context = s.n;
        st                = cut(out, m, o, &s, r);
        m->config.context = context;
    }
    di_sample_free(&s);
    if (st == RT_OK) (*out)->config.context = context;
    return st;
}

rt_status di_first_weights(md_model **out, md_model *m, const di_first_opts *o, di_first_report *r)
{
    md_model *moved = NULL;
    *r              = (di_first_report){.kl_layers = (double)NAN, .kl = (double)NAN};
    RT_TRY(di_move_ids(&moved, m, o->former, o->tokenizer, r));
    if (!o->L && !o->H && !o->F && !o->C) {
        *out = moved;
        return RT_OK;
    }
    const rt_status st = cut_in_context(out, moved, o, r);
    md_destroy(&moved);
    return st;
}
