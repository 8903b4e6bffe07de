/* completions.c -- requests and responses in the shape of vLLM's completions.
 *
 * Entry t of a prompt_* list is ABOUT token t, so it fills row t-1: the one place where
 * positions shift.  Entry j of a list of generated tokens is about token prompt + j.
 */
#include "data/wire.h"
#include "teacher/dialect.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the request ------------------------------------------------------------------------- */

static rt_status add_message(rt_buf *b, const char *before, const char *role, const char *text)
{
    RT_TRY(rt_buf_fmt(b, "%s{\"role\":\"%s\",\"content\":", before, role));
    RT_TRY(rt_json_quote(b, text, strlen(text)));
    return rt_buf_str(b, "}");
}

rt_status tc_body_begin(rt_buf *b, const char *model)
{
    RT_TRY(rt_buf_str(b, "{\"model\":"));
    return rt_json_quote(b, model, strlen(model));
}

rt_status tc_body_messages(rt_buf *b, const tc_request *q)
{
    RT_TRY(rt_buf_str(b, ",\"messages\":["));
    if (q->system) RT_TRY(add_message(b, "", "system", q->system));
    RT_TRY(add_message(b, q->system ? "," : "", "user", q->text));
    return rt_buf_str(b, "]");
}

rt_status tc_body_ids(rt_buf *b, const tc_request *q)
{
    char number[16];
    RT_TRY(rt_buf_str(b, ",\"prompt\":["));
    for (int64_t i = 0; i < q->n; i++) {
        const int len = snprintf(number, sizeof number, "%s%d", i ? "," : "", q->ids[i]);
        RT_TRY(rt_buf_add(b, number, (size_t)len));
    }
    return rt_buf_str(b, "]");
}

rt_status tc_body_text(rt_buf *b, const tc_request *q)
{
    RT_TRY(rt_buf_str(b, ",\"prompt\":"));
    return rt_json_quote(b, q->text, strlen(q->text));
}

rt_status tc_body_sampling(rt_buf *b, const tc_request *q)
{
    RT_TRY(rt_buf_fmt(b, ",\"max_tokens\":%lld,\"temperature\":%.9g,\"top_p\":%.9g", (long long)q->max_tokens, q->temperature, q->top_p));
    for (int i = 0; i < q->stops; i++) {
        RT_TRY(rt_buf_str(b, i ? "," : ",\"stop\":["));
        RT_TRY(rt_json_quote(b, q->stop[i], strlen(q->stop[i])));
    }
    return q->stops ? rt_buf_str(b, "]") : RT_OK;
}

/* Other programs read numbers as doubles, which hold 53 bits. */
rt_status tc_body_seed(rt_buf *b, const tc_request *q)
{
    return rt_buf_fmt(b, ",\"" WIRE_SEED "\":%llu", (unsigned long long)(q->seed >> 11));
}

static rt_status add_generation(rt_buf *b, const tc_request *q)
{
    RT_TRY(tc_body_sampling(b, q));
    if (q->chat) return RT_OK; /* only fields that every chat server knows */
    if (q->k) RT_TRY(rt_buf_fmt(b, ",\"" WIRE_LOGPROBS "\":%lld,\"" WIRE_TOKENS_AS_IDS "\":true", (long long)q->k));
    return rt_buf_str(b, ",\"skip_special_tokens\":false,\"" WIRE_RETURN_TOKEN_IDS "\":true");
}

static rt_status add_scoring(rt_buf *b, const tc_request *q, int64_t tokens)
{
    return rt_buf_fmt(
        b, ",\"max_tokens\":%lld,\"temperature\":1,\"top_p\":1,\"" WIRE_PROMPT_LOGPROBS "\":%lld,\"" WIRE_RETURN_TOKEN_IDS "\":true",
        (long long)tokens, (long long)q->k);
}

rt_status tc_completions_write(rt_buf *b, const tc_dialect *d, const tc_request *q, const char *model)
{
    RT_TRY(tc_body_begin(b, model));
    RT_TRY(q->chat ? tc_body_messages(b, q) : q->ids ? tc_body_ids(b, q) : tc_body_text(b, q));
    RT_TRY(q->max_tokens ? add_generation(b, q) : add_scoring(b, q, d->score_tokens));
    RT_TRY(tc_body_seed(b, q));
    if (d->tails && q->k) /* retort serve refuses this object without a top k; it reads all 64 bits of the seed from a string */
        RT_TRY(rt_buf_fmt(b, ",\"" WIRE_RETORT "\":{\"" WIRE_TAIL_SAMPLES "\":%lld,\"" WIRE_SEED "\":\"%llu\"}", (long long)q->m,
                          (unsigned long long)q->seed));
    return rt_buf_str(b, "}");
}

/* ---- the response -------------------------------------------------------------------------- */

static const cJSON *get(const cJSON *o, const char *key) { return cJSON_GetObjectItemCaseSensitive(o, key); }

/* Finds the list `key` and checks that it has n elements. */
static rt_status list_of(const cJSON **first, const cJSON *o, const char *key, int64_t n)
{
    const cJSON *l = get(o, key);
    if (!cJSON_IsArray(l)) TC_MALFORMED("no list \"%s\" (%s)", key, l ? "another type" : "missing");
    int64_t c = 0;
    for (const cJSON *x = l->child; x; x = x->next) c++;
    if (c != n) TC_MALFORMED("\"%s\" with %lld entries for %lld tokens", key, (long long)c, (long long)n);
    *first = l->child;
    return RT_OK;
}

static rt_status allocate(tc_response *x, const tc_dialect *d, const tc_request *q, int64_t n)
{
    x->n = n, x->k = q->k, x->m = q->m;
    RT_TRY(RT_NEW(x->ids, n));
    RT_TRY(RT_NEW(x->prompt_mask, n));
    if (!q->k) return RT_OK;
    RT_TRY(RT_NEW(x->valid, n));
    RT_TRY(RT_NEW(x->topk_ids, n * q->k));
    RT_TRY(RT_NEW(x->topk_logprob, n * q->k));
    RT_TRY(RT_NEW(x->actual_logprob, n));
    RT_TRY(RT_NEW(x->rest_mass, n));
    if (q->m) RT_TRY(RT_NEW(x->tail_ids, n * q->m));
    return d->tails ? RT_NEW(x->rest_entropy, n) : RT_OK;
}

/* Reads tail samples and entropies into rows first .. first+n-1.  skip = 1: entry 0 of the lists is null. */
static rt_status read_rest(tc_response *x, const tc_request *q, const cJSON *o, const char *tail, const char *entropy, int64_t first,
                           int64_t n, int skip)
{
    const cJSON *t = NULL, *h = NULL;
    if (q->m) RT_TRY(list_of(&t, o, tail, n + skip));
    RT_TRY(list_of(&h, o, entropy, n + skip));
    for (int64_t i = -skip; i < n; i++) {
        if (i >= 0 && t) RT_TRY(tc_row_tail(x, q, first + i, t, tail, i + skip));
        if (i >= 0) RT_TRY(tc_row_entropy(x, q, first + i, h, entropy, i + skip));
        t = t ? t->next : NULL;
        h = h->next;
    }
    return RT_OK;
}

/* If the server repeats the prompt's ids, they must equal those that were sent. */
static rt_status check_echo(tc_response *out, const tc_request *q, const cJSON *choice)
{
    const cJSON *x  = NULL;
    int32_t      id = 0;
    if (!q->ids || !cJSON_IsArray(get(choice, WIRE_PROMPT_TOKEN_IDS))) return RT_OK;
    RT_TRY(list_of(&x, choice, WIRE_PROMPT_TOKEN_IDS, q->n));
    for (int64_t i = 0; i < q->n; i++, x = x->next) {
        RT_TRY(tc_id_read(&id, x, q->vocab, WIRE_PROMPT_TOKEN_IDS, i));
        if (id != q->ids[i])
            TC_MALFORMED(WIRE_PROMPT_TOKEN_IDS "[%lld] = %d, but %d was sent: it changes the prompt", (long long)i, id, q->ids[i]);
    }
    out->echoes = 1;
    return RT_OK;
}

static rt_status read_scores(tc_response *x, const tc_dialect *d, const tc_request *q, const cJSON *choice)
{
    const cJSON *p = NULL;
    RT_TRY(list_of(&p, choice, WIRE_PROMPT_LOGPROBS, q->n));
    RT_TRY(allocate(x, d, q, q->n));
    memcpy(x->ids, q->ids, (size_t)q->n * sizeof *x->ids);
    for (int64_t t = 1; t < q->n; t++) {
        p = p->next;
        RT_TRY(tc_row_read(x, q, t - 1, p, (double)NAN, WIRE_PROMPT_LOGPROBS, t));
    }
    return d->tails ? read_rest(x, q, choice, WIRE_PROMPT_TAIL_IDS, WIRE_PROMPT_REST_ENTROPY, 0, q->n - 1, 1) : RT_OK;
}

/* Reads the generated ids from "token_ids" if the server sends it, else from logprobs.tokens. */
static rt_status read_generated_ids(tc_response *x, const tc_dialect *d, const tc_request *q, const cJSON *choice, const cJSON *logprobs)
{
    const cJSON *l     = get(choice, WIRE_TOKEN_IDS);
    const int    named = !cJSON_IsArray(l);
    if (named) l = get(logprobs, "tokens");
    if (!cJSON_IsArray(l) && !q->k) return RT_OK; /* text alone will do */
    if (!cJSON_IsArray(l)) TC_MALFORMED("neither \"" WIRE_TOKEN_IDS "\" nor logprobs.tokens");
    const int64_t n = cJSON_GetArraySize(l);
    if (n > q->max_tokens + 1) TC_MALFORMED("%lld tokens, at most %lld were asked for", (long long)n, (long long)q->max_tokens);
    RT_TRY(allocate(x, d, q, q->n + n));
    x->prompt = q->n;
    if (q->n) memcpy(x->ids, q->ids, (size_t)q->n * sizeof *x->ids);
    memset(x->prompt_mask, 1, (size_t)q->n);
    int64_t i = q->n;
    for (const cJSON *t = l->child; t; t = t->next, i++)
        if (named) RT_TRY(tc_id_named(&x->ids[i], cJSON_GetStringValue(t), q->vocab, "tokens", i - q->n));
        else RT_TRY(tc_id_read(&x->ids[i], t, q->vocab, WIRE_TOKEN_IDS, i - q->n));
    return RT_OK;
}

/* If "logprobs" names the tokens too, the names must agree with the ids. */
static rt_status check_names(const tc_response *x, const tc_request *q, const cJSON *logprobs)
{
    const cJSON *t  = NULL;
    int32_t      id = 0;
    if (!cJSON_IsArray(get(logprobs, "tokens"))) return RT_OK;
    RT_TRY(list_of(&t, logprobs, "tokens", x->n - x->prompt));
    for (int64_t i = 0; t; t = t->next, i++) {
        RT_TRY(tc_id_named(&id, cJSON_GetStringValue(t), q->vocab, "logprobs.tokens", i));
        if (id != x->ids[x->prompt + i])
            TC_MALFORMED(WIRE_TOKEN_IDS "[%lld] = %d, but logprobs.tokens has %d there", (long long)i, x->ids[x->prompt + i], id);
    }
    return RT_OK;
}

static rt_status read_generated(tc_response *x, const tc_dialect *d, const tc_request *q, const cJSON *choice)
{
    const cJSON *logprobs = get(choice, WIRE_LOGPROBS), *lp = NULL, *top = NULL;
    RT_TRY(read_generated_ids(x, d, q, choice, logprobs));
    const int64_t n = x->n - x->prompt;
    if (!q->k || !n) return RT_OK;
    RT_TRY(check_names(x, q, logprobs));
    RT_CHECK(q->n, RT_EINVAL, "a generation with probabilities needs a prompt of at least one token");
    RT_TRY(list_of(&lp, logprobs, "token_logprobs", n));
    RT_TRY(list_of(&top, logprobs, "top_logprobs", n));
    for (int64_t j = 0; j < n; j++, lp = lp->next, top = top->next) {
        const double actual = cJSON_IsNumber(lp) ? lp->valuedouble : (double)NAN;
        RT_TRY(tc_row_read(x, q, q->n + j - 1, top, actual, "logprobs.top_logprobs", j));
    }
    tc_ranks p = {0};
    tc_ranks_add(&p, x);
    RT_TRY(tc_ranks_check(&p, q->k, q->temperature));
    return d->tails ? read_rest(x, q, choice, WIRE_TAIL_IDS, WIRE_REST_ENTROPY, q->n - 1, n, 0) : RT_OK;
}

/* RT_ECHECK if the server gives a reason for the missing text: a retry would fail in the same way. */
static rt_status no_text(const cJSON *message, const char *finish)
{
    const char *refusal = cJSON_GetStringValue(get(message, "refusal"));
    if (refusal) RT_FAIL(RT_ECHECK, "no text: a refusal: \"%.100s\"", refusal);
    if (*finish) RT_FAIL(RT_ECHECK, "no text: finish_reason \"%.40s\"", finish);
    TC_MALFORMED("no text, and no finish_reason that says why");
}

static rt_status read_text(tc_response *x, const tc_request *q, const cJSON *choice)
{
    const cJSON *message = q->chat ? get(choice, "message") : choice;
    const char  *text    = cJSON_GetStringValue(get(message, q->chat ? "content" : "text"));
    const char  *finish  = cJSON_GetStringValue(get(choice, "finish_reason"));
    snprintf(x->finish, sizeof x->finish, "%s", finish ? finish : "");
    if (!q->max_tokens) return RT_OK;
    return text ? rt_json_bytes(&x->text, text) : no_text(message, x->finish);
}

static int64_t count_of(const cJSON *usage, const char *key)
{
    const cJSON *x = get(usage, key);
    int64_t      n = -1;
    return rt_json_whole(x, 0, 1000000000000, &n) ? n : -1;
}

static rt_status read_all(tc_response *x, const tc_dialect *d, const tc_request *q, const cJSON *o)
{
    const cJSON *choices = get(o, "choices"), *choice = cJSON_IsArray(choices) ? choices->child : NULL;
    if (!cJSON_IsObject(choice)) TC_MALFORMED("no choices[0]");
    const cJSON *index = get(choice, "index");
    if (choice->next || (cJSON_IsNumber(index) && index->valuedouble != 0)) TC_MALFORMED("another choice than the one that was asked for");
    x->prompt_tokens     = count_of(get(o, "usage"), "prompt_tokens");
    x->completion_tokens = count_of(get(o, "usage"), "completion_tokens");
    RT_TRY(read_text(x, q, choice));
    RT_TRY(check_echo(x, q, choice));
    if (!q->max_tokens) return read_scores(x, d, q, choice);
    return q->chat ? RT_OK : read_generated(x, d, q, choice);
}

rt_status tc_completions_read(tc_response *out, const tc_dialect *d, const tc_request *q, const rt_buf *body)
{
    tc_response x    = {0};
    cJSON      *o    = NULL;
    rt_buf      copy = {0}; /* the lenient parser changes its input; the ledger stores the original */
    rt_status   st   = rt_buf_add(&copy, body->p, body->len);
    /* rows.c checks ids for duplicates, so the parser need not compare every pair of keys */
    if (st == RT_OK) st = rt_json_parse(&o, copy.p, copy.len, RT_JSON_LENIENT | RT_JSON_DUPLICATES, "server answered no JSON: body");
    if (st == RT_OK) st = read_all(&x, d, q, o);
    cJSON_Delete(o);
    rt_buf_free(&copy);
    if (st != RT_OK) tc_response_free(&x);
    else *out = x;
    return st;
}
