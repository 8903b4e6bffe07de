/* objective.c -- translating the settings of an objective to those of the head, and checking that the shards supply its targets. */
#include "distill/objective.h"
#include "model/teacher_row.h"
#include <math.h>

static const char *const matches[] = {"none", "mse", "cosine"};

enum { FRESH = 8 }; /* default k and m of entries sampled from a teacher in process */

const char *di_objective_word(int i) { return i < AG_OBJECTIVES ? ag_objectives[i].word : i == DI_AUTO ? "auto" : NULL; }
const char *di_match_word(int i) { return i <= AG_MATCH_COSINE ? matches[i] : NULL; }

static ag_objective objective_choose(const di_objective_settings *c, const ds_info *info)
{
    if (c->kind != DI_AUTO) return (ag_objective)c->kind;
    if (c->teacher || info->codec_bytes > 0) return AG_KL;
    return !info->soft ? AG_CE : info->m > 0 ? AG_SAMPLED : AG_TAIL_TOKEN;
}

/* ---- its targets ----------------------------------------------------------------------------- */

/* Configures targets from the k + m entries of the shards. */
static rt_status take_stored(di_objective *o, const di_objective_settings *c, const ds_info *info, const char *shard)
{
    const char *kind    = ag_objectives[o->t.objective].word;
    const int   sampled = ag_objectives[o->t.objective].samples;
    RT_CHECK(info->soft, RT_EMISMATCH,
             "objective \"%s\" needs teacher probabilities, but %s is a text shard; create a soft shard with retort score", kind, shard);
    RT_CHECK(info->k || info->m, RT_EMISMATCH,
             "objective \"%s\" learns from entries, but %s holds only encoded hidden states; use \"kl\", or score the text with --k", kind,
             shard);
    RT_CHECK(info->k || sampled, RT_EMISMATCH,
             "objective \"%s\" learns from the most likely entries, but %s holds only samples; use \"sampled\", or score the text with --k",
             kind, shard);
    RT_CHECK(sampled || c->m <= 0, RT_EINVAL, "objective.m is %lld, but only \"sampled\" learns from samples, not \"%s\"; omit it",
             (long long)c->m, kind);
    o->stored = 1;
    o->t.k    = c->k < 0 ? info->k : c->k;
    o->t.m    = !sampled ? 0 : c->m < 0 ? info->m : c->m;
    RT_CHECK(o->t.k <= info->k && (o->t.k >= 1 || (sampled && !info->k)), RT_EMISMATCH,
             "objective.k is %lld, but %s holds %lld entries per row; \"%s\" takes 1 to that many", (long long)o->t.k, shard,
             (long long)info->k, kind);
    RT_CHECK(
        !sampled || (o->t.m >= 1 && o->t.m == info->m && o->t.k == info->k), RT_EMISMATCH,
        "objective \"sampled\" with k %lld, m %lld: %s holds k %lld, m %lld; both must equal the stored values, because the samples are "
        "drawn "
        "together outside the k, and m must be at least 1; \"tail-token\" needs no samples",
        (long long)o->t.k, (long long)o->t.m, shard, (long long)info->k, (long long)info->m);
    RT_CHECK(o->t.k <= AG_MAX_ENTRIES && o->t.m <= AG_MAX_ENTRIES, RT_EMISMATCH,
             "objective \"%s\" takes at most %d entries and %d samples per row, but %s holds k %lld, m %lld; set objective.k, or score the "
             "text with "
             "fewer",
             kind, AG_MAX_ENTRIES, AG_MAX_ENTRIES, shard, (long long)info->k, (long long)info->m);
    return RT_OK;
}

/* Configures targets from k + m entries that are sampled from a teacher in process in every pass. */
static rt_status take_fresh(di_objective *o, const di_objective_settings *c)
{
    const int sampled = ag_objectives[o->t.objective].samples;
    o->t.k            = c->k < 0 ? FRESH : c->k;
    o->t.m            = !sampled ? 0 : c->m < 0 ? FRESH : c->m;
    o->fresh          = 1;
    RT_CHECK(o->t.k >= (sampled ? 0 : 1) && o->t.k <= MD_TEACHER_MAX_K && (!sampled || (o->t.m >= 1 && o->t.m <= AG_MAX_ENTRIES)),
             RT_EINVAL,
             "objective \"%s\" with k %lld, m %lld from teacher.model: k must be from %d to %d, and m from 1 to %d for \"sampled\"",
             ag_objectives[o->t.objective].word, (long long)o->t.k, (long long)o->t.m, sampled ? 0 : 1, MD_TEACHER_MAX_K, AG_MAX_ENTRIES);
    return RT_OK;
}

/* Configures targets that are whole distributions, from a teacher in process or from encoded states. */
static rt_status take_whole(di_objective *o, const di_objective_settings *c, const ds_info *info, const char *shard)
{
    RT_CHECK(
        c->k < 0 && c->m < 0, RT_EINVAL,
        "objective.k and objective.m are for objectives that learn from entries, but \"%s\" learns from whole distributions; omit them, or "
        "choose another objective.kind",
        ag_objectives[o->t.objective].word);
    RT_CHECK(
        c->teacher || info->codec_bytes, RT_EMISMATCH,
        "objective \"%s\" needs the teacher's whole distribution, but %s holds %s; set teacher.model to the teacher's folder, or store "
        "encoded "
        "hidden states (retort score --model DIR --codec 64)",
        ag_objectives[o->t.objective].word, shard,
        !info->soft ? "text"
        : info->k   ? "only the most likely entries"
                    : "only samples");
    o->codec_bytes = c->teacher ? 0 : info->codec_bytes;
    return RT_OK;
}

static rt_status take_match(di_objective *o, const di_objective_settings *c)
{
    o->t.match        = c->hidden;
    o->t.match_weight = c->hidden_weight;
    RT_CHECK(
        o->t.match == AG_NO_MATCH || c->teacher || o->codec_bytes, RT_EINVAL,
        "objective.hidden \"%s\" compares hidden states with the teacher's; set teacher.model to its folder, or use \"kl\" with encoded "
        "hidden states",
        matches[c->hidden]);
    return RT_OK;
}

rt_status di_objective_resolve(di_objective *out, const di_objective_settings *c, const ds_info *info, const char *shard)
{
    di_objective o = {
        .t = {.objective = objective_choose(c, info), .temperature = c->temperature, .t2 = c->t2, .beta = c->beta, .alpha = c->alpha}};
    const ag_objective kind = o.t.objective;
    o.t.z_loss              = c->z_loss;
    o.t.bucket_share        = isnan(c->bucket_share) ? ag_objectives[kind].bucket_share : c->bucket_share;
    const ag_needs needs    = ag_objectives[kind].needs;
    if (needs == AG_WHOLE) RT_TRY(take_whole(&o, c, info, shard));
    else if (needs == AG_ENTRIES) RT_TRY(c->teacher ? take_fresh(&o, c) : take_stored(&o, c, info, shard));
    RT_CHECK(!ag_objectives[kind].samples || o.t.k > 0 || o.t.temperature == 1, RT_EINVAL,
             "objective.temperature is %g, but rows of only samples (k = 0) are drawn at temperature 1; set it to 1, or learn from encoded "
             "hidden "
             "states or teacher.model",
             o.t.temperature);
    RT_TRY(take_match(&o, c));
    o.teacher     = needs != AG_TEXT || o.t.match ? c->teacher : NULL;
    o.ce_weight   = needs == AG_TEXT || isnan(c->ce_weight) ? ag_objectives[kind].ce_weight : c->ce_weight;
    o.ce_end      = needs == AG_TEXT || isnan(c->ce_weight_end) ? o.ce_weight : c->ce_weight_end;
    o.t.ce_weight = o.ce_weight;
    o.work        = ag_row_work(&o.t);
    o.logits      = needs == AG_WHOLE || o.fresh;
    *out          = o;
    return RT_OK;
}

/* ---- description ------------------------------------------------------------------------------- */

static rt_status say_source(rt_buf *b, const di_objective *o)
{
    if (o->teacher) return rt_buf_fmt(b, "the teacher %s in process", o->teacher);
    if (o->codec_bytes) return rt_buf_fmt(b, "encoded hidden states of %lld bytes", (long long)o->codec_bytes);
    if (!o->stored) return rt_buf_str(b, "text");
    if (!o->t.m) return rt_buf_fmt(b, "%lld entries per row", (long long)o->t.k);
    if (!o->t.k) return rt_buf_fmt(b, "%lld samples per row", (long long)o->t.m);
    return rt_buf_fmt(b, "%lld entries and %lld samples per row", (long long)o->t.k, (long long)o->t.m);
}

rt_status di_objective_say(rt_buf *b, const di_objective *o)
{
    RT_TRY(rt_buf_fmt(b, "%s from ", ag_objectives[o->t.objective].word));
    RT_TRY(say_source(b, o));
    if (o->t.objective != AG_CE && (o->ce_weight > 0 || o->ce_end > 0)) {
        RT_TRY(rt_buf_fmt(b, ", with %g", o->ce_weight));
        if (o->ce_end != o->ce_weight) RT_TRY(rt_buf_fmt(b, " to %g", o->ce_end));
        RT_TRY(rt_buf_str(b, " of cross-entropy"));
    }
    if (o->t.temperature != 1) RT_TRY(rt_buf_fmt(b, ", at temperature %g", o->t.temperature));
    return o->t.match ? rt_buf_fmt(b, ", hidden states by %s", matches[o->t.match]) : RT_OK;
}

/* ---- settings ---------------------------------------------------------------------------------- */

double di_objective_ce_weight(const di_objective *o, int64_t s, int64_t steps)
{
    return steps < 2 ? o->ce_weight : o->ce_weight + (o->ce_end - o->ce_weight) * (double)s / (double)(steps - 1);
}

void di_objective_data(const di_objective *o, ds_loader_opts *d)
{
    d->targets   = o->stored || o->codec_bytes;
    d->use_codec = o->codec_bytes > 0;
    d->k         = o->stored ? o->t.k : 0;
    d->m         = o->stored ? o->t.m : 0;
}

int di_objective_serves(const di_objective *o, const ds_info *info)
{
    const int64_t k = o->t.k, m = o->t.m;
    const int     entries = info->soft && info->k >= k && (!m || (info->k == k && info->m == m));
    return o->t.objective != AG_CE && (!o->stored || entries) && (!o->codec_bytes || info->codec_bytes);
}
