/* distil.h -- a small distillation for tests: a soft shard from a random teacher, and runs on it. */
#ifndef TESTS_DISTIL_H
#define TESTS_DISTIL_H
#include "train/train.h"

enum { DT_V = 64, DT_K = 4, DT_M = 3, DT_DOCS = 60, DT_LONGEST = 40, DT_STEPS = 20 };

extern char dt_dir[64], dt_shard[96]; /* set by dt_open or by the test */

/* Makes a temporary folder with the shard and, in teacher/, the model that made it; dt_close removes it.  Failures are reported on
 * standard error. */
int       dt_open(void);
int       dt_close(void **state);
rt_status dt_make_shard(const char *path);
/* The configuration of the run NAME in the folder; `more`: strings KEY=VALUE, NULL after the last. */
rt_status dt_config(tr_config *c, const char *name, const char *const *more);
/* Runs `steps` steps and writes a checkpoint; gets the last loss and the digest of the checkpoint's model. */
rt_status dt_train(const char *name, const char *const *more, int64_t steps, char digest[RT_SHA_HEX], double *loss);
#endif
