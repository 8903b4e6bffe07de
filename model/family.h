/* family.h -- model families as rows of switches.  Private to model/. */
#ifndef MD_FAMILY_H
#define MD_FAMILY_H
#include "model/model.h"

typedef struct md_family {
    const char *name;            /* config.json's model_type, and md_config.family */
    const char *architecture;    /* config.json's architectures[0] */
    int         qk_norm, window; /* window: layers may have a sliding one (refused) */
} md_family;

/* NULL: not a family that Retort knows; *known (may be NULL) lists those it does. */
const md_family *md_family_find(const char *name, const char **known);
#endif
