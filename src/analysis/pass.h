/* pass.h - what pass.c and checkpoint.c share: where a pass stands. */
#ifndef SG_PASS_H
#define SG_PASS_H

#include "job.h"

typedef struct {
    const an_job *job;
    size_t model, round, block;
    sg_engine *engine;
    sg_accum *accum;
    an_sums *sums[2];       /* [round % 2] is written, the other is what earlier rounds gave; [1] NULL: one round */
    double *low, *high;     /* (sets) origins of a set are drawn whose number lies in [low, high); NULL: all */
    double began, last_saved;
    double fraction;        /* of origins in this round, for the progress line */
    char identity[65];
} pass;

/* Nothing is pending in the engine. Keeps the checkpoint before as FILE.previous. */
sg_status checkpoint_save(const pass *p, sg_error *err);
/* Fills p and its sums from the checkpoint, or from the one before if that one is damaged (with a warning). *found:
 * false if there is none, or if it belongs to another analysis (with a warning). engine and accum are loaded by
 * checkpoint_load_engine once they exist. */
sg_status checkpoint_open(pass *p, FILE **f, bool *found, sg_error *err);
sg_status checkpoint_load_engine(pass *p, FILE *f, sg_error *err);
/* "FILE.blocks0": scratch of round parity i; the caller's to free */
char *checkpoint_scratch(const char *checkpoint, int i);

#endif
