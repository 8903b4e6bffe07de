/* fused.c -- matrices that a family stores as one: q, k and v, and gate and up, row after row (MD_FUSED).
 *
 * In memory the parts are separate, so that the graph is that of every family.
 */
#include "model/fused.h"
#include <stdio.h>
#include <string.h>

typedef struct fusion {
    const char *name; /* what replaces the projection's name in the name of a part */
    md_role     part[3];
    int         n;
} fusion;

static const fusion fusions[] = {{"qkv_proj", {MD_Q, MD_K, MD_V}, 3}, {"gate_up_proj", {MD_GATE, MD_UP}, 2}};

static const fusion *fusion_of(const md_tensor *t, int *place)
{
    for (size_t f = 0; f < sizeof fusions / sizeof *fusions; f++)
        for (*place = 0; *place < fusions[f].n; (*place)++)
            if (fusions[f].part[*place] == (md_role)t->role) return &fusions[f];
    return NULL;
}

int md_fused(md_fusion *out, const md_model *m, const md_tensor *t)
{
    int           place;
    const fusion *f = md_has(&m->config, MD_FUSED) ? fusion_of(t, &place) : NULL;
    if (!f) return 0;
    const char *suffix = strrchr(t->name, '.'), *projection = suffix; /* as in "...self_attn.q_proj.weight" */
    while (projection[-1] != '.') projection--;
    *out = (md_fusion){.first = place == 0};
    snprintf(out->name, sizeof out->name, "%.*s%s%s", (int)(projection - t->name), t->name, f->name, suffix);
    for (int i = 0; i < f->n; i++) {
        const int64_t rows = m->t[md_place(m, f->part[i], t->layer)].rows;
        out->row += i < place ? rows : 0;
        out->rows += rows;
    }
    return 1;
}
