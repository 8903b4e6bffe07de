/* rope_settings.c -- reads and writes the rotary settings of config.json.
 *
 * transformers 5 has them in rope_parameters, which for a model with local layers holds an object for each kind of layer.  Earlier
 * versions have rope_theta, rope_local_base_freq and partial_rotary_factor at the top, and the scaling in rope_scaling.  All are read
 * and both forms are written.
 */
#include "model/arch.h"
#include "model/rope.h"
#include <math.h>
#include <string.h>

static const char *const kinds[] = {
#define X(id, name) name,
    MD_ROPE_KINDS(X)
#undef X
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const char top[] = "the top-level object";

static const cJSON *rope_get(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return v && !cJSON_IsNull(v) ? v : NULL;
}

/* ---- reading ----------------------------------------------------------------------------------------------- */

typedef struct reader {
    md_config  *c;
    md_rope    *r;
    const char *where, *path;
    const char *theta_from; /* the object in which theta was found; NULL: none so far */
} reader;

static rt_status take_theta(reader *k, const cJSON *o, const char *key)
{
    double v = 0;
    if (!rope_get(o, key)) return RT_OK;
    RT_TRY(rt_json_real(o, key, &v, k->path));
    RT_CHECK(!k->theta_from || v == k->r->theta, RT_EFORMAT,
             "%s: %s is %.17g in %s and %.17g in %s, and programs differ in which they read; remove one", k->path, key, k->r->theta,
             k->theta_from, v, k->where);
    RT_CHECK(v > 0 && isfinite(v), RT_EFORMAT, "%s: %s in %s must be a positive number, found %g", k->path, key, k->where, v);
    k->r->theta   = v;
    k->theta_from = k->where;
    return RT_OK;
}

static rt_status rope_take_part(const reader *k, const cJSON *o)
{
    double part = 1;
    if (!rope_get(o, "partial_rotary_factor")) return RT_OK;
    RT_TRY(rt_json_real(o, "partial_rotary_factor", &part, k->path));
    const int64_t dims = (int64_t)((double)k->c->D * part);
    RT_CHECK(part > 0 && part <= 1 && dims >= 2 && dims % 2 == 0, RT_EFORMAT,
             "%s: partial_rotary_factor %g in %s: expected a part of the %lld elements of a head that is an even number", k->path, part,
             k->where, (long long)k->c->D);
    k->r->dims = dims == k->c->D ? 0 : dims;
    return RT_OK;
}

/* "dynamic" changes nothing within the context.  "su" and, for Phi-3, "yarn" are older names of longrope. */
static rt_status take_kind(const reader *k, const cJSON *o)
{
    const char *name = "default";
    int         i    = 0;
    RT_TRY(rt_json_text(o, rope_get(o, "rope_type") ? "rope_type" : "type", &name, k->path));
    if (!strcmp(name, "dynamic")) name = "default";
    if (!strcmp(name, "su") || (k->c->family == MD_PHI3 && !strcmp(name, "yarn"))) name = "longrope";
    while (i < KINDS && strcmp(kinds[i], name) != 0) i++;
    RT_CHECK(i < KINDS, RT_EFORMAT, "%s: %s.rope_type \"%s\" is not supported in this version", k->path, k->where, name);
    k->r->kind = i;
    return RT_OK;
}

static rt_status take_list(const reader *k, const cJSON *o, const char *key, double *to)
{
    const cJSON  *a = rope_get(o, key), *e;
    const int64_t n = (k->r->dims ? k->r->dims : k->c->D) / 2;
    int           i = 0;
    RT_CHECK(cJSON_IsArray(a) && cJSON_GetArraySize(a) == n, RT_EFORMAT, "%s: %s.%s must be a list of %lld numbers", k->path, k->where, key,
             (long long)n);
    cJSON_ArrayForEach(e, a)
    {
        RT_CHECK(cJSON_IsNumber(e) && e->valuedouble > 0, RT_EFORMAT, "%s: %s.%s must hold positive numbers", k->path, k->where, key);
        to[i++] = e->valuedouble;
    }
    return RT_OK;
}

/* Returns YaRN's factor of cosines and sines for a scale (arXiv:2309.00071, eq. 22). */
static double mscale(double factor, double m) { return factor > 1 ? 0.1 * m * log(factor) + 1 : 1; }

static rt_status take_yarn(const reader *k, const cJSON *o)
{
    md_rope *r   = k->r;
    double   one = 0, all = 0;
    r->low = 1, r->high = 32, r->truncate = 1;
    RT_TRY(rt_json_real(o, "beta_slow", &r->low, k->path));
    RT_TRY(rt_json_real(o, "beta_fast", &r->high, k->path));
    RT_TRY(rt_json_bool(o, "truncate", &r->truncate, k->path));
    RT_TRY(rt_json_real(o, "mscale", &one, k->path));
    RT_TRY(rt_json_real(o, "mscale_all_dim", &all, k->path));
    r->attention = one != 0 && all != 0 ? mscale(r->factor, one) / mscale(r->factor, all) : mscale(r->factor, 1);
    return rt_json_real(o, "attention_factor", &r->attention, k->path);
}

static rt_status take_longrope(const reader *k, const cJSON *o)
{
    md_rope *r   = k->r;
    r->attention = r->factor > 1 ? sqrt(1 + log(r->factor) / log((double)r->original)) : 1;
    RT_TRY(take_list(k, o, "short_factor", r->divisor[0]));
    RT_TRY(take_list(k, o, "long_factor", r->divisor[1]));
    return rt_json_real(o, "attention_factor", &r->attention, k->path);
}

/* Reads what a kind of scaling needs.  The original context may stand beside the object, which then counts. */
static rt_status take_scaling(const reader *k, const cJSON *config, const cJSON *o)
{
    md_rope *r  = k->r;
    r->original = k->c->context;
    RT_TRY(rt_json_int(o, "original_max_position_embeddings", &r->original, k->path));
    RT_TRY(rt_json_int(config, "original_max_position_embeddings", &r->original, k->path));
    r->factor = r->kind == MD_ROPE_LONGROPE || r->kind == MD_ROPE_YARN ? (double)k->c->context / (double)r->original : 0;
    RT_TRY(rt_json_real(o, "factor", &r->factor, k->path));
    RT_CHECK(r->factor > 0 && r->original > 0, RT_EFORMAT,
             "%s: %s: expected a positive factor and a positive original_max_position_embeddings, found %g and %lld", k->path, k->where,
             r->factor, (long long)r->original);
    if (r->kind == MD_ROPE_YARN) return take_yarn(k, o);
    if (r->kind == MD_ROPE_LONGROPE) return take_longrope(k, o);
    if (r->kind != MD_ROPE_LLAMA3) return RT_OK;
    RT_TRY(rt_json_real(o, "low_freq_factor", &r->low, k->path));
    RT_TRY(rt_json_real(o, "high_freq_factor", &r->high, k->path));
    RT_CHECK(r->low > 0 && r->high > r->low, RT_EFORMAT,
             "%s: %s: expected a low_freq_factor above 0 and a high_freq_factor above it, found %g and %g", k->path, k->where, r->low,
             r->high);
    return RT_OK;
}

static rt_status rope_take_object(reader *k, const cJSON *config, const cJSON *o, const char *where)
{
    k->where = where;
    RT_CHECK(cJSON_IsObject(o), RT_EFORMAT, "%s: \"%s\" must be an object or null", k->path, where);
    RT_TRY(take_kind(k, o));
    RT_TRY(rope_take_part(k, o));
    RT_TRY(take_theta(k, o, "rope_theta"));
    return k->r->kind == MD_ROPE_DEFAULT ? RT_OK : take_scaling(k, config, o);
}

/* rope_parameters and rope_scaling hold the same keys. */
static rt_status take_either(reader *all, reader *local, const cJSON *config, const char *key)
{
    const cJSON *o = rope_get(config, key), *full = rope_get(o, "full_attention"), *sliding = rope_get(o, "sliding_attention");
    if (!o) return RT_OK;
    if (!full && !sliding) return rope_take_object(all, config, o, key);
    RT_CHECK(md_has(all->c, MD_LOCAL_ROPE), RT_EFORMAT, "%s: %s: a %s model has the same rotary embedding in all layers", all->path, key,
             md_family_word((int)all->c->family));
    if (full) RT_TRY(rope_take_object(all, config, full, "full_attention"));
    return sliding ? rope_take_object(local, config, sliding, "sliding_attention") : RT_OK;
}

/* Refuses settings whose formulas give no finite angles, such as a logarithm of 1 as a divisor. */
static rt_status check_frequencies(const md_config *c, const md_rope *r, const char *path)
{
    double f[MD_MAX_PAIRS];
    for (int longer = 0; longer < 2; longer++) {
        const double factor = md_rope_frequencies(f, r, c->D, longer);
        int64_t      i = 0, n = (r->dims ? r->dims : c->D) / 2;
        while (i < n && isfinite(f[i]) && f[i] >= 0) i++;
        RT_CHECK(
            i == n && isfinite(factor) && factor > 0, RT_EFORMAT,
            "%s: the rotary settings (rope_theta %g, rope_type %s, factor %g, original_max_position_embeddings %lld) give no finite angles",
            path, r->theta, kinds[r->kind], r->factor, (long long)r->original);
    }
    return RT_OK;
}

rt_status md_rope_read(md_config *c, const cJSON *o, const char *path)
{
    reader all = {.c = c, .r = &c->rope, .where = top, .path = path}, local = {.c = c, .r = &c->rope_local, .where = top, .path = path};
    c->rope.theta       = md_family_theta(c->family);
    c->rope_local.theta = 10000;
    RT_TRY(rope_take_part(&all, o));
    RT_TRY(take_theta(&all, o, "rope_theta"));
    if (md_has(c, MD_LOCAL_ROPE)) RT_TRY(take_theta(&local, o, "rope_local_base_freq"));
    RT_TRY(take_either(&all, &local, o, "rope_parameters"));
    RT_TRY(take_either(&all, &local, o, "rope_scaling"));
    RT_TRY(check_frequencies(c, &c->rope, path));
    return check_frequencies(c, &c->rope_local, path);
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

static void put_list(rt_json_writer *w, const char *key, const double *x, int64_t n)
{
    rt_put_array(w, key);
    for (int64_t i = 0; i < n; i++) rt_put_real(w, NULL, x[i], 17);
    rt_put_end(w);
}

static void put_scaling(rt_json_writer *w, const md_config *c, const md_rope *r)
{
    const int64_t pairs = (r->dims ? r->dims : c->D) / 2;
    rt_put_text(w, "rope_type", kinds[r->kind]);
    if (r->kind == MD_ROPE_DEFAULT) return;
    rt_put_real(w, "factor", r->factor, 17);
    if (r->kind == MD_ROPE_LINEAR) return;
    rt_put_int(w, "original_max_position_embeddings", r->original);
    if (r->kind == MD_ROPE_LLAMA3) {
        rt_put_real(w, "low_freq_factor", r->low, 17);
        rt_put_real(w, "high_freq_factor", r->high, 17);
        return;
    }
    rt_put_real(w, "attention_factor", r->attention, 17);
    if (r->kind == MD_ROPE_LONGROPE) {
        put_list(w, "short_factor", r->divisor[0], pairs);
        put_list(w, "long_factor", r->divisor[1], pairs);
        return;
    }
    rt_put_real(w, "beta_slow", r->low, 17);
    rt_put_real(w, "beta_fast", r->high, 17);
    if (!r->truncate) rt_put_bool(w, "truncate", 0);
}

/* A quotient may be rounded to a factor that gives one element less (30 of 44). */
static void put_part(rt_json_writer *w, const md_config *c, const md_rope *r)
{
    double part = (double)r->dims / (double)c->D;
    if ((int64_t)((double)c->D * part) < r->dims) part = nextafter(part, 1);
    if (r->dims) rt_put_real(w, "partial_rotary_factor", part, 17);
}

static void put_object(rt_json_writer *w, const md_config *c, const md_rope *r, const char *key)
{
    rt_put_object(w, key);
    put_scaling(w, c, r);
    rt_put_real(w, "rope_theta", r->theta, 17);
    put_part(w, c, r);
    rt_put_end(w);
}

void md_rope_write(rt_json_writer *w, const md_config *c)
{
    const md_rope *r = &c->rope;
    rt_put_real(w, "rope_theta", r->theta, 17);
    put_part(w, c, r);
    if (r->kind == MD_ROPE_LONGROPE) rt_put_int(w, "original_max_position_embeddings", r->original);
    if (md_has(c, MD_LOCAL_ROPE)) {
        rt_put_real(w, "rope_local_base_freq", c->rope_local.theta, 17);
        rt_put_object(w, "rope_parameters");
        put_object(w, c, r, "full_attention");
        put_object(w, c, &c->rope_local, "sliding_attention");
        rt_put_end(w);
    } else put_object(w, c, r, "rope_parameters");
    if (r->kind != MD_ROPE_DEFAULT) put_object(w, c, r, "rope_scaling");
}
