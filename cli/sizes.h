/* sizes.h -- a model's family and sizes in the JSON reports of commands. */
#ifndef CLI_SIZES_H
#define CLI_SIZES_H
#include "model/model.h"

/* Puts the members "family", "V", "C", "L", "H", "KV", "D", "F" and "context" into the object that is being written. */
void cli_put_sizes(rt_json_writer *w, const md_config *c);
#endif
