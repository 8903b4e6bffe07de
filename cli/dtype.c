/* dtype.c -- the value of --dtype as a type of weights and activations. */
#include "cli/dtype.h"
#include <string.h>

rt_status cli_dtype(kn_type *out, const char *word)
{
    RT_CHECK(!strcmp(word, "f32") || !strcmp(word, "bf16"), RT_EINVAL, "--dtype must be f32 or bf16, found '%s'", word);
    *out = strcmp(word, "bf16") ? KN_REAL : KN_BF16;
    return RT_OK;
}
