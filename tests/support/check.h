/* check.h -- what unit tests share; after cmocka.h. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H
#include "core/status.h"

/* The call must succeed; its error and trace are the message. */
static inline void ok(rt_status st)
{
    if (st != RT_OK) fail_msg("%s\n%s", rt_error_text(), rt_error_trace());
}
#endif
