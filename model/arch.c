/* arch.c -- the tables of families and tensors (arch.h), and functions derived from them. */
#include "model/arch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *architecture;
    unsigned    parts;
    double      theta;
} families[] = {
#define X(id, name, architecture, parts, theta) {name, architecture, parts, theta},
    MD_FAMILIES(X)
#undef X
};
enum { FAMILIES = sizeof families / sizeof *families };

#define X(id, name, ...) ", " name
const char md_family_list[] = MD_FAMILIES(X);
#undef X

const char *md_family_word(int i) { return i < FAMILIES ? families[i].name : NULL; }
const char *md_architecture(md_family family) { return families[family].architecture; }

int md_family_find(const char *name, md_family *family)
{
    for (int i = 0; i < FAMILIES; i++) {
        if (strcmp(families[i].name, name) != 0) continue;
        *family = (md_family)i;
        return 1;
    }
    return 0;
}

double md_family_theta(md_family family) { return families[family].theta; }

int md_has(const md_config *c, unsigned parts)
{
    return ((families[c->family].parts | c->biases | (c->tied ? 0U : MD_UNTIED)) & parts) != 0;
}

/* ---- tensors ---------------------------------------------------------------------------------------------- */

typedef struct row {
    const char *name;
    unsigned    part;
    md_first    first;
} row;

static const row rows[] = {
#define X(role, name, rows, columns, first, part) {name, part, first},
    MD_TENSORS(X)
#undef X
};

static void set_shape(md_tensor *t, const md_config *c)
{
    switch (t->role) {
#define X(id, name, n, columns, ...) \
    case id: t->rows = (n), t->cols = (columns); break;
        MD_TENSORS(X)
#undef X
    default: break;
    }
    t->is_vector = t->rows == 0;
    if (t->is_vector) t->rows = 1;
}

int md_per_layer(md_role role) { return strchr(rows[role].name, '*') != NULL; }

static void arch_set_name(md_tensor *t)
{
    const char *name = rows[t->role].name, *star = strchr(name, '*');
    if (star) snprintf(t->name, sizeof t->name, "%.*s%lld%s", (int)(star - name), name, (long long)t->layer, star + 1);
    else snprintf(t->name, sizeof t->name, "%s", name);
}

/* Lists the model's tensors with roles from .. to-1 of a layer in t and returns their number.  If t is NULL they are only counted. */
static int arch_list(md_tensor *t, const md_config *c, int from, int to, int64_t layer)
{
    int n = 0;
    for (int r = from; r < to; r++) {
        if (rows[r].part && !md_has(c, rows[r].part)) continue;
        if (t) {
            t[n] = (md_tensor){.role = r, .layer = layer};
            arch_set_name(&t[n]);
            set_shape(&t[n], c);
        }
        n++;
    }
    return n;
}

rt_status md_tensors(md_tensor **t, int *n, const md_config *c)
{
    int first = 0, end;
    while (!md_per_layer((md_role)first)) first++;
    for (end = first; md_per_layer((md_role)end);) end++;
    const int each = arch_list(NULL, c, first, end, 0), once = arch_list(NULL, c, 0, first, 0) + arch_list(NULL, c, end, MD_ROLES, 0);
    RT_TRY(RT_NEW(*t, c->L * each + once));
    *n = arch_list(*t, c, 0, first, 0);
    for (int64_t l = 0; l < c->L; l++) *n += arch_list(*t + *n, c, first, end, l);
    *n += arch_list(*t + *n, c, end, MD_ROLES, 0);
    return RT_OK;
}

md_first md_first_value(md_role r) { return rows[r].first; }

const char *md_role_name(md_role r) { return rows[r].name; }

int md_place(const md_model *m, md_role r, int64_t layer)
{
    for (int i = 0; i < m->n; i++)
        if (m->t[i].role == (int)r && m->t[i].layer == layer) return i;
    return -1;
}

/* Returns the number of weights of one layer, or of the tensors that occur once per model; `matrices`: without vectors. */
static int64_t arch_count(const md_config *c, int layer, int matrices)
{
    int64_t n = 0;
    for (int r = 0; r < MD_ROLES; r++) {
        md_tensor t = {.role = r};
        if (md_per_layer((md_role)r) != layer || (rows[r].part && !md_has(c, rows[r].part))) continue;
        set_shape(&t, c);
        if (!matrices || !t.is_vector) n += t.rows * t.cols;
    }
    return n;
}

int64_t md_config_parameters(const md_config *c) { return c->L * arch_count(c, 1, 0) + arch_count(c, 0, 0); }

int64_t md_config_layer_macs(const md_config *c) { return arch_count(c, 1, 1); }
