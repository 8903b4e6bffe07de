/* teacher.h -- asking model servers for text and probabilities.  libcurl and SQLite stay
 * inside teacher/.  (The collector's author completes this page.) */
#ifndef TC_TEACHER_H
#define TC_TEACHER_H
#include "data/data.h"

/* Appends "NAME VERSION" lines of the libraries behind this folder. */
rt_status tc_library_versions(rt_buf *out);
#endif
