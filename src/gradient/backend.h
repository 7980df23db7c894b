/* SPDX-License-Identifier: MIT */
/* backend.h - what a back end does for the analysis: the state gradients of a whole corpus, summed. The only
 * one is the CPU's (gradient/cpu): the blocked form of doc/method.md, section 2.
 *
 *   steps --forward--> tapes --fold--> packed step matrices of a block of tokens --origins in parallel-->
 *   sg_accum
 *
 * Tokens come in any portions; blocks of a fixed grid are taken from them, so that every split of the stream
 * and every number of threads gives the same bytes. Cost per token: 4 H^2 E (D-1) flops for an LSTM (2 H^2 E
 * (D-1) GRU, RNN), and 4 H_l H_{l-1} E D (2 ...) more for each layer above the first. Memory: see
 * engine_cost. */
#ifndef SG_GRADIENT_BACKEND_H
#define SG_GRADIENT_BACKEND_H

#include "gradient/accum.h"
#include "gradient/word_sums.h"

typedef struct {
    size_t delays;                /* D */
    const sg_accum_state *states; /* what is summed; read during engine_new only */
    size_t n_states;
    sg_state_handling handling; /* SG_RESET: zero state, and no pair across, at steps with `first` set */
    size_t window;              /* SG_WINDOW: no pair across multiples of it */
    size_t burn_in; /* pairs with fewer steps than this from the last zero state to t-d: left out */
    /* Q at one step in this many (engine_moment_due), 0: never; small numbers shorten the blocks of wide
     * embeddings (more than 4 strips) */
    size_t second_moment_every;
    int threads;    /* 0: all cores */
    uint64_t start; /* position of the first step in the stream: window and second moment count from 0 */
    /* origins older than this to twice this share a basis, see doc/long-windows.md; what they lack is
     * measured (accum_missed). 0: every origin is exact */
    size_t long_after;
    double long_tolerance; /* the share of an origin's norm that may be dropped at a cut; 0: 1e-6 */
    /* true: this step is an origin. Must depend on its arguments only. NULL: every step is. */
    bool (*sample)(void *ctx, uint64_t position, unsigned set);
    void *sample_ctx;
    /* expected share of the steps that are origins, 1: all. Where it is set, nothing that sums depend on
     * reaches across fixed places of the stream (engine_warm_start). 0: bytes also depend on where the engine
     * began */
    double origin_rate;
    /* at second-moment steps <G^T G, covariance> of each pair is added to the sums of its input word, states
     * from number first_state of the sums on (0: pairs are counted too). Borrowed. NULL: no sums by word. */
    word_sums *words;
    size_t first_state;
    const double *covariance;    /* (E,E), L L^T; read during engine_new only */
    const double *origin_weight; /* [set] 1 / the rate at which its origins are drawn, borrowed; NULL: 1 */
    /* Asked by the caller's thread between pieces of work, often. False: the step is given up with
     * SG_ECANCELLED; the engine and its accumulator are then only freed. NULL: never */
    bool (*go_on)(void *ctx);
    void *go_on_ctx;
} sg_engine_config;

/* What every caller decides. The rest is 0: every step is an origin and exact, all pairs count, no second
 * moments. */
static inline sg_engine_config engine_config(size_t delays, const sg_accum_state *states, size_t n_states,
                                             sg_state_handling handling, size_t window, int threads)
{
    return (sg_engine_config){.delays = delays,
                              .states = states,
                              .n_states = n_states,
                              .handling = handling,
                              .window = window,
                              .threads = threads};
}

typedef struct sg_engine sg_engine;
/* Zero state, no origins. The model is borrowed. SG_EINVAL: D is 0, a state that the model lacks, window
 * 0. */
sg_status engine_new(sg_engine **out, const sg_model *m, const sg_engine_config *cfg, sg_error *err);
/* An empty accumulator that fits. */
sg_status engine_new_accum(const sg_engine *e, sg_accum **out, sg_error *err);
/* The next n steps; features: n rows of E floats for models without embedding, else NULL. counted false:
 * propagated as origins and states but pairs with t among these steps are not added (what a part reads before
 * its start). Up to one block may stay pending: flush before a is read, replaced or cleared, and before save.
 * SG_ENONFINITE: names step and layer; a then holds an unspecified part of the steps. SG_ECANCELLED: see
 * go_on. */
sg_status engine_run(sg_engine *e, const sg_step *steps, const float *features, size_t n, bool counted,
                     sg_accum *a, sg_error *err);
/* Adds what is pending. Where it is called is part of the result's last bits; calls at the same positions
 * give the same bytes. */
sg_status engine_flush(sg_engine *e, sg_accum *a, sg_error *err);
/* The step from which origins are needed so that sums over steps from t on have the bytes of an engine that
 * saw all steps. Only with cfg.origin_rate. */
uint64_t engine_warm_start(const sg_engine *e, uint64_t t);
/* The next n steps change the state only: no origins, nothing added, old origins dropped. Much cheaper than
 * run. */
sg_status engine_skip(sg_engine *e, const sg_step *steps, const float *features, size_t n, sg_error *err);
/* Seeks to another place in the stream, at a position where the state is `state`
 * (forward_get_state) and was last zero before step `zero`: no origins, nothing reaches back before it.
 * Nothing is pending. */
void engine_start(sg_engine *e, uint64_t position, const float *state, uint64_t zero);
uint64_t engine_position(const sg_engine *e); /* of the next step */
/* The state before the next step, all layers; nothing may be pending. state: (engine_state_size). */
size_t engine_state_size(const sg_engine *e);
void engine_get_state(const sg_engine *e, float *state);
void engine_free(sg_engine *e);

/* true with probability rate, decided by a hash of seed and position: what cfg.sample is made of. */
bool engine_sampled(uint64_t seed, uint64_t position, double rate);

/* Is the second moment taken at this position? At one of each `every` positions in a row, decided by a hash:
 * with a fixed stride delays d and d + every would share their origins, and curves over d would show it. */
bool engine_moment_due(uint64_t every, uint64_t position);

/* false: every origin is exact whatever cfg.long_after. A diagonal recurrence does not narrow the space in
 * which gradients lie, and a step of an origin costs little more than one of a direction. */
bool engine_shares_bases(const sg_model_shape *shape);

/* Before engine_new: floating point operations per token (useful ones, all origins) and bytes (without
 * sg_accum). */
void engine_cost(double *flops, size_t *bytes, const sg_model_shape *shape, const sg_engine_config *cfg);
/* Origins in the window that share bases now, and the directions of all these bases. */
size_t engine_shared(const sg_engine *e, size_t *directions);

/* ---- how a back end stores sums: accum.c keeps their numbers without knowing which is where ---- */

/* Numbers of a sum (H,E), filled up to whole cache lines, and of a second moment (E,E). */
size_t sum_floats(size_t H, size_t E);
size_t sum_moment_floats(size_t E);
/* sum (H,E) row-major += w (total + partial) */
void sum_read(size_t H, size_t E, double w, const double *total, const float *partial, double *sum);
/* sum (E,E) row-major += w (total + partial), both halves */
void sum_read_moment(size_t E, double w, const double *total, const float *partial, double *sum);

/* ---- checkpoints ---- */

/* Nothing may be pending. Load into an engine made with the same model and configuration
 * goes on to the byte. SG_EFORMAT: made for other shapes, or cut short. */
sg_status engine_save(const sg_engine *e, FILE *f, sg_error *err);
sg_status engine_load(sg_engine *e, FILE *f, sg_error *err);

#endif
