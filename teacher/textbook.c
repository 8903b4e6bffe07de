/* textbook.c -- text that the teacher writes: a recipe in, a soft or text shard out.
 *
 * Request i is for combination order[i mod combinations] of the recipe with the seed
 * hash(run seed, i).  The order is shuffled, so that a part of the requests covers all topics.
 */
#include "core/rng.h"
#include "teacher/agree.h"
#include "teacher/recipe.h"
#include "teacher/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct textbook {
    const tc_options          *o;
    const tc_textbook_options *t;
    tc_recipe                 *recipe;
    ds_tokenizer              *tokenizer;
    ds_chat *template;   /* of a chat whose prompt is sent as token ids; else NULL */
    int        messages; /* 1: a chat that is sent as messages */
    tc_run     run;
    int64_t    combinations, max_tokens;
    int64_t   *order;   /* [combinations] */
    rt_buf    *prompts; /* [combinations]; filled for those that are requested */
    ds_ids    *ids;     /* [combinations]; their tokens; none where messages are sent */
    uint64_t  *seen;    /* hashes of texts kept; 0: free */
    int64_t    seen_size;
    tc_ranks   ranks;
    ds_writer *writer;
} textbook;

static int64_t combination(const textbook *b, int64_t i) { return b->order[i % b->combinations]; }

static rt_status textbook_prepare(textbook *b)
{
    rt_rng rng      = {rt_mix2(b->o->seed, 0)};
    b->combinations = tc_recipe_combinations(b->recipe);
    b->max_tokens   = b->t->max_tokens ? b->t->max_tokens : b->recipe->max_tokens;
    RT_TRY(RT_NEW(b->order, b->combinations));
    RT_TRY(RT_NEW(b->prompts, b->combinations));
    RT_TRY(RT_NEW(b->ids, b->combinations));
    for (int64_t c = 0; c < b->combinations; c++) b->order[c] = c;
    rt_rng_shuffle(&rng, b->order, b->combinations);
    for (int64_t i = 0; i < b->combinations && i < b->t->count; i++) {
        const int64_t c = combination(b, i);
        RT_TRY(b->template ? tc_recipe_chat(b->recipe, c, b->template, &b->prompts[c]) : tc_recipe_prompt(b->recipe, c, &b->prompts[c]));
        if (!b->messages)
            RT_TRY(ds_encode(b->tokenizer, b->prompts[c].p, b->prompts[c].len, b->template ? DS_ADDED : DS_PROMPT, &b->ids[c]));
    }
    for (b->seen_size = 64; b->seen_size < 2 * b->t->count;) b->seen_size *= 2;
    return RT_NEW(b->seen, b->seen_size);
}

/* ---- requests ------------------------------------------------------------------------------ */

static rt_status textbook_name(void *ud, int64_t i, char out[TC_NAME])
{
    const textbook *b = ud;
    snprintf(out, TC_NAME, "text %lld of the recipe %.60s (topic %.120s)", (long long)i, b->recipe->name,
             tc_recipe_topic(b->recipe, combination(b, i)));
    return RT_OK;
}

static rt_status textbook_make(void *ud, int64_t i, tc_request *q)
{
    const textbook *b = ud;
    const int64_t   c = combination(b, i);
    q->chat           = b->messages;
    q->text           = b->prompts[c].p;
    q->system         = b->recipe->system;
    if (!q->chat) q->ids = b->ids[c].v, q->n = b->ids[c].n;
    q->max_tokens  = b->max_tokens;
    q->temperature = b->recipe->temperature;
    q->top_p       = b->recipe->top_p;
    q->stops       = b->recipe->stops;
    memcpy(q->stop, b->recipe->stop, sizeof q->stop);
    q->seed = rt_mix2(b->o->seed, (uint64_t)i);
    return RT_OK;
}

/* vLLM does not report its tokenizer; this check detects a wrong one. */
static rt_status textbook_agree(void *ud, const tc_response *x)
{
    const textbook *b = ud;
    if (!x->n) return RT_OK; /* text alone */
    return tc_agree(b->tokenizer, x->ids + x->prompt, x->n - x->prompt, &x->text, b->recipe->stop, b->recipe->stops);
}

static rt_status textbook_check_lengths(const textbook *b)
{
    const int64_t room = b->run.server.max_len;
    for (int64_t c = 0; room && c < b->combinations; c++)
        RT_CHECK(b->ids[c].n + b->max_tokens <= room, RT_EINVAL,
                 "the prompt for topic %.100s has %lld tokens and max_tokens is %lld, but the teacher accepts %lld in all; use a smaller "
                 "--max-tokens",
                 tc_recipe_topic(b->recipe, c), (long long)b->ids[c].n, (long long)b->max_tokens, (long long)room);
    return RT_OK;
}

/* ---- the output ----------------------------------------------------------------------------- */

/* *fresh: the text (its ids, if the server sent them) has not been kept before.  The table holds 64 bits of SHA-256. */
static rt_status is_new(textbook *b, const tc_response *x, int *fresh)
{
    char hex[RT_SHA_HEX];
    if (x->n) RT_TRY(rt_sha_bytes(x->ids + x->prompt, (size_t)(x->n - x->prompt) * sizeof *x->ids, hex));
    else RT_TRY(rt_sha_bytes(x->text.p, x->text.len, hex));
    hex[16]             = '\0';
    const uint64_t hash = strtoull(hex, NULL, 16) | 1;
    const uint64_t mask = (uint64_t)b->seen_size - 1;
    uint64_t       at   = (hash >> 1) & mask;
    while (b->seen[at] && b->seen[at] != hash) at = (at + 1) & mask;
    *fresh      = b->seen[at] == 0;
    b->seen[at] = hash;
    return RT_OK;
}

/* Returns the dialect's entry of a finish reason of complete texts; NULL: the text is incomplete. */
static const tc_finish *whole(const textbook *b, const char *finish)
{
    const tc_finish *f = b->run.server.dialect->finish;
    while (f->word && strcmp(f->word, finish) != 0) f++;
    return f->word ? f : NULL;
}

/* Encodes a text that came without ids, after the prompt's tokens or, in a chat, whose template
 * hides them, after the beginning of a text.  *given: the number of tokens before the text. */
static rt_status textbook_encode_text(const textbook *b, const tc_response *x, int64_t c, ds_ids *ids, int64_t *given)
{
    const tc_finish *end = whole(b, x->finish);
    const int32_t    eos = ds_tokenizer_eos(b->tokenizer);
    if (b->messages) RT_TRY(ds_encode(b->tokenizer, "", 0, DS_PROMPT, ids));
    for (int64_t i = 0; i < b->ids[c].n; i++) RT_TRY(ds_ids_add(ids, b->ids[c].v[i]));
    *given = ids->n;
    RT_TRY(ds_encode(b->tokenizer, x->text.p, x->text.len, DS_ADDED, ids));
    return ids->n > *given && eos >= 0 && end && end->itself ? ds_ids_add(ids, eos) : RT_OK;
}

static rt_status textbook_add_doc(textbook *b, int64_t i, const tc_response *x, const tc_entry *e, ds_doc *d)
{
    d->request = b->run.keys[i];
    d->recipe  = b->recipe->name;
    d->topic   = tc_recipe_topic(b->recipe, combination(b, i));
    d->finish  = x->finish;
    d->seed    = rt_mix2(b->o->seed, (uint64_t)i);
    d->cost    = e->cost;
    RT_TRY(ds_writer_add(b->writer, d));
    b->run.report->documents++;
    b->run.report->tokens += d->n;
    return RT_OK;
}

/* Returns 1 if a text with this finish reason is kept: those that --finish names, by default those of complete texts. */
static int is_wanted(const textbook *b, const char *finish)
{
    const rt_strings *wanted = &b->t->finish;
    if (!wanted->n) return whole(b, finish) != NULL;
    for (int i = 0; i < wanted->n; i++)
        if (!strcmp(wanted->v[i], *finish ? finish : "none")) return 1;
    return 0;
}

static rt_status textbook_keep(textbook *b, int64_t i, const tc_response *x, const tc_entry *e, ds_doc *d, int64_t prompt)
{
    int fresh = 0;
    if (!is_wanted(b, x->finish)) {
        tc_tally_add(&b->run.report->ends, *x->finish ? x->finish : "none", 1);
        return RT_OK;
    }
    if (d->n - prompt < b->t->min_tokens) {
        b->run.report->short_ones++;
        return RT_OK;
    }
    RT_TRY(is_new(b, x, &fresh));
    if (fresh) return textbook_add_doc(b, i, x, e, d);
    b->run.report->duplicates++;
    return RT_OK;
}

static rt_status keep_text(textbook *b, int64_t i, const tc_response *x, const tc_entry *e)
{
    ds_ids    ids    = {0};
    int64_t   prompt = 0;
    uint8_t  *mask   = NULL;
    rt_status st     = textbook_encode_text(b, x, combination(b, i), &ids, &prompt);
    if (st == RT_OK) st = RT_NEW(mask, ids.n);
    if (st == RT_OK) memset(mask, 1, (size_t)b->ids[combination(b, i)].n);
    ds_doc d = {.n = ids.n, .ids = ids.v, .prompt_mask = mask};
    if (st == RT_OK) st = textbook_keep(b, i, x, e, &d, prompt);
    free(mask);
    free(ids.v);
    return st;
}

static rt_status textbook_take(void *ud, int64_t i, const tc_response *x, const tc_entry *e)
{
    textbook *b = ud;
    ds_doc    d;
    if (!x->n) return keep_text(b, i, x, e);
    tc_response_doc(x, b->run.k > 0, &d);
    if (b->run.k) tc_ranks_add(&b->ranks, x);
    return textbook_keep(b, i, x, e, &d, x->prompt);
}

static rt_status nothing_is_left(const textbook *b)
{
    const tc_report *r     = b->run.report;
    int64_t          ended = 0;
    for (int i = 0; i < r->ends.used; i++) ended += r->ends.n[i];
    RT_FAIL(RT_EINVAL,
            "all %lld texts were excluded: %lld for their finish reason, the first \"%s\" (--finish), %lld were too short "
            "(--min-tokens %lld), %lld were duplicates, %lld requests failed",
            (long long)b->t->count, (long long)ended, ended ? r->ends.name[0] : "", (long long)r->short_ones, (long long)b->t->min_tokens,
            (long long)r->duplicates, (long long)r->failed);
}

static rt_status textbook_write_out(textbook *b, const char *settings)
{
    ds_info info;
    RT_TRY(tc_run_info(&b->run, &info, ds_tokenizer_identity(b->tokenizer), settings));
    RT_TRY(ds_writer_create(&b->writer, b->o->out, &info));
    RT_TRY(tc_run_responses(&b->run, textbook_take, b));
    RT_TRY(tc_ranks_check(&b->ranks, b->run.k, b->recipe->temperature));
    if (!b->run.report->documents) return nothing_is_left(b);
    return ds_writer_finish(&b->writer);
}

/* ---- the run --------------------------------------------------------------------------------- */

static rt_status textbook_check_options(const textbook *b)
{
    RT_CHECK(b->t->count >= 1 && b->t->count <= 1 << 28, RT_EINVAL, "--count %lld: expected 1 to %d", (long long)b->t->count, 1 << 28);
    RT_CHECK(b->t->min_tokens >= 0 && b->t->max_tokens >= 0, RT_EINVAL, "--min-tokens and --max-tokens must not be negative");
    RT_CHECK(b->t->max_tokens <= 1 << 20, RT_EINVAL, "--max-tokens %lld: expected at most %d", (long long)b->t->max_tokens, 1 << 20);
    RT_CHECK(b->o->tokenizer, RT_EINVAL, "--tokenizer: expected the folder of the teacher's tokenizer.json");
    RT_CHECK(b->t->text_only || b->o->k >= 1, RT_EINVAL, "--k %lld: expected 1 to %d", (long long)b->o->k, (int)TC_MAX_K);
    return RT_OK;
}

/* A chat is sent as token ids, of which the server returns probabilities, or, for text alone, as messages, to which the server applies its
 * own template. */
static rt_status textbook_open_chat(textbook *b)
{
    b->messages = b->recipe->chat && b->t->text_only;
    if (!b->recipe->chat || b->messages) return RT_OK;
    RT_TRY(ds_chat_load(&b->template, b->o->tokenizer));
    RT_CHECK(
        b->template, RT_EINVAL,
        "the recipe %s is of kind chat, and %s has no chat template, so the prompt's token ids are not known here; add --text-only and "
        "collect probabilities with 'retort score'",
        b->recipe->name, b->o->tokenizer);
    return RT_OK;
}

static void put_settings(const textbook *b, rt_json_writer *w)
{
    rt_put_object(w, NULL);
    rt_put_text(w, "command", "textbook");
    rt_put_text(w, "recipe", b->recipe->name);
    rt_put_real(w, "temperature", b->recipe->temperature, 9);
    rt_put_real(w, "top_p", b->recipe->top_p, 9);
    rt_put_int(w, "max_tokens", b->max_tokens);
    rt_put_int(w, "min_tokens", b->t->min_tokens);
    rt_put_bool(w, "text_only", b->t->text_only);
    rt_put_format(w, "seed", "%llu", (unsigned long long)b->o->seed);
    if (!b->t->finish.n) return;
    rt_put_array(w, "finish");
    for (int i = 0; i < b->t->finish.n; i++) rt_put_text(w, NULL, b->t->finish.v[i]);
    rt_put_end(w);
}

static rt_status textbook_run_all(textbook *b, rt_json_writer *settings, tc_report *r)
{
    const tc_source source = {.n = b->t->count, .make = textbook_make, .name = textbook_name, .agree = textbook_agree, .ud = b};
    tc_endpoint_guard(b->o);
    RT_TRY(tc_recipe_read(&b->recipe, b->t->recipe));
    RT_TRY(textbook_check_options(b));
    RT_TRY(ds_tokenizer_load(&b->tokenizer, b->o->tokenizer));
    RT_TRY(textbook_open_chat(b));
    RT_TRY(textbook_prepare(b));
    /* only the text of a teacher that gets messages is used, so its tokenizer may differ */
    const char   *sha  = b->messages ? "" : ds_tokenizer_identity(b->tokenizer);
    const tc_need need = {.k     = b->t->text_only ? 0 : b->o->k,
                          .m     = b->t->text_only ? -1 : b->o->m,
                          .vocab = b->messages ? 0 : ds_tokenizer_size(b->tokenizer)};
    RT_TRY(tc_run_open(&b->run, b->o, &need, sha, r));
    if (b->messages) b->run.vocab = ds_tokenizer_size(b->tokenizer);
    RT_TRY(textbook_check_lengths(b));
    put_settings(b, settings);
    RT_TRY(tc_run_collect(&b->run, &source, settings));
    if (!r->already) RT_TRY(textbook_write_out(b, settings->out->p));
    tc_run_report(&b->run);
    return RT_OK;
}

static void textbook_free(textbook *b)
{
    ds_writer_abandon(&b->writer);
    tc_run_close(&b->run);
    for (int64_t c = 0; b->prompts && c < b->combinations; c++) rt_buf_free(&b->prompts[c]);
    for (int64_t c = 0; b->ids && c < b->combinations; c++) free(b->ids[c].v);
    free(b->prompts), free(b->ids), free(b->order), free(b->seen);
    ds_chat_destroy(&b->template);
    ds_tokenizer_destroy(&b->tokenizer);
    tc_recipe_destroy(&b->recipe);
}

rt_status tc_textbook(const tc_options *o, const tc_textbook_options *t, tc_report *r)
{
    textbook        b        = {.o = o, .t = t};
    rt_buf          settings = {0};
    rt_json_writer  writer   = {.out = &settings};
    const rt_status st       = textbook_run_all(&b, &writer, r);
    rt_buf_free(&settings);
    textbook_free(&b);
    return st;
}
