/* json_exact.h -- the implementation of RT_JSON_EXACT for rt_json_parse.  Private to core/. */
#ifndef RT_CORE_JSON_EXACT_H
#define RT_CORE_JSON_EXACT_H
#include "core/json.h"

/* Sets the valuestring of each number in the tree o to its spelling in the parsed text. */
rt_status rt_json_keep_numbers(cJSON *o, const char *text, size_t n);
#endif
