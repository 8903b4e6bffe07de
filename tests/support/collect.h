/* collect.h -- what tests of collecting from a teacher share: a folder, a model server, and runs against it. */
#ifndef TESTS_COLLECT_H
#define TESTS_COLLECT_H
#include "teacher/teacher.h"
#include "tests/support/replay.h"

extern char          ct_dir[64], ct_url[64], ct_in[96]; /* the folder, the server's address, FOLDER/in.h5 */
extern replay       *ct_server;
extern ds_tokenizer *ct_words; /* that ct_learn made */

/* A group's set-up and tear-down. */
int ct_open(void **state);
int ct_close(void **state);
int ct_learn(void); /* a small tokenizer in FOLDER/tok; 0: it is there */

void        ct_path(char to[96], const char *name);       /* FOLDER/NAME */
const char *ct_write(const char *name, const char *text); /* makes that file; its path, until the next call */
rt_status   ct_input(ds_writer **w);                      /* begins FOLDER/in.h5: documents in ids of the server */
tc_options  ct_options(const char *out);                  /* for the server; no long waits */
rt_status   ct_score(const tc_options *o, tc_report *r);  /* FOLDER/in.h5 */
/* Texts by this recipe (JSON) into FOLDER/NAME, from the server as `server_is` says. */
rt_status ct_book(const char *name, const char *recipe, tc_textbook_options t, const replay_options *server_is, tc_report *r);
#endif
