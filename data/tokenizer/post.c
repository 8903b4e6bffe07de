/* post.c -- parsing the post_processor of tokenizer.json: the tokens that it puts around a text. */
#include "data/tokenizer/parts.h"

static rt_status add_template_ids(const cJSON *special, const char *name, ds_ids *into, const char *where)
{
    const cJSON *ids = ds_json_part(ds_json_part(special, name), "ids"), *e;
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

static rt_status parse_template(void *into, const cJSON *o, const char *where)
{
    ds_tokenizer *t    = into;
    int           seen = 0;
    const cJSON  *e;
    RT_CHECK(!t->prefix.n && !t->suffix.n, RT_EFORMAT, "%s: more than one TemplateProcessing is not supported", where);
    cJSON_ArrayForEach(e, ds_json_part(o, "single"))
    {
        const char *name = NULL;
        RT_TRY(rt_json_text(ds_json_part(e, "SpecialToken"), "id", &name, where));
        if (name) RT_TRY(add_template_ids(ds_json_part(o, "special_tokens"), name, seen ? &t->suffix : &t->prefix, where));
        else seen++;
    }
    RT_CHECK(seen == 1, RT_EFORMAT, "%s: the post_processor's template has the text %d times, expected once", where, seen);
    return RT_OK;
}

/* It only trims offsets. */
static rt_status parse_nothing(void *into, const cJSON *o, const char *where)
{
    (void)into, (void)o, (void)where;
    return RT_OK;
}

rt_status ds_tokenizer_parse_post(ds_tokenizer *t, const cJSON *root, const char *where)
{
    static const ds_component  known[] = {{"TemplateProcessing", parse_template}, {"ByteLevel", parse_nothing}, {0}};
    static const ds_components all     = {"post_processor", "processors", known};
    return ds_components_read(&all, root, t, where);
}
