/* test_teacher_dialects.c -- every dialect of the list: complete, found, recognised; and the headers that dialects name. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "teacher/dialect.h"
#include "tests/support/check.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const words[] = {
#define X(name) #name,
    TC_DIALECTS(X)
#undef X
};
enum { DIALECTS = sizeof words / sizeof *words };

/* ---- every dialect ------------------------------------------------------------------------------- */

static void structs_are_complete(void **state)
{
    (void)state;
    for (int i = 0; i < DIALECTS; i++) {
        const tc_dialect *d = tc_dialect_at(i), *found = NULL;
        ok(tc_dialect_find(&found, words[i]));
        assert_ptr_equal(found, d);
        assert_true(d->max_k >= 0 && d->max_k <= TC_MAX_K && d->score_tokens >= 0);
        assert_true(d->max_k || (!d->scores && !d->tails));
        assert_true(d->finish && d->headers && d->headers->request && d->headers->wait);
        assert_true(d->recognise && d->describe && d->path && d->write && d->classify && d->read);
        assert_int_equal(d->models_path[0], '/');
        for (const tc_finish *f = d->finish; f->word; f++) assert_true(strcmp(f->word, "length") != 0 || !f->itself);
    }
    assert_null(tc_dialect_at(DIALECTS));
}

/* The ledger knows requests by their bytes: the same for the same request, others for another seed. */
static void write_both(const tc_dialect *d, const tc_request *q, rt_buf *a, rt_buf *b)
{
    rt_buf     again = {0};
    tc_request other = *q;
    other.seed += 1U << 20;
    ok(d->write(a, d, q, "a \"model\""));
    ok(d->write(&again, d, q, "a \"model\""));
    ok(d->write(b, d, &other, "a \"model\""));
    assert_string_equal(a->p, again.p);
    rt_buf_free(&again);
}

static void check_request(const tc_dialect *d, const tc_request *q)
{
    rt_buf a = {0}, b = {0};
    write_both(d, q, &a, &b);
    assert_string_not_equal(a.p, b.p);
    cJSON      *o     = cJSON_Parse(a.p);
    const char *model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "model"));
    if (!model || strcmp(model, "a \"model\"") != 0) fail_msg("%s: the body names no model: %s", d->name, a.p);
    assert_int_equal(d->path(q)[0], '/');
    cJSON_Delete(o);
    rt_buf_free(&a);
    rt_buf_free(&b);
}

static void requests_are_written(void **state)
{
    static const int32_t ids[] = {1, 2, 3};
    const tc_request     text  = {
             .ids = ids, .n = 3, .text = "water is", .vocab = 10, .max_tokens = 4, .temperature = 0.7, .top_p = 1, .stop = {"."}, .stops = 1};
    tc_request chat = text, rows = text, score = text;
    (void)state;
    chat.chat = 1, chat.system = "be brief", chat.ids = NULL, chat.n = 0;
    rows.k  = 2;
    score.k = 2, score.text = NULL, score.max_tokens = 0, score.stops = 0;
    for (int i = 0; i < DIALECTS; i++) {
        const tc_dialect *d = tc_dialect_at(i);
        check_request(d, &text);
        check_request(d, &chat);
        if (d->max_k) check_request(d, &rows);
        if (d->scores) check_request(d, &score);
    }
}

static void replies_are_classified(void **state)
{
    tc_outcome out;
    (void)state;
    for (int i = 0; i < DIALECTS; i++) {
        const tc_dialect *d = tc_dialect_at(i);
        d->classify(&out, &(tc_reply){.error = "connection refused", .wait = -1});
        assert_int_equal(out.what, TC_RETRY);
        assert_non_null(strstr(out.text, "connection refused"));
        d->classify(&out, &(tc_reply){.status = 429, .wait = 7});
        assert_int_equal(out.what, TC_SLOW_DOWN);
        assert_float_equal(out.wait, 7, 0);
        d->classify(&out, &(tc_reply){.status = 401, .wait = -1});
        assert_int_equal(out.what, TC_STOP);
    }
}

/* ---- the bytes of bodies -------------------------------------------------------------------------- */

/* A ledger finds its responses by the SHA-256 of these bytes: a change makes every ledger ask its server again. */
static void check_bytes(const char *dialect, const tc_request *q, const char *body)
{
    const tc_dialect *d = NULL;
    rt_buf            b = {0};
    ok(tc_dialect_find(&d, dialect));
    ok(d->write(&b, d, q, "a \"model\""));
    assert_string_equal(b.p, body);
    rt_buf_free(&b);
}

#define MODEL    "{\"model\":\"a \\\"model\\\"\","
#define IDS      "\"prompt\":[1,2,3],"
#define SAMPLING "\"max_tokens\":4,\"temperature\":0.7,\"top_p\":0.95,"
#define SCORES   "\"temperature\":1,\"top_p\":1,\"prompt_logprobs\":2,\"return_token_ids\":true,"
#define ROWS     "\"logprobs\":2,\"return_tokens_as_token_ids\":true,\"skip_special_tokens\":false,\"return_token_ids\":true,"
#define SEED     "\"seed\":640511947003803"
#define TAILS    ",\"retort\":{\"tail_samples\":5,\"seed\":\"1311768467463790320\"}"

static const int32_t    prompt[] = {1, 2, 3};
static const tc_request basis    = {
       .ids = prompt, .n = 3, .text = "water is", .max_tokens = 4, .temperature = 0.7, .top_p = 0.95, .seed = 0x123456789abcdef0};

static void probabilities_are_asked_for_with_these_bytes(void **state)
{
    tc_request score = basis, rows = basis;
    (void)state;
    score.text = NULL, score.k = 2, score.max_tokens = 0, rows.k = 2;
    check_bytes("vllm", &score, MODEL IDS "\"max_tokens\":1," SCORES SEED "}");
    check_bytes("vllm", &rows, MODEL IDS SAMPLING ROWS SEED "}");
    score.m = rows.m = 5;
    check_bytes("retort", &score, MODEL IDS "\"max_tokens\":0," SCORES SEED TAILS "}");
    check_bytes("retort", &rows, MODEL IDS SAMPLING ROWS SEED TAILS "}");
}

static void text_is_asked_for_with_these_bytes(void **state)
{
    static const char *const both[] = {"vllm", "retort"};
    tc_request               text   = basis, stop, chat;
    (void)state;
    text.ids = NULL, text.n = 0, stop = chat = text;
    stop.stop[0] = ".", stop.stop[1] = "\n", stop.stops = 2;
    chat.chat = 1, chat.system = "be brief";
    for (int i = 0; i < 2; i++) {
        check_bytes(both[i], &text,
                    MODEL "\"prompt\":\"water is\"," SAMPLING "\"skip_special_tokens\":false,\"return_token_ids\":true," SEED "}");
        check_bytes(both[i], &stop,
                    MODEL "\"prompt\":\"water is\"," SAMPLING "\"stop\":[\".\",\"\\n\"],"
                          "\"skip_special_tokens\":false,\"return_token_ids\":true," SEED "}");
        check_bytes(both[i], &chat,
                    MODEL "\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
                          "{\"role\":\"user\",\"content\":\"water is\"}]," SAMPLING SEED "}");
    }
}

/* ---- whose server is it? ----------------------------------------------------------------------------- */

static const char *recognised(const char *models, const char *wanted)
{
    cJSON            *o = cJSON_Parse(models);
    const tc_dialect *d = NULL;
    for (int i = 0; (d = tc_dialect_at(i)) && !d->recognise(o, wanted);) i++;
    cJSON_Delete(o);
    return d ? d->name : "none";
}

static void servers_are_recognised(void **state)
{
    static const char ours[] = "{\"data\":[{\"id\":\"a\"},{\"id\":\"m\",\"vocab_size\":4096,\"tokenizer_sha256\":\"a855\"}]}";
    (void)state;
    assert_string_equal(recognised(ours, "m"), "retort");
    assert_string_equal(recognised(ours, NULL), "vllm"); /* its first model says nothing */
    assert_string_equal(recognised("{\"data\":[{\"id\":\"m\",\"vocab_size\":4096}]}", NULL), "vllm");
    assert_string_equal(recognised("{\"data\":[{\"id\":\"m\",\"tokenizer_sha256\":\"a855\"}]}", NULL), "vllm");
    assert_string_equal(recognised("{\"data\":[{\"id\":\"teacher\",\"owned_by\":\"vllm\",\"max_model_len\":128}]}", NULL), "vllm");
    assert_true(tc_dialect_at(DIALECTS - 1)->recognise(NULL, NULL)); /* the last takes what no other does */
}

static void needs_are_compared(void **state)
{
    static const struct {
        tc_dialect  d;
        tc_need     need;
        const char *words; /* NULL: it is given */
    } cases[] = {
        {{.name = "mute"}, {.k = 0, .m = -1}, NULL},
        {{.name = "mute"}, {.k = 3, .m = -1, .scores = 1}, "--k 3: a server of dialect mute returns only text"},
        {{.name = "few", .max_k = 20}, {.k = 20, .m = 0}, NULL},
        {{.name = "few", .max_k = 20}, {.k = 21, .m = 0}, "--k 21: a server of dialect few returns at most 20 alternatives"},
        {{.name = "writer", .max_k = 20}, {.k = 5, .m = -1, .scores = 1}, "dialect writer returns log-probabilities only for text"},
        {{.name = "plain", .max_k = 20, .scores = 1}, {.k = 5, .m = 1, .scores = 1}, "--m 1: a server of dialect plain draws no tail"},
        {{.name = "whole", .max_k = 20, .scores = 1, .tails = 1}, {.k = 5, .m = 4, .scores = 1}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const rt_status st = tc_dialect_gives(&cases[i].d, &cases[i].need);
        assert_int_equal(st, cases[i].words ? RT_EINVAL : RT_OK);
        if (cases[i].words && !strstr(rt_error_text(), cases[i].words)) fail_msg("%s", rt_error_text());
    }
}

/* ---- headers ------------------------------------------------------------------------------------------- */

typedef struct exchange { /* one connection: what came, and the headers that are sent back */
    int         listener;
    const char *headers;
    char        request[4096];
} exchange;

static void *serve_one(void *ud)
{
    exchange     *x  = ud;
    const int     fd = accept(x->listener, NULL, NULL);
    char          reply[512];
    const ssize_t got = read(fd, x->request, sizeof x->request - 1);
    const int n = snprintf(reply, sizeof reply, "HTTP/1.1 429 slow down\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", x->headers);
    x->request[got > 0 ? got : 0] = '\0';
    if (write(fd, reply, (size_t)n) != n) x->request[0] = '\0';
    close(fd);
    return NULL;
}

/* One GET to a server that answers with these headers; what it was sent is in x->request. */
static tc_reply get_once(exchange *x, const tc_headers *headers, const char *key)
{
    struct sockaddr_in at  = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t          len = sizeof at;
    tc_endpoint        e   = {.loopback = 1, .timeout = 10};
    tc_reply           r   = {0};
    tc_http           *h   = NULL;
    pthread_t          t;
    x->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(x->listener, (struct sockaddr *)&at, len) | listen(x->listener, 1), 0);
    assert_int_equal(getsockname(x->listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(pthread_create(&t, NULL, serve_one, x), 0);
    snprintf(e.url, sizeof e.url, "http://127.0.0.1:%d", ntohs(at.sin_port));
    snprintf(e.key, sizeof e.key, "%s", key);
    ok(tc_http_create(&h, &e));
    ok(tc_http_headers(h, headers));
    ok(tc_http_one(h, "/", NULL, &r));
    assert_int_equal(pthread_join(t, NULL), 0);
    tc_http_destroy(&h);
    rt_buf_free(&r.body);
    close(x->listener);
    return r;
}

static void headers_are_the_dialects(void **state)
{
    static const char *const lines[] = {"X-Version: 7", "X-Key: ", NULL};
    const tc_headers         own     = {lines, tc_openai_headers.wait};
    exchange                 x       = {.headers = ""};
    (void)state;
    get_once(&x, &own, "sk-0123456789");
    assert_non_null(strstr(x.request, "X-Version: 7\r\n"));
    assert_non_null(strstr(x.request, "X-Key: sk-0123456789\r\n"));
    assert_null(strstr(x.request, "Authorization"));
    get_once(&x, &own, "");
    assert_non_null(strstr(x.request, "X-Version: 7\r\n"));
    assert_null(strstr(x.request, "X-Key"));
    get_once(&x, &tc_openai_headers, "");
    assert_null(strstr(x.request, "Authorization"));
    get_once(&x, &tc_openai_headers, "sk-0123456789");
    assert_non_null(strstr(x.request, "Authorization: Bearer sk-0123456789\r\n"));
    assert_non_null(strstr(x.request, "Content-Type: application/json\r\n"));
}

static void waits_are_read(void **state)
{
    static const struct {
        const char *headers;
        double      wait;
    } cases[] = {
        {"", -1},
        {"Retry-After: 3\r\n", 3},
        {"Retry-After: 3\r\nretry-after-ms: 250\r\n", 0.25},
        {"retry-after-ms: soon\r\nRetry-After: 2\r\n", 2},
        {"Retry-After: Thu, 01 Jan 1998 00:00:00 GMT\r\n", 0},
        {"Retry-After: later\r\n", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        exchange       x = {.headers = cases[i].headers};
        const tc_reply r = get_once(&x, &tc_openai_headers, "");
        assert_int_equal(r.status, 429);
        assert_float_equal(r.wait, cases[i].wait, 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structs_are_complete),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(replies_are_classified),
        cmocka_unit_test(servers_are_recognised),
        cmocka_unit_test(needs_are_compared),
        cmocka_unit_test(headers_are_the_dialects),
        cmocka_unit_test(waits_are_read),
        cmocka_unit_test(probabilities_are_asked_for_with_these_bytes),
        cmocka_unit_test(text_is_asked_for_with_these_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
