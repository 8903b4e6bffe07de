/* chat.c -- a hostile chat template: parsed and rendered with three messages. */
#include "data/chat.h"
#include "core/json.h"
#include "tests/support/fuzz.h"
#include <string.h>

static const char messages[] =
    "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Hello \\u00e9\",\"tools\":[{\"a\":1}]},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}],\"n\":-1.5}]";

rt_status fuzz_one(const uint8_t *data, size_t n)
{
    static char text[sizeof messages];
    ds_chat    *c    = NULL;
    cJSON      *list = NULL;
    rt_buf      out  = {0};
    memcpy(text, messages, sizeof messages); /* the parser changes it */
    fuzz_must(rt_json_parse(&list, text, sizeof messages - 1, RT_JSON_ANY, "messages"));
    rt_status st = ds_chat_parse(&c, (const char *)data, n, "template");
    if (st == RT_OK) st = ds_chat_render(c, list, NULL, 1, &out);
    rt_buf_free(&out);
    ds_chat_destroy(&c);
    cJSON_Delete(list);
    return st;
}
