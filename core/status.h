/* status.h -- error codes, the error record, and the macros that propagate errors.
 *
 * A function that can fail returns rt_status.  It returns results through pointer
 * arguments, which it writes only on RT_OK.  A failure fills a thread-local
 * record (a message and up to 16 frames) that main() prints once.  A message
 * is one line that says what was expected, what was found, where, and what to do; it never
 * contains a secret.
 */
#ifndef RT_CORE_STATUS_H
#define RT_CORE_STATUS_H
#include <stddef.h>

/* The enum, the names and the exit codes expand this list.
 * X(name, process exit code, text). */
#define RT_STATUS_MAP(X)                        \
    X(OK, 0, "success")                         \
    X(ECHECK, 1, "a check failed")              \
    X(EINVAL, 2, "invalid argument")            \
    X(ESHAPE, 2, "tensor shapes do not agree")  \
    X(EFORMAT, 2, "malformed file or message")  \
    X(ENOENT, 2, "no such file")                \
    X(EMISMATCH, 2, "inputs that do not match") \
    X(EIO, 3, "input/output error")             \
    X(ENET, 3, "server failure")                \
    X(EPEER, 3, "another rank failed")          \
    X(ENOMEM, 4, "out of memory")               \
    X(ENOSPC, 4, "no space left")               \
    X(EINTR, 130, "interrupted")

/* clang warns of an ignored status (./run lint).  gcc supports this attribute on functions only. */
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

/* Records an error in the current thread's record, which it overwrites, and returns `code`. */
rt_status rt_fail(rt_status code, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5), cold));
/* Adds the caller's frame to the record and returns `code`. */
rt_status rt_trace(rt_status code, const char *file, int line) __attribute__((cold));
/* Returns the status for an errno value: RT_ENOSPC for ENOSPC, EDQUOT and EFBIG,
 * RT_ENOENT for ENOENT, RT_ENOMEM for ENOMEM, else RT_EIO. */
rt_status rt_status_of_errno(int err);
/* Makes text safe for a terminal, in place: each byte of control characters and of invalid UTF-8 becomes '?', line ends and
 * tabs become spaces.  rt_fail applies it to every message, so that quoted input cannot control the terminal. */
void rt_text_clean(char *text);
/* As rt_text_clean for n bytes of text, but keeps line feeds and tabs. */
void rt_text_clean_lines(char *text, size_t n);

/* The current thread's record; the strings are valid until the thread's next failure. */
const char *rt_error_text(void);  /* one line: the message */
const char *rt_error_trace(void); /* "  at file:line" lines */
const char *rt_status_name(rt_status s);
int         rt_status_exit(rt_status s);

/* A precondition that the header states and callers must keep.  Builds of type Debug (presets debug and asan) print a condition that is
 * false, with its place, and abort; other builds do not evaluate it.  Input from outside the program is checked with RT_CHECK. */
#ifdef RT_DEBUG
#define RT_ASSERT(cond) ((cond) ? (void)0 : rt_assert_failed(#cond, __FILE__, __LINE__))
#else
#define RT_ASSERT(cond) ((void)sizeof(!(cond)))
#endif
_Noreturn void rt_assert_failed(const char *cond, const char *file, int line) __attribute__((cold));

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
/* For functions that must release resources: they need `rt_status st` and a label in scope. */
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
