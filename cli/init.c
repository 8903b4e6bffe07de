/* init.c -- retort init: the first weights of a student, random or out of another model. */
#include "cli/cli.h"
#include "cli/sizes.h"
#include "core/file.h"
#include "distill/first.h"
#include "model/size.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct init_options {
    const char *from, *tokenizer, *params, *family, *out;
    rt_strings  shards;
    int64_t     tokens, layers, heads, ffn, width, context, seed, threads;
    int         json;
} init_options;

/* ---- what was made ------------------------------------------------------------------------------------ */

static rt_status init_print_json(const init_options *o, const md_config *c, const di_first_report *r)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "folder", o->out);
    cli_put_sizes(&w, c);
    rt_put_int(&w, "parameters", md_config_parameters(c));
    if (o->from) {
        rt_put_int(&w, "ids_shared", r->shared), rt_put_int(&w, "ids_made", r->made), rt_put_int(&w, "ids_dropped", r->dropped);
        rt_put_array(&w, "layers");
        for (int64_t l = 0; l < c->L; l++) rt_put_int(&w, NULL, isnan(r->kl) ? l : r->layer[l]);
        rt_put_end(&w);
        rt_put_real(&w, "kl_layers", r->kl_layers, 6), rt_put_real(&w, "kl", r->kl, 6);
    }
    rt_put_end(&w);
    return cli_print_line(&w);
}

static void init_print_layers(const md_config *c, const di_first_report *r)
{
    cli_print("layers of the model that stayed:");
    for (int64_t l = 0; l < c->L; l++) cli_print(" %d", r->layer[l]);
    cli_print("\nKL(model || student) before training: %.3f nats per token, %.3f of them because of missing layers\n", r->kl, r->kl_layers);
}

static rt_status init_print(const init_options *o, const md_config *c, const di_first_report *r)
{
    if (o->json) return init_print_json(o, c, r);
    cli_print("%s: %s, %.2f million parameters, of which %.2f in the embedding\n", o->out, md_family_word((int)c->family),
              (double)md_config_parameters(c) / 1e6, (double)(c->V * c->C * (c->tied ? 1 : 2)) / 1e6);
    cli_print("width %lld, %lld layers, %lld heads of %lld, %lld key/value heads, feed-forward width %lld, %lld ids, context %lld\n",
              (long long)c->C, (long long)c->L, (long long)c->H, (long long)c->D, (long long)c->KV, (long long)c->F, (long long)c->V,
              (long long)c->context);
    if (!o->from) return RT_OK;
    if (r->made || r->dropped)
        cli_print("ids: %lld shared with the model, %lld made of their pieces, %lld of the model dropped\n", (long long)r->shared,
                  (long long)r->made, (long long)r->dropped);
    if (!isnan(r->kl)) init_print_layers(c, r);
    return RT_OK;
}

/* The folder is removed after an error, whose message is the one to show. */
static rt_status init_write(const init_options *o, md_model *m, const ds_tokenizer *t, const di_first_report *r)
{
    RT_TRY(ds_ends_join(&m->config.ends, ds_tokenizer_ends(t)));
    if (m->config.bos < 0) m->config.bos = ds_tokenizer_bos(t);
    rt_status st = md_save(m, o->out, KN_REAL);
    if (st == RT_OK) st = ds_tokenizer_copy(o->tokenizer ? o->tokenizer : o->from, o->out);
    if (st != RT_OK) (void)rt_dir_remove(o->out);
    return st == RT_OK ? init_print(o, &m->config, r) : st;
}

/* ---- from scratch -------------------------------------------------------------------------------------- */

/* Reads "10M", "1.5G", "500k" or a plain number. */
static rt_status init_read_count(int64_t *n, const char *text)
{
    static const char units[] = "kMG";
    char             *end     = NULL;
    double            v       = strtod(text, &end);
    const char       *unit    = end != text && *end ? strchr(units, *end) : NULL;
    if (unit) {
        for (const char *u = units; u <= unit; u++) v *= 1000;
        end++;
    }
    RT_CHECK(end != text && !*end && v >= 1000 && v <= 1e12, RT_EINVAL,
             "--params must be a number of parameters from 1k to 1000G, such as 10M, found \"%s\"", text);
    *n = (int64_t)v;
    return RT_OK;
}

static rt_status init_from_scratch(const init_options *o)
{
    md_config       c = {.context = o->context, .norm_eps = 1e-5, .tied = 1, .bos = -1};
    int64_t         n = 0;
    md_model       *m = NULL;
    ds_tokenizer   *t = NULL;
    di_first_report r = {0};
    RT_CHECK(o->tokenizer, RT_EINVAL, "a new model needs --tokenizer DIR, which gives the number of ids");
    RT_CHECK(md_family_find(o->family, &c.family), RT_EINVAL, "--family must be one of %s, found \"%s\"", MD_FAMILY_NAMES, o->family);
    RT_TRY(init_read_count(&n, o->params));
    RT_TRY(ds_tokenizer_load(&t, o->tokenizer));
    c.V = ds_tokenizer_size(t), c.rope.theta = c.rope_local.theta = 10000;
    rt_status st = md_config_size(&c, n);
    if (st == RT_OK) st = md_config_check(&c);
    if (st == RT_OK) st = md_create(&m, &c, KN_REAL);
    if (st == RT_OK) {
        md_init(m, (uint64_t)o->seed);
        st = init_write(o, m, t, &r);
    }
    md_destroy(&m);
    ds_tokenizer_destroy(&t);
    return st;
}

/* ---- from a model ---------------------------------------------------------------------------------------- */

static rt_status init_cut(const init_options *o, md_model *m, const ds_tokenizer *former, const ds_tokenizer *t)
{
    rt_progress         p;
    md_model           *n    = NULL;
    di_first_report     r    = {0};
    const di_first_opts opts = {.former    = former,
                                .tokenizer = t,
                                .shards    = &o->shards,
                                .tokens    = o->tokens,
                                .L         = o->layers,
                                .H         = o->heads,
                                .F         = o->ffn,
                                .C         = o->width,
                                .p         = &p};
    RT_TRY(di_first_weights(&n, m, &opts, &r));
    const rt_status st = init_write(o, n, t, &r);
    md_destroy(&n);
    return st;
}

static rt_status init_from_model(const init_options *o)
{
    md_model     *m      = NULL;
    ds_tokenizer *former = NULL, *t = NULL;
    const int     cut = o->layers || o->heads || o->ffn || o->width;
    RT_CHECK(!cut || o->shards.n, RT_EINVAL,
             "--layers, --heads, --ffn and --width need --shards, text on which the parts of the model are compared");
    RT_CHECK(o->tokens >= 2, RT_EINVAL, "--tokens must be at least 2, found %lld", (long long)o->tokens);
    rt_status st = md_load(&m, o->from, KN_REAL);
    if (st == RT_OK) st = ds_tokenizer_load(&former, o->from);
    if (st == RT_OK && o->tokenizer) st = ds_tokenizer_load(&t, o->tokenizer);
    if (st == RT_OK) st = init_cut(o, m, former, t ? t : former);
    md_destroy(&m);
    ds_tokenizer_destroy(&former);
    ds_tokenizer_destroy(&t);
    return st;
}

static rt_status init_run(const void *options, int argc, char **argv)
{
    const init_options *o = options;
    RT_CHECK(!argc, RT_EINVAL, "init takes options only, found '%s' (see 'retort init --help')", argv[0]);
    RT_CHECK(o->out && !o->from != !o->params, RT_EINVAL,
             "init requires --out DIR and either --params N, for a new model, or --from MODEL (see 'retort init --help')");
    RT_TRY(rt_output_new(o->out));
    if (o->threads > 0) rt_threads_set((int)o->threads);
    RT_TRY(kn_init());
    return o->from ? init_from_model(o) : init_from_scratch(o);
}

#define AT(field) offsetof(init_options, field)
static const rt_option table[] = {
    {"out", RT_OPT_TEXT, AT(out), "DIR", "new folder to write"},
    {"params", RT_OPT_TEXT, AT(params), "N", "new model of about N parameters (500k, 10M, 1.5G); sizes are chosen and printed"},
    {"family", RT_OPT_TEXT, AT(family), "WORD", "--params: transformer variant, one of those of model.family in train (default llama)"},
    {"context", RT_OPT_INT, AT(context), "N", "--params: largest number of tokens in a sequence (default 2048)"},
    {"seed", RT_OPT_INT, AT(seed), "N", "--params: seed of the random weights (default 0)"},
    {"from", RT_OPT_TEXT, AT(from), "MODEL", "model or checkpoint to start from, usually the teacher"},
    {"tokenizer", RT_OPT_TEXT, AT(tokenizer), "DIR", "the student's tokenizer (default with --from: that of MODEL)"},
    {"layers", RT_OPT_INT, AT(layers), "N", "--from: number of layers to keep (default: all)"},
    {"heads", RT_OPT_INT, AT(heads), "N", "--from: number of heads to keep in each layer (default: all)"},
    {"ffn", RT_OPT_INT, AT(ffn), "N", "--from: number of feed-forward units to keep in each layer (default: all)"},
    {"width", RT_OPT_INT, AT(width), "N", "--from: number of channels of the residual stream to keep (default: all)"},
    {"shards", RT_OPT_LIST, AT(shards), "SHARD...", "--from: text in the student's tokenizer, on which parts of the model are compared"},
    {"tokens", RT_OPT_INT, AT(tokens), "N", "--from: number of tokens of the shards to use (default 512)"},
    {"threads", RT_OPT_INT, AT(threads), "N", "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use)"},
    {"json", RT_OPT_FLAG, AT(json), NULL, "print the report as one JSON object"},
    {0}};
static const init_options defaults = {.family = "llama", .context = 2048, .tokens = 512};

const rt_command cli_init = {
    .name     = "init",
    .usage    = "--params N --tokenizer DIR --out DIR | --from MODEL [--tokenizer DIR] [--layers N] [--ffn N] ... --out DIR",
    .summary  = "make a student's first weights: random, or out of another model",
    .text     = "Writes a model folder to train from: retort train CONFIG --set model.init=DIR.\n\n"
                "With --params it makes a random model of sensible sizes and about that many parameters.\n\n"
                "With --from it takes them out of another model, from which a student learns faster:\n"
                "  --tokenizer  rows of the embedding are copied for the entries that both tokenizers have; other\n"
                "               entries get the mean of the rows of their pieces\n"
                "  --layers     drops one layer after another, each time the one without which the model's\n"
                "               distributions over the shards change least\n"
                "  --heads, --ffn, --width\n"
                "               keeps the heads, feed-forward units and channels that contribute most on the shards\n\n"
                "  retort init --params 10M --tokenizer tok --out student\n"
                "  retort tokenizer trim teacher corpus.h5 --out small\n"
                "  retort data remap soft.h5 --former teacher --tokenizer small --out soft-small.h5\n"
                "  retort init --from teacher --tokenizer small --layers 6 --ffn 1024 --shards soft-small.h5 --out student",
    .options  = table,
    .size     = sizeof(init_options),
    .defaults = &defaults,
    .run      = init_run,
};
