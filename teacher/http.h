/* http.h -- many requests in flight from one thread (libcurl's multi interface). */
#ifndef TC_HTTP_H
#define TC_HTTP_H
#include "teacher/endpoint.h"

enum {
    TC_MAX_IN_FLIGHT = 1024,
    TC_MAX_HELD      = 256 << 20 /* bytes of one response, and of all responses being received together */
};

/* The headers of one kind of server. */
typedef struct tc_wait_header {
    const char *name;
    double      unit; /* of its number, in seconds; the value may also be an HTTP date */
} tc_wait_header;
typedef struct tc_headers {
    const char *const *
        request; /* Lines, ended by NULL.  The API key is appended to a line that ends with a space; without a key that line is left out. */
    const tc_wait_header *wait; /* Headers of a response that say how long to wait, ended by {NULL}.  The first readable one counts. */
} tc_headers;

typedef struct tc_reply { /* an HTTP response, its body not yet parsed */
    int64_t tag;          /* of the request */
    long    status;       /* HTTP; 0: no response, see error */
    rt_buf  body;         /* the caller frees it */
    double  wait;         /* seconds that its headers ask to wait; negative: they do not say */
    double  seconds;
    int     crowded; /* the client aborted it: all responses together exceeded TC_MAX_HELD */
    char    error[256];
} tc_reply;

typedef struct tc_http tc_http;

rt_status tc_http_create(tc_http **out, const tc_endpoint *e);
void      tc_http_destroy(tc_http **h); /* breaks off what is in flight */
int       tc_http_in_flight(const tc_http *h);
/* Sets the headers of all further requests.  Called before the first request, and while none is in flight. */
rt_status tc_http_headers(tc_http *h, const tc_headers *headers);

/* Sends a POST and takes over *body (it becomes {0}); body = NULL: a GET. */
rt_status tc_http_send(tc_http *h, const char *path, rt_buf *body, int64_t tag);
/* Waits up to `seconds` for replies; *n of at most cap, 0 after a timeout or a signal. */
rt_status tc_http_wait(tc_http *h, double seconds, tc_reply *replies, int cap, int *n);
/* Applies tc_endpoint_scrub with the server's key to text derived from a reply. */
void tc_http_scrub(const tc_http *h, char *text);
/* Returns 1 if the server responds to GET path on a new connection within ten seconds. */
int tc_http_alive(const tc_http *h, const char *path);
/* Sends one request and waits for its reply.  RT_EINTR: Ctrl-C. */
rt_status tc_http_one(tc_http *h, const char *path, rt_buf *body, tc_reply *reply);
#endif
