/* endpoint.h -- the address of a server and the key for it. */
#ifndef TC_ENDPOINT_H
#define TC_ENDPOINT_H
#include "teacher/teacher.h"

enum { TC_URL = 256, TC_KEY = 1024 };

typedef struct tc_endpoint {
    char   url[TC_URL]; /* without a trailing "/" or "/v1"; never holds credentials */
    char   key[TC_KEY]; /* "": none; sent only in the request header that the dialect names */
    int    loopback;
    double timeout;
} tc_endpoint;

/* Disables core dumps if o names a key.  Called before anything is read. */
void tc_endpoint_guard(const tc_options *o);
/* Checks the address and reads the key from the environment or a file.
 * RT_EINVAL says what is wrong with either; the message never contains a key. */
rt_status tc_endpoint_make(tc_endpoint *e, const tc_options *o);
/* Overwrites every occurrence of the key (8 characters or more) in text with '*', in each encoding that scrub.c knows, so that a server
 * that repeats the key does not put it into a message or the ledger. */
void tc_endpoint_scrub(const tc_endpoint *e, char *text, size_t n);
#endif
