/* fused.h -- matrices that a family stores as one.  Private to model/. */
#ifndef MD_FUSED_H
#define MD_FUSED_H
#include "model/arch.h"

/* The stored matrix that holds a tensor. */
typedef struct md_fusion {
    char    name[MD_NAME];
    int64_t row, rows; /* the tensor's first row in it; its number of rows */
    int     first;     /* 1: the tensor is its first part; the others follow it in md_model.t */
} md_fusion;

/* Returns 1 and sets *out if the model's family stores tensor t as a part of a larger matrix. */
int md_fused(md_fusion *out, const md_model *m, const md_tensor *t);
#endif
