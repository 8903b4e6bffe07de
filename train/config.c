/* config.c -- the configuration as one table of key, type, class, field, default, range or words, and meaning. */
#include "core/file.h"
#include "train/trainer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { TEXT, PATH, ENUM, INT, REAL, FLAG, PATHS, REALS, PAIR } kind;

typedef struct key {
    const char *path;
    kind        kind;
    tr_key_class class;
    size_t      at;
    const char *fallback;       /* default value as JSON */
    double      min, max;       /* range of a number */
    const char *(*word)(int i); /* words of an ENUM, whose field is the word's number; NULL past the end */
    const char *meaning;
} key;

#define AT(field)       offsetof(tr_config, field)
#define BIG             9e15
#define ANY             0, 0, NULL
#define RANGE(min, max) (min), (max), NULL
#define WORDS(word)     0, 0, word

static const char *dtype_word(int i)
{
    static const char *const words[] = {[KN_REAL] = "f32", [KN_BF16] = "bf16"};
    return i <= KN_BF16 ? words[i] : NULL;
}

static const key keys[] = {
    {"model.init", PATH, TR_FILES, AT(init), "\"new\"", ANY, "\"new\" for a new model, or the folder of a model to start from"},
    {"model.tokenizer", PATH, TR_FREE_FILES, AT(tokenizer), "null", ANY,
     "folder of the tokenizer that is copied into checkpoints; must be the tokenizer of model.init if that has one; null: that of "
     "model.init"},
    {"model.family", ENUM, TR_SHAPE, AT(shape.family), "\"llama\"", WORDS(md_family_word), "transformer variant"},
    {"model.V", INT, TR_SHAPE, AT(shape.V), "0", RANGE(0, 1 << 24), "vocabulary size; 0: that of the shards"},
    {"model.C", INT, TR_SHAPE, AT(shape.C), "96", RANGE(1, 1 << 20), "width"},
    {"model.L", INT, TR_SHAPE, AT(shape.L), "3", RANGE(1, 1000), "layers"},
    {"model.H", INT, TR_SHAPE, AT(shape.H), "4", RANGE(1, 1000), "heads"},
    {"model.KV", INT, TR_SHAPE, AT(shape.KV), "2", RANGE(1, 1000), "key/value heads"},
    {"model.D", INT, TR_SHAPE, AT(shape.D), "24", RANGE(2, 4096), "head size"},
    {"model.F", INT, TR_SHAPE, AT(shape.F), "256", RANGE(1, 1 << 20), "feed-forward width"},
    {"model.tied", FLAG, TR_SHAPE, AT(shape.tied), "true", ANY, "the head shares the weights of the embedding"},
    {"model.context", INT, TR_RUN, AT(shape.context), "128", RANGE(1, 1 << 20), "largest number of tokens in a sequence"},
    {"model.rope", REAL, TR_RUN, AT(shape.rope.theta), "10000", RANGE(1, 1e9), "base of the rotary angles"},
    {"model.norm_eps", REAL, TR_RUN, AT(shape.norm_eps), "1e-5", RANGE(1e-12, 1), "constant added inside the square root of RMSNorm"},
    {"data.train", PATHS, TR_FILES, AT(train), "[]", ANY, "shards to train on"},
    {"data.valid", PATHS, TR_FREE_FILES, AT(valid), "[]", ANY, "shards to validate on"},
    {"data.weights", REALS, TR_RUN, AT(weights), "[]", RANGE(0, 1e6), "number of passes over each shard in an epoch; []: 1 each"},
    {"data.seq", INT, TR_RUN, AT(seq), "128", RANGE(1, 1 << 20), "tokens per sequence"},
    {"data.shuffle", FLAG, TR_RUN, AT(shuffle), "true", ANY, "order documents at random in every epoch; false: in the order of the shards"},
    {"data.pack", FLAG, TR_RUN, AT(pack), "true", ANY, "pack several documents into a sequence"},
    {"objective.kind", ENUM, TR_RUN, AT(objective.kind), "\"auto\"", WORDS(di_objective_word),
     "the objective (docs/objectives.md): ce uses only the text, sampled to tail-token use stored rows, kl to tv use whole distributions; "
     "auto: "
     "the best for which shards and teacher have the data"},
    {"objective.k", INT, TR_RUN, AT(objective.k), "-1", RANGE(-1, AG_MAX_ENTRIES),
     "exact entries per row; -1: all stored ones, or 8 with teacher.model"},
    {"objective.m", INT, TR_RUN, AT(objective.m), "-1", RANGE(-1, AG_MAX_ENTRIES),
     "tail samples per row; -1: all stored ones (fewer are not possible), or 8 with teacher.model"},
    {"objective.ce_weight", REAL, TR_RUN, AT(objective.ce_weight), "null", RANGE(0, 1),
     "share of cross-entropy in the loss; null: 0.1 for kl and sampled, 0.5 for tail, else 0"},
    {"objective.ce_weight_end", REAL, TR_RUN, AT(objective.ce_weight_end), "null", RANGE(0, 1),
     "share of cross-entropy at the last step, interpolated linearly; null: objective.ce_weight"},
    {"objective.temperature", REAL, TR_RUN, AT(objective.temperature), "1", RANGE(0.05, 100),
     "temperature of the divergence: the logits of teacher and student are divided by it"},
    {"objective.t2", FLAG, TR_RUN, AT(objective.t2), "true", ANY,
     "multiply the divergence by temperature^2 to keep the scale of its gradient"},
    {"objective.beta", REAL, TR_RUN, AT(objective.beta), "0.5", RANGE(1e-3, 0.999), "jsd: share of the teacher in the mixture"},
    {"objective.alpha", REAL, TR_RUN, AT(objective.alpha), "0.1", RANGE(1e-3, 0.999),
     "skew, skew-reverse: share of the first distribution that is mixed into the second"},
    {"objective.bucket_share", REAL, TR_RUN, AT(objective.bucket_share), "null", RANGE(0, 1),
     "sampled, tail-token: share of the tail mass that is compared as one outcome, as kind tail does; null: 0.85 for tail-token, else 0"},
    {"objective.prompt_weight", REAL, TR_RUN, AT(objective.prompt_weight), "0", RANGE(0, 1e6),
     "weight of rows whose target is a prompt token; 0: these rows do not count"},
    {"objective.z_loss", REAL, TR_RUN, AT(objective.z_loss), "0", RANGE(0, 1e3),
     "weight of the square of the log-sum-exp of the student's logits"},
    {"objective.hidden", ENUM, TR_SHAPE, AT(objective.hidden), "\"none\"", WORDS(di_match_word),
     "loss between the student's last hidden states, after a trained projection, and the teacher's (teacher.model or encoded states)"},
    {"objective.hidden_weight", REAL, TR_RUN, AT(objective.hidden_weight), "1", RANGE(0, 1e6), "weight of the loss of objective.hidden"},
    {"teacher.model", PATH, TR_FILES, AT(objective.teacher), "null", ANY,
     "folder of a teacher whose forward pass runs in each step; same tokenizer as the shards, any width"},
    {"optim.lr", REAL, TR_RUN, AT(adamw.lr), "0.001", RANGE(0, 100), "peak learning rate"},
    {"optim.betas", PAIR, TR_RUN, AT(adamw.beta1), "[0.9, 0.95]", RANGE(0, 1), "decay rates of the two moments"},
    {"optim.eps", REAL, TR_RUN, AT(adamw.eps), "1e-8", RANGE(1e-30, 1), "constant added to the square root of the second moment"},
    {"optim.weight_decay", REAL, TR_RUN, AT(adamw.weight_decay), "0.1", RANGE(0, 100), "decoupled weight decay of matrices"},
    {"optim.clip", REAL, TR_RUN, AT(adamw.clip), "1.0", RANGE(0, 1e9), "largest gradient norm; 0: no clipping"},
    {"optim.max_skips", INT, TR_FREE, AT(max_skips), "10", RANGE(0, 1e6),
     "a step whose gradient norm is not finite is skipped; more than this number of skipped steps in a row end the run"},
    {"schedule.kind", ENUM, TR_RUN, AT(schedule.kind), "\"cosine\"", WORDS(opt_schedule_word),
     "shape of the learning rate after the warm-up; wsd: constant, then linear decay"},
    {"schedule.warmup", INT, TR_RUN, AT(schedule.warmup), "0", RANGE(0, BIG), "number of steps of linear warm-up"},
    {"schedule.decay", INT, TR_RUN, AT(schedule.decay), "0", RANGE(0, BIG), "wsd: number of steps of the decay"},
    {"schedule.min_ratio", REAL, TR_RUN, AT(schedule.min_ratio), "0.1", RANGE(0, 1), "ratio of the last learning rate to the peak"},
    {"batch.sequences", INT, TR_RUN, AT(sequences), "8", RANGE(1, 1 << 24), "sequences per step over all ranks"},
    {"batch.micro", INT, TR_FREE, AT(micro), "0", RANGE(0, 1 << 24), "sequences that a rank processes at a time; 0: its whole share"},
    {"steps", INT, TR_STEPS, AT(steps), "1000", RANGE(1, BIG), "number of optimiser steps"},
    {"seed", INT, TR_RUN, AT(seed), "0", RANGE(0, BIG), "seed of the initialisation and of the data order"},
    {"dtype", ENUM, TR_RUN, AT(dtype), "\"bf16\"", WORDS(dtype_word),
     "type of weights and activations, those of teacher.model too; bf16 keeps f32 master weights and accumulates in f32"},
    {"recompute", FLAG, TR_FREE, AT(recompute), "false", ANY,
     "recompute the activations inside blocks in the backward pass: less memory, a third more work"},
    {"eval.every", INT, TR_FREE, AT(eval_every), "0", RANGE(0, BIG), "number of steps between validations; 0: only at the end"},
    {"eval.sequences", INT, TR_FREE, AT(eval_sequences), "0", RANGE(0, BIG),
     "number of sequences of data.valid, from the first on, that a validation reads; 0: all"},
    {"checkpoint.every", INT, TR_FREE, AT(checkpoint_every), "0", RANGE(0, BIG),
     "number of steps between checkpoints; 0: only at the end and every checkpoint.minutes"},
    {"checkpoint.minutes", REAL, TR_FREE, AT(checkpoint_minutes), "30", RANGE(0, 1e6),
     "number of minutes between checkpoints, in addition; 0: only checkpoint.every decides"},
    {"checkpoint.keep", INT, TR_FREE, AT(checkpoint_keep), "2", RANGE(1, BIG), "number of checkpoints to keep"},
    {"out", TEXT, TR_FREE, AT(out), "\"out\"", ANY, "folder of checkpoints and metrics"},
};
enum { KEYS = sizeof keys / sizeof *keys };

const char  *tr_config_key(int i) { return i < KEYS ? keys[i].path : NULL; }
tr_key_class tr_config_class(int i) { return keys[i].class; }

/* ---- the JSON tree -------------------------------------------------------------------------------- */

static const key *config_find_key(const char *path)
{
    for (int i = 0; i < KEYS; i++)
        if (!strcmp(keys[i].path, path)) return &keys[i];
    return NULL;
}

static int is_group(const char *path)
{
    const size_t n = strlen(path);
    for (int i = 0; i < KEYS; i++)
        if (!strncmp(keys[i].path, path, n) && keys[i].path[n] == '.') return 1;
    return 0;
}

static rt_status config_refuse(const char *path, const char *where)
{
    const char *names[KEYS];
    for (int i = 0; i < KEYS; i++) names[i] = keys[i].path;
    RT_FAIL(RT_EINVAL, "%s: there is no key \"%s\"; the nearest is \"%s\" (retort train --print-config lists all keys)", where, path,
            rt_nearest(path, names, KEYS));
}

/* RT_EINVAL: a leaf of the tree is not a key. */
static rt_status config_check_keys(const cJSON *o, const char *prefix, const char *where)
{
    for (const cJSON *f = o->child; f; f = f->next) {
        char path[256];
        snprintf(path, sizeof path, "%s%s%.100s", prefix, *prefix ? "." : "", f->string);
        RT_CHECK(
            !strchr(f->string, '.'), RT_EINVAL,
            "%s: found the key \"%.100s\", expected an object for each part: {\"model\": {\"C\": 64}} is what --set model.C=64 changes",
            where, f->string);
        if (config_find_key(path)) continue;
        if (!is_group(path)) return config_refuse(path, where);
        RT_CHECK(cJSON_IsObject(f), RT_EINVAL, "%s: \"%s\" must be an object", where, path);
        RT_TRY(config_check_keys(f, path, where));
    }
    return RT_OK;
}

static const cJSON *config_look(const cJSON *o, const char *path)
{
    const char *dot = strchr(path, '.');
    char        group[64];
    if (!dot) return cJSON_GetObjectItemCaseSensitive(o, path);
    snprintf(group, sizeof group, "%.*s", (int)(dot - path), path);
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, group), dot + 1);
}

static rt_status put(cJSON *o, const char *path, cJSON *value)
{
    const char *dot = strchr(path, '.');
    char        group[64];
    const char *leaf = dot ? dot + 1 : path;
    if (dot) {
        snprintf(group, sizeof group, "%.*s", (int)(dot - path), path);
        cJSON *g = cJSON_GetObjectItemCaseSensitive(o, group);
        o        = cJSON_IsObject(g) ? g : cJSON_AddObjectToObject(o, group);
    }
    if (o) {
        cJSON_DeleteItemFromObjectCaseSensitive(o, leaf);
        if (cJSON_AddItemToObject(o, leaf, value)) return RT_OK;
    }
    cJSON_Delete(value);
    RT_FAIL(RT_ENOMEM, "no memory for the configuration key %s", path);
}

/* Resolves the paths of the tree.  `folder` is the file's folder for values of the file, "" for those of --set. */
static rt_status config_resolve(cJSON *o, const char *folder)
{
    for (int i = 0; i < KEYS; i++) {
        cJSON *v = (cJSON *)config_look(o, keys[i].path);
        if ((keys[i].kind != PATH && keys[i].kind != PATHS) || (cJSON_IsString(v) && !strcmp(v->valuestring, "new"))) continue;
        RT_TRY(tr_config_resolve(v, folder));
    }
    return RT_OK;
}

/* Applies KEY=VALUE to the tree.  The value is parsed as JSON; if that fails, it is taken as a string. */
static rt_status apply(cJSON *o, const char *text)
{
    const char *eq = strchr(text, '=');
    char        path[128];
    RT_CHECK(eq && eq != text && eq - text < (long)sizeof path, RT_EINVAL, "--set takes KEY=VALUE, found '%s'", text);
    snprintf(path, sizeof path, "%.*s", (int)(eq - text), text);
    if (!config_find_key(path)) return config_refuse(path, "--set");
    cJSON *v = cJSON_ParseWithOpts(eq + 1, NULL, 1);
    if (!v) v = cJSON_CreateString(eq + 1);
    RT_CHECK(v, RT_ENOMEM, "no memory for the configuration key %s", path);
    return put(o, path, v);
}

/* ---- fields ------------------------------------------------------------------------------------------- */

static rt_status wrong(const key *k, const cJSON *v, const char *wanted)
{
    char           *text = cJSON_PrintUnformatted(v);
    const rt_status st =
        rt_fail(RT_EINVAL, __FILE__, __LINE__, "configuration key \"%s\" must be %s, found %.80s", k->path, wanted, text ? text : "?");
    free(text);
    return st;
}

static rt_status take_number(const key *k, const cJSON *v, double *x)
{
    char range[96];
    snprintf(range, sizeof range, "%s between %.10g and %.10g", k->kind == INT ? "an integer" : "a number", k->min, k->max);
    const double d = cJSON_GetNumberValue(v);
    if (!cJSON_IsNumber(v) || !(d >= k->min && d <= k->max) || (k->kind == INT && d != floor(d))) return wrong(k, v, range);
    *x = d;
    return RT_OK;
}

static rt_status take_reals(const key *k, const cJSON *v, double *to, int64_t max, int64_t *n)
{
    const cJSON *e;
    *n = 0;
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > max) return wrong(k, v, "a list of numbers");
    cJSON_ArrayForEach(e, v) RT_TRY(take_number(k, e, &to[(*n)++]));
    return RT_OK;
}

static rt_status take_texts(const key *k, const cJSON *v, rt_strings *to)
{
    const cJSON *e;
    to->n = 0;
    if (cJSON_IsString(v)) {
        to->v[to->n++] = v->valuestring;
        return RT_OK;
    }
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > RT_MAX_STRINGS) return wrong(k, v, "a list of strings");
    cJSON_ArrayForEach(e, v)
    {
        if (!cJSON_IsString(e)) return wrong(k, v, "a list of strings");
        to->v[to->n++] = e->valuestring;
    }
    return RT_OK;
}

static rt_status take_word(const key *k, const cJSON *v, int *to)
{
    const char *words[32], *value = cJSON_GetStringValue(v);
    int         n = 0;
    if (!value) return wrong(k, v, "a string");
    for (; k->word(n); n++) {
        words[n] = k->word(n);
        if (strcmp(words[n], value) != 0) continue;
        *to = n;
        return RT_OK;
    }
    RT_FAIL(RT_EINVAL, "configuration key \"%s\" is \"%s\"; the nearest choice is \"%s\"", k->path, value, rt_nearest(value, words, n));
}

static rt_status config_take(tr_config *c, const key *k, const cJSON *v)
{
    void   *field = (char *)c + k->at;
    double  d     = NAN;
    int64_t n;
    switch (k->kind) {
    case TEXT:
    case PATH:
        if (!cJSON_IsString(v) && !cJSON_IsNull(v)) return wrong(k, v, "a string");
        *(const char **)field = cJSON_IsString(v) ? v->valuestring : NULL;
        return RT_OK;
    case ENUM: return take_word(k, v, field);
    case INT:
        RT_TRY(take_number(k, v, &d));
        *(int64_t *)field = (int64_t)d;
        return RT_OK;
    case REAL:
        if (!(cJSON_IsNull(v) && !strcmp(k->fallback, "null"))) RT_TRY(take_number(k, v, &d));
        *(double *)field = d;
        return RT_OK;
    case FLAG:
        if (!cJSON_IsBool(v)) return wrong(k, v, "true or false");
        *(int *)field = cJSON_IsTrue(v);
        return RT_OK;
    case PATHS: return take_texts(k, v, field);
    case REALS: return take_reals(k, v, field, RT_MAX_STRINGS, &c->n_weights);
    case PAIR: RT_TRY(take_reals(k, v, field, 2, &n)); return n == 2 ? RT_OK : wrong(k, v, "two numbers");
    }
    return RT_OK;
}

static rt_status config_fill(tr_config *c)
{
    for (int i = 0; i < KEYS; i++) {
        if (!config_look(c->json, keys[i].path)) {
            cJSON *v = cJSON_Parse(keys[i].fallback);
            RT_CHECK(v, RT_ENOMEM, "no memory for the configuration key %s", keys[i].path);
            RT_TRY(put(c->json, keys[i].path, v));
        }
        RT_TRY(config_take(c, &keys[i], config_look(c->json, keys[i].path)));
    }
    return RT_OK;
}

/* RT_EINVAL: the warmup and decay take more steps than the run has; the message suggests values for both. */
static rt_status check_schedule(const tr_config *c)
{
    const int64_t warmup = c->schedule.warmup, decay = c->schedule.kind == OPT_WSD ? c->schedule.decay : 0, steps = c->steps;
    if (warmup <= steps && decay <= steps - warmup) return RT_OK;
    if (!decay)
        RT_FAIL(RT_EINVAL, "schedule.warmup (%lld) exceeds the %lld steps; set steps=%lld or more, or schedule.warmup=%lld",
                (long long)warmup, (long long)steps, (long long)warmup, (long long)steps / 20);
    RT_FAIL(
        RT_EINVAL,
        "schedule.warmup (%lld) and schedule.decay (%lld) together exceed the %lld steps; set steps=%lld or more, or schedule.warmup=%lld "
        "and "
        "schedule.decay=%lld",
        (long long)warmup, (long long)decay, (long long)steps, (long long)(warmup + decay), (long long)steps / 20, (long long)steps / 2);
}

static rt_status config_check(tr_config *c)
{
    c->schedule.steps = c->steps;
    RT_TRY(check_schedule(c));
    c->schedule.lr = c->adamw.lr;
    RT_CHECK(!c->n_weights || c->n_weights == c->train.n, RT_EINVAL, "data.weights has %lld numbers for %d shards", (long long)c->n_weights,
             c->train.n);
    RT_CHECK(c->out && *c->out && c->init, RT_EINVAL, "configuration keys \"out\" and \"model.init\" must not be null or empty");
    c->shape.bos = -1;
    return RT_OK;
}

rt_status tr_config_read(tr_config *c, const char *path, const rt_strings *set)
{
    tr_config read   = {0};
    rt_buf    folder = {0};
    if (path) RT_TRY(rt_json_read(&read.json, path, RT_JSON_COMMENTS));
    else read.json = cJSON_CreateObject();
    rt_status st = read.json ? config_check_keys(read.json, "", path ? path : "defaults")
                             : rt_fail(RT_ENOMEM, __FILE__, __LINE__, "no memory for the configuration");
    if (st == RT_OK && path) st = tr_config_folder(&folder, path);
    if (st == RT_OK && path) st = config_resolve(read.json, folder.p);
    for (int i = 0; st == RT_OK && i < set->n; i++) st = apply(read.json, set->v[i]);
    if (st == RT_OK) st = config_resolve(read.json, "");
    if (st == RT_OK) st = config_fill(&read);
    if (st == RT_OK && path) st = config_check(&read);
    rt_buf_free(&folder);
    if (st != RT_OK) tr_config_free(&read);
    else *c = read;
    return st;
}

void tr_config_free(tr_config *c)
{
    cJSON_Delete(c->json);
    *c = (tr_config){0};
}

static rt_status print_meaning(rt_buf *out, const key *k)
{
    for (int i = 0; k->word && k->word(i); i++) RT_TRY(rt_buf_fmt(out, "%s%s", i ? ", " : "", k->word(i)));
    return rt_buf_fmt(out, "%s%s\n", k->word ? "; " : "", k->meaning);
}

static rt_status print_key(rt_buf *out, const tr_config *c, const key *k, int nested, int last)
{
    char       *text = cJSON_PrintUnformatted(config_look(c->json, k->path));
    const char *leaf = strrchr(k->path, '.') ? strrchr(k->path, '.') + 1 : k->path;
    RT_CHECK(text, RT_ENOMEM, "no memory to print the configuration");
    const rt_status st = rt_buf_fmt(out, "%s\"%s\": %s%s  // ", nested ? "    " : "  ", leaf, text, last ? "" : ",");
    free(text);
    return st == RT_OK ? print_meaning(out, k) : st;
}

static size_t group_of(const key *k) { return strchr(k->path, '.') ? (size_t)(strchr(k->path, '.') - k->path) : 0; }

static int same_group(const key *a, const key *b) { return group_of(a) == group_of(b) && !strncmp(a->path, b->path, group_of(a)); }

const cJSON *tr_config_value(const cJSON *tree, int i) { return config_look(tree, keys[i].path); }

rt_status tr_config_lines(rt_buf *out, const tr_config *c)
{
    for (int i = 0; i < KEYS; i++) {
        if (keys[i].class == TR_FILES || keys[i].class == TR_FREE_FILES) continue;
        char *text = cJSON_PrintUnformatted(config_look(c->json, keys[i].path));
        RT_CHECK(text, RT_ENOMEM, "no memory to print the configuration");
        const rt_status st = rt_buf_fmt(out, "%s\t%s\n", keys[i].path, text);
        free(text);
        RT_TRY(st);
    }
    return RT_OK;
}

rt_status tr_config_print(rt_buf *out, const tr_config *c)
{
    RT_TRY(rt_buf_str(out, "{\n"));
    for (int i = 0; i < KEYS; i++) {
        const key   *k     = &keys[i];
        const size_t n     = group_of(k);
        const int    first = n && (!i || !same_group(&keys[i - 1], k)), last = i + 1 == KEYS || (n && !same_group(&keys[i + 1], k));
        if (first) RT_TRY(rt_buf_fmt(out, "  \"%.*s\": {\n", (int)n, k->path));
        RT_TRY(print_key(out, c, k, n > 0, last));
        if (n && last) RT_TRY(rt_buf_fmt(out, "  }%s\n", i + 1 == KEYS ? "" : ","));
    }
    return rt_buf_str(out, "}\n");
}
