/* fuzz.h -- what the programs of tests/fuzz share.
 *
 * A program defines fuzz_one, which reads the bytes of a hostile file as retort reads such a file.  Linked with libFuzzer (./run fuzz) it is called with bytes that libFuzzer
 * makes; linked with fuzz_seeds.c (./run test) with the files of tests/fuzz/seeds.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H
#include "core/status.h"
#include <stdint.h>

/* Reads n bytes and frees everything.  Returns RT_OK if they are a good file. */
rt_status fuzz_one(const uint8_t *data, size_t n);

/* The folder of this process, below $TMPDIR, which is removed at its end. */
const char *fuzz_dir(void);
/* Returns the path of a file of that folder; the next call overwrites it. */
const char *fuzz_path(const char *name);
/* Writes such a file, without fsync, and returns its path. */
const char *fuzz_write(const char *name, const void *data, size_t n);
/* Ends the program with the error text unless st is RT_OK: what a good file promises does not hold. */
void fuzz_must(rt_status st);
#endif
