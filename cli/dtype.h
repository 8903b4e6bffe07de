/* dtype.h -- the option --dtype of the commands that compute with a model. */
#ifndef CLI_DTYPE_H
#define CLI_DTYPE_H
#include "cli/cli.h"
#include "kernels/kernels.h"

/* A row of an option table: field f of struct T, a const char *, whose default is the literal `word`. */
#define CLI_DTYPE_OPTION(T, f, word)                                                                                        \
    {                                                                                                                       \
        "dtype", RT_OPT_TEXT, offsetof(T, f), "TYPE",                                                                       \
            "type of activations and of weights that are not quantised: f32, or bf16, which takes half the memory, rounds " \
            "to 8 significant bits and lets the gemm backend bf16 multiply (default " word ")"                              \
    }

/* Sets *out to the type that md_load takes.  RT_EINVAL: the word is not f32 or bf16. */
rt_status cli_dtype(kn_type *out, const char *word);
#endif
