/* cmocka.h -- the few names of cmocka that test_kernels.c and test_gemm.c use, for machines whose cmocka is not at hand.
 *
 * The first check that fails says where and ends the program.  Everywhere else <cmocka.h> is cmocka's own.
 */
#ifndef TESTS_CROSS_CMOCKA_H
#define TESTS_CROSS_CMOCKA_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
};
#define cmocka_unit_test(f) ((struct CMUnitTest){#f, f})

#define fail_msg(...)                                  \
    do {                                               \
        printf("FAILED: %s:%d: ", __FILE__, __LINE__); \
        printf(__VA_ARGS__);                           \
        printf("\n");                                  \
        exit(1);                                       \
    } while (0)
#define assert_true(c)                \
    do {                              \
        if (!(c)) fail_msg("%s", #c); \
    } while (0)
#define assert_non_null(p)           assert_true((p) != NULL)
#define assert_int_equal(a, b)       assert_true((a) == (b))
#define assert_string_equal(a, b)    assert_true(!strcmp((a), (b)))
#define assert_memory_equal(a, b, n) assert_true(!memcmp((a), (b), (n)))

#define cmocka_run_group_tests(tests, setup, teardown) run_tests((tests), sizeof(tests) / sizeof *(tests))
static inline int run_tests(const struct CMUnitTest *tests, size_t n)
{
    void *state = NULL;
    for (size_t i = 0; i < n; i++) {
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].test(&state);
    }
    return 0;
}
#endif
