/* json_exact.h -- inside core: what rt_json_parse does for RT_JSON_EXACT. */
#ifndef RT_CORE_JSON_EXACT_H
#define RT_CORE_JSON_EXACT_H
#include "core/json.h"

/* Each number of the tree o gets the bytes that stand for it in the text that was parsed, as its valuestring. */
rt_status rt_json_keep_numbers(cJSON *o, const char *text, size_t n);
#endif
