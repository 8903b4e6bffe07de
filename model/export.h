/* export.h -- writing a model for other programs. */
#ifndef MD_EXPORT_H
#define MD_EXPORT_H
#include "model/model.h"

typedef struct md_exported {
    int64_t bytes;            /* of the file */
    int     matrices, others; /* matrices; those of another type, because their columns do not fill whole blocks of the type asked for */
    double  error;            /* root mean square of (stored - weight), relative to that of the weights; over all matrices */
} md_exported;

extern const char md_export_types[]; /* the words of `type`, for messages */

/* Writes the model with the tokenizer of the folder m->dir as a GGUF file, which llama.cpp runs (experiments/decisions/0028).  Matrices are stored as `type`; in
 * Q8_0, or F16, if their columns do not fill whole blocks of it; vectors as F32.  The file is fsynced; an existing one is replaced.  RT_EINVAL: another type, a
 * family, a tokenizer or a quantised model that GGUF files do not hold, or a weight beyond the range of the type. */
rt_status md_export_gguf(md_exported *out, const md_model *m, const char *path, const char *type);
/* Writes a quantised model, with the tokenizer of m->dir, to the folder `dir` in the layout of MLX, which mlx-lm runs.  Levels are copied; out->others and
 * out->error are 0.  RT_EINVAL: m is not quantised, or in groups that MLX does not have. */
rt_status md_export_mlx(md_exported *out, const md_model *m, const char *dir);
#endif
