/* files.h -- reading and writing model folders.  Private to model/. */
#ifndef MD_FILES_H
#define MD_FILES_H
#include "model/model.h"

int64_t   md_tensor_bytes(const md_tensor *t);
rt_status md_config_write(const md_model *m, const char *dir, kn_type type); /* and generation_config.json */
#endif
