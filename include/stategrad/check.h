/* SPDX-License-Identifier: MIT */
/* check.h - tests the gradients of the user's own model against independent computations.
 *
 *   states     float states of the program against a plain forward pass in double
 *   differences  G[t,d] v against (s_t(x_{t-d} + eps v) - s_t(x_{t-d} - eps v)) / 2 eps in double
 *   reverse    u'(G[t,d] v) against (G' u)'v, G' u by back-propagation through time in double
 *   carry      sums of the corpus engine against sums of single G[t,d], over the whole stream
 *   window     the same with windows: no pair crosses a boundary, the state does; the counts are exact
 *
 *   growth     4 small changes of the state, followed over 500 tokens. Not a test: how far float32 and
 *              float64 can agree
 *
 * at random t, d, u, v, for every layer and both states. The reference passes share no
 * code with the cells. */
#ifndef STATEGRAD_CHECK_H
#define STATEGRAD_CHECK_H

#include "stategrad/gradient.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Source of single gradients: sg_gradient, unless a test plants a fault. */
typedef struct {
    sg_status (*step)(void *ctx, int32_t id, const float *features, sg_error *err);
    void (*get)(void *ctx, size_t layer, sg_state_kind kind, size_t d, float *G); /* as sg_gradient_get */
    void *ctx;
} sg_check_source;

typedef struct {
    size_t struct_size; /* see base.h */
    size_t steps;       /* T, 30 */
    size_t delays;      /* D, 16; above T: T */
    size_t draws;       /* tuples (t, d, u, v) per test, layer and state, 12; d = 0, 1, 2, D-1 first */
    uint64_t seed;      /* 1 */
    int threads;        /* of the engine; 0: all cores */
    const sg_check_source *source; /* NULL: the program's own */
    const char *inputs; /* NumPy file (rows, E) of a model without embedding; NULL: normal numbers */
} sg_check_config;

#define sg_check_defaults(cfg) sg_check_defaults_sized((cfg), sizeof *(cfg))
SG_API void sg_check_defaults_sized(sg_check_config *cfg, size_t struct_size);

typedef struct {
    const char *test;   /* "states", "differences", ... */
    size_t layer;       /* 1 .. L */
    sg_state_kind kind; /* CELL or HIDDEN */
    /* largest relative difference; infinite if one is NaN or a count is wrong */
    double worst;
    double limit;
    size_t t, d; /* where it occurs; t: step (carry, window: the last) */
    bool pass;   /* worst <= limit */
    /* limit without the net's own sensitivity to rounding; limit is larger where the net amplifies that */
    double base_limit;
} sg_check_row;

/* Growth of a small perturbation of the state under fixed inputs, in double, from states reached on the text.
 * Not a test: it limits how reproducible the numbers of the model are. */
typedef enum {
    SG_GROWTH_NONE, /* it decays */
    /* it at least doubles before it decays: gains may rise with the delay before they fall */
    SG_GROWTH_AT_FIRST,
    SG_GROWTH_PERSISTS, /* a tenth of it or more is left at the end: gains do not vanish at long delays */
    /* it grows tenfold or more, or is no smaller at the end: float32 and float64 may follow other
     * trajectories */
    SG_GROWTH_GROWS
} sg_growth;
enum { SG_GROWTH_CHANGES = 4, SG_GROWTH_STEPS = 500 };
#define SG_GROWTH_LEAST 1e-10 /* of `left`: what double resolves of a change of 1e-6 */
typedef struct {
    size_t steps;   /* tokens followed, 500; fewer if the stream is shorter */
    double size;    /* of each of 4 random changes at first, Euclidean over all states: 1e-6 */
    double largest; /* the largest size of any of them, relative to the first; infinite if not finite */
    size_t at;      /* steps after the change at which it occurs */
    double left; /* geometric mean of the sizes at the end, relative to the first; SG_GROWTH_LEAST or more */
    sg_growth verdict;
} sg_check_growth;

typedef struct {
    sg_check_row *rows;
    size_t n, failed;
    bool sensitive; /* rounding every state to float moves some state by more than 4e-6 of its size */
    sg_check_growth growth;
    /* as used: at most the tokens of the stream; at most the steps */
    size_t steps, delays;
} sg_check_result;

/* Reads T tokens at a random position of `tokens`; NULL: random ids (random normal features for a model
 * without embedding). A failed test is not an error: see result->failed. SG_EINVAL: invalid sizes, a stream
 * of fewer than 2 tokens. Cost: about T tokens of sg_gradient and of the engine, twice. */
SG_API sg_status sg_check(sg_check_result *result, const sg_model *m, const sg_stream *tokens,
                          const sg_check_config *cfg, const sg_monitor *monitor, sg_error *err);
SG_API void sg_check_free(sg_check_result *result);

#ifdef __cplusplus
}
#endif
#endif
