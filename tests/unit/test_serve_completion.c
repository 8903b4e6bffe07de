/* test_serve_completion.c -- what the server answers to a completion request: the model's probabilities and texts, streams, and the same
 * alone and among others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "model/score.h"
#include "model/teacher_row.h"
#include "tests/support/server.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 16 };

/* ---- what it says ---------------------------------------------------------------------------------- */

enum { K = 5, M = 3, N = 9 };
static const int32_t g_ids[N] = {0, 5, 300, 17, 17, 260, 315, 319, 44};

typedef struct said {
    int32_t ids[N][K], tail[N][M];
    float   lp[N][K];
    double  actual[N], entropy[N];
    int64_t rank[N];
} said;

static void row(void *ud, int64_t t, real *z, int thread)
{
    said *s = ud;
    (void)thread;
    if (t + 1 >= N) return;
    ds_rows              rows = {.n = N, .k = K, .m = M, .topk_ids = *s->ids, .topk_logprob = *s->lp, .tail_ids = *s->tail};
    const md_teacher_row r    = md_teacher_fill(&rows, t + 1, z, ST_V, g_ids[t + 1], rt_mix2(99, (uint64_t)(t + 1)));
    s->actual[t + 1]          = r.actual_logprob;
    s->entropy[t + 1]         = r.tail_entropy;
    s->rank[t + 1]            = r.actual_rank;
}

static int near(double a, double b) { return fabs(a - b) <= 1e-8 * (1 + fabs(b)); }

static void check_entry(const cJSON *e, const said *s, int t)
{
    char      key[16];
    const int more = s->rank[t] > K;
    assert_int_equal(cJSON_GetArraySize(e), K + more);
    for (int i = 0; i < K; i++) {
        snprintf(key, sizeof key, "%d", s->ids[t][i]);
        assert_true(near(st_number(st_get(e, key), "logprob"), (double)s->lp[t][i]));
        assert_int_equal((int)st_number(st_get(e, key), "rank"), i + 1);
        assert_true(cJSON_IsString(st_get(st_get(e, key), "decoded_token")));
    }
    snprintf(key, sizeof key, "%d", g_ids[t]);
    assert_true(fabs(st_number(st_get(e, key), "logprob") - s->actual[t]) < 1e-6);
    assert_int_equal((int64_t)st_number(st_get(e, key), "rank"), s->rank[t]);
}

static void prompt_logprobs_are_the_models(void **state)
{
    static said s;
    md_scorer  *scorer = NULL;
    (void)state;
    assert_int_equal(md_scorer_create(&scorer, st_model, ST_CONTEXT), RT_OK);
    assert_int_equal(md_score(scorer, g_ids, N, row, &s), RT_OK);
    md_scorer_destroy(&scorer);
    cJSON       *o = st_ask_json("/v1/completions",
                                 "{\"model\":\"tiny\",\"prompt\":[0,5,300,17,17,260,315,319,44],\"max_tokens\":0,\"prompt_logprobs\":5,"
                                       "\"return_token_ids\":true,\"retort\":{\"tail_samples\":3,\"seed\":\"99\"}}");
    const cJSON *c = st_choice(o, 0), *lp = st_get(c, "prompt_logprobs");
    const cJSON *tail = st_get(c, "prompt_tail_ids"), *entropy = st_get(c, "prompt_rest_entropy");
    assert_int_equal(cJSON_GetArraySize(lp), N);
    assert_int_equal(cJSON_GetArraySize(tail), N);
    assert_int_equal(cJSON_GetArraySize(entropy), N);
    assert_true(cJSON_IsNull(lp->child) && cJSON_IsNull(tail->child) && cJSON_IsNull(entropy->child));
    for (int t = 1; t < N; t++) {
        check_entry(cJSON_GetArrayItem(lp, t), &s, t);
        assert_true(near(cJSON_GetArrayItem(entropy, t)->valuedouble, s.entropy[t]));
        for (int j = 0; j < M; j++) assert_int_equal(cJSON_GetArrayItem(cJSON_GetArrayItem(tail, t), j)->valueint, s.tail[t][j]);
    }
    assert_int_equal(cJSON_GetArrayItem(st_get(c, "prompt_token_ids"), 2)->valueint, 300);
    assert_int_equal(cJSON_GetArraySize(st_get(c, "token_ids")), 0);
    assert_string_equal(st_get(c, "finish_reason")->valuestring, "length");
    assert_int_equal((int)st_number(st_get(o, "usage"), "total_tokens"), N);
    cJSON_Delete(o);
}

static void greedy_text_is_the_models(void **state)
{
    inf_session *s = NULL;
    const real  *z;
    int32_t      want[12], id = 0;
    (void)state;
    assert_int_equal(inf_session_create(&s, st_model, ST_CONTEXT), RT_OK);
    assert_int_equal(inf_feed(s, g_ids, N, &z), RT_OK);
    for (int i = 0; i < 12; i++) {
        id = 0;
        for (int32_t v = 1; v < ST_V; v++)
            if (z[v] > z[id]) id = v;
        want[i] = id;
        assert_int_equal(inf_feed(s, &id, 1, &z), RT_OK);
    }
    inf_session_destroy(&s);
    cJSON       *o   = st_ask_json("/v1/completions", "{\"prompt\":[[0,5,300,17,17,260,315,319,44]],\"max_tokens\":12,\"temperature\":0,"
                                                              "\"return_token_ids\":true,\"ignore_eos\":true,\"logprobs\":2}");
    const cJSON *ids = st_get(st_choice(o, 0), "token_ids");
    assert_int_equal(cJSON_GetArraySize(ids), 12);
    for (int i = 0; i < 12; i++) assert_int_equal(cJSON_GetArrayItem(ids, i)->valueint, want[i]);
    assert_int_equal(cJSON_GetArraySize(st_get(st_get(st_choice(o, 0), "logprobs"), "token_logprobs")), 12);
    cJSON_Delete(o);
}

static void echo_has_the_prompts_logprobs_too(void **state)
{
    (void)state;
    cJSON *o = st_ask_json("/v1/completions", "{\"prompt\":\"the answer\",\"max_tokens\":1,\"logprobs\":1,\"echo\":true,\"temperature\":0,"
                                              "\"return_token_ids\":true,\"return_tokens_as_token_ids\":true}");
    const cJSON *c = st_choice(o, 0), *l = st_get(c, "logprobs"), *ids = st_get(c, "prompt_token_ids");
    const int    n = cJSON_GetArraySize(ids);
    char         key[32];
    assert_int_equal(ids->child->valueint, 0); /* the beginning token stands before a text */
    assert_int_equal(strncmp(st_get(c, "text")->valuestring, "the answer", 10), 0);
    assert_int_equal(cJSON_GetArraySize(st_get(l, "tokens")), n + 1);
    assert_true(cJSON_IsNull(st_get(l, "token_logprobs")->child) && cJSON_IsNull(st_get(l, "top_logprobs")->child));
    for (int i = 1; i < n; i++) {
        snprintf(key, sizeof key, "token_id:%d", cJSON_GetArrayItem(ids, i)->valueint);
        assert_string_equal(cJSON_GetArrayItem(st_get(l, "tokens"), i)->valuestring, key);
        assert_true(cJSON_GetArrayItem(st_get(l, "token_logprobs"), i)->valuedouble < 0);
        assert_non_null(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(st_get(l, "top_logprobs"), i), key));
    }
    cJSON_Delete(o);
}

static void several_prompts_give_several_choices(void **state)
{
    (void)state;
    cJSON *both = st_ask_json("/v1/completions", "{\"prompt\":[\"the\",\"water\"],\"max_tokens\":9,\"seed\":\"18446744073709551615\"}");
    cJSON *one  = st_ask_json("/v1/completions", "{\"prompt\":\"water\",\"max_tokens\":9,\"seed\":\"18446744073709551615\"}");
    assert_int_equal(cJSON_GetArraySize(st_get(both, "choices")), 2);
    assert_int_equal((int)st_number(st_choice(both, 1), "index"), 1);
    assert_string_equal(st_get(st_choice(both, 1), "text")->valuestring, st_get(st_choice(one, 0), "text")->valuestring);
    cJSON_Delete(both);
    cJSON_Delete(one);
}

static void a_stop_string_cuts_the_text(void **state)
{
    char request[256];
    (void)state;
    cJSON      *o    = st_ask_json("/v1/completions", "{\"prompt\":\"the\",\"max_tokens\":24,\"temperature\":0,\"ignore_eos\":true}");
    const char *text = st_get(st_choice(o, 0), "text")->valuestring;
    size_t      at   = 0; /* two letters in it that JSON need not escape */
    while (text[at] && !(text[at] >= 'a' && text[at] <= 'z' && text[at + 1] >= 'a' && text[at + 1] <= 'z')) at++;
    assert_true(text[at] != 0);
    const char stop[] = {text[at], text[at + 1], 0};
    snprintf(request, sizeof request,
             "{\"prompt\":\"the\",\"max_tokens\":24,\"temperature\":0,\"ignore_eos\":true,\"stop\":[\"%s\",\"zzzzzz\"]}", stop);
    cJSON *cut = st_ask_json("/v1/completions", request);
    assert_int_equal(strlen(st_get(st_choice(cut, 0), "text")->valuestring), strstr(text, stop) - text);
    assert_string_equal(st_get(st_choice(cut, 0), "finish_reason")->valuestring, "stop");
    assert_string_equal(st_get(st_choice(cut, 0), "stop_reason")->valuestring, stop);
    cJSON_Delete(o);
    cJSON_Delete(cut);
}

/* ---- streams ------------------------------------------------------------------------------------------ */

static void add_event(rt_buf *text, const char *line, size_t n, int *events, int *finished, int *usage)
{
    char  *copy = strndup(line, n);
    cJSON *o    = NULL;
    assert_int_equal(rt_json_parse(&o, copy, n, 0, "event"), RT_OK);
    const cJSON *c = st_get(o, "choices")->child;
    assert_int_equal(*usage, 0);
    *usage += cJSON_IsObject(st_get(o, "usage"));
    if (c) {
        const char *s = st_get(c, "text")->valuestring;
        assert_int_equal(*finished, 0);
        assert_int_equal(rt_buf_str(text, s), RT_OK);
        *finished += cJSON_IsString(st_get(c, "finish_reason"));
        ++*events;
    }
    cJSON_Delete(o);
    free(copy);
}

/* Returns how many events it came in. */
static int check_stream(const char *request, const char *whole)
{
    rt_buf b = {0}, text = {0};
    int    events = 0, finished = 0, usage = 0, done = 0;
    assert_int_equal(st_ask("/v1/completions", request, &b), 200);
    for (const char *p = b.p, *end; (end = strstr(p, "\n\n")); p = end + 2) {
        assert_int_equal(strncmp(p, "data: ", 6), 0);
        assert_int_equal(done, 0);
        done = !strncmp(p, "data: [DONE]", 12);
        if (!done) add_event(&text, p + 6, (size_t)(end - p) - 6, &events, &finished, &usage);
    }
    assert_true(done && finished == 1 && usage == 1 && events >= 1);
    assert_string_equal(text.p, whole);
    rt_buf_free(&b);
    rt_buf_free(&text);
    return events;
}

/* Three plain characters from the middle of a text: a stop string that comes in it. */
static void pick_stop(char stop[4], const char *text)
{
    const size_t n = strlen(text);
    strcpy(stop, "zzz");
    for (size_t i = n / 2; i + 3 <= n; i++) {
        int plain = 1;
        for (size_t j = i; j < i + 3; j++) plain &= text[j] >= ' ' && text[j] <= '~' && text[j] != '"' && text[j] != '\\';
        if (!plain) continue;
        memcpy(stop, text + i, 3);
        return;
    }
}

static void a_stream_is_the_whole_in_pieces(void **state)
{
    char request[320], stream[480], stop[4];
    int  events = 0, stopped = 0;
    (void)state;
    for (int seed = 0; seed < 20; seed++) {
        snprintf(request, sizeof request, "{\"prompt\":\"the\",\"max_tokens\":40,\"seed\":%d,\"ignore_eos\":true}", seed);
        cJSON *o = st_ask_json("/v1/completions", request);
        pick_stop(stop, st_get(st_choice(o, 0), "text")->valuestring);
        cJSON_Delete(o);
        snprintf(request, sizeof request,
                 "{\"prompt\":\"the\",\"max_tokens\":40,\"seed\":%d,\"ignore_eos\":true,\"echo\":%s,\"stop\":[\"zzzz\",\"%s\"]", seed,
                 seed % 2 ? "true" : "false", stop);
        snprintf(stream, sizeof stream, "%s,\"stream\":true,\"stream_options\":{\"include_usage\":true}%s}", request,
                 seed % 3 ? "" : ",\"logprobs\":2,\"return_token_ids\":true,\"retort\":{\"tail_samples\":1}");
        strcat(request, "}");
        o = st_ask_json("/v1/completions", request);
        events += check_stream(stream, st_get(st_choice(o, 0), "text")->valuestring);
        stopped += cJSON_IsString(st_get(st_choice(o, 0), "stop_reason"));
        cJSON_Delete(o);
    }
    assert_true(events > 100 && stopped > 10);
}

static void a_reader_who_leaves_stops_only_itself(void **state)
{
    static const char request[] = "{\"prompt\":\"the\",\"max_tokens\":80,\"stream\":true,\"ignore_eos\":true}";
    char              piece[64];
    rt_buf            b = {0};
    (void)state;
    for (int i = 0; i < 20; i++) {
        const int fd = st_dial();
        assert_true(fd >= 0 && st_send_request(fd, "POST", "/v1/completions", request, strlen(request)));
        if (i % 2) assert_true(recv(fd, piece, sizeof piece, 0) > 0);
        close(fd);
    }
    assert_int_equal(st_ask("/v1/completions", "{\"prompt\":\"the\",\"max_tokens\":2}", &b), 200);
    rt_buf_free(&b);
}

/* ---- the same alone and among others ---------------------------------------------------------------------- */

typedef struct asking {
    char   request[256];
    rt_buf alone, among;
    int    status;
} asking;

/* Blank what may differ: the answer's id. */
static void blank_id(rt_buf *b)
{
    char *p = b->p ? strstr(b->p, "\"id\":\"cmpl-") : NULL;
    if (p) memset(p + 11, '0', 16);
}

static void *ask_among(void *ud)
{
    asking *a = ud;
    a->status = st_ask("/v1/completions", a->request, &a->among);
    return NULL;
}

static void an_answer_is_the_same_among_sixteen(void **state)
{
    static asking a[MANY];
    pthread_t     threads[MANY];
    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(
            a[i].request, sizeof a[i].request,
            "{\"prompt\":\"the %s %d\",\"max_tokens\":%d,\"seed\":%d,\"prompt_logprobs\":8,\"logprobs\":3,\"echo\":%s,\"ignore_eos\":true,"
            "\"return_token_ids\":true,\"retort\":{\"tail_samples\":4}}",
            i % 2 ? "answer" : "water", i, 8 + 2 * i, i, i % 3 ? "true" : "false");
        assert_int_equal(st_ask("/v1/completions", a[i].request, &a[i].alone), 200);
        blank_id(&a[i].alone);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) assert_int_equal(pthread_create(&threads[i], NULL, ask_among, &a[i]), 0);
        for (int i = 0; i < MANY; i++) pthread_join(threads[i], NULL);
        for (int i = 0; i < MANY; i++) {
            blank_id(&a[i].among);
            assert_int_equal(a[i].status, 200);
            assert_string_equal(a[i].among.p, a[i].alone.p);
        }
    }
    for (int i = 0; i < MANY; i++) {
        rt_buf_free(&a[i].alone);
        rt_buf_free(&a[i].among);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompt_logprobs_are_the_models),        cmocka_unit_test(greedy_text_is_the_models),
        cmocka_unit_test(echo_has_the_prompts_logprobs_too),     cmocka_unit_test(several_prompts_give_several_choices),
        cmocka_unit_test(a_stop_string_cuts_the_text),           cmocka_unit_test(a_stream_is_the_whole_in_pieces),
        cmocka_unit_test(a_reader_who_leaves_stops_only_itself), cmocka_unit_test(an_answer_is_the_same_among_sixteen),
    };
    return cmocka_run_group_tests(tests, st_open, st_close);
}
