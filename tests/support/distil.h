/* distil.h -- a small distillation to test with: a soft shard from a random teacher, and runs on it. */
#ifndef TESTS_DISTIL_H
#define TESTS_DISTIL_H
#include "train/train.h"

enum { DT_V = 64, DT_K = 4, DT_M = 3, DT_DOCS = 60, DT_LONGEST = 40, DT_STEPS = 20 };

extern char dt_dir[64], dt_shard[96]; /* set by dt_open, or by hand */

/* A temporary folder with the shard and, in teacher/, the model that made it; dt_close removes it.  Messages of failures on standard error. */
int       dt_open(void);
int       dt_close(void **state);
rt_status dt_make_shard(const char *path);
/* The configuration of a run NAME below the folder; `more`: KEY=VALUE texts, NULL at the end. */
rt_status dt_config(tr_config *c, const char *name, const char *const *more);
/* So many steps and a checkpoint: the last loss, and the digest of its model. */
rt_status dt_train(const char *name, const char *const *more, int64_t steps, char digest[RT_SHA_HEX], double *loss);
#endif
