/* response.c -- writing responses: the JSON of OpenAI's completions and chats, vLLM's prompt_logprobs, and Retort's own fields. */
#include "data/wire.h"
#include "serve/engine.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 9 }; /* decimal digits that preserve a float exactly */

static void put_logprob(rt_json_writer *w, const char *key, double x)
{
    if (isinf(x)) rt_put_fixed(w, key, WIRE_MINUS_INFINITY, 1);
    else rt_put_real(w, key, x, DIGITS);
}

void sv_put_ids(rt_json_writer *w, const char *key, const int32_t *ids, int64_t n)
{
    rt_put_array(w, key);
    for (int64_t i = 0; i < n; i++) rt_put_int(w, NULL, ids[i]);
    rt_put_end(w);
}

/* Returns the JSON string of one id, n bytes in the engine's memory. */
static const char *text_of(const sv_engine *d, int32_t id, size_t *n)
{
    *n = (size_t)(d->token_string_at[id + 1] - d->token_string_at[id]);
    return d->token_strings.p + d->token_string_at[id];
}

void sv_put_token(rt_json_writer *w, const char *key, const sv_engine *d, int32_t id)
{
    size_t      n;
    const char *text = text_of(d, id, &n);
    rt_put_raw(w, key, text, n);
}

/* Returns the number of entries of row i: k ids, then the actual token if its rank exceeds k. */
static int64_t entries(const sv_rows *r, int64_t i, int64_t k) { return k + (r->exact[i].actual_rank > k); }

static int32_t entry_id(const sv_rows *r, int64_t i, int64_t k, int64_t e, int32_t actual)
{
    return e < k ? r->entries.topk_ids[i * r->entries.k + e] : actual;
}

static double entry_logprob(const sv_rows *r, int64_t i, int64_t k, int64_t e)
{
    return e < k ? (double)r->entries.topk_logprob[i * r->entries.k + e] : r->exact[i].actual_logprob;
}

/* ---- prompt_logprobs and the tail's fields ------------------------------------------------- */

static void put_prompt_entry(rt_json_writer *w, const sv_engine *d, const sv_rows *r, int64_t i, int32_t actual)
{
    const int64_t n = entries(r, i, r->entries.k);
    rt_put_object(w, NULL);
    for (int64_t e = 0; e < n; e++) {
        char          key[16];
        const int32_t id = entry_id(r, i, r->entries.k, e, actual);
        snprintf(key, sizeof key, "%d", id);
        rt_put_object(w, key);
        put_logprob(w, WIRE_LOGPROB, entry_logprob(r, i, r->entries.k, e));
        rt_put_int(w, WIRE_RANK, e < r->entries.k ? e + 1 : r->exact[i].actual_rank);
        sv_put_token(w, WIRE_DECODED_TOKEN, d, id);
        rt_put_end(w);
    }
    rt_put_end(w);
}

static void put_prompt_logprobs(rt_json_writer *w, const sv_engine *d, const sv_completion *c)
{
    rt_put_array(w, WIRE_PROMPT_LOGPROBS);
    rt_put_null(w, NULL);
    for (int64_t i = 1; w->st == RT_OK && i < c->prompt->n; i++) {
        put_prompt_entry(w, d, &c->before, i, c->prompt->v[i]);
        if (w->out->len > SV_MAX_RESPONSE)
            w->st = rt_fail(RT_EINVAL, __FILE__, __LINE__,
                            "the response would be larger than %d MB; request fewer prompts or logprobs at once", SV_MAX_RESPONSE >> 20);
    }
    rt_put_end(w);
}

/* Writes "tail": [[...], ...] and "entropy": [...] of rows from .. end-1; the entries of a row without a prediction are null. */
static void put_tail(rt_json_writer *w, const sv_rows *r, int64_t from, int64_t end, const char *tail, const char *entropy)
{
    if (r->entries.m > 0) {
        rt_put_array(w, tail);
        for (int64_t i = from; i < end; i++)
            if (r->exact[i].actual_rank) sv_put_ids(w, NULL, r->entries.tail_ids + i * r->entries.m, r->entries.m);
            else rt_put_null(w, NULL);
        rt_put_end(w);
    }
    rt_put_array(w, entropy);
    for (int64_t i = from; i < end; i++) rt_put_real(w, NULL, r->exact[i].actual_rank ? r->exact[i].tail_entropy : NAN, DIGITS);
    rt_put_end(w);
}

/* ---- OpenAI's "logprobs" of the shown tokens -------------------------------------------------- */

typedef struct shown { /* a token in the text of the response: its row and its id */
    const sv_rows *rows;
    int64_t        i;
    int32_t        id;
} shown;

static shown shown_at(const sv_completion *c, int64_t s)
{
    const int64_t echoed = c->q->echo ? c->prompt->n : 0;
    if (s < echoed) return (shown){&c->before, s, c->prompt->v[s]};
    return (shown){&c->after, s - echoed, c->ids.v[s - echoed]};
}

/* Returns 1 if an entry before e has the same text.  Keys of an object are unique, so the more likely entry is kept. */
static int text_taken(const sv_engine *d, const shown *t, int64_t k, int64_t e)
{
    size_t      n, m;
    const char *text = text_of(d, entry_id(t->rows, t->i, k, e, t->id), &n);
    for (int64_t f = 0; f < e; f++) {
        const char *other = text_of(d, entry_id(t->rows, t->i, k, f, t->id), &m);
        if (n == m && !memcmp(text, other, n)) return 1;
    }
    return 0;
}

static void put_top(rt_json_writer *w, const sv_engine *d, const sv_completion *c, const shown *t)
{
    const int64_t k = c->q->logprobs < t->rows->entries.k ? c->q->logprobs : t->rows->entries.k, n = entries(t->rows, t->i, k);
    rt_put_object(w, NULL);
    for (int64_t e = 0; e < n; e++) {
        size_t        len;
        char          key[24];
        const int32_t id   = entry_id(t->rows, t->i, k, e, t->id);
        const char   *text = text_of(d, id, &len);
        if (c->q->tokens_as_ids) {
            snprintf(key, sizeof key, "token_id:%d", id);
            put_logprob(w, key, entry_logprob(t->rows, t->i, k, e));
        } else if (!text_taken(d, t, k, e)) {
            rt_put_raw_key(w, text, len);
            put_logprob(w, NULL, entry_logprob(t->rows, t->i, k, e));
        }
    }
    rt_put_end(w);
}

static void put_offset(rt_json_writer *w, const sv_engine *d, const sv_completion *c, int64_t s)
{
    (void)d;
    rt_put_int(w, NULL, c->offset[s]);
}

static void put_shown_logprob(rt_json_writer *w, const sv_engine *d, const sv_completion *c, int64_t s)
{
    const shown t = shown_at(c, s);
    (void)d;
    put_logprob(w, NULL, t.rows->exact[t.i].actual_rank ? t.rows->exact[t.i].actual_logprob : NAN);
}

static void put_shown_token(rt_json_writer *w, const sv_engine *d, const sv_completion *c, int64_t s)
{
    const int32_t id = shown_at(c, s).id;
    if (c->q->tokens_as_ids) rt_put_format(w, NULL, "token_id:%d", id);
    else sv_put_token(w, NULL, d, id);
}

static void put_shown_top(rt_json_writer *w, const sv_engine *d, const sv_completion *c, int64_t s)
{
    const shown t = shown_at(c, s);
    if (t.rows->exact[t.i].actual_rank) put_top(w, d, c, &t);
    else rt_put_null(w, NULL);
}

static void put_logprobs(rt_json_writer *w, const sv_engine *d, const sv_completion *c, const sv_slice *s)
{
    static const struct {
        const char *name;
        void (*put)(rt_json_writer *, const sv_engine *, const sv_completion *, int64_t);
    } lists[] = {
        {"text_offset", put_offset}, {"token_logprobs", put_shown_logprob}, {"tokens", put_shown_token}, {"top_logprobs", put_shown_top}};
    if (c->q->logprobs < 0) {
        rt_put_null(w, WIRE_LOGPROBS);
        return;
    }
    rt_put_object(w, WIRE_LOGPROBS);
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        rt_put_array(w, lists[l].name);
        for (int64_t i = s->token; i < s->token_end; i++) lists[l].put(w, d, c, i);
        rt_put_end(w);
    }
    rt_put_end(w);
}

/* ---- a choice, an event, a response ------------------------------------------------------------- */

/* Writes the fields that concern the prompt alone; they are written once, with the first token. */
static void put_prompt_part(rt_json_writer *w, const sv_engine *d, const sv_completion *c)
{
    const sv_request *q = c->q;
    if (q->return_ids) sv_put_ids(w, WIRE_PROMPT_TOKEN_IDS, c->prompt->v, c->prompt->n);
    if (q->prompt_logprobs < 0) return;
    put_prompt_logprobs(w, d, c);
    if (q->retort) put_tail(w, &c->before, 0, c->prompt->n, WIRE_PROMPT_TAIL_IDS, WIRE_PROMPT_REST_ENTROPY);
}

/* The text of a completion; of a chat the message, or in a stream what is new in it. */
static void put_text_part(rt_json_writer *w, const sv_completion *c, const sv_slice *s)
{
    const int first = s->text == 0 && s->token == 0;
    if (c->q->chat) rt_put_object(w, c->q->stream ? "delta" : "message");
    if (c->q->chat && (first || !c->q->stream)) rt_put_text(w, "role", "assistant");
    rt_put_bytes(w, c->q->chat ? "content" : "text", c->text.p + s->text, s->text_end - s->text);
    if (c->q->chat) rt_put_end(w);
}

void sv_put_choice(rt_json_writer *w, const sv_engine *d, const sv_completion *c, const sv_slice *s)
{
    const sv_request *q      = c->q;
    const int64_t     echoed = q->echo ? c->prompt->n : 0, end = s->token_end - echoed;
    const int64_t     from = s->token > echoed ? s->token - echoed : 0;
    const int         last = c->finish && s->text_end == c->text.len && s->token_end == c->shown;
    rt_put_object(w, NULL);
    rt_put_int(w, "index", c->index);
    put_text_part(w, c, s);
    put_logprobs(w, d, c, s);
    rt_put_text(w, "finish_reason", last ? c->finish : NULL);
    rt_put_text(w, "stop_reason", last ? c->stop : NULL);
    if (s->token == 0) put_prompt_part(w, d, c);
    if (q->return_ids) sv_put_ids(w, WIRE_TOKEN_IDS, c->ids.v + from, end - from);
    if (q->retort && q->logprobs >= 0) put_tail(w, &c->after, from, end, WIRE_TAIL_IDS, WIRE_REST_ENTROPY);
    rt_put_end(w);
}

void sv_put_head(rt_json_writer *w, const sv_engine *d, const sv_request *q)
{
    rt_put_object(w, NULL);
    rt_put_format(w, "id", q->chat ? "chatcmpl-%016llx" : "cmpl-%016llx", (unsigned long long)d->serial);
    rt_put_text(w, "object", !q->chat ? "text_completion" : q->stream ? "chat.completion.chunk" : "chat.completion");
    rt_put_int(w, "created", d->started);
    rt_put_text(w, "model", d->name);
    rt_put_array(w, "choices");
}

void sv_put_end(rt_json_writer *w, int64_t read, int64_t written)
{
    rt_put_end(w);
    rt_put_object(w, "usage");
    rt_put_int(w, "prompt_tokens", read);
    rt_put_int(w, "completion_tokens", written);
    rt_put_int(w, "total_tokens", read + written);
    rt_put_end(w);
    rt_put_end(w);
}

rt_status sv_response_event(rt_buf *b, const sv_engine *d, const sv_completion *c, const sv_slice *s)
{
    rt_json_writer w = {.out = b};
    RT_TRY(rt_buf_str(b, "data: "));
    sv_put_head(&w, d, c->q);
    sv_put_choice(&w, d, c, s);
    rt_put_end(&w);
    if (c->q->usage) rt_put_null(&w, "usage");
    rt_put_end(&w);
    RT_TRY(w.st);
    return rt_buf_str(b, "\n\n");
}
