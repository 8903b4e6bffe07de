/* tally.c -- counts how often each of a few words occurs. */
#include "teacher/teacher.h"
#include <stdio.h>
#include <string.h>

void tc_tally_add(tc_tally *t, const char *name, int64_t n)
{
    enum { NAMES = sizeof t->n / sizeof *t->n };
    char text[sizeof *t->name];
    int  i = 0;
    snprintf(text, sizeof text, "%s", name);
    rt_text_clean(text);
    while (i < t->used && strcmp(t->name[i], text) != 0) i++;
    if (i == NAMES) snprintf(t->name[--i], sizeof text, "others");
    else if (i == t->used) snprintf(t->name[t->used++], sizeof text, "%s", text);
    t->n[i] += n;
}
