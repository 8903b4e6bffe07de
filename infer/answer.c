/* answer.c -- writing answers: the shapes of OpenAI's completions, vLLM's prompt_logprobs, and ours. */
#include "data/wire.h"
#include "infer/desk.h"
#include <math.h>
#include <string.h>

enum { DIGITS = 9 }; /* what a float needs to come back unchanged */

static rt_status put_logprob(rt_buf *b, double x)
{
    return isinf(x) ? rt_buf_fmt(b, "%.1f", WIRE_MINUS_INFINITY) : rt_json_number(b, x, DIGITS);
}

static rt_status put_ids(rt_buf *b, const int32_t *ids, int64_t n)
{
    RT_TRY(rt_buf_str(b, "["));
    for (int64_t i = 0; i < n; i++) RT_TRY(rt_buf_fmt(b, i ? ",%d" : "%d", ids[i]));
    return rt_buf_str(b, "]");
}

/* The JSON string of one id. */
static const char *text_of(const inf_desk *d, int32_t id, size_t *n)
{
    *n = (size_t)(d->text_at[id + 1] - d->text_at[id]);
    return d->texts.p + d->text_at[id];
}

static rt_status put_token(rt_buf *b, const inf_desk *d, const inf_choice *c, int32_t id)
{
    size_t n;
    if (c->q->tokens_as_ids) return rt_buf_fmt(b, "\"token_id:%d\"", id);
    const char *text = text_of(d, id, &n);
    return rt_buf_add(b, text, n);
}

/* Row i of rows has k ids, and the actual one behind them where it is not among them. */
static int64_t entries(const inf_rows *r, int64_t i, int64_t k) { return k + (r->actual_rank[i] > k); }

static int32_t entry_id(const inf_rows *r, int64_t i, int64_t k, int64_t e, int32_t actual)
{
    return e < k ? r->topk_ids[i * r->k + e] : actual;
}

static double entry_logprob(const inf_rows *r, int64_t i, int64_t k, int64_t e)
{
    return e < k ? (double)r->topk_logprob[i * r->k + e] : r->actual_logprob[i];
}

/* ---- prompt_logprobs and what goes with it ------------------------------------------------- */

static rt_status put_prompt_entry(rt_buf *b, const inf_desk *d, const inf_rows *r, int64_t i, int32_t actual)
{
    const int64_t n = entries(r, i, r->k);
    for (int64_t e = 0; e < n; e++) {
        size_t        len;
        const int32_t id   = entry_id(r, i, r->k, e, actual);
        const char   *text = text_of(d, id, &len);
        RT_TRY(rt_buf_fmt(b, "%s\"%d\":{\"" WIRE_LOGPROB "\":", e ? "," : "{", id));
        RT_TRY(put_logprob(b, entry_logprob(r, i, r->k, e)));
        RT_TRY(rt_buf_fmt(b, ",\"" WIRE_RANK "\":%lld,\"" WIRE_DECODED_TOKEN "\":", (long long)(e < r->k ? e + 1 : r->actual_rank[i])));
        RT_TRY(rt_buf_add(b, text, len));
        RT_TRY(rt_buf_str(b, "}"));
    }
    return rt_buf_str(b, "}");
}

static rt_status put_prompt_logprobs(rt_buf *b, const inf_desk *d, const inf_choice *c)
{
    RT_TRY(rt_buf_str(b, ",\"" WIRE_PROMPT_LOGPROBS "\":[null"));
    for (int64_t i = 1; i < c->prompt->n; i++) {
        RT_TRY(rt_buf_str(b, ","));
        RT_TRY(put_prompt_entry(b, d, &c->before, i, c->prompt->v[i]));
        RT_CHECK(b->len <= DESK_MAX_ANSWER, RT_EINVAL, "the answer would be larger than %d MB; ask for fewer prompts or logprobs at once",
                 DESK_MAX_ANSWER >> 20);
    }
    return rt_buf_str(b, "]");
}

/* "tail": [[...], ...], "entropy": [...] of rows from .. end-1; rows without content are null. */
static rt_status put_rest(rt_buf *b, const inf_rows *r, int64_t from, int64_t end, const char *tail, const char *entropy)
{
    if (r->m > 0) {
        RT_TRY(rt_buf_fmt(b, ",\"%s\":[", tail));
        for (int64_t i = from; i < end; i++) {
            if (i > from) RT_TRY(rt_buf_str(b, ","));
            RT_TRY(r->actual_rank[i] ? put_ids(b, r->tail_ids + i * r->m, r->m) : rt_buf_str(b, "null"));
        }
        RT_TRY(rt_buf_str(b, "]"));
    }
    RT_TRY(rt_buf_fmt(b, ",\"%s\":[", entropy));
    for (int64_t i = from; i < end; i++) {
        if (i > from) RT_TRY(rt_buf_str(b, ","));
        RT_TRY(r->actual_rank[i] ? rt_json_number(b, r->rest_entropy[i], DIGITS) : rt_buf_str(b, "null"));
    }
    return rt_buf_str(b, "]");
}

/* ---- OpenAI's "logprobs" of the shown tokens -------------------------------------------------- */

typedef struct shown { /* a token in the text of the answer: its row, and what it is */
    const inf_rows *rows;
    int64_t         i;
    int32_t         id;
} shown;

static shown shown_at(const inf_choice *c, int64_t s)
{
    const int64_t echoed = c->q->echo ? c->prompt->n : 0;
    if (s < echoed) return (shown){&c->before, s, c->prompt->v[s]};
    return (shown){&c->after, s - echoed, c->ids.v[s - echoed]};
}

/* Does an entry before e have the same text?  An object may hold a key once; the more likely stays. */
static int text_taken(const inf_desk *d, const shown *t, int64_t k, int64_t e)
{
    size_t      n, m;
    const char *text = text_of(d, entry_id(t->rows, t->i, k, e, t->id), &n);
    for (int64_t f = 0; f < e; f++) {
        const char *other = text_of(d, entry_id(t->rows, t->i, k, f, t->id), &m);
        if (n == m && !memcmp(text, other, n)) return 1;
    }
    return 0;
}

static rt_status put_top(rt_buf *b, const inf_desk *d, const inf_choice *c, const shown *t)
{
    if (!t->rows->actual_rank[t->i]) return rt_buf_str(b, "null");
    const int64_t k = c->q->logprobs < t->rows->k ? c->q->logprobs : t->rows->k, n = entries(t->rows, t->i, k);
    RT_TRY(rt_buf_str(b, "{"));
    for (int64_t e = 0; e < n; e++) {
        if (!c->q->tokens_as_ids && text_taken(d, t, k, e)) continue;
        if (e) RT_TRY(rt_buf_str(b, ","));
        RT_TRY(put_token(b, d, c, entry_id(t->rows, t->i, k, e, t->id)));
        RT_TRY(rt_buf_str(b, ":"));
        RT_TRY(put_logprob(b, entry_logprob(t->rows, t->i, k, e)));
    }
    return rt_buf_str(b, "}");
}

static rt_status put_offset(rt_buf *b, const inf_desk *d, const inf_choice *c, int64_t s)
{
    (void)d;
    return rt_buf_fmt(b, "%lld", (long long)c->offset[s]);
}

static rt_status put_shown_logprob(rt_buf *b, const inf_desk *d, const inf_choice *c, int64_t s)
{
    const shown t = shown_at(c, s);
    (void)d;
    return t.rows->actual_rank[t.i] ? put_logprob(b, t.rows->actual_logprob[t.i]) : rt_buf_str(b, "null");
}

static rt_status put_shown_token(rt_buf *b, const inf_desk *d, const inf_choice *c, int64_t s)
{
    return put_token(b, d, c, shown_at(c, s).id);
}

static rt_status put_shown_top(rt_buf *b, const inf_desk *d, const inf_choice *c, int64_t s)
{
    const shown t = shown_at(c, s);
    return put_top(b, d, c, &t);
}

static rt_status put_logprobs(rt_buf *b, const inf_desk *d, const inf_choice *c, const inf_slice *s)
{
    static const struct {
        const char *name;
        rt_status (*put)(rt_buf *, const inf_desk *, const inf_choice *, int64_t);
    } lists[] = {
        {"text_offset", put_offset}, {"token_logprobs", put_shown_logprob}, {"tokens", put_shown_token}, {"top_logprobs", put_shown_top}};
    if (c->q->logprobs < 0) return rt_buf_str(b, ",\"" WIRE_LOGPROBS "\":null");
    RT_TRY(rt_buf_str(b, ",\"" WIRE_LOGPROBS "\":{"));
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        RT_TRY(rt_buf_fmt(b, "%s\"%s\":[", l ? "," : "", lists[l].name));
        for (int64_t i = s->token; i < s->token_end; i++) {
            if (i > s->token) RT_TRY(rt_buf_str(b, ","));
            RT_TRY(lists[l].put(b, d, c, i));
        }
        RT_TRY(rt_buf_str(b, "]"));
    }
    return rt_buf_str(b, "}");
}

/* ---- a choice, an event, an answer -------------------------------------------------------------- */

/* What is about the prompt alone: written once, with the first token. */
static rt_status put_prompt_part(rt_buf *b, const inf_desk *d, const inf_choice *c)
{
    const inf_request *q = c->q;
    if (q->return_ids) {
        RT_TRY(rt_buf_str(b, ",\"" WIRE_PROMPT_TOKEN_IDS "\":"));
        RT_TRY(put_ids(b, c->prompt->v, c->prompt->n));
    }
    if (q->prompt_logprobs < 0) return RT_OK;
    RT_TRY(put_prompt_logprobs(b, d, c));
    return q->retort ? put_rest(b, &c->before, 0, c->prompt->n, WIRE_PROMPT_TAIL_IDS, WIRE_PROMPT_REST_ENTROPY) : RT_OK;
}

static rt_status put_finish(rt_buf *b, const inf_choice *c, int last)
{
    if (!last) return rt_buf_str(b, ",\"finish_reason\":null,\"stop_reason\":null");
    RT_TRY(rt_buf_fmt(b, ",\"finish_reason\":\"%s\",\"stop_reason\":", c->finish));
    return c->stop ? rt_json_quote(b, c->stop, strlen(c->stop)) : rt_buf_str(b, "null");
}

rt_status inf_answer_choice(rt_buf *b, const inf_desk *d, const inf_choice *c, const inf_slice *s)
{
    const inf_request *q      = c->q;
    const int64_t      echoed = q->echo ? c->prompt->n : 0, end = s->token_end - echoed;
    const int64_t      from = s->token > echoed ? s->token - echoed : 0;
    RT_TRY(rt_buf_fmt(b, "{\"index\":%d,\"text\":", c->index));
    RT_TRY(rt_json_quote(b, c->text.p + s->text, s->text_end - s->text));
    RT_TRY(put_logprobs(b, d, c, s));
    RT_TRY(put_finish(b, c, c->finish && s->text_end == c->text.len && s->token_end == c->shown));
    if (s->token == 0) RT_TRY(put_prompt_part(b, d, c));
    if (q->return_ids) {
        RT_TRY(rt_buf_str(b, ",\"" WIRE_TOKEN_IDS "\":"));
        RT_TRY(end > from ? put_ids(b, c->ids.v + from, end - from) : rt_buf_str(b, "[]"));
    }
    if (q->retort && q->logprobs >= 0) RT_TRY(put_rest(b, &c->after, from, end, WIRE_TAIL_IDS, WIRE_REST_ENTROPY));
    return rt_buf_str(b, "}");
}

rt_status inf_answer_head(rt_buf *b, const inf_desk *d)
{
    RT_TRY(rt_buf_fmt(b, "{\"id\":\"cmpl-%016llx\",\"object\":\"text_completion\",\"created\":%lld,\"model\":",
                      (unsigned long long)d->serial, (long long)d->started));
    RT_TRY(rt_json_quote(b, d->name, strlen(d->name)));
    return rt_buf_str(b, ",\"choices\":[");
}

rt_status inf_answer_usage(rt_buf *b, int64_t read, int64_t written)
{
    return rt_buf_fmt(b, "\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld}", (long long)read,
                      (long long)written, (long long)(read + written));
}

rt_status inf_answer_event(rt_buf *b, const inf_desk *d, const inf_choice *c, const inf_slice *s)
{
    RT_TRY(rt_buf_str(b, "data: "));
    RT_TRY(inf_answer_head(b, d));
    RT_TRY(inf_answer_choice(b, d, c, s));
    return rt_buf_str(b, c->q->usage ? "],\"usage\":null}\n\n" : "]}\n\n");
}
