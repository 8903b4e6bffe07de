/* state.h -- the optimiser's state in files, each of a range of the elements.  Private to train/.
 *
 * Part R of N is the file state-RRR-of-NNN.h5 of a checkpoint's folder.  It holds data sets, where I is a parameter's number:
 *   step                       completed steps; skipped, empty, best_step and best_ce beside it unless they are 0 (tr_counts)
 *   I.master, I.m, I.v         the elements of the parameter that are in the range; none of them if no element is
 *   I.range                    offset and number of these elements; not there if they are the whole parameter
 * The parts together hold each element of each parameter once.  Whoever reads them may own another range than any that was written.
 */
#ifndef TR_STATE_H
#define TR_STATE_H
#include "optim/optim.h"

/* Counts that go on with the run; every part holds the same. */
typedef struct tr_counts {
    int64_t step, skipped, empty, best_step; /* see tr_trainer; best_step 0: none */
    double  best_ce;
} tr_counts;

/* Writes the range of s as part `part` = 0 .. parts-1 into the folder. */
rt_status tr_state_write(const char *dir, opt_state *s, const tr_counts *c, int part, int parts);
/* Reads the range of s from all parts in the folder and rounds the masters into the weights.  RT_EFORMAT: a part is missing or of
 * another step, or an element is in no part or in two.  The state is undefined after an error. */
rt_status tr_state_read(const char *dir, opt_state *s, tr_counts *c);

enum { TR_STATE_NAME = 40, TR_STATE_PARTS = 999 /* most parts, by the three digits of the name */ };
void tr_state_name(char name[TR_STATE_NAME], int part, int parts);
int  tr_is_state(const char *name, int *part, int *parts); /* returns 1 for a name that tr_state_name makes */
/* Sets *parts to the number of parts in the folder.  RT_EFORMAT: there is none, one is missing, or there are parts of two numbers. */
rt_status tr_state_parts(const char *dir, int *parts);
rt_status tr_state_step(const char *dir, int part, int parts, int64_t *step); /* reads the step of a part */
#endif
