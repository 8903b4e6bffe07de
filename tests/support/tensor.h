/* tensor.h -- a tensor of a model by its name. */
#ifndef TESTS_TENSOR_H
#define TESTS_TENSOR_H
#include "model/model.h"
#include <string.h>

/* Returns NULL if the model has no such tensor. */
static inline md_tensor *find_tensor(const md_model *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->t[i].name, name)) return &m->t[i];
    return NULL;
}
#endif
