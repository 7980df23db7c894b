/* SPDX-License-Identifier: MIT */
/* How small changes of the state grow along the corpus: Lyapunov exponents, block by block. */
#include "analysis/pass/shared.h"

#include "base/base_internal.h"
#include "behaviour/lyapunov.h"

#include <math.h>

/* Columns are carried through FOLLOWED tokens at most, evenly over the blocks; the states through all of
 * them. The first BURN_IN steps after a start turn the random initial directions into those of the text's
 * growth and are not counted. */
enum { FOLLOWED = 50000, BURN_IN = 100 };

typedef struct {
    const analysis *an;
    size_t m;      /* model */
    uint64_t head; /* tokens of each block that are followed */
    bool all;      /* every token is */
    sg_forward *f;
    lyapunov *y;
    sg_step *steps;
    int32_t *ids;
    float *features;
    double *trash;    /* (K) */
    uint64_t settled; /* steps since the last start */
} follower;

/* The token's step is to be followed, as the first of a segment (*start) or not. */
static bool is_followed(const follower *x, uint64_t t, uint64_t block_start, bool *start)
{
    *start = x->all ? t == 0 : t == block_start;
    return x->all || t - block_start < x->head;
}

static sg_status follow(follower *x, size_t b, uint64_t t, size_t i, bool start, uint64_t burn_in,
                        sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = x->an;
    exponent_sums *out = (exponent_sums *)&an->exponents;
    if (start) {
        lyapunov_free(x->y);
        x->y = NULL;
        x->settled = 0;
        TRY(lyapunov_new(&x->y, an->models[x->m], out->K, an->cfg->seed, err));
    }
    TRY(lyapunov_step(x->y, x->f, i, err));
    x->settled++;
    if (x->settled <= burn_in)
        lyapunov_take(x->y, x->trash);
    else
        out->steps[x->m][b] += (double)lyapunov_take(x->y, out->growth[x->m] + b * out->K);
done:
    if (st == SG_ENONFINITE)
        return sg_fail(err, st, "token %ju: a small change of the state is not finite", (uintmax_t)t);
    return st;
}

static sg_status one_portion(follower *x, size_t b, uint64_t t, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = x->an;
    uint64_t begin = analysis_block_start(an, b), burn_in = x->all ? an->T / 10 : x->head / 10;
    bool words = an->V > 0, start;
    burn_in = burn_in < BURN_IN ? burn_in : BURN_IN;
    TRY(read_portion(an, t, n, x->steps, x->features, err));
    for (size_t i = 0; i < n; i++)
        x->ids[i] = x->steps[i].id;
    TRY(forward_run(x->f, words ? x->ids : NULL, words ? NULL : x->features, NULL, n, err));
    for (size_t i = 0; i < n; i++)
        if (is_followed(x, t + i, begin, &start) && (b * an->split >= an->first_row || x->all))
            TRY(follow(x, b, t + i, i, start, burn_in, err));
done:
    return st;
}

/* The states of block b run through tokens t .. stop-1: all of them go through the whole corpus, or, with
 * setting 'warm_up', begin before each block that is followed. */
static sg_status tokens_of_block(follower *x, size_t b, uint64_t *t, uint64_t *stop, sg_error *err)
{
    const analysis *an = x->an;
    const uint64_t begin = analysis_block_start(an, b);
    *t = begin, *stop = analysis_block_start(an, b + 1);
    if (x->all || !an->cfg->warm_up)
        return SG_OK;
    *stop = begin + x->head < *stop ? begin + x->head : *stop;
    if (b * an->split < an->first_row) /* of another process */
        return *stop = begin, SG_OK;
    forward_reset(x->f);
    return states_begin(an, begin, x->steps, t, err);
}

static sg_status one_model(follower *x, double began, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = x->an;
    const size_t blocks =
        (an->end_row + an->split - 1) / an->split; /* those whose first quarter is before the end */
    uint64_t end = analysis_block_start(an, blocks);
    TRY(forward_new(&x->f, an->models[x->m], PORTION, err));
    for (size_t b = 0; b < blocks && an->first_row < an->end_row; b++) {
        uint64_t t, stop;
        TRY(tokens_of_block(x, b, &t, &stop, err));
        while (t < stop) {
            size_t n = stop - t < PORTION ? (size_t)(stop - t) : PORTION;
            TRY(one_portion(x, b, t, n, err));
            t += n;
            sg_progress now = {
                "following small changes", (double)t, (double)end, sg_clock() - began, NAN, 0, 0};
            if (an->monitor && an->monitor->tick && !an->monitor->tick(an->monitor->ctx, &now))
                TRY(sg_fail(err, SG_ECANCELLED, "stopped"));
        }
    }
done:
    forward_free(x->f);
    lyapunov_free(x->y);
    x->f = NULL, x->y = NULL;
    return st;
}

sg_status growth_run(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    exponent_sums *out = &an->exponents;
    follower x = {.an = an, .all = an->T <= FOLLOWED, .head = FOLLOWED / an->B + 1};
    *out = (exponent_sums){.K = an->used.lyapunov, .B = an->B};
    if (!out->K)
        return SG_OK;
    if (an->used.handling == SG_RESET) {
        out->missing = exponents_reset;
        return SG_OK;
    }
    NEED((x.steps = sg_calloc(PORTION, sizeof *x.steps)) && (x.ids = sg_calloc(PORTION, sizeof *x.ids)) &&
             (!an->features || (x.features = sg_calloc(PORTION, an->E * sizeof *x.features))) &&
             (x.trash = sg_calloc(out->K, sizeof *x.trash)),
         err, "%zu Lyapunov exponents", out->K);
    for (x.m = 0; x.m < an->n_models; x.m++) {
        NEED((out->growth[x.m] = sg_calloc(out->B, out->K * sizeof(double))) &&
                 (out->steps[x.m] = sg_calloc(out->B, sizeof(double))),
             err, "%zu Lyapunov exponents", out->K);
        TRY(one_model(&x, sg_clock(), err));
    }
done:
    sg_free(x.steps), sg_free(x.ids), sg_free(x.features), sg_free(x.trash);
    return st;
}
