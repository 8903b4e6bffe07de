/* ends.c -- reading the files next to tokenizer.json: the tokens that begin and end a text, and a check that their added
 * tokens are those of tokenizer.json. */
#include "core/file.h"
#include "data/tokenizer/parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the set of end tokens ------------------------------------------------------------- */

int ds_ends_have(const ds_ends *e, int32_t id)
{
    for (int i = 0; i < e->n; i++)
        if (e->id[i] == id) return 1;
    return 0;
}

rt_status ds_ends_add(ds_ends *e, int32_t id)
{
    if (id < 0 || ds_ends_have(e, id)) return RT_OK;
    RT_CHECK(e->n < DS_MAX_ENDS, RT_EFORMAT, "expected at most %d end tokens, found more", DS_MAX_ENDS);
    e->id[e->n++] = id;
    return RT_OK;
}

rt_status ds_ends_join(ds_ends *e, const ds_ends *more)
{
    for (int i = 0; i < more->n; i++) RT_TRY(ds_ends_add(e, more->id[i]));
    return RT_OK;
}

static rt_status take_id(ds_ends *e, const cJSON *v, const char *where)
{
    int64_t id = 0;
    RT_CHECK(rt_json_whole(v, -1, INT32_MAX, &id), RT_EFORMAT, "%s: \"eos_token_id\" must be a token id, a list of them or null", where);
    return ds_ends_add(e, (int32_t)id);
}

rt_status ds_ends_take(ds_ends *e, const cJSON *o, const char *where)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "eos_token_id"), *x;
    if (!v || cJSON_IsNull(v)) return RT_OK;
    if (!cJSON_IsArray(v)) return take_id(e, v, where);
    cJSON_ArrayForEach(x, v) RT_TRY(take_id(e, x, where));
    return RT_OK;
}

typedef rt_status (*take_fn)(void *ud, const cJSON *o, const char *where);

/* Calls take() with a JSON file of the folder, if it exists. */
static rt_status ends_read_file(const char *dir, const char *name, take_fn take, void *ud)
{
    rt_buf    path = {0};
    cJSON    *o    = NULL;
    rt_status st   = rt_path_inside(&path, dir, name);
    if (st == RT_OK && rt_file_exists(path.p)) {
        st = rt_json_read(&o, path.p, RT_JSON_DUPLICATES);
        if (st == RT_OK) st = take(ud, o, path.p);
    }
    cJSON_Delete(o);
    rt_buf_free(&path);
    return st;
}

static rt_status ends_take_ends(void *ud, const cJSON *o, const char *where) { return ds_ends_take(ud, o, where); }

rt_status ds_ends_read(ds_ends *e, const char *dir)
{
    RT_TRY(ends_read_file(dir, "config.json", ends_take_ends, e));
    return ends_read_file(dir, "generation_config.json", ends_take_ends, e);
}

/* ---- the tokens of a tokenizer -------------------------------------------------------------- */

/* A token is "text" or {"content": "text", ...}; *id is unchanged if the token is missing or null. */
static rt_status take_token(const ds_tokenizer *t, const cJSON *f, const char *key, int32_t *id, const char *where)
{
    const char *text = cJSON_GetStringValue(f);
    if (cJSON_IsObject(f)) text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(f, "content"));
    RT_CHECK(text || !f || cJSON_IsNull(f), RT_EFORMAT, "%s: the %s must be a token's text, an object with it as \"content\", or null",
             where, key);
    if (!text) return RT_OK;
    *id = ds_tokenizer_id(t, text);
    RT_CHECK(*id >= 0, RT_EFORMAT, "%s: the %s \"%.60s\" is not an entry of the tokenizer.json beside it", where, key, text);
    return RT_OK;
}

static rt_status take_document_end(ds_tokenizer *t, const cJSON *list, const char *where)
{
    const cJSON *e;
    if (!list) return RT_OK;
    RT_CHECK(cJSON_IsArray(list), RT_EFORMAT, "%s: \"" DS_OURS "\": \"document_end\" must be a list of tokens", where);
    t->close.n = 0;
    cJSON_ArrayForEach(e, list)
    {
        int32_t id = -1;
        RT_TRY(take_token(t, e, "document_end", &id, where));
        RT_CHECK(id >= 0, RT_EFORMAT, "%s: \"" DS_OURS "\": \"document_end\" must be a list of tokens", where);
        RT_TRY(ds_ids_add(&t->close, id));
    }
    return RT_OK;
}

/* "former_file", the hash of the file from which this tokenizer.json was made, is used only if "identity" is this tokenizer's. */
static rt_status take_ours(ds_tokenizer *t, const cJSON *o, const char *where)
{
    const cJSON *ours     = cJSON_GetObjectItemCaseSensitive(o, DS_OURS);
    const char  *identity = "", *former = "";
    if (!ours) return RT_OK;
    RT_CHECK(cJSON_IsObject(ours), RT_EFORMAT, "%s: \"" DS_OURS "\" must be an object", where);
    RT_TRY(rt_json_text(ours, "identity", &identity, where));
    RT_TRY(rt_json_text(ours, "former_file", &former, where));
    if (!strcmp(identity, t->identity) && strlen(former) == RT_SHA_HEX - 1) memcpy(t->former, former, RT_SHA_HEX);
    return take_document_end(t, cJSON_GetObjectItemCaseSensitive(ours, "document_end"), where);
}

/* Other programs add these tokens to those of tokenizer.json, so ids would differ if tokenizer.json lacked one. */
static rt_status check_added(const ds_tokenizer *t, const char *text, const char *id, const char *where)
{
    const int32_t own = ds_tokenizer_id(t, text);
    char          digits[16];
    snprintf(digits, sizeof digits, "%d", (int)own);
    RT_CHECK(
        own >= 0 && !strcmp(id, digits) && t->vocab.entry[own].flags & DS_ENTRY_ADDED, RT_EFORMAT,
        "%s: \"%.60s\" is the added token %.16s in this file but not in the tokenizer.json beside it; add it to \"added_tokens\" there, "
        "or remove "
        "it from this file",
        where, text, id);
    return RT_OK;
}

static rt_status ends_check_decoder(const ds_tokenizer *t, const cJSON *e, const char *where)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "content"));
    RT_CHECK(text, RT_EFORMAT, "%s: \"added_tokens_decoder\": the token %.16s has no text \"content\"", where, e->string ? e->string : "");
    return check_added(t, text, e->string ? e->string : "", where);
}

/* added_tokens.json of older folders: {"text": id, ...}. */
static rt_status take_added(void *ud, const cJSON *o, const char *where)
{
    const cJSON *e;
    cJSON_ArrayForEach(e, o)
    {
        int64_t id = -1;
        char    digits[16];
        RT_CHECK(rt_json_whole(e, 0, INT32_MAX, &id), RT_EFORMAT, "%s: the id of \"%.60s\" must be a non-negative integer", where,
                 e->string);
        snprintf(digits, sizeof digits, "%d", (int)id);
        RT_TRY(check_added(ud, e->string, digits, where));
    }
    return RT_OK;
}

static rt_status take_config(void *ud, const cJSON *o, const char *where)
{
    ds_tokenizer *t     = ud;
    int           split = 0;
    const cJSON  *e;
    RT_TRY(rt_json_bool(o, "split_special_tokens", &split, where));
    RT_CHECK(!split, RT_EFORMAT,
             "%s: \"split_special_tokens\": true would encode special tokens in a text as ordinary text, which is not supported; remove it",
             where);
    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(o, "added_tokens_decoder")) RT_TRY(ends_check_decoder(t, e, where));
    RT_TRY(take_token(t, cJSON_GetObjectItemCaseSensitive(o, "bos_token"), "bos_token", &t->bos, where));
    RT_TRY(take_token(t, cJSON_GetObjectItemCaseSensitive(o, "eos_token"), "eos_token", &t->eos, where));
    return take_ours(t, o, where);
}

/* Older folders name the tokens in special_tokens_map.json; tokenizer_config.json takes precedence. */
rt_status ds_tokenizer_read_ends(ds_tokenizer *t, const char *dir)
{
    for (int64_t i = 0; i < t->suffix.n; i++) RT_TRY(ds_ids_add(&t->close, t->suffix.v[i]));
    RT_TRY(ends_read_file(dir, "special_tokens_map.json", take_config, t));
    RT_TRY(ends_read_file(dir, "tokenizer_config.json", take_config, t));
    RT_TRY(ends_read_file(dir, "added_tokens.json", take_added, t));
    RT_TRY(ds_ends_read(&t->ends, dir));
    return ds_ends_add(&t->ends, t->eos);
}
