/* check.h -- a check shared by unit tests; include it after cmocka.h. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H
#include "core/status.h"
#include <time.h>

/* Fails the test with the error text and trace unless st is RT_OK. */
static inline void ok(rt_status st)
{
    if (st != RT_OK) fail_msg("%s\n%s", rt_error_text(), rt_error_trace());
}

/* Seconds of this process' threads, which other programs on the machine do not lengthen. */
static inline double processor_seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }
#endif
