/* rope.h -- the rotary embedding of a model: its settings and how config.json writes them.  Private to model/. */
#ifndef MD_ROPE_H
#define MD_ROPE_H
#include "core/json.h"
#include "model/model.h"

/* clang-format off */

/* Kinds of scaling: constant, rope_type in config.json.  model/rope.c has the formulas. */
#define MD_ROPE_KINDS(X)              \
    X(MD_ROPE_DEFAULT,  "default")    \
    X(MD_ROPE_LINEAR,   "linear")     \
    X(MD_ROPE_LLAMA3,   "llama3")     \
    X(MD_ROPE_YARN,     "yarn")       \
    X(MD_ROPE_LONGROPE, "longrope")
/* clang-format on */

typedef enum md_rope_kind {
#define X(id, ...) id,
    MD_ROPE_KINDS(X)
#undef X
} md_rope_kind;

/* Sets f[dims / 2] to the angle per position of each pair; returns the factor of the cosines and sines.  `longer`: for sequences of
 * more than r->original tokens. */
double md_rope_frequencies(double *f, const md_rope *r, int64_t D, int longer);

/* rope_settings.c: read c->rope and c->rope_local from config.json; the sizes are already read. */
rt_status md_rope_read(md_config *c, const cJSON *config, const char *path);
void      md_rope_write(rt_json_writer *w, const md_config *c);
#endif
