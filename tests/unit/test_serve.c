/* test_serve.c -- the server's connections and its other paths: wrong and damaged requests, clients that send slowly or in part, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/clock.h"
#include "core/rng.h"
#include "tests/support/server.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void models_and_health(void **state)
{
    rt_buf b = {0};
    cJSON *o = NULL;
    (void)state;
    assert_int_equal(st_ask_bytes("GET", "/v1/models", "", 0, &b), 200);
    assert_int_equal(rt_json_parse(&o, b.p, b.len, 0, "models"), RT_OK);
    const cJSON *m = st_get(o, "data")->child;
    assert_string_equal(st_get(m, "id")->valuestring, "tiny");
    assert_string_equal(st_get(m, "tokenizer_sha256")->valuestring, ds_tokenizer_identity(st_tokenizer));
    assert_int_equal((int)st_number(m, "vocab_size"), ST_V);
    assert_int_equal((int)st_number(m, "max_model_len"), ST_CONTEXT);
    assert_int_equal((int)st_number(m, "max_logprobs"), 16);
    assert_string_equal(st_get(m, "dtype")->valuestring, kn_type_name(md_activations(st_model)));
    assert_string_equal(st_get(st_get(m, "gemm"), "backend")->valuestring, kn_gemm_name());
    cJSON_Delete(o);
    assert_int_equal(st_ask_bytes("GET", "/health", "", 0, &b), 200);
    assert_int_equal(st_ask_bytes("HEAD", "/health", "", 0, &b), 200);
    rt_buf_free(&b);
}

static void tokens_go_there_and_back(void **state)
{
    (void)state;
    cJSON       *o   = st_ask_json("/tokenize", "{\"prompt\":\"the wine \\u00e9\",\"return_token_strs\":true}");
    const cJSON *ids = st_get(o, "tokens");
    assert_int_equal((int)st_number(o, "count"), cJSON_GetArraySize(ids));
    assert_int_equal(cJSON_GetArraySize(st_get(o, "token_strs")), cJSON_GetArraySize(ids));
    assert_int_equal(ids->child->valueint, 0);
    char  *list = cJSON_PrintUnformatted(ids);
    rt_buf b    = {0};
    assert_int_equal(rt_buf_fmt(&b, "{\"tokens\":%s}", list), RT_OK);
    cJSON *back = st_ask_json("/detokenize", b.p);
    assert_string_equal(st_get(back, "prompt")->valuestring, "<|end|>the wine \xc3\xa9");
    cJSON_Delete(o);
    cJSON_Delete(back);
    free(list);
    rt_buf_free(&b);
}

static void wrong_requests_are_told_what_is_wrong(void **state)
{
    static const struct {
        const char *body, *words;
    } wrong[] = {
        {"", "no body"},
        {"{", "expected JSON"},
        {"[1]", "JSON object"},
        {"{}", "\"prompt\""},
        {"{\"prompt\":[]}", "empty list"},
        {"{\"prompt\":{}}", "must be a string"},
        {"{\"prompt\":[1,\"a\"]}", "token id"},
        {"{\"prompt\":[320]}", "0 to 319"},
        {"{\"prompt\":[-1]}", "token id"},
        {"{\"prompt\":[1.5]}", "token id"},
        {"{\"prompt\":\"a\\u0000b\"}", "U+0000"},
        {"{\"prompt\":\"\",\"add_special_tokens\":false}", "no tokens"},
        {"{\"prompt\":\"a\",\"max_tokens\":-1}", "max_tokens"},
        {"{\"prompt\":\"a\",\"max_tokens\":1e300}", "max_tokens"},
        {"{\"prompt\":\"a\",\"max_tokens\":95}", "maximum context length is 96"},
        {"{\"prompt\":\"a\",\"temperature\":-0.1}", "temperature"},
        {"{\"prompt\":\"a\",\"temperature\":\"hot\"}", "temperature"},
        {"{\"prompt\":\"a\",\"top_p\":0}", "top_p"},
        {"{\"prompt\":\"a\",\"top_k\":-2}", "top_k"},
        {"{\"prompt\":\"a\",\"seed\":-1}", "seed"},
        {"{\"prompt\":\"a\",\"seed\":\"18446744073709551616\"}", "seed"},
        {"{\"prompt\":\"a\",\"stop\":\"\"}", "stop"},
        {"{\"prompt\":\"a\",\"stop\":[1]}", "stop"},
        {"{\"prompt\":\"a\",\"logprobs\":17}", "greater than max allowed: 16"},
        {"{\"prompt\":\"a\",\"prompt_logprobs\":-1}", "prompt_logprobs"},
        {"{\"prompt\":\"a\",\"prompt_logprobs\":1,\"stream\":true}", "not available when `stream=True`"},
        {"{\"prompt\":\"a\",\"logprobs\":1,\"retort\":{\"tail_samples\":257}}", "tail_samples"},
        {"{\"prompt\":\"a\",\"logprobs\":1,\"retort\":{\"tails\":1}}", "tails"},
        {"{\"prompt\":\"a\",\"retort\":{\"tail_samples\":1}}", "prompt_logprobs"},
        {"{\"prompt\":\"a\",\"n\":2}", "\"n\""},
        {"{\"prompt\":\"a\",\"logit_bias\":{\"5\":1}}", "logit_bias"},
        {"{\"prompt\":\"a\",\"presence_penalty\":0.5}", "presence_penalty"},
        {"{\"prompt\":\"a\",\"min_p\":0.1}", "min_p"},
        {"{\"prompt\":\"a\",\"use_beam_search\":true}", "use_beam_search"},
        {"{\"prompt\":\"a\",\"guided_regex\":\"a+\"}", "guided_regex"},
        {"{\"prompt\":\"a\",\"n_predict\":5}", "n_predict"},
        {"{\"prompt\":\"a\",\"suffix\":\"b\"}", "suffix"},
        {"{\"prompt\":\"a\",\"echo\":1}", "echo"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        st_expect_error("POST", "/v1/completions", wrong[i].body, 400, wrong[i].words);
    st_expect_error("POST", "/v1/completions", "{\"prompt\":\"a\",\"model\":\"huge\"}", 404, "tiny");
    st_expect_error("POST", "/detokenize", "{\"tokens\":[320]}", 400, "token id from 0");
    st_expect_error("POST", "/tokenize", "{}", 400, "prompt");
    st_expect_error("POST", "/v2", "{}", 404, "no such path");
    st_expect_error("GET", "/v1/completions", "", 405, "POST");
    st_expect_error("POST", "/health", "", 405, "GET");
}

static void other_transfer_codings_are_answered(void **state)
{
    static const char *const codings[] = {"gzip", "gzip, chunked", "identity"};
    (void)state;
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        char      text[256], got[32] = "";
        const int fd = st_dial();
        assert_true(fd >= 0);
        const int len = snprintf(text, sizeof text,
                                 "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: %s\r\n\r\n2\r\n{}\r\n0\r\n\r\n", codings[i]);
        assert_true(st_send_all(fd, text, (size_t)len));
        assert_true(recv(fd, got, sizeof got - 1, MSG_WAITALL) > 12);
        if (strncmp(got, "HTTP/1.1 501", 12) != 0 && strncmp(got, "HTTP/1.1 400", 12) != 0) fail_msg("%s: %s", codings[i], got);
        close(fd);
    }
    st_expect_error("POST", "/v1/completions", "{\"prompt\":\"a\",\"max_tokens\":1,\"prompt\":\"b\"}", 400, "\"prompt\" occurs twice");
}

static void a_body_over_the_cap_is_refused(void **state)
{
    const size_t n    = (size_t)9 << 20;
    char        *body = malloc(n);
    rt_buf       b    = {0};
    (void)state;
    assert_non_null(body);
    memset(body, ' ', n);
    assert_int_equal(st_ask_bytes("POST", "/v1/completions", body, n, &b), 413);
    assert_non_null(strstr(b.p, "8 MB"));
    free(body);
    rt_buf_free(&b);
}

static void a_taken_port_is_refused(void **state)
{
    const sv_serve_opts o = st_options(st_port);
    (void)state;
    assert_int_equal(sv_serve(st_model, st_tokenizer, &o), RT_ENET);
    assert_non_null(strstr(rt_error_text(), "is in use; choose another with --port or 0"));
}

/* As `nc -N` does: who closes for sending after the request still reads. */
static void a_half_closed_connection_is_answered(void **state)
{
    static const char *const bodies[] = {"{\"prompt\":\"the\",\"max_tokens\":80,\"ignore_eos\":true}",
                                         "{\"prompt\":\"the\",\"max_tokens\":40,\"ignore_eos\":true,\"stream\":true}"};
    int                      fd[8];
    rt_buf                   b = {0};
    (void)state;
    for (int i = 0; i < 8; i++) { /* most of them wait in the queue */
        fd[i] = st_dial();
        assert_true(fd[i] >= 0 && st_send_request(fd[i], "POST", "/v1/completions", bodies[i % 2], strlen(bodies[i % 2])));
        assert_int_equal(shutdown(fd[i], SHUT_WR), 0);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(st_read_answer(fd[i], &b), 200);
        assert_non_null(strstr(b.p, i % 2 ? "data: [DONE]" : "\"completion_tokens\":80"));
        close(fd[i]);
    }
    rt_buf_free(&b);
}

static void idle_and_half_sent_connections_hinder_nobody(void **state)
{
    enum { IDLE = 700 }; /* more than the server holds at once */
    static const char half[] = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{\"prompt\":";
    int               fd[IDLE];
    rt_buf            b = {0};
    (void)state;
    for (int i = 0; i < IDLE; i++) {
        fd[i] = st_dial();
        assert_true(fd[i] >= 0);
        if (i % 2) assert_true(st_send_all(fd[i], half, strlen(half)));
    }
    const double began = rt_now();
    assert_int_equal(st_ask_bytes("GET", "/health", "", 0, &b), 200);
    assert_int_equal(st_ask("/v1/completions", "{\"prompt\":\"the\",\"max_tokens\":2}", &b), 200);
    assert_true(rt_now() - began < 20); /* before idle ones are closed for their age */
    for (int i = 0; i < IDLE; i++) close(fd[i]);
    rt_buf_free(&b);
}

/* Requests with bytes changed, cut out and doubled: each gets an answer in JSON, and the server lives. */
static void damaged_requests_get_an_answer(void **state)
{
    static const char good[] = "{\"prompt\":[1,2,3,\"x\"],\"max_tokens\":4,\"logprobs\":2,\"echo\":true,\"seed\":\"7\",\"stop\":[\"e\"],"
                               "\"temperature\":0.5,\"top_k\":9,\"retort\":{\"tail_samples\":2}}";
    rt_rng            r      = {5};
    rt_buf            b      = {0};
    (void)state;
    for (int i = 0; i < 400; i++) {
        char   body[2 * sizeof good];
        size_t n = sizeof good - 1;
        memcpy(body, good, n);
        for (uint64_t k = rt_rng_below(&r, 4); k-- > 0;) {
            const size_t at = rt_rng_below(&r, n), len = rt_rng_below(&r, n - at);
            if (k == 0) body[at] = (char)rt_rng_below(&r, 256);
            else if (k == 1) memmove(body + at, body + at + len, n - at - len), n -= len;
            else if (n + len < sizeof body) memmove(body + at + len, body + at, n - at), n += len;
            if (n == 0) body[n++] = '{';
        }
        cJSON    *o      = NULL;
        const int status = st_ask_bytes("POST", "/v1/completions", body, n, &b);
        assert_true(status == 200 || status == 400 || status == 404);
        assert_int_equal(rt_json_parse(&o, b.p, b.len, 0, "answer"), RT_OK);
        cJSON_Delete(o);
    }
    rt_buf_free(&b);
}

/* An answer of several megabytes: more than the connection's buffers hold. */
static void ask_much(rt_buf *b)
{
    assert_int_equal(rt_buf_str(b, "{\"max_tokens\":0,\"prompt_logprobs\":16,\"prompt\":["), RT_OK);
    for (int p = 0; p < 60; p++) {
        assert_int_equal(rt_buf_str(b, p ? ",[1" : "[1"), RT_OK);
        for (int i = 2; i < ST_CONTEXT; i++) assert_int_equal(rt_buf_fmt(b, ",%d", i), RT_OK);
        assert_int_equal(rt_buf_str(b, "]"), RT_OK);
    }
    assert_int_equal(rt_buf_str(b, "]}"), RT_OK);
}

/* The last test: what was asked before SIGTERM is answered, also to a slow reader, and the exit code is 0. */
static void a_signal_stops_it_when_all_is_answered(void **state)
{
    enum { ASKED = 4 };
    static const char request[] = "{\"prompt\":\"the\",\"max_tokens\":80,\"ignore_eos\":true}";
    int               fd[ASKED];
    rt_buf            b = {0}, much = {0};
    (void)state;
    ask_much(&much);
    for (int i = 0; i < ASKED; i++) {
        const char *body = i ? request : much.p;
        fd[i]            = st_dial();
        assert_true(fd[i] >= 0 && st_send_request(fd[i], "POST", "/v1/completions", body, strlen(body)));
    }
    rt_sleep(0.1);
    kill(st_server, SIGTERM);
    rt_sleep(1.0);
    for (int i = ASKED; i-- > 0;) {
        assert_int_equal(st_read_answer(fd[i], &b), 200);
        assert_int_equal(b.p[b.len - 1], '}'); /* whole */
        close(fd[i]);
    }
    assert_true(b.len > (size_t)4 << 20);
    assert_int_equal(st_exit_of(st_server), 0);
    st_server = 0;
    assert_true(st_dial() < 0);
    rt_buf_free(&b);
    rt_buf_free(&much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_and_health),
        cmocka_unit_test(tokens_go_there_and_back),
        cmocka_unit_test(wrong_requests_are_told_what_is_wrong),
        cmocka_unit_test(other_transfer_codings_are_answered),
        cmocka_unit_test(a_body_over_the_cap_is_refused),
        cmocka_unit_test(a_taken_port_is_refused),
        cmocka_unit_test(a_half_closed_connection_is_answered),
        cmocka_unit_test(idle_and_half_sent_connections_hinder_nobody),
        cmocka_unit_test(damaged_requests_get_an_answer),
        cmocka_unit_test(a_signal_stops_it_when_all_is_answered),
    };
    return cmocka_run_group_tests(tests, st_open, st_close);
}
