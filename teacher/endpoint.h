/* endpoint.h -- the address of a server and the key for it. */
#ifndef TC_ENDPOINT_H
#define TC_ENDPOINT_H
#include "teacher/teacher.h"

enum { TC_URL = 256, TC_KEY = 1024 };

typedef struct tc_endpoint {
    char   url[TC_URL]; /* without a trailing "/" or "/v1"; never holds credentials */
    char   key[TC_KEY]; /* "" : none; goes nowhere but into the Authorization header */
    int    loopback;
    double timeout;
} tc_endpoint;

/* No core dump from here on where o names a key: called before anything else is read. */
void tc_endpoint_guard(const tc_options *o);
/* Check the address and find the key (environment, file).  RT_EINVAL says what is wrong
 * with either, without quoting a key. */
rt_status tc_endpoint_make(tc_endpoint *e, const tc_options *o);
/* Overwrite every occurrence of the key (of 8 letters or more) in text with '*', in any form that scrub.c knows: a
 * server that repeats it must not put it into a message or the ledger. */
void tc_endpoint_scrub(const tc_endpoint *e, char *text, size_t n);
#endif
