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

static void put_message(rt_json_writer *w, const char *role, const char *text)
{
    rt_put_object(w, NULL);
    rt_put_text(w, "role", role);
    rt_put_text(w, "content", text);
    rt_put_end(w);
}

void tc_put_messages(rt_json_writer *w, const tc_request *q)
{
    rt_put_array(w, "messages");
    if (q->system) put_message(w, "system", q->system);
    put_message(w, "user", q->text);
    rt_put_end(w);
}

void tc_put_ids(rt_json_writer *w, const tc_request *q)
{
    rt_put_array(w, "prompt");
    for (int64_t i = 0; i < q->n; i++) rt_put_int(w, NULL, q->ids[i]);
    rt_put_end(w);
}

void tc_put_sampling(rt_json_writer *w, const tc_request *q)
{
    rt_put_int(w, "max_tokens", q->max_tokens);
    rt_put_real(w, "temperature", q->temperature, 9);
    rt_put_real(w, "top_p", q->top_p, 9);
    if (!q->stops) return;
    rt_put_array(w, "stop");
    for (int i = 0; i < q->stops; i++) rt_put_text(w, NULL, q->stop[i]);
    rt_put_end(w);
}

/* Other programs read numbers as doubles, which hold 53 bits. */
void tc_put_seed(rt_json_writer *w, const tc_request *q) { rt_put_int(w, WIRE_SEED, (int64_t)(q->seed >> 11)); }

static void put_generation(rt_json_writer *w, const tc_request *q)
{
    tc_put_sampling(w, q);
    if (q->chat) return; /* only fields that every chat server knows */
    if (q->k) rt_put_int(w, WIRE_LOGPROBS, q->k);
    if (q->k) rt_put_bool(w, WIRE_TOKENS_AS_IDS, 1);
    rt_put_bool(w, "skip_special_tokens", 0);
    rt_put_bool(w, WIRE_RETURN_TOKEN_IDS, 1);
}

static void put_scoring(rt_json_writer *w, const tc_request *q, int64_t tokens)
{
    rt_put_int(w, "max_tokens", tokens);
    rt_put_int(w, "temperature", 1);
    rt_put_int(w, "top_p", 1);
    rt_put_int(w, WIRE_PROMPT_LOGPROBS, q->k);
    rt_put_bool(w, WIRE_RETURN_TOKEN_IDS, 1);
}

/* retort serve refuses this object without a top k; it reads all 64 bits of the seed from a string. */
static void put_tails(rt_json_writer *w, const tc_request *q)
{
    rt_put_object(w, WIRE_RETORT);
    rt_put_int(w, WIRE_TAIL_SAMPLES, q->m);
    rt_put_format(w, WIRE_SEED, "%llu", (unsigned long long)q->seed);
    rt_put_end(w);
}

rt_status tc_completions_write(rt_buf *b, const tc_dialect *d, const tc_request *q, const char *model)
{
    rt_json_writer w = {.out = b};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "model", model);
    if (q->chat) tc_put_messages(&w, q);
    else if (q->ids) tc_put_ids(&w, q);
    else rt_put_text(&w, "prompt", q->text);
    if (q->max_tokens) put_generation(&w, q);
    else put_scoring(&w, q, d->score_tokens);
    tc_put_seed(&w, q);
    if (d->tails && q->k) put_tails(&w, q);
    rt_put_end(&w);
    return w.st;
}

/* ---- the response -------------------------------------------------------------------------- */

static const cJSON *completions_get(const cJSON *o, const char *key) { return cJSON_GetObjectItemCaseSensitive(o, key); }

/* Finds the list `key` and checks that it has n elements. */
static rt_status list_of(const cJSON **first, const cJSON *o, const char *key, int64_t n)
{
    const cJSON *l = completions_get(o, key);
    if (!cJSON_IsArray(l)) TC_MALFORMED("expected a list \"%s\", found %s", key, l ? "another type" : "none");
    int64_t c = 0;
    for (const cJSON *x = l->child; x; x = x->next) c++;
    if (c != n) TC_MALFORMED("\"%s\" has %lld entries for %lld tokens", key, (long long)c, (long long)n);
    *first = l->child;
    return RT_OK;
}

static rt_status allocate(tc_response *x, const tc_dialect *d, const tc_request *q, int64_t n)
{
    const unsigned tails = DS_COLUMN(tail_ids) | DS_COLUMN(tail_entropy), all = DS_ALL_COLUMNS & ~DS_COLUMN(encoded);
    x->n    = n;
    x->rows = (ds_rows){.n = n, .k = q->k, .m = q->m};
    RT_TRY(RT_NEW(x->ids, n));
    RT_TRY(RT_NEW(x->prompt_mask, n));
    return q->k ? ds_rows_alloc(&x->rows, d->tails ? all : all & ~tails) : RT_OK;
}

/* Reads tail samples and entropies into rows first .. first+n-1.  skip = 1: entry 0 of the lists is null. */
static rt_status read_tails(tc_response *x, const tc_request *q, const cJSON *o, const char *tail, const char *entropy, int64_t first,
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
    if (!q->ids || !cJSON_IsArray(completions_get(choice, WIRE_PROMPT_TOKEN_IDS))) return RT_OK;
    RT_TRY(list_of(&x, choice, WIRE_PROMPT_TOKEN_IDS, q->n));
    for (int64_t i = 0; i < q->n; i++, x = x->next) {
        RT_TRY(tc_id_read(&id, x, q->vocab, WIRE_PROMPT_TOKEN_IDS, i));
        if (id != q->ids[i])
            TC_MALFORMED(WIRE_PROMPT_TOKEN_IDS "[%lld] is %d, but %d was sent; the server changes the prompt", (long long)i, id, q->ids[i]);
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
    return d->tails ? read_tails(x, q, choice, WIRE_PROMPT_TAIL_IDS, WIRE_PROMPT_REST_ENTROPY, 0, q->n - 1, 1) : RT_OK;
}

/* Reads the generated ids from "token_ids" if the server sends it, else from logprobs.tokens. */
static rt_status read_generated_ids(tc_response *x, const tc_dialect *d, const tc_request *q, const cJSON *choice, const cJSON *logprobs)
{
    const cJSON *l     = completions_get(choice, WIRE_TOKEN_IDS);
    const int    named = !cJSON_IsArray(l);
    if (named) l = completions_get(logprobs, "tokens");
    if (!cJSON_IsArray(l) && !q->k) return RT_OK; /* text alone will do */
    if (!cJSON_IsArray(l)) TC_MALFORMED("expected a list \"" WIRE_TOKEN_IDS "\" or logprobs.tokens, found neither");
    const int64_t n = cJSON_GetArraySize(l);
    if (n > q->max_tokens + 1) TC_MALFORMED("found %lld tokens, but at most %lld were requested", (long long)n, (long long)q->max_tokens);
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
static rt_status completions_check_names(const tc_response *x, const tc_request *q, const cJSON *logprobs)
{
    const cJSON *t  = NULL;
    int32_t      id = 0;
    if (!cJSON_IsArray(completions_get(logprobs, "tokens"))) return RT_OK;
    RT_TRY(list_of(&t, logprobs, "tokens", x->n - x->prompt));
    for (int64_t i = 0; t; t = t->next, i++) {
        RT_TRY(tc_id_named(&id, cJSON_GetStringValue(t), q->vocab, "logprobs.tokens", i));
        if (id != x->ids[x->prompt + i])
            TC_MALFORMED(WIRE_TOKEN_IDS "[%lld] is %d, but logprobs.tokens has %d at this position", (long long)i, x->ids[x->prompt + i],
                         id);
    }
    return RT_OK;
}

static rt_status read_generated(tc_response *x, const tc_dialect *d, const tc_request *q, const cJSON *choice)
{
    const cJSON *logprobs = completions_get(choice, WIRE_LOGPROBS), *lp = NULL, *top = NULL;
    RT_TRY(read_generated_ids(x, d, q, choice, logprobs));
    const int64_t n = x->n - x->prompt;
    if (!q->k || !n) return RT_OK;
    RT_TRY(completions_check_names(x, q, logprobs));
    RT_CHECK(q->n, RT_EINVAL, "generation with probabilities requires a prompt of at least one token");
    RT_TRY(list_of(&lp, logprobs, "token_logprobs", n));
    RT_TRY(list_of(&top, logprobs, "top_logprobs", n));
    for (int64_t j = 0; j < n; j++, lp = lp->next, top = top->next) {
        const double actual = cJSON_IsNumber(lp) ? lp->valuedouble : (double)NAN;
        RT_TRY(tc_row_read(x, q, q->n + j - 1, top, actual, "logprobs.top_logprobs", j));
    }
    tc_ranks p = {0};
    tc_ranks_add(&p, x);
    RT_TRY(tc_ranks_check(&p, q->k, q->temperature));
    return d->tails ? read_tails(x, q, choice, WIRE_TAIL_IDS, WIRE_REST_ENTROPY, q->n - 1, n, 0) : RT_OK;
}

/* RT_ECHECK if the server gives a reason for the missing text: a retry would fail in the same way. */
static rt_status no_text(const cJSON *message, const char *finish)
{
    const char *refusal = cJSON_GetStringValue(completions_get(message, "refusal"));
    if (refusal) RT_FAIL(RT_ECHECK, "the response has no text but a refusal: \"%.100s\"", refusal);
    if (*finish) RT_FAIL(RT_ECHECK, "the response has no text; finish_reason \"%.40s\"", finish);
    TC_MALFORMED("expected a text or a finish_reason that explains why there is none, found neither");
}

static rt_status completions_read_text(tc_response *x, const tc_request *q, const cJSON *choice)
{
    const cJSON *message = q->chat ? completions_get(choice, "message") : choice;
    const char  *text    = cJSON_GetStringValue(completions_get(message, q->chat ? "content" : "text"));
    const char  *finish  = cJSON_GetStringValue(completions_get(choice, "finish_reason"));
    snprintf(x->finish, sizeof x->finish, "%s", finish ? finish : "");
    if (!q->max_tokens) return RT_OK;
    return text ? rt_json_bytes(&x->text, text) : no_text(message, x->finish);
}

static int64_t count_of(const cJSON *usage, const char *key)
{
    const cJSON *x = completions_get(usage, key);
    int64_t      n = -1;
    return rt_json_whole(x, 0, 1000000000000, &n) ? n : -1;
}

static rt_status completions_read_all(tc_response *x, const tc_dialect *d, const tc_request *q, const cJSON *o)
{
    const cJSON *choices = completions_get(o, "choices"), *choice = cJSON_IsArray(choices) ? choices->child : NULL;
    if (!cJSON_IsObject(choice)) TC_MALFORMED("expected choices[0], found none");
    const cJSON *index = completions_get(choice, "index");
    if (choice->next || (cJSON_IsNumber(index) && index->valuedouble != 0))
        TC_MALFORMED("expected one choice with index 0, found another choice");
    x->prompt_tokens     = count_of(completions_get(o, "usage"), "prompt_tokens");
    x->completion_tokens = count_of(completions_get(o, "usage"), "completion_tokens");
    RT_TRY(completions_read_text(x, q, choice));
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
    if (st == RT_OK) st = rt_json_parse(&o, copy.p, copy.len, RT_JSON_LENIENT | RT_JSON_DUPLICATES, "malformed response: body");
    if (st == RT_OK) st = completions_read_all(&x, d, q, o);
    cJSON_Delete(o);
    rt_buf_free(&copy);
    if (st != RT_OK) tc_response_free(&x);
    else *out = x;
    return st;
}
