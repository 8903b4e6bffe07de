/* collect.h -- shared by tests that collect from a teacher: a folder, a model server, and runs against it. */
#ifndef TESTS_COLLECT_H
#define TESTS_COLLECT_H
#include "data/shard.h"
#include "data/tokenizer.h"
#include "teacher/teacher.h"
#include "tests/support/replay.h"

extern char          ct_dir[64], ct_url[64], ct_in[96]; /* the folder, the server's address, FOLDER/in.h5 */
extern replay       *ct_server;
extern ds_tokenizer *ct_words; /* made by ct_learn */

/* Set-up and tear-down of a test group. */
int ct_open(void **state);
int ct_close(void **state);
int ct_learn(void); /* trains a small tokenizer in FOLDER/tok; returns 0 on success */

void        ct_path(char to[96], const char *name);       /* FOLDER/NAME */
const char *ct_write(const char *name, const char *text); /* writes FOLDER/NAME; returns its path, valid until the next call */
rt_status   ct_input(ds_writer **w);                      /* begins FOLDER/in.h5, for documents in the server's ids */
tc_options  ct_options(const char *out);                  /* options for the server, with short waits */
rt_status   ct_score(const tc_options *o, tc_report *r);  /* scores FOLDER/in.h5 */
/* Collects texts by this recipe (JSON) into FOLDER/NAME; the server gets the options `server_is`. */
rt_status ct_book(const char *name, const char *recipe, tc_textbook_options t, const replay_options *server_is, tc_report *r);
#endif
