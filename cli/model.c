/* model.c -- retort model: what a model consists of, and how two models differ. */
#include "model/model.h"
#include "cli/cli.h"
#include "cli/sizes.h"
#include "model/licence.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct model_options {
    int64_t context, threads;
    int     json;
} model_options;

/* ---- inspect -------------------------------------------------------------------------------------- */

/* Parts of a model, by what a tensor's name holds; the first that matches. */
static const struct model_part {
    const char *name, *word;
    int         vector;
} parts[] = {{"embedding", "embed_tokens", 0},
             {"head", "lm_head", 0},
             {"norms and biases", "", 1},
             {"attention", "self_attn", 0},
             {"feed-forward", "mlp", 0}};
enum { PARTS = sizeof parts / sizeof *parts };

static int part_of(const md_tensor *t)
{
    int i = 0;
    while (t->is_vector ? !parts[i].vector : parts[i].vector || !strstr(t->name, parts[i].word)) i++;
    return i;
}

/* Returns the bytes of the keys and values of n tokens in f32. */
static int64_t cache_bytes(const md_config *c, int64_t n) { return 2 * c->L * c->KV * c->D * n * (int64_t)sizeof(float); }

static int windowed_layers(const md_config *c)
{
    int n = 0;
    for (int64_t l = 0; l < c->L; l++) n += (c->layer[l] & MD_LAYER_WINDOW) != 0;
    return n;
}

static rt_status inspect_json(const md_model *m, const char *licence, const int64_t n[PARTS], kn_type type, int64_t context)
{
    const md_config *c = &m->config;
    rt_buf           b = {0};
    rt_json_writer   w = {.out = &b};
    rt_put_object(&w, NULL);
    cli_put_sizes(&w, c);
    rt_put_text(&w, "licence", *licence ? licence : NULL);
    rt_put_bool(&w, "tied", c->tied);
    rt_put_int(&w, "window", c->window);
    rt_put_int(&w, "windowed_layers", windowed_layers(c));
    rt_put_text(&w, "stored", type == KN_BF16 ? "bf16" : "other");
    rt_put_int(&w, "parameters", md_config_parameters(c));
    for (int i = 0; i < PARTS; i++) rt_put_int(&w, parts[i].name, n[i]);
    rt_put_int(&w, "f32_bytes", 4 * md_config_parameters(c));
    rt_put_int(&w, "cache_bytes", cache_bytes(c, context));
    rt_put_end(&w);
    return cli_print_line(&w);
}

static void inspect_print(const char *path, const md_model *m, const char *licence, const int64_t n[PARTS], kn_type type, int64_t context)
{
    const md_config *c   = &m->config;
    const double     all = (double)md_config_parameters(c);
    cli_print("%s: %s, %lld layers of width %lld\n\n", path, md_family_word((int)c->family), (long long)c->L, (long long)c->C);
    cli_print("  licence                %s\n", *licence ? licence : "not stated");
    cli_print("  heads                  %lld of size %lld, %lld key/value heads\n", (long long)c->H, (long long)c->D, (long long)c->KV);
    cli_print("  feed-forward width     %lld\n", (long long)c->F);
    cli_print("  vocabulary             %lld, %s\n", (long long)c->V, c->tied ? "the head is the embedding" : "a head of its own");
    cli_print("  context                %lld tokens\n", (long long)c->context);
    if (c->window) cli_print("  window                 %lld tokens in %d layers\n", (long long)c->window, windowed_layers(c));
    cli_print("  parameters             %.2f million\n", all / 1e6);
    for (int i = 0; i < PARTS; i++)
        if (n[i]) cli_print("    %-20s %.2f million, %.1f %%\n", parts[i].name, (double)n[i] / 1e6, 100 * (double)n[i] / all);
    cli_print("  memory of the weights  %.1f MB in f32, %.1f MB in bf16%s\n", 4 * all / 1e6, 2 * all / 1e6,
              type == KN_BF16 ? ", as stored" : "");
    cli_print("  keys and values        %.1f MB of a sequence of %lld tokens, in f32\n", (double)cache_bytes(c, context) / 1e6,
              (long long)context);
}

static rt_status model_inspect(const model_options *o, const char *path)
{
    md_config c;
    md_model *m;
    kn_type   type;
    int64_t   n[PARTS] = {0};
    rt_buf    licence  = {0};
    RT_TRY(md_config_read(&c, path));
    RT_TRY(md_stored_type(&type, path));
    const int64_t context = o->context ? o->context : c.context;
    RT_CHECK(context > 0 && context <= c.context, RT_EINVAL, "--context must be between 1 and %lld, the model's context, found %lld",
             (long long)c.context, (long long)context);
    RT_TRY(md_meta(&m, &c));
    for (int i = 0; i < m->n; i++) n[part_of(&m->t[i])] += m->t[i].rows * m->t[i].cols;
    rt_status st = md_licence(&licence, path);
    if (st == RT_OK && o->json) st = inspect_json(m, licence.p, n, type, context);
    else if (st == RT_OK) inspect_print(path, m, licence.p, n, type, context);
    md_destroy(&m);
    rt_buf_free(&licence);
    return st;
}

/* ---- diff ------------------------------------------------------------------------------------------ */

typedef struct distance {
    double largest, relative; /* of the elements; root mean square, relative to that of the first model's */
} distance;

static rt_status compare_tensors(distance *d, const md_tensor *a, const md_tensor *b)
{
    double apart = 0, norm = 0;
    real  *x, *y;
    RT_TRY(RT_NEW(x, 2 * a->cols));
    y  = x + a->cols;
    *d = (distance){0, 0};
    for (int64_t r = 0; r < a->rows; r++) {
        kn_row(x, a->data, a->type, r, a->cols);
        kn_row(y, b->data, b->type, r, a->cols);
        for (int64_t c = 0; c < a->cols; c++) {
            const double e = fabs((double)x[c] - (double)y[c]);
            d->largest     = e > d->largest ? e : d->largest;
            apart += e * e, norm += (double)x[c] * (double)x[c];
        }
    }
    d->relative = norm > 0 ? sqrt(apart / norm) : apart > 0 ? INFINITY : 0;
    free(x);
    return RT_OK;
}

static const md_tensor *named(const md_model *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->t[i].name, name)) return &m->t[i];
    return NULL;
}

/* Prints a tensor that differs; *same counts the others. */
static rt_status diff_tensor(const md_tensor *a, const md_tensor *b, int *same)
{
    distance d = {0, 0};
    if (!b) {
        cli_print("  %s: only in the first model\n", a->name);
        return RT_OK;
    }
    if (a->rows != b->rows || a->cols != b->cols) {
        cli_print("  %s: [%lld,%lld] and [%lld,%lld]\n", a->name, (long long)a->rows, (long long)a->cols, (long long)b->rows,
                  (long long)b->cols);
        return RT_OK;
    }
    RT_TRY(compare_tensors(&d, a, b));
    if (d.largest > 0) cli_print("  %s: at most %.3g apart, %.3g of its root mean square\n", a->name, d.largest, d.relative);
    else (*same)++;
    return RT_OK;
}

static rt_status diff_models(const md_model *a, const md_model *b)
{
    int same = 0;
    if (a->config.family != b->config.family)
        cli_print("  family: %s and %s\n", md_family_word((int)a->config.family), md_family_word((int)b->config.family));
    for (int i = 0; i < a->n; i++) RT_TRY(diff_tensor(&a->t[i], named(b, a->t[i].name), &same));
    for (int i = 0; i < b->n; i++)
        if (!named(a, b->t[i].name)) cli_print("  %s: only in the second model\n", b->t[i].name);
    cli_print("%d of %d tensors are equal\n", same, a->n);
    return RT_OK;
}

static rt_status model_diff(const model_options *o, char **paths)
{
    md_model *a = NULL, *b = NULL;
    RT_CHECK(!o->json, RT_EINVAL, "model diff prints text only; leave out --json");
    rt_status st = md_load(&a, paths[0], KN_REAL);
    if (st == RT_OK) st = md_load(&b, paths[1], KN_REAL);
    if (st == RT_OK) st = diff_models(a, b);
    md_destroy(&a), md_destroy(&b);
    return st;
}

/* ---- the command ------------------------------------------------------------------------------------ */

static rt_status model_run(const void *options, int argc, char **argv)
{
    static const char *const names[] = {"inspect", "diff"};
    const model_options     *o       = options;
    RT_CHECK(argc > 0, RT_EINVAL, "model: expected inspect or diff, found no argument (see 'retort model --help')");
    const int diff = !strcmp(argv[0], "diff");
    RT_CHECK(diff || !strcmp(argv[0], "inspect"), RT_EINVAL,
             "model has no sub-command '%s'; the nearest is '%s' (see 'retort model --help')", argv[0], rt_nearest(argv[0], names, 2));
    RT_CHECK(argc == 2 + diff, RT_EINVAL, "model %s takes %s, found %d", names[diff], diff ? "two models" : "one model", argc - 1);
    if (o->threads > 0) rt_threads_set((int)o->threads);
    RT_TRY(kn_init());
    return diff ? model_diff(o, argv + 1) : model_inspect(o, argv[1]);
}

static const rt_option table[] = {{"context", RT_OPT_INT, offsetof(model_options, context), "N",
                                   "inspect: tokens of the sequence whose keys and values are counted (default: the model's context)"},
                                  {"threads", RT_OPT_INT, offsetof(model_options, threads), "N",
                                   "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use)"},
                                  {"json", RT_OPT_FLAG, offsetof(model_options, json), NULL, "inspect: print one JSON object"},
                                  {0}};

const rt_command cli_model = {
    .name    = "model",
    .usage   = "inspect MODEL | diff MODEL MODEL",
    .summary = "show what a model consists of, or how two models differ",
    .text    = "inspect     prints family, licence, sizes, parameters by part, and the memory of weights and of a sequence's keys\n"
               "            and values. It reads only headers.\n"
               "diff        compares two models tensor by tensor: shapes, the largest difference and its root mean\n"
               "            square. Quantised weights are compared by their values.\n\n"
               "MODEL is a model folder or a GGUF file.\n\n"
               "  retort model inspect @share/teacher\n"
               "  retort model diff student/best student/latest",
    .options = table,
    .size    = sizeof(model_options),
    .run     = model_run,
};
