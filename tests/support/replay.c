/* replay.c -- a small model server for tests, in a thread of the test program (libmicrohttpd). */
#include "tests/support/replay.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/rng.h"
#include "data/wire.h"
#include <math.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char replay_tokenizer[] = "00000000000000000000000000000000000000000000000000000000000000aa";

struct replay {
    struct MHD_Daemon *daemon;
    pthread_mutex_t    lock;
    replay_options     o;
    int                asked, now, peak;
    char               auth[256];
};

typedef struct request { /* the content of a request */
    int32_t  ids[4096];
    int64_t  n, k, m, max_tokens;
    uint64_t seed;
    int      score;
} request;

/* ---- the model ----------------------------------------------------------------------------- */

typedef struct row {
    double lp[REPLAY_VOCAB];
    int    order[REPLAY_VOCAB];
} row;

static row table[REPLAY_VOCAB]; /* indexed by the last token; filled before the first thread starts */

static const double *sorting;
static int           by_logprob(const void *x, const void *y)
{
    const int a = *(const int *)x, b = *(const int *)y;
    return sorting[a] > sorting[b] ? -1 : sorting[a] < sorting[b] ? 1 : a - b;
}

static void fill(row *r, int32_t last)
{
    double sum = 0;
    for (int v = 0; v < REPLAY_VOCAB; v++) sum += exp(r->lp[v] = 6 * ((double)(rt_mix2((uint64_t)last, (uint64_t)v) >> 11) * 0x1p-53));
    for (int v = 0; v < REPLAY_VOCAB; v++) r->lp[v] -= log(sum), r->order[v] = v;
    sorting = r->lp;
    qsort(r->order, REPLAY_VOCAB, sizeof *r->order, by_logprob);
}

static void predict(row *r, int32_t last) { *r = table[last % REPLAY_VOCAB]; }

static int rank_of(const row *r, int32_t id)
{
    int i = 0;
    while (r->order[i] != id) i++;
    return i + 1;
}

static double tail_entropy(const row *r, int64_t k)
{
    double h = 0;
    for (int64_t i = k; i < REPLAY_VOCAB; i++) h -= exp(r->lp[r->order[i]]) * r->lp[r->order[i]];
    return h;
}

static int32_t sample_tail(const row *r, const request *a, int64_t t, int64_t j)
{
    return r->order[a->k + (int64_t)(rt_mix2(rt_mix2(a->seed, (uint64_t)t), (uint64_t)j) % (uint64_t)(REPLAY_VOCAB - a->k))];
}

/* ---- responses ----------------------------------------------------------------------------- */

/* The reported rank of alternative i (0: the most likely). */
static int said_rank(int i, const request *a, replay_fault f)
{
    return f == REPLAY_RANK_LOW && i == a->k - 1 ? 1 : i + 1 + (f == REPLAY_RANKS);
}

static void put_prompt_entry(rt_buf *b, const request *a, int64_t t, replay_fault f)
{
    row       r;
    const int id = a->ids[t], last = t == a->n - 1;
    predict(&r, a->ids[t - 1]);
    const int     rank = rank_of(&r, id);
    const int64_t k    = last && f == REPLAY_FEW ? a->k - 2 : a->k - (f == REPLAY_DROP_K && rank > a->k);
    rt_buf_fmt(b, ",{\"%d\":{\"logprob\":", id);
    if (last && f == REPLAY_NAN) rt_buf_str(b, "NaN");
    else rt_buf_fmt(b, "%.9g", last && f == REPLAY_POSITIVE ? 1.0 : r.lp[id]);
    rt_buf_fmt(b, ",\"rank\":%d,\"decoded_token\":\"x\"}", said_rank(rank - 1, a, f));
    for (int64_t i = k - 1; i >= 0; i--) /* unsorted, as real servers send them */
        if (r.order[i] != id)
            rt_buf_fmt(b, ",\"%d\":{\"logprob\":%.9g,\"rank\":%d}", last && f == REPLAY_HUGE_ID && i == 0 ? 99999 : r.order[i],
                       r.lp[r.order[i]], said_rank((int)i, a, f));
    rt_buf_str(b, "}");
}

static void put_ids(rt_buf *b, const char *name, const int32_t *ids, int64_t n, int add)
{
    rt_buf_fmt(b, ",\"%s\":[", name);
    for (int64_t i = 0; i < n; i++) rt_buf_fmt(b, "%s%d", i ? "," : "", ids[i] + add);
    rt_buf_str(b, "]");
}

/* Rows for tokens from..end-1; `null`: begin with a null entry, since the first token has no row. */
static void put_tail(rt_buf *b, const request *a, const int32_t *ids, int64_t from, int64_t end, const char *tail, const char *entropy,
                     int null, replay_fault f)
{
    row r;
    rt_buf_fmt(b, ",\"%s\":[%s", tail, null ? "null" : "");
    for (int64_t t = from; t < end; t++) {
        predict(&r, ids[t - 1]);
        rt_buf_str(b, t > from || null ? ",[" : "[");
        for (int64_t j = 0; j < a->m; j++)
            rt_buf_fmt(b, "%s%d", j ? "," : "", f == REPLAY_TAIL_TOP ? r.order[0] : sample_tail(&r, a, t, j));
        rt_buf_str(b, "]");
    }
    rt_buf_fmt(b, "],\"%s\":[%s", entropy, null ? "null" : "");
    for (int64_t t = from; t < end; t++) {
        predict(&r, ids[t - 1]);
        rt_buf_fmt(b, "%s%.9g", t > from || null ? "," : "", tail_entropy(&r, a->k) * (f == REPLAY_ENTROPY ? 0.5 : 1));
    }
    rt_buf_str(b, "]");
}

static void put_scores(rt_buf *b, const request *a, const replay_options *o, replay_fault f)
{
    rt_buf_str(b, "{\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\",\"prompt_logprobs\":[null");
    for (int64_t t = 1; t < a->n - (f == REPLAY_SHORT); t++) put_prompt_entry(b, a, t, f);
    rt_buf_str(b, "]");
    put_ids(b, WIRE_PROMPT_TOKEN_IDS, a->ids, a->n, f == REPLAY_OTHER_IDS);
    if (!o->plain) put_tail(b, a, a->ids, 1, a->n, WIRE_PROMPT_TAIL_IDS, WIRE_PROMPT_REST_ENTROPY, 1, f);
    rt_buf_fmt(b, "}],\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%d}}", (long long)a->n, o->plain);
}

static void put_text(rt_buf *b, const int32_t *ids, int64_t n, const replay_options *o, replay_fault f)
{
    rt_buf text = {0};
    if (f == REPLAY_TEXT) rt_buf_str(&text, "these are not the words of the ids");
    else if (o->words) ds_decode(o->words, ids, n, 0, &text);
    rt_buf_str(b, "{\"choices\":[{\"index\":0,\"text\":");
    rt_json_quote(b, text.p ? text.p : "", text.len);
    rt_buf_free(&text);
}

static void put_generation(rt_buf *b, request *a, const replay_options *o, replay_fault f)
{
    row           r;
    const int64_t n = a->max_tokens < 12 ? a->max_tokens : 12, P = a->n;
    for (int64_t j = 0; j < n; j++) a->ids[P + j] = (int32_t)(o->one_text ? (uint64_t)j + 1 : rt_mix2(a->seed, (uint64_t)j) % REPLAY_VOCAB);
    put_text(b, a->ids + P, n, o, f);
    rt_buf_fmt(b, ",\"finish_reason\":%s", o->finish ? o->finish : "\"length\"");
    put_ids(b, WIRE_PROMPT_TOKEN_IDS, a->ids, P, 0);
    put_ids(b, WIRE_TOKEN_IDS, a->ids + P, n, 0);
    rt_buf_str(b, ",\"logprobs\":{\"tokens\":[");
    for (int64_t j = 0; j < n; j++) rt_buf_fmt(b, "%s\"token_id:%d\"", j ? "," : "", a->ids[P + j] ^ (f == REPLAY_NAMES));
    rt_buf_str(b, "],\"token_logprobs\":[");
    for (int64_t j = 0; j < n; j++) predict(&r, a->ids[P + j - 1]), rt_buf_fmt(b, "%s%.9g", j ? "," : "", r.lp[a->ids[P + j]]);
    rt_buf_str(b, "],\"top_logprobs\":[");
    for (int64_t j = 0; j < n; j++) {
        predict(&r, a->ids[P + j - 1]);
        rt_buf_fmt(b, "%s{\"token_id:%d\":%.9g", j ? "," : "", a->ids[P + j], r.lp[a->ids[P + j]]);
        const int64_t k = a->k - (f == REPLAY_DROP_K && rank_of(&r, a->ids[P + j]) > a->k);
        for (int64_t i = 0; i < k; i++)
            if (r.order[i] != a->ids[P + j]) rt_buf_fmt(b, ",\"token_id:%d\":%.9g", r.order[i], r.lp[r.order[i]]);
        rt_buf_str(b, "}");
    }
    rt_buf_str(b, "]}");
    if (!o->plain) put_tail(b, a, a->ids, P, P + n, WIRE_TAIL_IDS, WIRE_REST_ENTROPY, 0, f);
    rt_buf_fmt(b, "}%s],\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld}}",
               f == REPLAY_TWO ? ",{\"index\":1,\"text\":\"\"}" : "", (long long)P, (long long)n);
}

static void put_chat(rt_buf *b, const char *body, const replay_options *o)
{
    unsigned hash = 5381;
    for (const char *p = body; *p; p++) hash = hash * 33 + (unsigned char)*p;
    rt_buf_str(b, "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (o->text) rt_json_quote(b, o->text, o->text_n ? o->text_n : strlen(o->text));
    else rt_buf_fmt(b, "\"Water boils at %u degrees; remember that.\"", hash % 1000);
    rt_buf_fmt(b, "},\"finish_reason\":%s}],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":9}}", o->finish ? o->finish : "\"stop\"");
}

/* ---- requests ------------------------------------------------------------------------------ */

static void read_request(request *a, const char *body)
{
    cJSON       *o = cJSON_Parse(body);
    const cJSON *x = cJSON_GetObjectItem(o, "prompt"), *own = cJSON_GetObjectItem(o, WIRE_RETORT);
    const cJSON *score = cJSON_GetObjectItem(o, WIRE_PROMPT_LOGPROBS), *k = score ? score : cJSON_GetObjectItem(o, WIRE_LOGPROBS);
    const cJSON *seed = cJSON_GetObjectItem(own, WIRE_SEED), *m = cJSON_GetObjectItem(own, WIRE_TAIL_SAMPLES);
    for (x = x ? x->child : NULL; x && a->n < 4000; x = x->next) a->ids[a->n++] = x->valueint;
    a->score      = score != NULL;
    a->k          = k ? k->valueint : 0;
    a->m          = m ? m->valueint : 0;
    a->seed       = seed ? strtoull(seed->valuestring, NULL, 10) : (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(o, "seed"));
    a->max_tokens = (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(o, "max_tokens"));
    cJSON_Delete(o);
}

static int fault_answer(rt_buf *b, replay_fault f, const char *auth, const char **retry_after)
{
    switch (f) {
    case REPLAY_LIMIT:
        *retry_after = *retry_after ? *retry_after : "1";
        rt_buf_str(b, "{\"error\":{\"message\":\"slow down\"}}");
        return 429;
    case REPLAY_QUOTA: rt_buf_str(b, "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no money left\"}}"); return 429;
    case REPLAY_500: rt_buf_str(b, "{\"error\":{\"message\":\"the engine\\nhas died\"}}"); return 500;
    case REPLAY_503: rt_buf_str(b, "loading"); return 503;
    case REPLAY_401: rt_buf_fmt(b, "{\"error\":{\"message\":\"wrong key: %s\"}}", auth); return 401;
    case REPLAY_401_ESC:
        rt_buf_fmt(b, "{\"error\":{\"message\":\"wrong key: \\u%04x", (unsigned char)auth[7]);
        for (const char *p = auth + 8; *p; p++) rt_buf_fmt(b, *p == '/' ? "\\/" : "%c", *p);
        rt_buf_str(b, "\"}}");
        return 401;
    case REPLAY_CONTROL:
        rt_buf_str(b, "\x1b]0;title\x07\x1b[31mred \xc2\x9b"
                      "1m \xe2\x80\xae");
        return 200;
    case REPLAY_400: rt_buf_str(b, "{\"error\":\"no such thing\"}"); return 400;
    case REPLAY_ERROR_200: rt_buf_str(b, "{\"error\":{\"message\":\"Rate limit reached\",\"code\":429}}"); return 200;
    case REPLAY_NULL_TEXT:
    case REPLAY_NULL_MUTE:
        rt_buf_fmt(b, "{\"choices\":[{\"message\":{\"content\":null},\"finish_reason\":%s}]}",
                   f == REPLAY_NULL_TEXT ? "\"content_filter\"" : "null");
        return 200;
    case REPLAY_GARBAGE: rt_buf_str(b, "<html>It works!</html>"); return 200;
    default: return 0;
    }
}

static void put_models(rt_buf *b, const replay_options *o)
{
    rt_buf_fmt(b, "{\"object\":\"list\",\"data\":[{\"id\":\"tiny\",\"max_model_len\":%lld", (long long)(o->max_len ? o->max_len : 512));
    const char *own = o->words ? ds_tokenizer_identity(o->words) : replay_tokenizer;
    if (!o->plain)
        rt_buf_fmt(b, ",\"tokenizer_sha256\":\"%s\",\"vocab_size\":%d,\"max_logprobs\":32", o->tokenizer ? o->tokenizer : own,
                   (int)REPLAY_VOCAB);
    rt_buf_str(b, "}]}");
}

static int compute(replay *r, rt_buf *b, const char *url, const char *body, const replay_options *o, replay_fault f,
                   const char **retry_after)
{
    request a = {.n = 0};
    if (!strcmp(url, "/v1/models")) {
        put_models(b, o);
        return 200;
    }
    const int status = fault_answer(b, f, r->auth, retry_after);
    if (status) return status;
    if (!strcmp(url, "/v1/chat/completions")) {
        put_chat(b, body, o);
        return 200;
    }
    read_request(&a, body);
    if (!a.k && strstr(body, "\"" WIRE_RETORT "\"")) return fault_answer(b, REPLAY_400, "", retry_after); /* as retort serve does */
    if (a.score) put_scores(b, &a, o, f);
    else put_generation(b, &a, o, f);
    return 200;
}

/* A response of which half the body is sent before the connection breaks. */
typedef struct half {
    char  *p;
    size_t n;
} half;
static ssize_t read_half(void *ud, uint64_t at, char *to, size_t max)
{
    const half *h = ud;
    if (at >= h->n / 2) return MHD_CONTENT_READER_END_WITH_ERROR;
    const size_t left = h->n / 2 - (size_t)at, n = left < max ? left : max;
    memcpy(to, h->p + at, n);
    return (ssize_t)n;
}
static void free_half(void *ud)
{
    half *h = ud;
    free(h->p);
    free(h);
}

static struct MHD_Response *response_of(rt_buf *b, int cut)
{
    half *h = cut ? malloc(sizeof *h) : NULL;
    if (!h) return MHD_create_response_from_buffer(b->len, b->p, MHD_RESPMEM_MUST_FREE);
    *h = (half){b->p, b->len};
    return MHD_create_response_from_callback(b->len, 1024, read_half, h, free_half);
}

static enum MHD_Result answer(replay *r, struct MHD_Connection *c, const char *url, const char *body)
{
    rt_buf      b           = {0};
    const char *retry_after = NULL;
    const char *auth        = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    pthread_mutex_lock(&r->lock);
    const replay_options o           = r->o;
    const int            completions = strcmp(url, "/v1/models") != 0;
    const int            bad         = completions && o.faults != 0 && (!o.only || strstr(body, o.only));
    if (bad && o.faults > 0) r->o.faults--;
    snprintf(r->auth, sizeof r->auth, "%s", auth ? auth : "");
    r->asked += completions;
    r->now += completions;
    if (r->now > r->peak) r->peak = r->now;
    pthread_mutex_unlock(&r->lock);
    if (o.delay > 0 && completions) rt_sleep(o.delay);
    const replay_fault f = bad ? o.fault : REPLAY_FINE;
    retry_after          = f == REPLAY_LIMIT ? o.retry_after : NULL;
    const int status     = compute(r, &b, url, body, &o, f, &retry_after);
    pthread_mutex_lock(&r->lock);
    r->now -= completions;
    pthread_mutex_unlock(&r->lock);
    struct MHD_Response *x = response_of(&b, f == REPLAY_CUT);
    if (retry_after) MHD_add_response_header(x, "Retry-After", retry_after);
    const enum MHD_Result done = MHD_queue_response(c, (unsigned)status, x);
    MHD_destroy_response(x);
    return done;
}

static enum MHD_Result handle(void *ud, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                              const char *data, size_t *n, void **state)
{
    rt_buf *b = *state;
    (void)method, (void)version;
    if (!b) {
        *state = calloc(1, sizeof *b);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*n) {
        rt_buf_add(b, data, *n);
        *n = 0;
        return MHD_YES;
    }
    return answer(ud, c, url, b->p ? b->p : "");
}

static void completed(void *ud, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
    (void)ud, (void)c, (void)code;
    if (*state) rt_buf_free(*state);
    free(*state);
    *state = NULL;
}

replay *replay_start(const replay_options *o)
{
    replay *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->o = *o;
    for (int v = 0; v < REPLAY_VOCAB; v++) fill(&table[v], v);
    pthread_mutex_init(&r->lock, NULL);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->daemon             = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, handle, r,
                                             MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
    if (r->daemon) return r;
    free(r);
    return NULL;
}

void replay_stop(replay **r)
{
    if (!*r) return;
    MHD_stop_daemon((*r)->daemon);
    pthread_mutex_destroy(&(*r)->lock);
    free(*r);
    *r = NULL;
}

void replay_set(replay *r, const replay_options *o)
{
    pthread_mutex_lock(&r->lock);
    r->o     = *o;
    r->asked = r->peak = 0;
    pthread_mutex_unlock(&r->lock);
}

int replay_port(const replay *r) { return MHD_get_daemon_info(r->daemon, MHD_DAEMON_INFO_BIND_PORT)->port; }
int replay_requests(const replay *r) { return r->asked; }
int replay_peak(const replay *r) { return r->peak; }

int replay_saw_key(const replay *r, const char *key) { return !strncmp(r->auth, "Bearer ", 7) && !strcmp(r->auth + 7, key); }
