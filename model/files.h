/* files.h -- functions for reading and writing model folders.  Private to model/. */
#ifndef MD_FILES_H
#define MD_FILES_H
#include "core/json.h"
#include "model/model.h"

int64_t   md_tensor_bytes(const md_tensor *t);
rt_status md_settings_read(md_config *c, const cJSON *config, const char *path); /* see settings.c; c's sizes are already read */
/* Returns 1 if layer l has a window where layer_types is missing: the families' own rules.  `pattern`, `from`: sliding_window_pattern and
 * max_window_layers. */
int       md_windowed_by_rule(const md_config *c, int64_t l, int64_t pattern, int64_t from);
void      md_settings_write(rt_json_writer *w, const md_config *c);
rt_status md_config_write(const md_model *m, const char *dir, kn_type type); /* also writes generation_config.json */
#endif
