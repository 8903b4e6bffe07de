/* family.c -- a family is a row of this table, not a file. */
#include "model/family.h"
#include <string.h>

static const md_family families[] = {
    {.name = "llama", .architecture = "LlamaForCausalLM"},
    {.name = "qwen3", .architecture = "Qwen3ForCausalLM", .qk_norm = 1, .window = 1},
};

const md_family *md_family_find(const char *name, const char **known)
{
    if (known) *known = "llama, qwen3";
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i].name, name)) return &families[i];
    return NULL;
}
