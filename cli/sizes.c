/* sizes.c -- a model's family and sizes in the JSON reports of commands. */
#include "cli/sizes.h"

void cli_put_sizes(rt_json_writer *w, const md_config *c)
{
    const struct {
        const char *key;
        int64_t     v;
    } sizes[] = {{"V", c->V}, {"C", c->C}, {"L", c->L}, {"H", c->H}, {"KV", c->KV}, {"D", c->D}, {"F", c->F}, {"context", c->context}};
    rt_put_text(w, "family", md_family_word((int)c->family));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) rt_put_int(w, sizes[i].key, sizes[i].v);
}
