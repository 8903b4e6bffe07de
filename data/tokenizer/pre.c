/* pre.c -- parsing normalizer, pre_tokenizer, post_processor and decoder of tokenizer.json.
 *
 * The parts that byte-level BPE models use are supported.  Every other part is refused by name, because ignoring it would give ids
 * with which the model was not trained.
 */
#include "data/tokenizer/parts.h"
#include <string.h>

static const cJSON *part(const cJSON *o, const char *key)
{
    const cJSON *p = cJSON_GetObjectItemCaseSensitive(o, key);
    return p && !cJSON_IsNull(p) ? p : NULL;
}

static rt_status pre_type_of(const cJSON *o, const char **type, const char *where)
{
    *type = NULL;
    RT_TRY(rt_json_text(o, "type", type, where));
    RT_CHECK(*type, RT_EFORMAT, "%s: a part of the tokenizer has no \"type\"", where);
    return RT_OK;
}

static rt_status pre_refuse(const char *key, const char *type, const char *known, const char *where)
{
    return rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: the %s \"%s\" is not supported; expected %s", where, key, type, known);
}

/* ---- normalizer, decoder ----------------------------------------------------------- */

static rt_status parse_normalizer(ds_tokenizer *t, const cJSON *o, const char *where)
{
    const char *type;
    if (!o) return RT_OK;
    RT_TRY(pre_type_of(o, &type, where));
    if (!strcmp(type, "NFC")) {
        t->nfc = 1;
        return RT_OK;
    }
    if (strcmp(type, "Sequence")) return pre_refuse("normalizer", type, "null, NFC or Sequence", where);
    const cJSON *e;
    cJSON_ArrayForEach(e, part(o, "normalizers")) RT_TRY(parse_normalizer(t, e, where));
    return RT_OK;
}

static rt_status pre_check_decoder(const cJSON *o, const char *where)
{
    const char *type;
    RT_CHECK(o, RT_EFORMAT, "%s: there is no decoder; expected ByteLevel", where);
    RT_TRY(pre_type_of(o, &type, where));
    if (!strcmp(type, "ByteLevel")) return RT_OK;
    if (strcmp(type, "Sequence")) return pre_refuse("decoder", type, "ByteLevel or Sequence", where);
    const cJSON *e;
    cJSON_ArrayForEach(e, part(o, "decoders")) RT_TRY(pre_check_decoder(e, where));
    return RT_OK;
}

/* ---- pre_tokenizer -------------------------------------------------------------------- */

static rt_status parse_split(ds_tokenizer *t, const cJSON *o, const char *where)
{
    const char  *regex = NULL, *string = NULL, *behavior = "", *text;
    int          invert = 0;
    const cJSON *p      = part(o, "pattern");
    RT_TRY(rt_json_text(p, "Regex", &regex, where));
    RT_TRY(rt_json_text(p, "String", &string, where));
    RT_TRY(rt_json_text(o, "behavior", &behavior, where));
    RT_TRY(rt_json_bool(o, "invert", &invert, where));
    text = regex ? regex : string;
    RT_CHECK(text, RT_EFORMAT, "%s: a Split has neither a Regex nor a String as its pattern", where);
    if (!strcmp(behavior, "Isolated")) return ds_splitter_add(&t->splitter, text, !regex, DS_KEEP_BOTH, where);
    if (strcmp(behavior, "Removed")) return pre_refuse("Split behavior", behavior, "Isolated or Removed", where);
    return ds_splitter_add(&t->splitter, text, !regex, invert ? DS_KEEP_MATCHES : DS_KEEP_GAPS, where);
}

static rt_status parse_byte_level(ds_tokenizer *t, const cJSON *o, const char *where)
{
    int prefix = 1, regex = 1;
    RT_TRY(rt_json_bool(o, "add_prefix_space", &prefix, where));
    RT_TRY(rt_json_bool(o, "use_regex", &regex, where));
    RT_CHECK(!prefix || !t->splitter.n, RT_EFORMAT, "%s: add_prefix_space after a Split is not supported", where);
    t->prefix_space = prefix;
    return regex ? ds_splitter_add(&t->splitter, ds_gpt2_pattern, 0, DS_KEEP_BOTH, where) : RT_OK;
}

static rt_status parse_pre(ds_tokenizer *t, const cJSON *o, int *byte_level, const char *where)
{
    const char *type;
    int         single = 0;
    RT_TRY(pre_type_of(o, &type, where));
    RT_CHECK(!*byte_level, RT_EFORMAT, "%s: the pre_tokenizer \"%s\" follows ByteLevel, which must be the last", where, type);
    if (!strcmp(type, "Split")) return parse_split(t, o, where);
    if (!strcmp(type, "Digits")) {
        RT_TRY(rt_json_bool(o, "individual_digits", &single, where));
        return ds_splitter_add(&t->splitter, single ? "\\p{N}" : "\\p{N}+", 0, DS_KEEP_BOTH, where);
    }
    if (!strcmp(type, "ByteLevel")) {
        *byte_level = 1;
        return parse_byte_level(t, o, where);
    }
    if (strcmp(type, "Sequence")) return pre_refuse("pre_tokenizer", type, "ByteLevel, Split, Digits or Sequence", where);
    const cJSON *e;
    cJSON_ArrayForEach(e, part(o, "pretokenizers")) RT_TRY(parse_pre(t, e, byte_level, where));
    return RT_OK;
}

/* ---- post_processor ----------------------------------------------------------------- */

static rt_status add_template_ids(const cJSON *special, const char *name, ds_ids *into, const char *where)
{
    const cJSON *ids = part(part(special, name), "ids"), *e;
    RT_CHECK(cJSON_IsArray(ids), RT_EFORMAT, "%s: the post_processor's template uses %s, which is not among its special_tokens", where,
             name);
    cJSON_ArrayForEach(e, ids)
    {
        int64_t id = 0;
        RT_CHECK(rt_json_whole(e, 0, DS_MAX_ENTRIES - 1, &id), RT_EFORMAT, "%s: the post_processor gives %s an invalid id", where, name);
        RT_TRY(ds_ids_add(into, (int32_t)id));
    }
    return RT_OK;
}

static rt_status parse_template(ds_tokenizer *t, const cJSON *o, const char *where)
{
    int          seen = 0;
    const cJSON *e;
    cJSON_ArrayForEach(e, part(o, "single"))
    {
        const char *name = NULL;
        RT_TRY(rt_json_text(part(e, "SpecialToken"), "id", &name, where));
        if (name) RT_TRY(add_template_ids(part(o, "special_tokens"), name, seen ? &t->suffix : &t->prefix, where));
        else seen++;
    }
    RT_CHECK(seen == 1, RT_EFORMAT, "%s: the post_processor's template has the text %d times, expected once", where, seen);
    return RT_OK;
}

static rt_status parse_post(ds_tokenizer *t, const cJSON *o, const char *where)
{
    const char *type;
    if (!o) return RT_OK;
    RT_TRY(pre_type_of(o, &type, where));
    if (!strcmp(type, "ByteLevel")) return RT_OK; /* it only trims offsets */
    if (!strcmp(type, "TemplateProcessing")) {
        RT_CHECK(!t->prefix.n && !t->suffix.n, RT_EFORMAT, "%s: more than one TemplateProcessing is not supported", where);
        return parse_template(t, o, where);
    }
    if (strcmp(type, "Sequence")) return pre_refuse("post_processor", type, "null, ByteLevel, TemplateProcessing or Sequence", where);
    const cJSON *e;
    cJSON_ArrayForEach(e, part(o, "processors")) RT_TRY(parse_post(t, e, where));
    return RT_OK;
}

rt_status ds_tokenizer_parse_chain(ds_tokenizer *t, const cJSON *root, const char *where)
{
    int          byte_level = 0;
    const cJSON *pre        = part(root, "pre_tokenizer");
    RT_TRY(parse_normalizer(t, part(root, "normalizer"), where));
    if (pre) RT_TRY(parse_pre(t, pre, &byte_level, where));
    RT_CHECK(byte_level, RT_EFORMAT, "%s: the pre_tokenizer has no ByteLevel; only byte-level BPE is supported", where);
    RT_TRY(ds_splitter_ready(&t->splitter, where));
    RT_TRY(parse_post(t, part(root, "post_processor"), where));
    return pre_check_decoder(part(root, "decoder"), where);
}
