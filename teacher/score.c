/* score.c -- the probabilities of given text: shards in, a soft shard out.
 *
 * All token ids are held in memory (4 bytes a token); responses are not.
 */
#include "core/rng.h"
#include "data/tokenizer.h"
#include "teacher/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct document { /* of the input */
    int64_t  first, n;    /* in ids */
    int      shard;
    int64_t  number; /* in its shard */
    uint64_t seed;
    char    *recipe, *topic, *finish, *meta;
} document;

typedef struct score {
    const rt_strings *shards;
    ds_tokenizer     *tokenizer; /* NULL: none was named */
    tc_run            run;
    ds_info           input;
    int32_t          *ids;
    uint8_t          *mask;
    int64_t           tokens, cap_ids, cap_mask;
    document         *documents;
    int64_t           n, cap;
    uint64_t          seed;
    ds_writer        *writer;
} score;

/* ---- the input ----------------------------------------------------------------------------- */

static rt_status copy_string(char **to, const char *from) { return from && *from ? rt_strdup(to, from) : RT_OK; }

static rt_status add_tokens(score *s, const ds_doc *d)
{
    for (int64_t i = 0; i < d->n; i++) {
        RT_TRY(rt_grow((void **)&s->ids, s->tokens, &s->cap_ids, sizeof *s->ids));
        RT_TRY(rt_grow((void **)&s->mask, s->tokens, &s->cap_mask, sizeof *s->mask));
        s->ids[s->tokens]    = d->ids[i];
        s->mask[s->tokens++] = d->prompt_mask ? d->prompt_mask[i] : 0;
    }
    return RT_OK;
}

static rt_status scoring_add_doc(score *s, const ds_doc *d, int shard, int64_t number)
{
    RT_TRY(rt_grow((void **)&s->documents, s->n, &s->cap, sizeof *s->documents));
    document *t = &s->documents[s->n];
    *t          = (document){.first = s->tokens, .n = d->n, .shard = shard, .number = number, .seed = d->seed};
    s->n++; /* from here on, score_free frees its strings */
    RT_TRY(copy_string(&t->recipe, d->recipe));
    RT_TRY(copy_string(&t->topic, d->topic));
    RT_TRY(copy_string(&t->finish, d->finish));
    RT_TRY(copy_string(&t->meta, d->meta));
    return add_tokens(s, d);
}

static rt_status same_input(const score *s, const ds_info *i, const char *path)
{
    RT_CHECK(ds_tokenizer_same(s->tokenizer, s->input.tokenizer, i->tokenizer), RT_EMISMATCH,
             "%s was made with the tokenizer %s, but %s was made with %s; import both texts with one tokenizer", s->shards->v[0],
             s->input.tokenizer, path, i->tokenizer);
    return RT_OK;
}

static rt_status read_shard(score *s, ds_shard *h, int number)
{
    ds_doc        d;
    const int64_t vocab = ds_shard_info(h)->vocab; /* in a soft shard the teacher's vocabulary, which may be padded */
    if (number == 0) s->input = *ds_shard_info(h);
    if (vocab < s->input.vocab) s->input.vocab = vocab;
    RT_TRY(same_input(s, ds_shard_info(h), ds_shard_path(h)));
    for (int64_t i = 0; i < ds_shard_docs(h); i++) {
        RT_TRY(ds_shard_doc(h, i, &d));
        RT_TRY(scoring_add_doc(s, &d, number, i));
    }
    return RT_OK;
}

static rt_status read_input(score *s)
{
    RT_CHECK(s->shards->n > 0, RT_EINVAL, "--shards: expected one or more shards to score");
    for (int i = 0; i < s->shards->n; i++) {
        ds_shard *h = NULL;
        RT_TRY(ds_shard_open(&h, s->shards->v[i]));
        const rt_status st = read_shard(s, h, i);
        ds_shard_close(&h);
        RT_TRY(st);
    }
    return RT_OK;
}

static rt_status scoring_check_tokenizer(const score *s, const char *dir)
{
    RT_CHECK(!s->tokenizer || ds_tokenizer_is(s->tokenizer, s->input.tokenizer), RT_EMISMATCH,
             "%s has the tokenizer %s, but the shards were made with %s", dir, ds_tokenizer_identity(s->tokenizer), s->input.tokenizer);
    return RT_OK;
}

/* ---- requests ------------------------------------------------------------------------------ */

static rt_status scoring_name(void *ud, int64_t i, char out[TC_NAME])
{
    const score *s = ud;
    snprintf(out, TC_NAME, "document %lld of %.240s", (long long)s->documents[i].number, s->shards->v[s->documents[i].shard]);
    return RT_OK;
}

static rt_status scoring_make(void *ud, int64_t i, tc_request *q)
{
    const score *s = ud;
    q->ids         = s->ids + s->documents[i].first;
    q->n           = s->documents[i].n;
    q->seed        = rt_mix2(s->seed, (uint64_t)i);
    return RT_OK;
}

/* Refuses texts that the server would truncate, before any request is paid for. */
static rt_status scoring_check_lengths(score *s)
{
    const tc_server *t = &s->run.server;
    char             which[TC_NAME];
    for (int64_t i = 0; t->max_len && i < s->n; i++) {
        const int64_t room = t->max_len - t->dialect->score_tokens;
        if (s->documents[i].n <= room) continue;
        RT_TRY(scoring_name(s, i, which));
        RT_FAIL(RT_EINVAL,
                "%s has %lld tokens, but the teacher accepts at most %lld; import the text with --max-doc, or serve with a longer context",
                which, (long long)s->documents[i].n, (long long)room);
    }
    return RT_OK;
}

/* Refuses texts with a token that the teacher's vocabulary lacks. */
static rt_status scoring_check_ids(score *s)
{
    char which[TC_NAME];
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t j = 0; j < s->documents[i].n; j++) {
            const int32_t id = s->ids[s->documents[i].first + j];
            if (id < s->run.vocab) continue;
            RT_TRY(scoring_name(s, i, which));
            RT_FAIL(RT_EMISMATCH, "%s: token %lld has id %d, but the teacher has %lld ids; remove texts with this token", which,
                    (long long)j, (int)id, (long long)s->run.vocab);
        }
    return RT_OK;
}

/* ---- the output ---------------------------------------------------------------------------- */

static rt_status scoring_take(void *ud, int64_t i, const tc_response *x, const tc_entry *e)
{
    score          *s = ud;
    const document *t = &s->documents[i];
    ds_doc          d;
    tc_response_doc(x, 1, &d);
    d.prompt_mask = s->mask + t->first;
    d.request     = s->run.keys[i];
    d.recipe      = t->recipe;
    d.topic       = t->topic;
    d.finish      = t->finish;
    d.meta        = t->meta;
    d.seed        = t->seed;
    d.cost        = e->cost;
    RT_TRY(ds_writer_add(s->writer, &d));
    s->run.report->documents++;
    s->run.report->tokens += d.n;
    return RT_OK;
}

static rt_status scoring_write_out(score *s, const char *settings)
{
    ds_info info;
    RT_TRY(tc_run_info(&s->run, &info, s->input.tokenizer, settings));
    RT_TRY(ds_writer_create(&s->writer, s->run.o->out, &info));
    RT_TRY(tc_run_responses(&s->run, scoring_take, s));
    return ds_writer_finish(&s->writer);
}

static rt_status scoring_run_all(score *s, const tc_options *o, rt_json_writer *settings, tc_report *r)
{
    tc_endpoint_guard(o);
    RT_CHECK(o->k >= 1, RT_EINVAL, "--k %lld: expected 1 to %d", (long long)o->k, (int)TC_MAX_K);
    if (o->tokenizer) RT_TRY(ds_tokenizer_load(&s->tokenizer, o->tokenizer));
    RT_TRY(read_input(s));
    RT_TRY(scoring_check_tokenizer(s, o->tokenizer));
    const tc_need need = {.k = o->k, .m = o->m, .scores = 1, .vocab = s->input.vocab};
    RT_TRY(tc_run_open(&s->run, o, &need, s->input.tokenizer, r));
    RT_TRY(scoring_check_lengths(s));
    RT_TRY(scoring_check_ids(s));
    rt_put_object(settings, NULL);
    rt_put_text(settings, "command", "score");
    rt_put_format(settings, "seed", "%llu", (unsigned long long)o->seed);
    const tc_source source = {.n = s->n, .make = scoring_make, .name = scoring_name, .ud = s};
    RT_TRY(tc_run_collect(&s->run, &source, settings));
    if (!r->already) RT_TRY(scoring_write_out(s, settings->out->p));
    tc_run_report(&s->run);
    return RT_OK;
}

static void score_free(score *s)
{
    ds_writer_abandon(&s->writer);
    tc_run_close(&s->run);
    ds_tokenizer_destroy(&s->tokenizer);
    for (int64_t i = 0; i < s->n; i++)
        free(s->documents[i].recipe), free(s->documents[i].topic), free(s->documents[i].finish), free(s->documents[i].meta);
    free(s->documents);
    free(s->ids);
    free(s->mask);
}

rt_status tc_score(const tc_options *o, const rt_strings *shards, tc_report *r)
{
    score           s        = {.shards = shards, .seed = o->seed};
    rt_buf          settings = {0};
    rt_json_writer  writer   = {.out = &settings};
    const rt_status st       = scoring_run_all(&s, o, &writer, r);
    rt_buf_free(&settings);
    score_free(&s);
    return st;
}
