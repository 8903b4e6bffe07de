/* characters.h -- the case of characters, as Python's str has it.  Private to data/chat/; case_table.c is made by tests/peers/make_case.py. */
#ifndef DS_CHAT_CHARACTERS_H
#define DS_CHAT_CHARACTERS_H
#include "data/tokenizer/unicode.h"

typedef struct ds_jcase_run { /* each step-th code point from first to last */
    uint32_t first, last, step;
    int32_t  delta; /* to the character that it becomes */
} ds_jcase_run;

typedef struct ds_jcase_several { /* a character that becomes several */
    uint32_t    code;
    const char *text;
} ds_jcase_several;

typedef struct ds_jcase_table {
    const ds_jcase_run     *runs; /* sorted */
    int                     n;
    const ds_jcase_several *several;
    int                     several_n;
} ds_jcase_table;

int ds_jall_case(const char *p, size_t n, int upper); /* str.isupper (upper: 1) or str.islower */

extern const ds_jcase_table ds_jcase_tables[3];           /* by ds_jcase */
extern const ds_jcase_run   ds_jcased[], ds_jignorable[]; /* for the case of a sigma and of letters inside a word */
extern const int            ds_jcased_n, ds_jignorable_n;
#endif
