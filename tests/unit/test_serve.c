/* The server over real connections: a tiny random model in a child process, this program as its client. */
#include "core/clock.h"
#include "core/file.h"
#include "core/json.h"
#include "core/options.h"
#include "core/progress.h"
#include "core/rng.h"
#include "core/threads.h"
#include "data/text.h"
#include "model/score.h"
#include "model/teacher_row.h"
#include "serve/serve.h"
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { V = 320, CONTEXT = 96, MANY = 16 };

static char          g_dir[] = "/tmp/test_serve.XXXXXX";
static char          g_port_file[64];
static int           g_port;
static pid_t         g_server;
static md_model     *g_model;
static ds_tokenizer *g_tokenizer;

/* ---- a model, a server ------------------------------------------------------------------------- */

static rt_status make_model(void)
{
    static const char text[] = "the retort is a vessel for distillation\nthe answer is sharp and the answer is quick\nwater and wine\n";
    rt_strings        files  = {.n = 1};
    const md_config   c      = {.family     = MD_LLAMA,
                                .V          = V,
                                .C          = 32,
                                .L          = 2,
                                .H          = 4,
                                .KV         = 2,
                                .D          = 8,
                                .F          = 64,
                                .context    = CONTEXT,
                                .rope_theta = 1e4,
                                .norm_eps   = 1e-5,
                                .tied       = 1,
                                .bos        = 0,
                                .ends       = {{0}, 1}};
    rt_buf            path   = {0};
    md_model         *m      = NULL;
    RT_TRY(kn_init());
    RT_TRY(rt_path(&path, g_dir, "text.txt"));
    files.v[0]   = path.p;
    rt_status st = rt_file_write(path.p, text, sizeof text - 1);
    if (st == RT_OK) st = ds_tokenizer_train(&(ds_input){.names = files.v, .n = files.n}, V - 4, "<|end|>", g_dir, NULL);
    if (st == RT_OK) st = md_create(&m, &c, KN_REAL);
    if (st == RT_OK) md_init(m, 7);
    for (int i = 0; st == RT_OK && i < m->n; i++) /* a fresh model is nearly uniform: sharpen it */
        for (int64_t j = 0; !m->t[i].is_vector && j < m->t[i].rows * m->t[i].cols; j++) ((real *)m->t[i].data)[j] *= 6;
    if (st == RT_OK) st = md_save(m, g_dir, KN_REAL);
    md_destroy(&m);
    rt_buf_free(&path);
    return st;
}

static rt_status load(void)
{
    RT_TRY(kn_init());
    RT_TRY(ds_tokenizer_load(&g_tokenizer, g_dir));
    return md_load(&g_model, g_dir, KN_REAL);
}

static sv_serve_opts options(int port)
{
    return (sv_serve_opts){.host = "127.0.0.1", .port = port, .port_file = g_port_file, .name = "tiny", .max_logprobs = 16};
}

static rt_status serve(void)
{
    const sv_serve_opts o = options(0);
    rt_quiet(1);
    RT_TRY(load());
    const rt_status st = sv_serve(g_model, g_tokenizer, &o);
    md_destroy(&g_model);
    ds_tokenizer_destroy(&g_tokenizer);
    return st;
}

/* Threads of a pool do not survive fork(): all that computes runs in children until the server stands. */
static pid_t in_child(rt_status (*f)(void))
{
    const pid_t pid = fork();
    if (pid) return pid;
    const rt_status st = f();
    if (st != RT_OK) fprintf(stderr, "child: %s\n%s", rt_error_text(), rt_error_trace());
    exit(rt_status_exit(st));
}

static int exit_of(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int set_up(void **state)
{
    rt_buf b = {0};
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(g_dir)) return 1;
    snprintf(g_port_file, sizeof g_port_file, "%s/port", g_dir);
    if (exit_of(in_child(make_model)) != 0) return 1;
    g_server = in_child(serve);
    for (int i = 0; i < 2000 && !rt_file_exists(g_port_file); i++) rt_sleep(0.01);
    if (rt_file_read(&b, g_port_file, 64) != RT_OK) return 1;
    g_port = atoi(b.p);
    rt_buf_free(&b);
    rt_threads_set(1); /* leaves the cores to the server */
    return load() != RT_OK;
}

static int tear_down(void **state)
{
    (void)state;
    md_destroy(&g_model);
    ds_tokenizer_destroy(&g_tokenizer);
    if (g_server > 0) {
        kill(g_server, SIGTERM);
        if (exit_of(g_server) != 0) return 1;
    }
    return rt_dir_remove(g_dir) != RT_OK;
}

/* ---- a client: HTTP/1.0, one request a connection --------------------------------------------------- */

static int dial(void)
{
    const struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)g_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval     patience = {.tv_sec = 60};
    const int                fd       = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd >= 0 && !connect(fd, (const struct sockaddr *)&a, sizeof a)) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static int send_all(int fd, const char *p, size_t n)
{
    while (n) {
        const ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0) return 0;
        p += k;
        n -= (size_t)k;
    }
    return 1;
}

static int send_request(int fd, const char *method, const char *path, const char *body, size_t n)
{
    char      head[256];
    const int len = snprintf(head, sizeof head, "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n", method, path, n);
    return send_all(fd, head, (size_t)len) && send_all(fd, body, n);
}

/* Everything up to the end of the connection; b becomes the body. Returns the status. */
static int read_answer(int fd, rt_buf *b)
{
    char    block[4096];
    ssize_t n;
    rt_buf_clear(b);
    while ((n = recv(fd, block, sizeof block, 0)) > 0)
        if (rt_buf_add(b, block, (size_t)n) != RT_OK) return -1;
    if (!b->p || strncmp(b->p, "HTTP/1.", 7)) return -1;
    const int   status = atoi(b->p + 9);
    const char *body   = strstr(b->p, "\r\n\r\n");
    if (!body) return -1;
    b->len -= (size_t)(body + 4 - b->p);
    memmove(b->p, body + 4, b->len + 1);
    return status;
}

static int ask_bytes(const char *method, const char *path, const char *body, size_t n, rt_buf *b)
{
    const int fd = dial();
    if (fd < 0) return -1;
    send_request(fd, method, path, body, n);
    const int status = read_answer(fd, b);
    close(fd);
    return status;
}

static int ask(const char *path, const char *body, rt_buf *b) { return ask_bytes("POST", path, body, strlen(body), b); }

static cJSON *ask_json(const char *path, const char *body)
{
    rt_buf b = {0};
    cJSON *o = NULL;
    assert_int_equal(ask(path, body, &b), 200);
    if (rt_json_parse(&o, b.p, b.len, 0, path) != RT_OK) fail_msg("%s: %s", rt_error_text(), b.p);
    rt_buf_free(&b);
    return o;
}

static const cJSON *get(const cJSON *o, const char *key)
{
    const cJSON *f = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!f) fail_msg("no \"%s\"", key);
    return f;
}

static const cJSON *choice(const cJSON *o, int i) { return cJSON_GetArrayItem(get(o, "choices"), i); }
static double       number(const cJSON *o, const char *key) { return cJSON_GetNumberValue(get(o, key)); }

static void expect_error(const char *method, const char *path, const char *body, int status, const char *words)
{
    rt_buf    b   = {0};
    cJSON    *o   = NULL;
    const int got = ask_bytes(method, path, body, strlen(body), &b);
    if (got != status) fail_msg("%s %s: %d, expected %d: %s", path, body, got, status, b.p);
    assert_int_equal(rt_json_parse(&o, b.p, b.len, 0, path), RT_OK);
    const cJSON *e = get(o, "error");
    assert_true(cJSON_IsString(get(e, "type")));
    assert_int_equal((int)number(e, "code"), status);
    if (!strstr(get(e, "message")->valuestring, words)) fail_msg("%s: \"%s\" not in %s", body, words, b.p);
    cJSON_Delete(o);
    rt_buf_free(&b);
}

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
    const md_teacher_row r    = md_teacher_fill(&rows, t + 1, z, V, g_ids[t + 1], rt_mix2(99, (uint64_t)(t + 1)));
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
        assert_true(near(number(get(e, key), "logprob"), (double)s->lp[t][i]));
        assert_int_equal((int)number(get(e, key), "rank"), i + 1);
        assert_true(cJSON_IsString(get(get(e, key), "decoded_token")));
    }
    snprintf(key, sizeof key, "%d", g_ids[t]);
    assert_true(fabs(number(get(e, key), "logprob") - s->actual[t]) < 1e-6);
    assert_int_equal((int64_t)number(get(e, key), "rank"), s->rank[t]);
}

static void prompt_logprobs_are_the_models(void **state)
{
    static said s;
    md_scorer  *scorer = NULL;
    (void)state;
    assert_int_equal(md_scorer_create(&scorer, g_model, CONTEXT), RT_OK);
    assert_int_equal(md_score(scorer, g_ids, N, row, &s), RT_OK);
    md_scorer_destroy(&scorer);
    cJSON *o =
        ask_json("/v1/completions", "{\"model\":\"tiny\",\"prompt\":[0,5,300,17,17,260,315,319,44],\"max_tokens\":0,\"prompt_logprobs\":5,"
                                    "\"return_token_ids\":true,\"retort\":{\"tail_samples\":3,\"seed\":\"99\"}}");
    const cJSON *c = choice(o, 0), *lp = get(c, "prompt_logprobs");
    const cJSON *tail = get(c, "prompt_tail_ids"), *entropy = get(c, "prompt_rest_entropy");
    assert_int_equal(cJSON_GetArraySize(lp), N);
    assert_int_equal(cJSON_GetArraySize(tail), N);
    assert_int_equal(cJSON_GetArraySize(entropy), N);
    assert_true(cJSON_IsNull(lp->child) && cJSON_IsNull(tail->child) && cJSON_IsNull(entropy->child));
    for (int t = 1; t < N; t++) {
        check_entry(cJSON_GetArrayItem(lp, t), &s, t);
        assert_true(near(cJSON_GetArrayItem(entropy, t)->valuedouble, s.entropy[t]));
        for (int j = 0; j < M; j++) assert_int_equal(cJSON_GetArrayItem(cJSON_GetArrayItem(tail, t), j)->valueint, s.tail[t][j]);
    }
    assert_int_equal(cJSON_GetArrayItem(get(c, "prompt_token_ids"), 2)->valueint, 300);
    assert_int_equal(cJSON_GetArraySize(get(c, "token_ids")), 0);
    assert_string_equal(get(c, "finish_reason")->valuestring, "length");
    assert_int_equal((int)number(get(o, "usage"), "total_tokens"), N);
    cJSON_Delete(o);
}

static void greedy_text_is_the_models(void **state)
{
    inf_session *s = NULL;
    const real  *z;
    int32_t      want[12], id = 0;
    (void)state;
    assert_int_equal(inf_session_create(&s, g_model, CONTEXT), RT_OK);
    assert_int_equal(inf_feed(s, g_ids, N, &z), RT_OK);
    for (int i = 0; i < 12; i++) {
        id = 0;
        for (int32_t v = 1; v < V; v++)
            if (z[v] > z[id]) id = v;
        want[i] = id;
        assert_int_equal(inf_feed(s, &id, 1, &z), RT_OK);
    }
    inf_session_destroy(&s);
    cJSON       *o   = ask_json("/v1/completions", "{\"prompt\":[[0,5,300,17,17,260,315,319,44]],\"max_tokens\":12,\"temperature\":0,"
                                                           "\"return_token_ids\":true,\"ignore_eos\":true,\"logprobs\":2}");
    const cJSON *ids = get(choice(o, 0), "token_ids");
    assert_int_equal(cJSON_GetArraySize(ids), 12);
    for (int i = 0; i < 12; i++) assert_int_equal(cJSON_GetArrayItem(ids, i)->valueint, want[i]);
    assert_int_equal(cJSON_GetArraySize(get(get(choice(o, 0), "logprobs"), "token_logprobs")), 12);
    cJSON_Delete(o);
}

static void echo_has_the_prompts_logprobs_too(void **state)
{
    (void)state;
    cJSON *o = ask_json("/v1/completions", "{\"prompt\":\"the answer\",\"max_tokens\":1,\"logprobs\":1,\"echo\":true,\"temperature\":0,"
                                           "\"return_token_ids\":true,\"return_tokens_as_token_ids\":true}");
    const cJSON *c = choice(o, 0), *l = get(c, "logprobs"), *ids = get(c, "prompt_token_ids");
    const int    n = cJSON_GetArraySize(ids);
    char         key[32];
    assert_int_equal(ids->child->valueint, 0); /* the beginning token stands before a text */
    assert_int_equal(strncmp(get(c, "text")->valuestring, "the answer", 10), 0);
    assert_int_equal(cJSON_GetArraySize(get(l, "tokens")), n + 1);
    assert_true(cJSON_IsNull(get(l, "token_logprobs")->child) && cJSON_IsNull(get(l, "top_logprobs")->child));
    for (int i = 1; i < n; i++) {
        snprintf(key, sizeof key, "token_id:%d", cJSON_GetArrayItem(ids, i)->valueint);
        assert_string_equal(cJSON_GetArrayItem(get(l, "tokens"), i)->valuestring, key);
        assert_true(cJSON_GetArrayItem(get(l, "token_logprobs"), i)->valuedouble < 0);
        assert_non_null(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(get(l, "top_logprobs"), i), key));
    }
    cJSON_Delete(o);
}

static void several_prompts_give_several_choices(void **state)
{
    (void)state;
    cJSON *both = ask_json("/v1/completions", "{\"prompt\":[\"the\",\"water\"],\"max_tokens\":9,\"seed\":\"18446744073709551615\"}");
    cJSON *one  = ask_json("/v1/completions", "{\"prompt\":\"water\",\"max_tokens\":9,\"seed\":\"18446744073709551615\"}");
    assert_int_equal(cJSON_GetArraySize(get(both, "choices")), 2);
    assert_int_equal((int)number(choice(both, 1), "index"), 1);
    assert_string_equal(get(choice(both, 1), "text")->valuestring, get(choice(one, 0), "text")->valuestring);
    cJSON_Delete(both);
    cJSON_Delete(one);
}

static void a_stop_string_cuts_the_text(void **state)
{
    char request[256];
    (void)state;
    cJSON      *o    = ask_json("/v1/completions", "{\"prompt\":\"the\",\"max_tokens\":24,\"temperature\":0,\"ignore_eos\":true}");
    const char *text = get(choice(o, 0), "text")->valuestring;
    size_t      at   = 0; /* two letters in it that JSON need not escape */
    while (text[at] && !(text[at] >= 'a' && text[at] <= 'z' && text[at + 1] >= 'a' && text[at + 1] <= 'z')) at++;
    assert_true(text[at] != 0);
    const char stop[] = {text[at], text[at + 1], 0};
    snprintf(request, sizeof request,
             "{\"prompt\":\"the\",\"max_tokens\":24,\"temperature\":0,\"ignore_eos\":true,\"stop\":[\"%s\",\"zzzzzz\"]}", stop);
    cJSON *cut = ask_json("/v1/completions", request);
    assert_int_equal(strlen(get(choice(cut, 0), "text")->valuestring), strstr(text, stop) - text);
    assert_string_equal(get(choice(cut, 0), "finish_reason")->valuestring, "stop");
    assert_string_equal(get(choice(cut, 0), "stop_reason")->valuestring, stop);
    cJSON_Delete(o);
    cJSON_Delete(cut);
}

/* ---- streams ------------------------------------------------------------------------------------------ */

static void add_event(rt_buf *text, const char *line, size_t n, int *events, int *finished, int *usage)
{
    char  *copy = strndup(line, n);
    cJSON *o    = NULL;
    assert_int_equal(rt_json_parse(&o, copy, n, 0, "event"), RT_OK);
    const cJSON *c = get(o, "choices")->child;
    assert_int_equal(*usage, 0);
    *usage += cJSON_IsObject(get(o, "usage"));
    if (c) {
        const char *s = get(c, "text")->valuestring;
        assert_int_equal(*finished, 0);
        assert_int_equal(rt_buf_str(text, s), RT_OK);
        *finished += cJSON_IsString(get(c, "finish_reason"));
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
    assert_int_equal(ask("/v1/completions", request, &b), 200);
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
        cJSON *o = ask_json("/v1/completions", request);
        pick_stop(stop, get(choice(o, 0), "text")->valuestring);
        cJSON_Delete(o);
        snprintf(request, sizeof request,
                 "{\"prompt\":\"the\",\"max_tokens\":40,\"seed\":%d,\"ignore_eos\":true,\"echo\":%s,\"stop\":[\"zzzz\",\"%s\"]", seed,
                 seed % 2 ? "true" : "false", stop);
        snprintf(stream, sizeof stream, "%s,\"stream\":true,\"stream_options\":{\"include_usage\":true}%s}", request,
                 seed % 3 ? "" : ",\"logprobs\":2,\"return_token_ids\":true,\"retort\":{\"tail_samples\":1}");
        strcat(request, "}");
        o = ask_json("/v1/completions", request);
        events += check_stream(stream, get(choice(o, 0), "text")->valuestring);
        stopped += cJSON_IsString(get(choice(o, 0), "stop_reason"));
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
        const int fd = dial();
        assert_true(fd >= 0 && send_request(fd, "POST", "/v1/completions", request, strlen(request)));
        if (i % 2) assert_true(recv(fd, piece, sizeof piece, 0) > 0);
        close(fd);
    }
    assert_int_equal(ask("/v1/completions", "{\"prompt\":\"the\",\"max_tokens\":2}", &b), 200);
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
    a->status = ask("/v1/completions", a->request, &a->among);
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
        assert_int_equal(ask("/v1/completions", a[i].request, &a[i].alone), 200);
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

/* ---- what else it answers ------------------------------------------------------------------------------------ */

static void models_and_health(void **state)
{
    rt_buf b = {0};
    cJSON *o = NULL;
    (void)state;
    assert_int_equal(ask_bytes("GET", "/v1/models", "", 0, &b), 200);
    assert_int_equal(rt_json_parse(&o, b.p, b.len, 0, "models"), RT_OK);
    const cJSON *m = get(o, "data")->child;
    assert_string_equal(get(m, "id")->valuestring, "tiny");
    assert_string_equal(get(m, "tokenizer_sha256")->valuestring, ds_tokenizer_identity(g_tokenizer));
    assert_int_equal((int)number(m, "vocab_size"), V);
    assert_int_equal((int)number(m, "max_model_len"), CONTEXT);
    assert_int_equal((int)number(m, "max_logprobs"), 16);
    cJSON_Delete(o);
    assert_int_equal(ask_bytes("GET", "/health", "", 0, &b), 200);
    assert_int_equal(ask_bytes("HEAD", "/health", "", 0, &b), 200);
    rt_buf_free(&b);
}

static void tokens_go_there_and_back(void **state)
{
    (void)state;
    cJSON       *o   = ask_json("/tokenize", "{\"prompt\":\"the wine \\u00e9\",\"return_token_strs\":true}");
    const cJSON *ids = get(o, "tokens");
    assert_int_equal((int)number(o, "count"), cJSON_GetArraySize(ids));
    assert_int_equal(cJSON_GetArraySize(get(o, "token_strs")), cJSON_GetArraySize(ids));
    assert_int_equal(ids->child->valueint, 0);
    char  *list = cJSON_PrintUnformatted(ids);
    rt_buf b    = {0};
    assert_int_equal(rt_buf_fmt(&b, "{\"tokens\":%s}", list), RT_OK);
    cJSON *back = ask_json("/detokenize", b.p);
    assert_string_equal(get(back, "prompt")->valuestring, "<|end|>the wine \xc3\xa9");
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
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) expect_error("POST", "/v1/completions", wrong[i].body, 400, wrong[i].words);
    expect_error("POST", "/v1/completions", "{\"prompt\":\"a\",\"model\":\"huge\"}", 404, "tiny");
    expect_error("POST", "/v1/chat/completions", "{\"messages\":[]}", 400, "no chat template");
    expect_error("POST", "/detokenize", "{\"tokens\":[320]}", 400, "token id from 0");
    expect_error("POST", "/tokenize", "{}", 400, "prompt");
    expect_error("POST", "/v2", "{}", 404, "no such path");
    expect_error("GET", "/v1/completions", "", 405, "POST");
    expect_error("POST", "/health", "", 405, "GET");
}

static void other_transfer_codings_are_answered(void **state)
{
    static const char *const codings[] = {"gzip", "gzip, chunked", "identity"};
    (void)state;
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        char      text[256], got[32] = "";
        const int fd = dial();
        assert_true(fd >= 0);
        const int len = snprintf(text, sizeof text,
                                 "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: %s\r\n\r\n2\r\n{}\r\n0\r\n\r\n", codings[i]);
        assert_true(send_all(fd, text, (size_t)len));
        assert_true(recv(fd, got, sizeof got - 1, MSG_WAITALL) > 12);
        if (strncmp(got, "HTTP/1.1 501", 12) != 0 && strncmp(got, "HTTP/1.1 400", 12) != 0) fail_msg("%s: %s", codings[i], got);
        close(fd);
    }
    expect_error("POST", "/v1/completions", "{\"prompt\":\"a\",\"max_tokens\":1,\"prompt\":\"b\"}", 400, "\"prompt\" occurs twice");
}

static void a_body_over_the_cap_is_refused(void **state)
{
    const size_t n    = (size_t)9 << 20;
    char        *body = malloc(n);
    rt_buf       b    = {0};
    (void)state;
    assert_non_null(body);
    memset(body, ' ', n);
    assert_int_equal(ask_bytes("POST", "/v1/completions", body, n, &b), 413);
    assert_non_null(strstr(b.p, "8 MB"));
    free(body);
    rt_buf_free(&b);
}

static void a_taken_port_is_refused(void **state)
{
    const sv_serve_opts o = options(g_port);
    (void)state;
    assert_int_equal(sv_serve(g_model, g_tokenizer, &o), RT_ENET);
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
        fd[i] = dial();
        assert_true(fd[i] >= 0 && send_request(fd[i], "POST", "/v1/completions", bodies[i % 2], strlen(bodies[i % 2])));
        assert_int_equal(shutdown(fd[i], SHUT_WR), 0);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(read_answer(fd[i], &b), 200);
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
        fd[i] = dial();
        assert_true(fd[i] >= 0);
        if (i % 2) assert_true(send_all(fd[i], half, strlen(half)));
    }
    const double began = rt_now();
    assert_int_equal(ask_bytes("GET", "/health", "", 0, &b), 200);
    assert_int_equal(ask("/v1/completions", "{\"prompt\":\"the\",\"max_tokens\":2}", &b), 200);
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
        const int status = ask_bytes("POST", "/v1/completions", body, n, &b);
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
        for (int i = 2; i < CONTEXT; i++) assert_int_equal(rt_buf_fmt(b, ",%d", i), RT_OK);
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
        fd[i]            = dial();
        assert_true(fd[i] >= 0 && send_request(fd[i], "POST", "/v1/completions", body, strlen(body)));
    }
    rt_sleep(0.1);
    kill(g_server, SIGTERM);
    rt_sleep(1.0);
    for (int i = ASKED; i-- > 0;) {
        assert_int_equal(read_answer(fd[i], &b), 200);
        assert_int_equal(b.p[b.len - 1], '}'); /* whole */
        close(fd[i]);
    }
    assert_true(b.len > (size_t)4 << 20);
    assert_int_equal(exit_of(g_server), 0);
    g_server = 0;
    assert_true(dial() < 0);
    rt_buf_free(&b);
    rt_buf_free(&much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompt_logprobs_are_the_models),
        cmocka_unit_test(greedy_text_is_the_models),
        cmocka_unit_test(echo_has_the_prompts_logprobs_too),
        cmocka_unit_test(several_prompts_give_several_choices),
        cmocka_unit_test(a_stop_string_cuts_the_text),
        cmocka_unit_test(a_stream_is_the_whole_in_pieces),
        cmocka_unit_test(a_reader_who_leaves_stops_only_itself),
        cmocka_unit_test(an_answer_is_the_same_among_sixteen),
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
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
