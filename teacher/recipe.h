/* recipe.h -- recipes: topics, audiences, styles and sampling of texts to generate, as a JSON file (docs/teachers.md). */
#ifndef TC_RECIPE_H
#define TC_RECIPE_H
#include "data/chat.h"
#include "teacher/dialect.h"

typedef struct tc_list {
    const char **v;
    int64_t      n, cap;
} tc_list;

typedef struct tc_recipe {
    const char *name, *system, *pattern; /* system: NULL: none */
    int         chat;
    tc_list     topics, audiences, styles; /* at least one entry each; "" where the recipe has none */
    double      temperature, top_p;
    int64_t     max_tokens;
    const char *stop[TC_MAX_STOPS];
    int         stops;
    cJSON      *json;        /* owns the strings */
    rt_buf      topics_text; /* owns those of topics_file */
} tc_recipe;

/* RT_EFORMAT names file, key and what was expected; unknown keys are errors. */
rt_status tc_recipe_read(tc_recipe **out, const char *path);
void      tc_recipe_destroy(tc_recipe **r);
int64_t   tc_recipe_combinations(const tc_recipe *r);
/* Combination c = 0 .. combinations-1: its topic, and the prompt (appended). */
const char *tc_recipe_topic(const tc_recipe *r, int64_t c);
rt_status   tc_recipe_prompt(const tc_recipe *r, int64_t c, rt_buf *prompt);
/* The text that a chat template writes for the system message and that prompt (appended). */
rt_status tc_recipe_chat(const tc_recipe *r, int64_t c, const ds_chat *template, rt_buf *text);
#endif
