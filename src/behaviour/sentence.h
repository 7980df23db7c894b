/* SPDX-License-Identifier: MIT */
/* sentence.h - what sg_show holds, for those who write it out. Matrices are (T,T), row t, column s <= t;
 * above: 0. */
#ifndef SG_BEHAVIOUR_SENTENCE_H
#define SG_BEHAVIOUR_SENTENCE_H

#include "behaviour/path.h"
#include "stategrad/report.h"

/* Word `origin` replaced by the other of the two. */
typedef struct {
    size_t origin, nodes;
    bool first; /* it is path_a, replaced by path_b */
    bool reached;
    path_effect *effects; /* (T - origin) */
} sentence_path;

typedef struct {
    size_t T;
    char **text;                  /* (T) as written */
    bool *unknown;                /* (T) read as <unk> */
    double *frobenius, *spectral; /* gains */
    double *score;                /* (T) y_t; NULL without a score */
    double *use, *effect;         /* |d y_t / d x_s|, (d y_t / d x_s) . x_s; NULL without a score */
    double *change, *kl;          /* means over replacements; NULL without; kl also NULL without a decoder */
    double *unit_value;           /* (n_units,T) state of single units */
    double *unit_gain;            /* (n_units,T,T) norms of their rows of the gradient; NULL without units */
    sentence_path *paths;         /* (n_paths) */
    size_t n_paths;
} sentence;

struct sg_show {
    const sg_model *model;
    sg_show_config cfg; /* layer and state settled, words copied */
    size_t *units;      /* cfg.units */
    char *target, *against, *score_name, *path[2];
    int32_t target_id, against_id, path_id[2];
    size_t H, E;
    /* replacements are drawn by the counts of the training corpus; else with equal probability */
    bool by_frequency;
    sentence *sentences;
    size_t n;
    double nats; /* summed over the predicted words of all sentences */
    uint64_t predicted, unknown;
};

const char *show_state_name(const sg_show *s); /* "cell", "hidden" */

#endif
