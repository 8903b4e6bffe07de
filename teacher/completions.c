/* completions.c -- requests and answers in the shape of vLLM's completions.
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

#define ANSWERED(...) RT_FAIL(RT_EFORMAT, "server answered " __VA_ARGS__)

/* ---- the request ------------------------------------------------------------------------- */

static rt_status add_ids(rt_buf *b, const int32_t *ids, int64_t n)
{
    char number[16];
    RT_TRY(rt_buf_str(b, ",\"prompt\":["));
    for (int64_t i = 0; i < n; i++) {
        const int len = snprintf(number, sizeof number, "%s%d", i ? "," : "", ids[i]);
        RT_TRY(rt_buf_add(b, number, (size_t)len));
    }
    return rt_buf_str(b, "]");
}

static rt_status add_message(rt_buf *b, const char *before, const char *role, const char *text)
{
    RT_TRY(rt_buf_fmt(b, "%s{\"role\":\"%s\",\"content\":", before, role));
    RT_TRY(rt_json_quote(b, text, strlen(text)));
    return rt_buf_str(b, "}");
}

static rt_status add_prompt(rt_buf *b, const tc_ask *a)
{
    if (a->chat) {
        RT_TRY(rt_buf_str(b, ",\"messages\":["));
        if (a->system) RT_TRY(add_message(b, "", "system", a->system));
        RT_TRY(add_message(b, a->system ? "," : "", "user", a->text));
        return rt_buf_str(b, "]");
    }
    if (a->ids) return add_ids(b, a->ids, a->n);
    RT_TRY(rt_buf_str(b, ",\"prompt\":"));
    return rt_json_quote(b, a->text, strlen(a->text));
}

static rt_status add_generation(rt_buf *b, const tc_ask *a)
{
    RT_TRY(rt_buf_fmt(b, ",\"max_tokens\":%lld,\"temperature\":%.9g,\"top_p\":%.9g", (long long)a->max_tokens, a->temperature, a->top_p));
    for (int i = 0; i < a->stops; i++) {
        RT_TRY(rt_buf_str(b, i ? "," : ",\"stop\":["));
        RT_TRY(rt_json_quote(b, a->stop[i], strlen(a->stop[i])));
    }
    if (a->stops) RT_TRY(rt_buf_str(b, "]"));
    if (a->chat) return RT_OK; /* only fields that every chat server knows */
    if (a->k) RT_TRY(rt_buf_fmt(b, ",\"" WIRE_LOGPROBS "\":%lld,\"" WIRE_TOKENS_AS_IDS "\":true", (long long)a->k));
    return rt_buf_str(b, ",\"skip_special_tokens\":false,\"" WIRE_RETURN_TOKEN_IDS "\":true");
}

rt_status tc_completions_ask(rt_buf *b, const tc_ask *a, const char *model, int64_t score_tokens, int tails)
{
    RT_TRY(rt_buf_str(b, "{\"model\":"));
    RT_TRY(rt_json_quote(b, model, strlen(model)));
    RT_TRY(add_prompt(b, a));
    if (a->max_tokens) RT_TRY(add_generation(b, a));
    else
        RT_TRY(rt_buf_fmt(
            b, ",\"max_tokens\":%lld,\"temperature\":1,\"top_p\":1,\"" WIRE_PROMPT_LOGPROBS "\":%lld,\"" WIRE_RETURN_TOKEN_IDS "\":true",
            (long long)score_tokens, (long long)a->k));
    /* Other programs read numbers as doubles: 53 bits.  Ours takes all 64, as text. */
    RT_TRY(rt_buf_fmt(b, ",\"" WIRE_SEED "\":%llu", (unsigned long long)(a->seed >> 11)));
    if (tails && a->k) /* ours refuses questions about the rest where there is no top k */
        RT_TRY(rt_buf_fmt(b, ",\"" WIRE_RETORT "\":{\"" WIRE_TAIL_SAMPLES "\":%lld,\"" WIRE_SEED "\":\"%llu\"}", (long long)a->m,
                          (unsigned long long)a->seed));
    return rt_buf_str(b, "}");
}

/* ---- the answer -------------------------------------------------------------------------- */

static const cJSON *get(const cJSON *o, const char *key) { return cJSON_GetObjectItemCaseSensitive(o, key); }

/* The elements of a list that must have n of them. */
static rt_status list_of(const cJSON **first, const cJSON *o, const char *key, int64_t n)
{
    const cJSON *l = get(o, key);
    if (!cJSON_IsArray(l)) ANSWERED("no list \"%s\" (%s)", key, l ? "another type" : "missing");
    int64_t c = 0;
    for (const cJSON *x = l->child; x; x = x->next) c++;
    if (c != n) ANSWERED("\"%s\" with %lld entries for %lld tokens", key, (long long)c, (long long)n);
    *first = l->child;
    return RT_OK;
}

static rt_status allocate(tc_answer *x, const tc_ask *a, int64_t n, int tails)
{
    x->n = n, x->k = a->k, x->m = a->m;
    RT_TRY(RT_NEW(x->ids, n));
    RT_TRY(RT_NEW(x->prompt_mask, n));
    if (!a->k) return RT_OK;
    RT_TRY(RT_NEW(x->valid, n));
    RT_TRY(RT_NEW(x->topk_ids, n * a->k));
    RT_TRY(RT_NEW(x->topk_logprob, n * a->k));
    RT_TRY(RT_NEW(x->actual_logprob, n));
    RT_TRY(RT_NEW(x->rest_mass, n));
    if (a->m) RT_TRY(RT_NEW(x->tail_ids, n * a->m));
    return tails ? RT_NEW(x->rest_entropy, n) : RT_OK;
}

/* Rows first .. first+n-1 of samples and entropies; `skip`: entry 0 of the lists is about nothing. */
static rt_status read_rest(tc_answer *x, const tc_ask *a, const cJSON *o, const char *tail, const char *entropy, int64_t first, int64_t n,
                           int skip)
{
    const cJSON *t = NULL, *h = NULL;
    if (a->m) RT_TRY(list_of(&t, o, tail, n + skip));
    RT_TRY(list_of(&h, o, entropy, n + skip));
    for (int64_t i = -skip; i < n; i++) {
        if (i >= 0 && t) RT_TRY(tc_row_tail(x, a, first + i, t, tail, i + skip));
        if (i >= 0) RT_TRY(tc_row_entropy(x, a, first + i, h, entropy, i + skip));
        t = t ? t->next : NULL;
        h = h->next;
    }
    return RT_OK;
}

/* Where the server repeats the prompt's ids, they must be the ones that were sent. */
static rt_status check_echo(const tc_ask *a, const cJSON *choice)
{
    const cJSON *x  = NULL;
    int32_t      id = 0;
    if (!a->ids || !cJSON_IsArray(get(choice, WIRE_PROMPT_TOKEN_IDS))) return RT_OK;
    RT_TRY(list_of(&x, choice, WIRE_PROMPT_TOKEN_IDS, a->n));
    for (int64_t i = 0; i < a->n; i++, x = x->next) {
        RT_TRY(tc_id_read(&id, x, a->vocab, WIRE_PROMPT_TOKEN_IDS, i));
        if (id != a->ids[i])
            ANSWERED(WIRE_PROMPT_TOKEN_IDS "[%lld] = %d, but %d was sent: it changes the prompt", (long long)i, id, a->ids[i]);
    }
    return RT_OK;
}

static rt_status read_scores(tc_answer *x, const tc_ask *a, const cJSON *choice, int tails)
{
    const cJSON *p = NULL;
    RT_TRY(list_of(&p, choice, WIRE_PROMPT_LOGPROBS, a->n));
    RT_TRY(allocate(x, a, a->n, tails));
    memcpy(x->ids, a->ids, (size_t)a->n * sizeof *x->ids);
    for (int64_t t = 1; t < a->n; t++) {
        p = p->next;
        RT_TRY(tc_row_read(x, a, t - 1, p, (double)NAN, WIRE_PROMPT_LOGPROBS, t));
    }
    return tails ? read_rest(x, a, choice, WIRE_PROMPT_TAIL_IDS, WIRE_PROMPT_REST_ENTROPY, 0, a->n - 1, 1) : RT_OK;
}

/* Generated ids: "token_ids" where the server sends them, else logprobs.tokens. */
static rt_status read_generated_ids(tc_answer *x, const tc_ask *a, const cJSON *choice, const cJSON *logprobs, int tails)
{
    const cJSON *l     = get(choice, WIRE_TOKEN_IDS);
    const int    named = !cJSON_IsArray(l);
    if (named) l = get(logprobs, "tokens");
    if (!cJSON_IsArray(l) && !a->k) return RT_OK; /* text alone will do */
    if (!cJSON_IsArray(l)) ANSWERED("neither \"" WIRE_TOKEN_IDS "\" nor logprobs.tokens");
    const int64_t n = cJSON_GetArraySize(l);
    if (n > a->max_tokens + 1) ANSWERED("%lld tokens, at most %lld were asked for", (long long)n, (long long)a->max_tokens);
    RT_TRY(allocate(x, a, a->n + n, tails && a->k));
    x->prompt = a->n;
    if (a->n) memcpy(x->ids, a->ids, (size_t)a->n * sizeof *x->ids);
    memset(x->prompt_mask, 1, (size_t)a->n);
    int64_t i = a->n;
    for (const cJSON *t = l->child; t; t = t->next, i++)
        if (named) RT_TRY(tc_id_named(&x->ids[i], cJSON_GetStringValue(t), a->vocab, "tokens", i - a->n));
        else RT_TRY(tc_id_read(&x->ids[i], t, a->vocab, WIRE_TOKEN_IDS, i - a->n));
    return RT_OK;
}

/* Where "logprobs" names the tokens too, they must be the same. */
static rt_status check_names(const tc_answer *x, const tc_ask *a, const cJSON *logprobs)
{
    const cJSON *t  = NULL;
    int32_t      id = 0;
    if (!cJSON_IsArray(get(logprobs, "tokens"))) return RT_OK;
    RT_TRY(list_of(&t, logprobs, "tokens", x->n - x->prompt));
    for (int64_t i = 0; t; t = t->next, i++) {
        RT_TRY(tc_id_named(&id, cJSON_GetStringValue(t), a->vocab, "logprobs.tokens", i));
        if (id != x->ids[x->prompt + i])
            ANSWERED(WIRE_TOKEN_IDS "[%lld] = %d, but logprobs.tokens has %d there", (long long)i, x->ids[x->prompt + i], id);
    }
    return RT_OK;
}

void tc_places_add(tc_places *p, const tc_answer *x)
{
    for (int64_t i = 0; i + 1 < x->n; i++) {
        const int32_t *top   = x->topk_ids + i * x->k;
        int64_t        place = 0;
        if (!x->valid[i]) continue;
        while (place < x->k && top[place] != x->ids[i + 1]) place++;
        p->outside += place == x->k;
        p->last += place == x->k - 1;
        p->expected += exp((double)x->topk_logprob[i * x->k + x->k - 1]);
    }
}

/* Without ranks nothing in a row says that its last entry has taken the k-th one's place.  But a token that is drawn is
 * the k-th about as often as the k-th is likely, not whenever it is none of the first k-1. */
rt_status tc_places_check(const tc_places *p, int64_t k, double temperature)
{
    if (k < 2 || temperature > 1 || p->outside || (double)p->last <= 10 + 3 * p->expected) return RT_OK;
    ANSWERED(
        "top_logprobs whose last entry is the token that was written %lld times, about %.1f were to be expected: it seems to stand in the "
        "place of the %lld-th",
        (long long)p->last, p->expected, (long long)k);
}

static rt_status read_generated(tc_answer *x, const tc_ask *a, const cJSON *choice, int tails)
{
    const cJSON *logprobs = get(choice, WIRE_LOGPROBS), *lp = NULL, *top = NULL;
    RT_TRY(read_generated_ids(x, a, choice, logprobs, tails));
    const int64_t n = x->n - x->prompt;
    if (!a->k || !n) return RT_OK;
    RT_TRY(check_names(x, a, logprobs));
    RT_CHECK(a->n, RT_EINVAL, "a generation with probabilities needs a prompt of at least one token");
    RT_TRY(list_of(&lp, logprobs, "token_logprobs", n));
    RT_TRY(list_of(&top, logprobs, "top_logprobs", n));
    for (int64_t j = 0; j < n; j++, lp = lp->next, top = top->next) {
        const double actual = cJSON_IsNumber(lp) ? lp->valuedouble : (double)NAN;
        RT_TRY(tc_row_read(x, a, a->n + j - 1, top, actual, "logprobs.top_logprobs", j));
    }
    tc_places p = {0};
    tc_places_add(&p, x);
    RT_TRY(tc_places_check(&p, a->k, a->temperature));
    return tails ? read_rest(x, a, choice, WIRE_TAIL_IDS, WIRE_REST_ENTROPY, a->n - 1, n, 0) : RT_OK;
}

/* No text, and the server says why: asking again would bring the same. */
static rt_status no_text(const cJSON *message, const char *finish)
{
    const char *refusal = cJSON_GetStringValue(get(message, "refusal"));
    if (refusal) RT_FAIL(RT_ECHECK, "no text: a refusal: \"%.100s\"", refusal);
    if (*finish) RT_FAIL(RT_ECHECK, "no text: finish_reason \"%.40s\"", finish);
    ANSWERED("no text, and no finish_reason that says why");
}

static rt_status read_text(tc_answer *x, const tc_ask *a, const cJSON *choice)
{
    const cJSON *message = a->chat ? get(choice, "message") : choice;
    const char  *text    = cJSON_GetStringValue(get(message, a->chat ? "content" : "text"));
    const char  *finish  = cJSON_GetStringValue(get(choice, "finish_reason"));
    snprintf(x->finish, sizeof x->finish, "%s", finish ? finish : "");
    if (!a->max_tokens) return RT_OK;
    return text ? rt_json_bytes(&x->text, text) : no_text(message, x->finish);
}

static int64_t count_of(const cJSON *usage, const char *key)
{
    const cJSON *x = get(usage, key);
    int64_t      n = -1;
    return rt_json_whole(x, 0, 1000000000000, &n) ? n : -1;
}

static rt_status read_all(tc_answer *x, const tc_ask *a, const cJSON *o, int tails)
{
    const cJSON *choices = get(o, "choices"), *choice = cJSON_IsArray(choices) ? choices->child : NULL;
    if (!cJSON_IsObject(choice)) ANSWERED("no choices[0]");
    const cJSON *index = get(choice, "index");
    if (choice->next || (cJSON_IsNumber(index) && index->valuedouble != 0)) ANSWERED("another choice than the one that was asked for");
    x->prompt_tokens     = count_of(get(o, "usage"), "prompt_tokens");
    x->completion_tokens = count_of(get(o, "usage"), "completion_tokens");
    RT_TRY(read_text(x, a, choice));
    RT_TRY(check_echo(a, choice));
    if (!a->max_tokens) return read_scores(x, a, choice, tails);
    return a->chat ? RT_OK : read_generated(x, a, choice, tails);
}

rt_status tc_completions_read(tc_answer *out, const tc_ask *a, const rt_buf *reply, int tails)
{
    tc_answer x    = {0};
    cJSON    *o    = NULL;
    rt_buf    copy = {0}; /* the parser mends slips in place; the ledger keeps what was sent */
    rt_status st   = rt_buf_add(&copy, reply->p, reply->len);
    /* ids are checked for doubles in rows.c, so the parser need not compare every pair of keys */
    if (st == RT_OK) st = rt_json_parse(&o, copy.p, copy.len, RT_JSON_LENIENT | RT_JSON_DUPLICATES, "server answered no JSON: body");
    if (st == RT_OK) st = read_all(&x, a, o, tails);
    cJSON_Delete(o);
    rt_buf_free(&copy);
    if (st != RT_OK) tc_answer_free(&x);
    else *out = x;
    return st;
}
