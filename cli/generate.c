/* generate.c -- retort generate: run a model here. */
#include "cli/cli.h"
#include "core/clock.h"
#include "core/rng.h"
#include "infer/infer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct generate_options {
    const char *prompt, *ids, *dtype;
    int64_t     max_tokens, top_k, seed, threads;
    double      temperature, top_p;
    int         ignore_eos, json;
} generate_options;

typedef struct generation {
    const generate_options *o;
    md_model               *m;
    ds_tokenizer           *t;
    inf_session            *s;
    inf_sampler            *sampler;
    ds_ids                  ids; /* prompt, then what was generated */
    int64_t                 prompt;
    double                  seconds;
} generation;

static rt_status parse_ids(const char *text, ds_ids *ids)
{
    for (const char *p = text; *p;) {
        char      *end;
        const long v = strtol(p, &end, 10);
        RT_CHECK(end != p && (*end == ',' || !*end) && v >= 0 && v <= INT32_MAX, RT_EINVAL, "--ids takes token ids with commas, found '%s'",
                 text);
        RT_TRY(ds_ids_add(ids, (int32_t)v));
        p = *end ? end + 1 : end;
    }
    return RT_OK;
}

static rt_status make_prompt(generation *g)
{
    if (g->o->ids) RT_TRY(parse_ids(g->o->ids, &g->ids));
    else RT_TRY(ds_encode(g->t, g->o->prompt, strlen(g->o->prompt), DS_PROMPT, &g->ids));
    g->prompt = g->ids.n;
    RT_CHECK(g->prompt >= 1, RT_EINVAL, "the prompt is empty and this tokenizer begins a text with no token; give --prompt or --ids");
    RT_CHECK(g->prompt <= g->m->config.context, RT_EINVAL, "the prompt has %lld tokens, the model's context is %lld", (long long)g->prompt,
             (long long)g->m->config.context);
    return RT_OK;
}

static rt_status show(const generation *g, int32_t id)
{
    rt_buf b = {0};
    if (g->o->json) return RT_OK;
    RT_TRY(ds_decode(g->t, &id, 1, 1, &b));
    if (b.len) fwrite(b.p, 1, b.len, stdout), fflush(stdout);
    rt_buf_free(&b);
    return RT_OK;
}

static rt_status generate(generation *g)
{
    const generate_options *o    = g->o;
    const inf_sampling      how  = {.temperature = o->temperature, .top_k = o->top_k, .top_p = o->top_p};
    const int64_t           room = g->m->config.context - g->prompt, want = o->max_tokens < room ? o->max_tokens : room;
    const real             *z = NULL;
    RT_TRY(inf_feed(g->s, g->ids.v, g->prompt, &z));
    const double began = rt_now();
    for (int64_t i = 0; i < want; i++) {
        rt_rng        r  = {rt_mix2((uint64_t)o->seed, (uint64_t)i)};
        const int32_t id = inf_sample(g->sampler, z, &how, rt_rng_uniform(&r));
        if (!o->ignore_eos && ds_ends_have(&g->m->config.ends, id)) break;
        RT_TRY(ds_ids_add(&g->ids, id));
        RT_TRY(show(g, id));
        if (i + 1 < want) RT_TRY(inf_feed(g->s, &id, 1, &z));
    }
    g->seconds = rt_now() - began;
    return RT_OK;
}

static rt_status print_json(const generation *g, double tok_s)
{
    rt_buf    b = {0}, text = {0};
    rt_status st = rt_buf_str(&b, "{\"ids\":[");
    for (int64_t i = g->prompt; st == RT_OK && i < g->ids.n; i++) st = rt_buf_fmt(&b, "%s%d", i > g->prompt ? "," : "", g->ids.v[i]);
    if (st == RT_OK) st = rt_buf_str(&b, "],\"text\":");
    if (st == RT_OK) st = ds_decode(g->t, g->ids.v + g->prompt, g->ids.n - g->prompt, 1, &text);
    if (st == RT_OK) st = rt_json_quote(&b, text.p ? text.p : "", text.len);
    if (st == RT_OK) st = rt_buf_fmt(&b, ",\"tok_s\":%.1f}\n", tok_s);
    if (st == RT_OK) fputs(b.p, stdout);
    rt_buf_free(&b), rt_buf_free(&text);
    return st;
}

static rt_status open_all(generation *g, const char *dir)
{
    RT_TRY(md_load(&g->m, dir, strcmp(g->o->dtype, "f32") ? KN_BF16 : KN_REAL));
    RT_TRY(ds_tokenizer_load(&g->t, dir));
    RT_TRY(ds_ends_join(&g->m->config.ends, ds_tokenizer_ends(g->t)));
    RT_TRY(inf_session_create(&g->s, g->m, g->m->config.context));
    return inf_sampler_create(&g->sampler, g->m->config.V);
}

static rt_status run(const void *options, int argc, char **argv)
{
    const generate_options *o = options;
    generation              g = {.o = o};
    RT_CHECK(argc == 1 && (o->prompt || o->ids), RT_EINVAL,
             "generate takes one model folder and --prompt or --ids (see 'retort generate --help')");
    RT_CHECK(o->max_tokens >= 1 && o->top_k >= 0, RT_EINVAL,
             "expected --max-tokens of 1 or more and --top-k of 0 or more, found %lld and %lld", (long long)o->max_tokens,
             (long long)o->top_k);
    RT_CHECK(o->temperature >= 0 && o->top_p > 0 && o->top_p <= 1, RT_EINVAL,
             "expected --temperature of 0 or more and --top-p above 0, at most 1, found %g and %g", o->temperature, o->top_p);
    RT_CHECK(!strcmp(o->dtype, "f32") || !strcmp(o->dtype, "bf16"), RT_EINVAL, "--dtype must be f32 or bf16, found '%s'", o->dtype);
    if (o->threads > 0) rt_threads_set((int)o->threads);
    RT_TRY(kn_init());
    rt_status st = open_all(&g, argv[0]);
    if (st == RT_OK) st = make_prompt(&g);
    if (st == RT_OK) st = generate(&g);
    const double tok_s = g.seconds > 0 ? (double)(g.ids.n - g.prompt) / g.seconds : 0;
    if (st == RT_OK && o->json) st = print_json(&g, tok_s);
    else if (st == RT_OK) fputc('\n', stdout), rt_note("%lld tokens, %.0f tokens/s", (long long)(g.ids.n - g.prompt), tok_s);
    inf_sampler_destroy(&g.sampler);
    inf_session_destroy(&g.s);
    ds_tokenizer_destroy(&g.t);
    md_destroy(&g.m);
    free(g.ids.v);
    return st;
}

static const rt_option options[] = {
    {"prompt", RT_OPT_TEXT, offsetof(generate_options, prompt), "TEXT", "what to continue"},
    {"ids", RT_OPT_TEXT, offsetof(generate_options, ids), "1,2,3", "the same as token ids, taken as they are"},
    {"max-tokens", RT_OPT_INT, offsetof(generate_options, max_tokens), "N", "at most so many (default 64)"},
    {"temperature", RT_OPT_REAL, offsetof(generate_options, temperature), "T", "0: always the most likely (default 0.8)"},
    {"top-k", RT_OPT_INT, offsetof(generate_options, top_k), "K", "only the K most likely (default 0: all)"},
    {"top-p", RT_OPT_REAL, offsetof(generate_options, top_p), "P", "only the most likely that together have P (default 1: all)"},
    {"seed", RT_OPT_INT, offsetof(generate_options, seed), "N", "of the sampling (default 0)"},
    {"ignore-eos", RT_OPT_FLAG, offsetof(generate_options, ignore_eos), NULL, "go on after an end token"},
    {"dtype", RT_OPT_TEXT, offsetof(generate_options, dtype), "TYPE", "bf16 (default) or f32, for weights that are not quantised"},
    {"threads", RT_OPT_INT, offsetof(generate_options, threads), "N", "threads (default: the cores that it may use)"},
    {"json", RT_OPT_FLAG, offsetof(generate_options, json), NULL, "one JSON object: ids text tok_s"},
    {0}};

static const generate_options defaults = {.max_tokens = 64, .temperature = 0.8, .top_p = 1, .dtype = "bf16"};

const rt_command cli_generate = {
    .name     = "generate",
    .usage    = "MODEL --prompt TEXT",
    .summary  = "run a model here",
    .text     = "Continues a text, printing it as it comes, and the speed at the end. The same seed gives the same text.\n\n"
                "  retort generate @share/teacher --prompt 'volcano (noun):' --temperature 0.5",
    .options  = options,
    .size     = sizeof(generate_options),
    .defaults = &defaults,
    .run      = run,
};
