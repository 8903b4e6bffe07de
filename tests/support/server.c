/* server.c -- a tiny random model served by a child process, and a client for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/options.h"
#include "core/progress.h"
#include "core/threads.h"
#include "data/text.h"
#include "tests/support/server.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int           st_port;
pid_t         st_server;
md_model     *st_model;
ds_tokenizer *st_tokenizer;

static char g_dir[] = "/tmp/test_serve.XXXXXX";
static char g_port_file[64];

/* ---- a model, a server ------------------------------------------------------------------------- */

static rt_status make_model(void)
{
    static const char text[] = "the retort is a vessel for distillation\nthe answer is sharp and the answer is quick\nwater and wine\n";
    rt_strings        files  = {.n = 1};
    const md_config   c      = {.family     = MD_LLAMA,
                                .V          = ST_V,
                                .C          = 32,
                                .L          = 2,
                                .H          = 4,
                                .KV         = 2,
                                .D          = 8,
                                .F          = 64,
                                .context    = ST_CONTEXT,
                                .rope.theta = 1e4,
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
    if (st == RT_OK) st = ds_tokenizer_train(&(ds_input){.names = files.v, .n = files.n}, ST_V - 4, "<|end|>", g_dir, NULL);
    if (st == RT_OK) st = md_create(&m, &c, KN_REAL);
    if (st == RT_OK) md_init(m, 7);
    for (int i = 0; st == RT_OK && i < m->n; i++) /* a fresh model is nearly uniform: sharpen it */
        for (int64_t j = 0; !m->t[i].is_vector && j < m->t[i].rows * m->t[i].cols; j++) ((real *)m->t[i].data)[j] *= 6;
    if (st == RT_OK) st = md_save(m, g_dir, KN_REAL);
    if (st == RT_OK) st = rt_path(&path, g_dir, "chat_template.jinja");
    if (st == RT_OK) st = rt_file_write(path.p, ST_TEMPLATE, sizeof ST_TEMPLATE - 1);
    md_destroy(&m);
    rt_buf_free(&path);
    return st;
}

static rt_status load(void)
{
    RT_TRY(kn_init());
    RT_TRY(ds_tokenizer_load(&st_tokenizer, g_dir));
    return md_load(&st_model, g_dir, KN_REAL);
}

sv_serve_opts st_options(int port)
{
    return (sv_serve_opts){.host = "127.0.0.1", .port = port, .port_file = g_port_file, .name = "tiny", .max_logprobs = 16};
}

static rt_status serve(void)
{
    const sv_serve_opts o = st_options(0);
    rt_quiet(1);
    RT_TRY(load());
    const rt_status st = sv_serve(st_model, st_tokenizer, &o);
    md_destroy(&st_model);
    ds_tokenizer_destroy(&st_tokenizer);
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

int st_exit_of(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int st_open(void **state)
{
    rt_buf b = {0};
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(g_dir)) return 1;
    snprintf(g_port_file, sizeof g_port_file, "%s/port", g_dir);
    if (st_exit_of(in_child(make_model)) != 0) return 1;
    st_server = in_child(serve);
    for (int i = 0; i < 2000 && !rt_file_exists(g_port_file); i++) rt_sleep(0.01);
    if (rt_file_read(&b, g_port_file, 64) != RT_OK) return 1;
    st_port = atoi(b.p);
    rt_buf_free(&b);
    rt_threads_set(1); /* leaves the cores to the server */
    return load() != RT_OK;
}

int st_close(void **state)
{
    (void)state;
    md_destroy(&st_model);
    ds_tokenizer_destroy(&st_tokenizer);
    if (st_server > 0) {
        kill(st_server, SIGTERM);
        if (st_exit_of(st_server) != 0) return 1;
    }
    return rt_dir_remove(g_dir) != RT_OK;
}

/* ---- a client: HTTP/1.0, one request a connection --------------------------------------------------- */

int st_dial(void)
{
    const struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)st_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval     patience = {.tv_sec = 60};
    const int                fd       = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd >= 0 && !connect(fd, (const struct sockaddr *)&a, sizeof a)) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

int st_send_all(int fd, const char *p, size_t n)
{
    while (n) {
        const ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0) return 0;
        p += k;
        n -= (size_t)k;
    }
    return 1;
}

int st_send_request(int fd, const char *method, const char *path, const char *body, size_t n)
{
    char      head[256];
    const int len = snprintf(head, sizeof head, "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n", method, path, n);
    return st_send_all(fd, head, (size_t)len) && st_send_all(fd, body, n);
}

int st_read_answer(int fd, rt_buf *b)
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

int st_ask_bytes(const char *method, const char *path, const char *body, size_t n, rt_buf *b)
{
    const int fd = st_dial();
    if (fd < 0) return -1;
    st_send_request(fd, method, path, body, n);
    const int status = st_read_answer(fd, b);
    close(fd);
    return status;
}

int st_ask(const char *path, const char *body, rt_buf *b) { return st_ask_bytes("POST", path, body, strlen(body), b); }

cJSON *st_ask_json(const char *path, const char *body)
{
    rt_buf b = {0};
    cJSON *o = NULL;
    assert_int_equal(st_ask(path, body, &b), 200);
    if (rt_json_parse(&o, b.p, b.len, 0, path) != RT_OK) fail_msg("%s: %s", rt_error_text(), b.p);
    rt_buf_free(&b);
    return o;
}

const cJSON *st_get(const cJSON *o, const char *key)
{
    const cJSON *f = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!f) fail_msg("no \"%s\"", key);
    return f;
}

const cJSON *st_choice(const cJSON *o, int i) { return cJSON_GetArrayItem(st_get(o, "choices"), i); }
double       st_number(const cJSON *o, const char *key) { return cJSON_GetNumberValue(st_get(o, key)); }

void st_expect_error(const char *method, const char *path, const char *body, int status, const char *words)
{
    rt_buf    b   = {0};
    cJSON    *o   = NULL;
    const int got = st_ask_bytes(method, path, body, strlen(body), &b);
    if (got != status) fail_msg("%s %s: %d, expected %d: %s", path, body, got, status, b.p);
    assert_int_equal(rt_json_parse(&o, b.p, b.len, 0, path), RT_OK);
    const cJSON *e = st_get(o, "error");
    assert_true(cJSON_IsString(st_get(e, "type")));
    assert_int_equal((int)st_number(e, "code"), status);
    if (!strstr(st_get(e, "message")->valuestring, words)) fail_msg("%s: \"%s\" not in %s", body, words, b.p);
    cJSON_Delete(o);
    rt_buf_free(&b);
}
