/* completion.c -- computing one choice: the scores of the prompt, then the generated text.
 *
 * Random numbers depend on the request alone: step i samples with hash(seed, i); the tail of position t
 * (counted over the prompt and the generated tokens) is sampled with hash(tail seed, t).
 */
#include "core/rng.h"
#include "core/utf8.h"
#include "serve/engine.h"
#include <stdlib.h>
#include <string.h>

/* ---- rows ---------------------------------------------------------------------------------- */

static rt_status rows_create(sv_rows *r, int64_t n, int64_t k, int64_t m)
{
    r->entries = (ds_rows){.n = n, .k = k, .m = m};
    RT_TRY(RT_NEW(r->exact, n));
    return ds_rows_alloc(&r->entries, DS_COLUMN(topk_ids) | DS_COLUMN(topk_logprob) | DS_COLUMN(tail_ids));
}

static void rows_free(sv_rows *r)
{
    ds_rows_free(&r->entries);
    free(r->exact);
    *r = (sv_rows){0};
}

static void rows_fill(sv_rows *r, int64_t i, const real *z, int64_t V, int32_t actual, uint64_t seed)
{
    r->exact[i] = md_teacher_fill(&r->entries, i, z, V, actual, seed);
}

/* ---- the prompt ------------------------------------------------------------------------------- */

typedef struct scoring {
    sv_completion *c;
    int64_t        V;
} scoring;

static void score_row(void *ud, int64_t t, real *z, int thread)
{
    const scoring *s = ud;
    const ds_ids  *p = s->c->prompt;
    const int64_t  i = t + 1; /* the logits at token t predict token t+1 */
    (void)thread;
    if (i < p->n) rows_fill(&s->c->before, i, z, s->V, p->v[i], rt_mix2(s->c->q->tail_seed, (uint64_t)i));
}

static rt_status score_prompt(sv_completion *c, sv_engine *d)
{
    const sv_request *q = c->q;
    const int64_t     k = q->prompt_logprobs >= 0 ? q->prompt_logprobs : q->logprobs;
    scoring           s = {c, d->model->config.V};
    if (q->prompt_logprobs < 0 && !(q->echo && q->logprobs >= 0)) return RT_OK;
    RT_TRY(rows_create(&c->before, c->prompt->n, k, q->tail));
    return c->prompt->n > 1 ? md_score(d->scorer, c->prompt->v, c->prompt->n, score_row, &s) : RT_OK;
}

/* ---- text --------------------------------------------------------------------------------------- */

/* Counts the characters of the text from `from` on.  A NUL would end a C string, so it is replaced by a byte that is not UTF-8 (shown
 * as U+FFFD). */
static void completion_count(sv_completion *c, size_t from)
{
    for (size_t i = from; i < c->text.len; i++) {
        if (!c->text.p[i]) c->text.p[i] = '\xff';
        c->chars += ((unsigned char)c->text.p[i] & 0xc0) != 0x80;
    }
}

/* Appends a token to the text. */
static rt_status completion_show(sv_completion *c, int32_t id)
{
    const size_t from     = c->text.len;
    c->offset[c->shown++] = c->chars;
    RT_TRY(ds_decoder_add(c->decoder, id, &c->text));
    completion_count(c, from);
    return RT_OK;
}

/* Appends what the decoder has kept back. */
static rt_status completion_show_rest(sv_completion *c)
{
    const size_t from = c->text.len;
    RT_TRY(ds_decoder_end(c->decoder, &c->text));
    completion_count(c, from);
    return RT_OK;
}

/* The text continues the prompt's, which is part of it only with `echo`. */
static rt_status show_prompt(sv_completion *c)
{
    for (int64_t i = 0; i < c->prompt->n; i++)
        RT_TRY(c->q->echo ? completion_show(c, c->prompt->v[i]) : ds_decoder_add(c->decoder, c->prompt->v[i], &c->text));
    if (!c->q->echo) rt_buf_clear(&c->text);
    return RT_OK;
}

/* Finds the first stop string that begins at or after `from` and truncates the text before it. */
static void look_for_stop(sv_completion *c, size_t from)
{
    for (size_t at = from; at < c->text.len; at++)
        for (int s = 0; s < c->q->stops; s++) {
            const size_t n = strlen(c->q->stop[s]);
            if (n > c->text.len - at || memcmp(c->text.p + at, c->q->stop[s], n)) continue;
            c->stop       = c->q->stop[s];
            c->finish     = "stop";
            c->text.len   = at;
            c->text.p[at] = '\0';
            return;
        }
}

static int is_end(const sv_engine *d, int32_t id)
{
    return ds_ends_have(&d->model->config.ends, id) || ds_ends_have(ds_tokenizer_ends(d->tokenizer), id);
}

/* Appends a generated token and its text to the choice; sets c->finish if the choice ends with it. */
static rt_status completion_take(sv_completion *c, const sv_engine *d, int32_t id, size_t written_from)
{
    const sv_request *q    = c->q;
    const size_t      back = q->longest_stop ? q->longest_stop - 1 : 0, before = c->text.len;
    RT_TRY(ds_ids_add(&c->ids, id));
    RT_TRY(completion_show(c, id));
    const char *finish = !q->ignore_eos && is_end(d, id) ? "stop" : c->ids.n == q->max_tokens ? "length" : NULL;
    if (finish) RT_TRY(completion_show_rest(c));
    look_for_stop(c, before >= written_from + back ? before - back : written_from);
    if (!c->finish) c->finish = finish;
    return RT_OK;
}

/* ---- streaming ------------------------------------------------------------------------------------ */

/* Pushes the new text and tokens.  Text that may become part of a stop string, or an incomplete character, is held back. */
static rt_status push_new(sv_completion *c, const sv_engine *d, sv_slice *s, sv_reply *r)
{
    const size_t hold = c->q->longest_stop ? c->q->longest_stop - 1 : 0;
    if (!c->q->stream) return RT_OK;
    s->text_end = c->text.len > s->text + hold ? rt_utf8_whole(c->text.p, c->text.len - hold) : s->text;
    if (s->text_end < s->text) s->text_end = s->text;
    if (c->finish) s->text_end = c->text.len;
    s->token_end = c->shown;
    if (s->text_end == s->text && !c->finish && c->q->logprobs < 0 && !c->q->return_ids) return RT_OK;
    RT_TRY(sv_response_event(&r->text, d, c, s));
    RT_TRY(sv_reply_push(r));
    s->text  = s->text_end;
    s->token = s->token_end;
    return RT_OK;
}

/* ---- generating ------------------------------------------------------------------------------------- */

/* Returns the uniform number of step i in [0, 1): 53 bits of hash(seed, i). */
static double uniform(uint64_t seed, int64_t i) { return (double)(rt_mix2(seed, (uint64_t)i) >> 11) * 0x1p-53; }

static rt_status write_token(sv_completion *c, sv_engine *d, const real *z, size_t written_from)
{
    const sv_request *q  = c->q;
    const int64_t     i  = c->ids.n;
    const int32_t     id = inf_sample(d->sampler, z, &q->sampling, uniform(q->seed, i));
    if (q->logprobs >= 0) rows_fill(&c->after, i, z, d->model->config.V, id, rt_mix2(q->tail_seed, (uint64_t)(c->prompt->n + i)));
    return completion_take(c, d, id, written_from);
}

static rt_status completion_write_text(sv_completion *c, sv_engine *d, sv_slice *s, sv_reply *r)
{
    const size_t written_from = c->text.len;
    const real  *z;
    inf_session_reset(d->session);
    RT_TRY(inf_feed(d->session, c->prompt->v, c->prompt->n, &z));
    for (;;) {
        RT_TRY(write_token(c, d, z, written_from));
        RT_TRY(push_new(c, d, s, r));
        if (c->finish) return RT_OK;
        RT_TRY(inf_feed(d->session, &c->ids.v[c->ids.n - 1], 1, &z));
    }
}

rt_status sv_completion_make(sv_completion *c, sv_engine *d, const sv_request *q, int index, sv_reply *r)
{
    sv_slice s = {0};
    *c         = (sv_completion){.q = q, .index = index, .prompt = &q->prompts[index]};
    RT_TRY(rt_buf_str(&c->text, ""));
    RT_TRY(RT_NEW(c->offset, c->prompt->n + q->max_tokens));
    if (q->logprobs >= 0) RT_TRY(rows_create(&c->after, q->max_tokens, q->logprobs, q->tail));
    RT_TRY(score_prompt(c, d));
    RT_TRY(ds_decoder_create(&c->decoder, d->tokenizer, q->skip_special));
    RT_TRY(show_prompt(c));
    if (q->max_tokens > 0) return completion_write_text(c, d, &s, r);
    if (q->echo) RT_TRY(completion_show_rest(c));
    c->finish = "length";
    return push_new(c, d, &s, r);
}

void sv_completion_free(sv_completion *c)
{
    free(c->ids.v);
    free(c->offset);
    ds_decoder_destroy(&c->decoder);
    rt_buf_free(&c->text);
    rows_free(&c->before);
    rows_free(&c->after);
    *c = (sv_completion){0};
}
