/* status.h -- error codes, the error record, and the macros that carry it.
 *
 * A fallible function returns rt_status; results leave through pointer
 * arguments, written only on RT_OK.  The first failure fills a thread-local
 * record (a message and up to 16 frames) that main() prints once.  A message
 * says what was expected, what came, where, and what to do; it is one line and never
 * holds a secret.
 */
#ifndef RT_CORE_STATUS_H
#define RT_CORE_STATUS_H
#include <stddef.h>

/* One list makes the enum, the names and the exit codes, so that they cannot
 * disagree.  X(name, process exit code, text). */
#define RT_STATUS_MAP(X)                              \
    X(OK, 0, "done")                                  \
    X(ECHECK, 1, "a check failed")                    \
    X(EINVAL, 2, "invalid argument")                  \
    X(ESHAPE, 2, "tensor shapes do not agree")        \
    X(EFORMAT, 2, "malformed file or message")        \
    X(ENOENT, 2, "no such file")                      \
    X(EMISMATCH, 2, "parts that do not fit together") \
    X(EIO, 3, "input/output error")                   \
    X(ENET, 3, "server failure")                      \
    X(EPEER, 3, "another rank failed")                \
    X(ENOMEM, 4, "out of memory")                     \
    X(ENOSPC, 4, "no space left")                     \
    X(EINTR, 130, "interrupted")

/* A status that nobody looks at is a warning of clang (./run lint): gcc has this attribute for functions alone. */
#ifdef __clang__
#define RT_MUST_USE __attribute__((warn_unused_result))
#else
#define RT_MUST_USE
#endif

typedef enum RT_MUST_USE rt_status {
#define X(name, code, text) RT_##name,
    RT_STATUS_MAP(X)
#undef X
} rt_status;

/* Record an error and return `code`. */
rt_status rt_fail(rt_status code, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5), cold));
/* Add the caller's frame to the record and return `code` unchanged. */
rt_status rt_trace(rt_status code, const char *file, int line) __attribute__((cold));
/* The status of a failed system call: ENOSPC, EDQUOT and EFBIG are RT_ENOSPC,
 * ENOENT is RT_ENOENT, ENOMEM is RT_ENOMEM, all others RT_EIO. */
rt_status rt_status_of_errno(int err);
/* Make text fit for a terminal, in place: control characters and bytes that are no UTF-8 become '?', line ends and
 * tabs spaces.  rt_fail does it to every message, so that what a message quotes cannot command a terminal. */
void rt_text_clean(char *text);
/* The same for n bytes of text whose line ends and tabs stay. */
void rt_text_clean_lines(char *text, size_t n);

/* The current thread's record; valid until its next failure. */
const char *rt_error_text(void);  /* one line: the message */
const char *rt_error_trace(void); /* "  at file:line" lines */
const char *rt_status_name(rt_status s);
int         rt_status_exit(rt_status s);

#define RT_FAIL(code, ...) return rt_fail((code), __FILE__, __LINE__, __VA_ARGS__)
#define RT_CHECK(cond, code, ...)                  \
    do {                                           \
        if (!(cond)) RT_FAIL((code), __VA_ARGS__); \
    } while (0)
#define RT_TRY(expr)                                                    \
    do {                                                                \
        rt_status rt_s_ = (expr);                                       \
        if (rt_s_ != RT_OK) return rt_trace(rt_s_, __FILE__, __LINE__); \
    } while (0)
/* For functions that hold resources: need `rt_status st` and a label in scope. */
#define RT_TRY_OR(expr, label)                     \
    do {                                           \
        st = (expr);                               \
        if (st != RT_OK) {                         \
            st = rt_trace(st, __FILE__, __LINE__); \
            goto label;                            \
        }                                          \
    } while (0)
#define RT_CHECK_OR(cond, label, code, ...)                        \
    do {                                                           \
        if (!(cond)) {                                             \
            st = rt_fail((code), __FILE__, __LINE__, __VA_ARGS__); \
            goto label;                                            \
        }                                                          \
    } while (0)

#endif
