/* test_serve_chat.c -- what the server answers to a chat: the completion of the text that the chat template writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH "/v1/chat/completions"
#define CHAT "{\"role\":\"system\",\"content\":\"water\"},{\"role\":\"user\",\"content\":\"the wine\"}"
#define REST "\"max_tokens\":20,\"seed\":5,\"ignore_eos\":true"

/* The text of the completion of a prompt that begins with the token which the template writes. */
static char *completed(const char *prompt)
{
    char request[400], *text;
    snprintf(request, sizeof request, "{\"prompt\":\"<|end|>%s\",\"add_special_tokens\":false," REST "}", prompt);
    cJSON *o = st_ask_json("/v1/completions", request);
    text     = strdup(st_get(st_choice(o, 0), "text")->valuestring);
    cJSON_Delete(o);
    return text;
}

static void answers_with(const char *request, const char *prompt)
{
    char        *want = completed(prompt);
    cJSON       *o    = st_ask_json(PATH, request);
    const cJSON *m    = st_get(st_choice(o, 0), "message");
    assert_string_equal(st_get(m, "role")->valuestring, "assistant");
    assert_string_equal(st_get(m, "content")->valuestring, want);
    cJSON_Delete(o);
    free(want);
}

static void a_chat_is_a_completion_of_its_template(void **state)
{
    (void)state;
    answers_with("{\"messages\":[" CHAT "]," REST "}", "system: water;user: the wine;the");
    answers_with("{\"messages\":[" CHAT "],\"add_generation_prompt\":false," REST "}", "system: water;user: the wine;");
    answers_with("{\"messages\":[" CHAT "],\"chat_template_kwargs\":{\"mark\":\"a\"}," REST "}", "system: water;user: the wine;a");
    answers_with(
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"the\"},{\"type\":\"text\",\"text\":\"wine\"}]}]," REST
        "}",
        "user: the\\nwine;the");
    answers_with("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[],\"logprobs\":false," REST "}", "user: x;the");
    answers_with("{\"messages\":[{\"role\":\"user\",\"content\":null}]," REST "}", "user: ;the");
}

static void the_answer_has_openais_form(void **state)
{
    cJSON       *o = st_ask_json(PATH, "{\"model\":\"tiny\",\"messages\":[" CHAT
                                       "],\"max_completion_tokens\":3,\"ignore_eos\":true,\"return_token_ids\":true}");
    const cJSON *c = st_choice(o, 0);
    (void)state;
    assert_int_equal(strncmp(st_get(o, "id")->valuestring, "chatcmpl-", 9), 0);
    assert_string_equal(st_get(o, "object")->valuestring, "chat.completion");
    assert_string_equal(st_get(c, "finish_reason")->valuestring, "length");
    assert_true(cJSON_IsNull(st_get(c, "logprobs")));
    assert_int_equal(cJSON_GetArraySize(st_get(c, "token_ids")), 3);
    assert_int_equal(st_get(c, "prompt_token_ids")->child->valueint, 0);
    assert_int_equal((int)st_number(st_get(o, "usage"), "prompt_tokens"), cJSON_GetArraySize(st_get(c, "prompt_token_ids")));
    assert_int_equal((int)st_number(st_get(o, "usage"), "completion_tokens"), 3);
    cJSON_Delete(o);
}

static void an_answer_may_fill_the_context(void **state)
{
    cJSON *o = st_ask_json(PATH, "{\"messages\":[" CHAT "],\"ignore_eos\":true}");
    (void)state;
    assert_int_equal((int)st_number(st_get(o, "usage"), "total_tokens"), ST_CONTEXT);
    cJSON_Delete(o);
}

/* Appends the content of one event; returns 1 if it finishes the answer. */
static int add_delta(rt_buf *text, char *line, size_t n, int first)
{
    cJSON *o = NULL;
    assert_int_equal(rt_json_parse(&o, line, n, 0, "event"), RT_OK);
    const cJSON *c = st_choice(o, 0), *delta = st_get(c, "delta");
    assert_string_equal(st_get(o, "object")->valuestring, "chat.completion.chunk");
    assert_int_equal(cJSON_HasObjectItem(delta, "role"), first);
    assert_int_equal(rt_buf_str(text, st_get(delta, "content")->valuestring), RT_OK);
    const int finished = cJSON_IsString(st_get(c, "finish_reason"));
    cJSON_Delete(o);
    return finished;
}

static void a_stream_is_the_answer_in_pieces(void **state)
{
    rt_buf b = {0}, text = {0};
    int    events = 0, finished = 0;
    char  *want = completed("system: water;user: the wine;the");
    (void)state;
    assert_int_equal(st_ask(PATH, "{\"messages\":[" CHAT "],\"stream\":true," REST "}", &b), 200);
    for (char *p = b.p, *end; (end = strstr(p, "\n\n")) && strncmp(p, "data: [DONE]", 12) != 0; p = end + 2) {
        assert_false(finished);
        finished = add_delta(&text, p + 6, (size_t)(end - p) - 6, events++ == 0);
    }
    assert_true(finished && events > 1);
    assert_string_equal(text.p, want);
    free(want);
    rt_buf_free(&b), rt_buf_free(&text);
}

static void wrong_chats_are_told_what_is_wrong(void **state)
{
    static const struct {
        const char *body, *words;
    } wrong[] = {
        {"{}", "no \"messages\""},
        {"{\"messages\":[]}", "no \"messages\""},
        {"{\"messages\":[1]}", "message 0 has no \"role\""},
        {"{\"messages\":[{\"role\":\"user\",\"content\":5}]}", "\"content\" must be a string or a list of parts"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", "other types than text"},
        {"{\"messages\":[{\"role\":\"poet\",\"content\":\"x\"}]}", "the template refuses this chat: no poet"},
        {"{\"messages\":[" CHAT "],\"tools\":[{}]}", "\"tools\" is not supported in a chat"},
        {"{\"messages\":[" CHAT "],\"logprobs\":true}", "\"logprobs\" is not supported in a chat"},
        {"{\"messages\":[" CHAT "],\"prompt\":\"x\"}", "\"prompt\""},
        {"{\"messages\":[" CHAT "],\"chat_template_kwargs\":1}", "\"chat_template_kwargs\" must be an object"},
        {"{\"messages\":[" CHAT "],\"max_tokens\":96}", "maximum context length is 96"},
        {"{\"messages\":[" CHAT "],\"max_tokens\":-1}", "max_tokens"},
        {"{\"messages\":[" CHAT "],\"temperature\":-1}", "temperature"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) st_expect_error("POST", PATH, wrong[i].body, 400, wrong[i].words);
    st_expect_error("POST", PATH, "{\"model\":\"huge\",\"messages\":[" CHAT "]}", 404, "tiny");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_is_a_completion_of_its_template), cmocka_unit_test(the_answer_has_openais_form),
        cmocka_unit_test(an_answer_may_fill_the_context),         cmocka_unit_test(a_stream_is_the_answer_in_pieces),
        cmocka_unit_test(wrong_chats_are_told_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, st_open, st_close);
}
