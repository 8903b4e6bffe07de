/* server.h -- shared by the tests of the server: a tiny random model served by a child process, and a client. */
#ifndef TESTS_SERVER_H
#define TESTS_SERVER_H
#include "core/json.h"
#include "serve/serve.h"
#include <sys/types.h>

enum { ST_V = 320, ST_CONTEXT = 96 }; /* the model's */

/* The model's chat template. */
#define ST_TEMPLATE                                                                                \
    "{{ bos_token }}{% for m in messages %}{% if m.role not in ['system', 'user', 'assistant'] %}" \
    "{{ raise_exception('no ' ~ m.role) }}{% endif %}{{ m.role }}: {{ m.content }};{% endfor %}"   \
    "{% if add_generation_prompt %}{{ mark | default('the') }}{% endif %}"

extern int           st_port;
extern pid_t         st_server; /* the child; a test that ends it sets 0 */
extern md_model     *st_model;  /* the served model and its tokenizer, loaded in this process too */
extern ds_tokenizer *st_tokenizer;

/* Set-up and tear-down of a test group.  Tear-down fails if the server does not exit with 0. */
int           st_open(void **state);
int           st_close(void **state);
sv_serve_opts st_options(int port);
int           st_exit_of(pid_t pid); /* waits; returns the exit code, -1 if there is none */

/* A client of HTTP/1.0: one request per connection, which waits at most 60 seconds for each piece of the answer. */
int st_dial(void); /* returns a connection; -1: refused */
int st_send_all(int fd, const char *p, size_t n);
int st_send_request(int fd, const char *method, const char *path, const char *body, size_t n);
int st_read_answer(int fd, rt_buf *b); /* reads to the end of the connection; returns the status, and sets b to the body */
/* Send a request and read its answer; return the status, -1 if there is no answer. */
int st_ask_bytes(const char *method, const char *path, const char *body, size_t n, rt_buf *b);
int st_ask(const char *path, const char *body, rt_buf *b); /* POST */

/* These fail the test if the answer is not as expected. */
cJSON       *st_ask_json(const char *path, const char *body);
const cJSON *st_get(const cJSON *o, const char *key);
const cJSON *st_choice(const cJSON *o, int i);
double       st_number(const cJSON *o, const char *key);
void         st_expect_error(const char *method, const char *path, const char *body, int status, const char *words);
#endif
