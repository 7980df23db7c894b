/* SPDX-License-Identifier: MIT */
/* engine_internal.h - the parts of the gradient engine.
 *
 *   engine.c             configuration, blocks of tokens, which inputs are followed and what counts
 *   fold.c               a block's activations -> packed step matrices
 *   step.c               gradients of a block, group by group and strip by strip, through all its tokens
 *   state.c              checkpoints: where it is in the stream, the state, all inputs that are followed
 *   shared_basis.c       long windows: bases that old inputs share
 *   shared_basis_step.c  their steps, sums and errors */
#ifndef SG_GRADIENT_CPU_ENGINE_INTERNAL_H
#define SG_GRADIENT_CPU_ENGINE_INTERNAL_H

#include "gradient/accum_internal.h"
#include "gradient/cpu/sum_layout.h"
#include "lm/forward.h"
#include "gradient/step_matrix.h"

enum { BLOCK_MAX = 16, TAIL_STRIPS = 64, PROBES = 4 };

/* One layer's weights, laid out for folding, and the step matrices of the block's tokens. */
typedef struct {
    /* N inputs; columns of a step matrix: K1 recurrent ones (H; 0 in a diagonal recurrence), then K2 from the
     * layer below (N; 0 in the first layer) */
    size_t H, N, K1, K2;
    const float *W_ih, *W_hh; /* the model's */
    size_t tiles;             /* see gradient_kernel.h */
    size_t n_planes, mult[3]; /* plane p holds mult[p] r columns of a tile of r rows */
    float *plane[3]; /* tile from row0 at row0 mult[p] (K1 + K2); NULL: the matrix is built in rows */
    float *packed[BLOCK_MAX];
    float *wh[BLOCK_MAX], *wx[BLOCK_MAX], *diagonal[BLOCK_MAX]; /* see cell.h */
    /* where weighted rows are not all of the Jacobian (jacobian_rest): */
    step_layer dense;
    float *dense_rows;    /* (P H, K1 + K2) */
    float *Ax[BLOCK_MAX]; /* (P H, E), first layer */
    size_t strip;         /* floats of a strip's buffer */
} engine_layer;

/* Origins that entered one after another. Their full strips: U[l][j * full + c]; what is left of each (rest
 * columns) is side by side in joined strips after them: column x = j rest + e in U[l][block * full + x /
 * 32]. */
typedef struct group {
    size_t n;
    uint64_t position[BLOCK_MAX];
    unsigned set[BLOCK_MAX];
    bool counts[BLOCK_MAX]; /* not within the burn-in */
    float **U[SG_MAX_LAYERS], **C[SG_MAX_LAYERS];
    float *memory; /* what the strips were cut from */
    float **pointers;
    struct group *next; /* in the list of free ones */
} group;

/* Origins that share a basis, see shared_basis.c. */
typedef struct {
    size_t n, r, strips; /* origins; directions, and strips that hold them and after them the probes */
    uint64_t *position;
    unsigned *set;
    bool *counts;
    /* (n) norm of each origin when it came, layers weighted: 1 / its weight in the probes */
    double *size;
    float *U[SG_MAX_LAYERS][TAIL_STRIPS], *C[SG_MAX_LAYERS][TAIL_STRIPS], *spare[SG_MAX_LAYERS], *memory;
    float *R; /* (strip of E, n; r, 32) */
    float *F; /* (state, row block, token of the block; r, 32): the wanted rows of the basis */
    /* second moments: F^T F (state, strip; rows, 32), a product of it (strip of E; rows, 32) */
    float *X, *T;
    double *h; /* (r, PROBES) the probes by the basis */
    /* (token of the block, n_states) root mean square of what origins lack, of their size */
    double *missed;
} shared_basis;

static inline size_t basis_padded(size_t n)
{
    return (n + SG_STRIP - 1) / SG_STRIP * SG_STRIP;
}

/* Number (j,c) of R_s of origin o. */
static inline float *basis_R(const shared_basis *g, size_t o, size_t j, size_t c)
{
    return g->R + ((c / SG_STRIP * g->n + o) * g->r + j) * SG_STRIP + c % SG_STRIP;
}

/* What a step back in the stream was. */
typedef struct {
    unsigned set;
    bool counts, origin;
} past_step;

typedef enum { STEP_COUNTED, STEP_WARM, STEP_SKIPPED } step_mode;

/* A token of the block in work. */
typedef struct {
    uint64_t position, oldest; /* origins before `oldest` are gone */
    uint64_t exact;            /* those before this are in shared bases */
    bool counted, live;        /* live: some origin is there, matrices are needed */
    bool moment;               /* second moments are taken here */
} block_token;

struct sg_engine {
    const sg_model *model;
    const sg_gradient_kernels *kernels;
    const cell_type *cell;
    size_t L, E, D, P, G; /* P: products of a step, one per state */
    size_t block;         /* tokens of a block, and origins of a group */
    uint64_t grid;        /* no group has origins on both sides of a multiple of this position; 0: any has */
    size_t full, rest, joined; /* full strips of an origin; E mod 32; joined strips of a group */
    int threads;
    bool (*go_on)(void *ctx);
    void *go_on_ctx;
    int stopped; /* go_on has said no. Atomic */
    sg_state_handling handling;
    size_t window, burn_in, moment_every;
    /* all strips of a group are one unit of work, for second moments at any token; else they are taken at a
     * block's last token only */
    bool merged;
    bool (*sample)(void *ctx, uint64_t position, unsigned set);
    void *sample_ctx;
    sg_accum_state *states;
    size_t n_states;
    /* number of the state among `states`: [layer][0 cell, 1 hidden], or NONE */
    size_t sum_of[SG_MAX_LAYERS][2];

    uint64_t position;       /* of the next step to work on (pending ones excluded) */
    uint64_t boundary, zero; /* no pair reaches before boundary; the state was zero before step `zero` */
    past_step *past;         /* position mod D */
    sg_forward *forward;
    engine_layer layer[SG_MAX_LAYERS];

    group **groups; /* alive, oldest first */
    size_t n_groups, room;
    uint64_t first_group; /* number of groups[0]: its parity decides when it is worked on */
    group *free_groups;
    float *spare_memory;
    /* [thread][layer][spares]: where a strip's new U goes before it takes the old one's place */
    float **spare;
    size_t spares;   /* strips that are stepped side by side: block */
    float *gathered; /* [thread] (H_max, 32): the rest columns of one origin, for second moments */
    size_t strip_max;

    size_t cut_every; /* tokens between cuts of a long window; 0: every origin is exact */
    double tolerance;
    size_t basis_rows;    /* rows of the tallest wanted state, filled up to strips */
    uint64_t exact;       /* origins before this have gone into shared bases */
    shared_basis **bases; /* oldest first */
    size_t n_bases, basis_room;

    word_sums *words; /* or NULL */
    size_t first_state;
    const double *origin_weight;
    int32_t *word;     /* of the last D + BLOCK_MAX steps, by position mod that */
    float *covariance; /* its weights, see sum_moment_weights */
    float *moment;     /* [thread] one pair's G^T G */
    double *squared;   /* (BLOCK_MAX, n_states, D) <G^T G, covariance> at the tokens of the block */

    sg_step steps[BLOCK_MAX]; /* pending */
    step_mode mode[BLOCK_MAX];
    float *features;
    size_t pending;
    block_token token[BLOCK_MAX];
    size_t n_tokens;
    int *done; /* units of work that are finished */
    size_t done_room;
};
enum { NONE = 99 };

/* Weights into planes; buffers for the block's matrices. SG_ENOMEM; free takes what there is. */
sg_status engine_layer_init(engine_layer *y, const sg_engine *e, size_t l, sg_error *err);
void engine_layer_free(engine_layer *y);
/* Inside a parallel region, by all its threads: factors, then packed matrices of the live tokens; a barrier
 * after each. */
void engine_fold(sg_engine *e);

/* A group without origins at the end of the list; strips that origins share are zero. */
sg_status engine_open_group(sg_engine *e, sg_error *err);
void engine_drop_groups(sg_engine *e);

/* After a block: drops shared bases that are out of the window; at a cut, shrinks them and makes new ones. */
sg_status basis_cut(sg_engine *e, uint64_t oldest, sg_error *err);
void basis_drop(sg_engine *e, uint64_t oldest); /* those whose origins are all before oldest */
/* One shared basis through the block's tokens; then the sums of one 32 x 32 piece of a state; then, at the
 * block's last token, its second moments; then what all of them lack. */
void basis_step(const sg_engine *e, shared_basis *g);
void basis_sum(const sg_engine *e, sg_accum *a, size_t state, size_t block, size_t strip);
void basis_moments(const sg_engine *e, sg_accum *a, const shared_basis *g);
void basis_count(const sg_engine *e, sg_accum *a, bool moments);
void basis_free(shared_basis *g);
/* A zero second moment of this thread's own, and then: it goes to sum, and <., covariance> to the pair of
 * token i and delay d. Without sums by word the sum itself. */
float *moment_begin(const sg_engine *e, float *sum);
void moment_end(const sg_engine *e, const float *moment, float *sum, size_t i, size_t state, size_t d);
/* The pair of token i and the origin at `position` goes to the sums of its word. */
void moment_of_word(const sg_engine *e, size_t i, uint64_t position, unsigned set);
bool basis_save(const sg_engine *e, const shared_basis *g, FILE *f);
sg_status basis_load(sg_engine *e, FILE *f, sg_error *err);

/* The block's tokens, all origins; a NULL: nothing counts. False: a sum is not finite, at delay *d of class
 * set *set. Where e->stopped is set, some of it was left out. */
bool engine_step(sg_engine *e, sg_accum *a, size_t *set, size_t *d);

#endif
