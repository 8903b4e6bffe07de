/* recipe.c -- reading a recipe and writing its prompts. */
#include "teacher/recipe.h"
#include "core/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LIST = 1 << 20, MAX_TOPICS_FILE = 64 << 20 };

static const char *const keys[]          = {"name",        "kind",      "note",   "system",   "template", "topics",
                                            "topics_file", "audiences", "styles", "sampling", "stop"};
static const char *const sampling_keys[] = {"temperature", "top_p", "max_tokens"};

static rt_status recipe_check_keys(const cJSON *o, const char *const *known, int n, const char *where)
{
    for (const cJSON *x = o->child; x; x = x->next) {
        int found = 0;
        for (int i = 0; i < n; i++) found |= !strcmp(known[i], x->string);
        RT_CHECK(found, RT_EFORMAT, "%s: unknown key \"%.60s\"; the nearest is \"%s\"", where, x->string, rt_nearest(x->string, known, n));
    }
    return RT_OK;
}

static rt_status list_add(tc_list *l, const char *text)
{
    RT_TRY(rt_grow((void **)&l->v, l->n, &l->cap, sizeof *l->v));
    l->v[l->n++] = text;
    return RT_OK;
}

/* A list of strings; a missing one is the list of one empty string. */
static rt_status read_list(tc_list *l, const cJSON *o, const char *key, const char *where)
{
    const cJSON *a = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!a) return l->n ? RT_OK : list_add(l, "");
    RT_CHECK(cJSON_IsArray(a) && a->child && !l->n, RT_EFORMAT,
             "%s: \"%s\" must be a list of at least one string; give either \"topics\" or \"topics_file\"", where, key);
    for (const cJSON *x = a->child; x; x = x->next) {
        RT_CHECK(cJSON_IsString(x) && x->valuestring[0] && l->n < MAX_LIST, RT_EFORMAT,
                 "%s: \"%s\": entry %lld must be a non-empty string, and at most %d entries are allowed", where, key, (long long)l->n,
                 MAX_LIST);
        RT_TRY(list_add(l, x->valuestring));
    }
    return RT_OK;
}

/* One topic a line; empty lines and lines that begin with '#' are left out. */
static rt_status read_topics_file(tc_recipe *r, const char *recipe, const char *name)
{
    const char *slash = strrchr(recipe, '/');
    rt_buf      path  = {0};
    rt_status   st = name[0] == '/' || !slash ? rt_buf_str(&path, name) : rt_buf_fmt(&path, "%.*s/%s", (int)(slash - recipe), recipe, name);
    if (st == RT_OK) st = rt_file_read(&r->topics_text, path.p, MAX_TOPICS_FILE);
    char *save = NULL;
    for (char *line = st == RT_OK ? strtok_r(r->topics_text.p, "\r\n", &save) : NULL; st == RT_OK && line;
         line       = strtok_r(NULL, "\r\n", &save))
        if (*line != '#') st = list_add(&r->topics, line);
    if (st == RT_OK && !r->topics.n) st = rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: expected one topic per line, found none", path.p);
    rt_buf_free(&path);
    return st;
}

static rt_status read_stops(tc_recipe *r, const cJSON *o, const char *where)
{
    const cJSON *a = cJSON_GetObjectItemCaseSensitive(o, "stop");
    if (!a) return RT_OK;
    RT_CHECK(cJSON_IsArray(a), RT_EFORMAT, "%s: \"stop\" must be a list of strings", where);
    for (const cJSON *x = a->child; x; x = x->next) {
        RT_CHECK(cJSON_IsString(x) && x->valuestring[0] && r->stops < TC_MAX_STOPS, RT_EFORMAT,
                 "%s: \"stop\" must hold at most %d non-empty strings", where, (int)TC_MAX_STOPS);
        r->stop[r->stops++] = x->valuestring;
    }
    return RT_OK;
}

static rt_status recipe_read_sampling(tc_recipe *r, const cJSON *o, const char *where)
{
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(o, "sampling");
    RT_CHECK(!s || cJSON_IsObject(s), RT_EFORMAT, "%s: \"sampling\" must be an object", where);
    if (s) {
        RT_TRY(recipe_check_keys(s, sampling_keys, sizeof sampling_keys / sizeof *sampling_keys, where));
        RT_TRY(rt_json_real(s, "temperature", &r->temperature, where));
        RT_TRY(rt_json_real(s, "top_p", &r->top_p, where));
        RT_TRY(rt_json_int(s, "max_tokens", &r->max_tokens, where));
    }
    RT_CHECK(r->temperature >= 0 && r->temperature <= 2, RT_EFORMAT, "%s: \"temperature\" must be from 0 to 2", where);
    RT_CHECK(r->top_p > 0 && r->top_p <= 1, RT_EFORMAT, "%s: \"top_p\" must be above 0 and at most 1", where);
    RT_CHECK(r->max_tokens >= 1 && r->max_tokens <= 1 << 20, RT_EFORMAT, "%s: \"max_tokens\" must be from 1 to %d", where, 1 << 20);
    return RT_OK;
}

/* Returns 't', 'a' or 's' for the placeholder at p, 0 if there is none. */
static char place_at(const char *p, size_t *len)
{
    static const char *const words[] = {"{topic}", "{audience}", "{style}"};
    for (size_t i = 0; i < 3; i++)
        if (!strncmp(p, words[i], strlen(words[i]))) {
            *len = strlen(words[i]);
            return words[i][1];
        }
    return 0;
}

static rt_status check_pattern(const tc_recipe *r, const char *where)
{
    size_t len;
    int    topic = 0;
    for (const char *p = r->pattern; *p; p++) {
        const char   place = *p == '{' ? place_at(p, &len) : 0;
        const size_t word  = *p == '{' ? strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_") : 0;
        RT_CHECK(!word || p[1 + word] != '}' || place, RT_EFORMAT,
                 "%s: \"template\" has the placeholder {%.*s}; expected {topic}, {audience} or {style}", where, (int)word, p + 1);
        RT_CHECK(place != 'a' || *r->audiences.v[0], RT_EFORMAT,
                 "%s: \"template\" has the placeholder {audience}, but \"audiences\" is missing", where);
        RT_CHECK(place != 's' || *r->styles.v[0], RT_EFORMAT, "%s: \"template\" has the placeholder {style}, but \"styles\" is missing",
                 where);
        topic |= place == 't';
    }
    RT_CHECK(topic, RT_EFORMAT, "%s: \"template\" must have the placeholder {topic}", where);
    return RT_OK;
}

static rt_status recipe_read_all(tc_recipe *r, const char *path)
{
    const char *kind = NULL, *file = NULL, *note = NULL;
    RT_TRY(rt_json_read(&r->json, path, RT_JSON_COMMENTS));
    RT_TRY(recipe_check_keys(r->json, keys, sizeof keys / sizeof *keys, path));
    RT_TRY(rt_json_text(r->json, "name", &r->name, path));
    RT_TRY(rt_json_text(r->json, "note", &note, path));
    RT_TRY(rt_json_text(r->json, "kind", &kind, path));
    RT_TRY(rt_json_text(r->json, "system", &r->system, path));
    RT_TRY(rt_json_text(r->json, "template", &r->pattern, path));
    RT_TRY(rt_json_text(r->json, "topics_file", &file, path));
    RT_CHECK(r->name && *r->name && r->pattern && kind, RT_EFORMAT, "%s: expected the keys \"name\", \"kind\" and \"template\"", path);
    r->chat = !strcmp(kind, "chat");
    RT_CHECK(r->chat || !strcmp(kind, "completion"), RT_EFORMAT, "%s: \"kind\" must be \"completion\" or \"chat\", found \"%.40s\"", path,
             kind);
    RT_CHECK(r->chat || !r->system, RT_EFORMAT, "%s: \"system\" is only for recipes of kind \"chat\"", path);
    if (file) RT_TRY(read_topics_file(r, path, file));
    RT_TRY(read_list(&r->topics, r->json, "topics", path));
    RT_TRY(read_list(&r->audiences, r->json, "audiences", path));
    RT_TRY(read_list(&r->styles, r->json, "styles", path));
    RT_CHECK(*r->topics.v[0], RT_EFORMAT, "%s: expected \"topics\" or \"topics_file\"", path);
    RT_TRY(recipe_read_sampling(r, r->json, path));
    RT_TRY(read_stops(r, r->json, path));
    return check_pattern(r, path);
}

rt_status tc_recipe_read(tc_recipe **out, const char *path)
{
    tc_recipe *r = NULL;
    RT_TRY(RT_NEW(r, 1));
    r->temperature     = 1;
    r->top_p           = 1;
    r->max_tokens      = 512;
    const rt_status st = recipe_read_all(r, path);
    if (st != RT_OK) tc_recipe_destroy(&r);
    else *out = r;
    return st;
}

void tc_recipe_destroy(tc_recipe **out)
{
    tc_recipe *r = *out;
    if (!r) return;
    free(r->topics.v);
    free(r->audiences.v);
    free(r->styles.v);
    rt_buf_free(&r->topics_text);
    cJSON_Delete(r->json);
    free(r);
    *out = NULL;
}

int64_t tc_recipe_combinations(const tc_recipe *r) { return r->topics.n * r->audiences.n * r->styles.n; }

const char *tc_recipe_topic(const tc_recipe *r, int64_t c) { return r->topics.v[c % r->topics.n]; }

rt_status tc_recipe_prompt(const tc_recipe *r, int64_t c, rt_buf *b)
{
    const char *audience = r->audiences.v[c / r->topics.n % r->audiences.n], *style = r->styles.v[c / r->topics.n / r->audiences.n];
    size_t      len = 0;
    for (const char *p = r->pattern; *p; p += len) {
        const char place = place_at(p, &len);
        if (place) {
            RT_TRY(rt_buf_str(b, place == 't' ? tc_recipe_topic(r, c) : place == 'a' ? audience : style));
            continue;
        }
        len = *p == '{' ? 1 : strcspn(p, "{");
        RT_TRY(rt_buf_add(b, p, len));
    }
    return RT_OK;
}

static rt_status recipe_add_message(cJSON *messages, const char *role, const char *content)
{
    cJSON *m = cJSON_CreateObject();
    RT_CHECK(cJSON_AddItemToArray(messages, m) && cJSON_AddStringToObject(m, "role", role) &&
                 cJSON_AddStringToObject(m, "content", content),
             RT_ENOMEM, "no memory for the messages of a recipe");
    return RT_OK;
}

rt_status tc_recipe_chat(const tc_recipe *r, int64_t c, const ds_chat *template, rt_buf *text)
{
    rt_buf    prompt   = {0};
    cJSON    *messages = cJSON_CreateArray();
    rt_status st       = tc_recipe_prompt(r, c, &prompt);
    if (st == RT_OK && r->system) st = recipe_add_message(messages, "system", r->system);
    if (st == RT_OK) st = recipe_add_message(messages, "user", prompt.p);
    if (st == RT_OK) st = ds_chat_render(template, messages, NULL, 1, text);
    cJSON_Delete(messages);
    rt_buf_free(&prompt);
    return st;
}
