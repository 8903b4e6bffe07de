/* teacher.h -- asking model servers for text and probabilities.  libcurl and SQLite stay
 * inside teacher/.  (The collector's author completes this page.) */
#ifndef TC_TEACHER_H
#define TC_TEACHER_H
#include "data/data.h"
#endif
