/* SPDX-License-Identifier: MIT */
/* report.h - what people look at: a page for runs, figures for papers, the words along the best kept
 * directions.
 *
 * Nothing is computed here beyond formatting: every number shown stands in the run file. What a run file
 * lacks is said to be absent, with the reason the file gives. */
#ifndef STATEGRAD_REPORT_H
#define STATEGRAD_REPORT_H

#include "stategrad/gradient.h"
#include "stategrad/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One self-contained HTML page about n >= 1 runs, side by side and overlaid; paths[i] is the file name shown
 * for runs[i]. Written whole or not at all. SG_EINVAL: n is 0; SG_EIO, SG_ENOMEM. */
SG_API sg_status sg_report_write(const char *html_path, sg_run *const *runs, const char *const *paths,
                                 size_t n, sg_error *err);

/* Each chart of the page as FOLDER/NAME-STATE.svg and .pdf, for papers; the folder is made if it is not
 * there. Several runs: NAME begins with run1-, run2-, ..., and runs-sigma1 lays them over each other.
 * *written: how many files. Each file is written whole or not at all. */
SG_API sg_status sg_report_figures(const char *folder, sg_run *const *runs, const char *const *paths,
                                   size_t n, size_t *written, sg_error *err);

/* ---- words along the best kept directions ---- */
typedef struct {
    size_t struct_size; /* see base.h */
    const char *group;  /* "layer1.cell"; NULL: the first */
    size_t class_index; /* 0: all */
    size_t delay;       /* 0 */
    size_t directions;  /* the strongest so many, 3 */
    size_t top;         /* words at each end, 10 */
    double min_count;   /* only words seen so often in the analysed corpus, 0 */
} sg_words_config;
#define sg_words_defaults(cfg) sg_words_defaults_sized((cfg), sizeof *(cfg))
SG_API void sg_words_defaults_sized(sg_words_config *cfg, size_t struct_size);

/* For each direction v_k (right singular vector) the words whose embeddings, whitened (mean 0, covariance 1
 * over the vocabulary), project furthest on it at both ends, with count and classes; and the cosine of v_k
 * with each property and with each class (mean of its word types), beside the 95 % bound of random vectors.
 * Text, or one JSON object. SG_EINVAL: no such group, class, delay; SG_EFORMAT: the run holds no words (it
 * says what is missing). */
SG_API sg_status sg_words_write(const sg_writer *to, sg_run *r, const sg_words_config *cfg, bool json,
                                sg_error *err);

/* ---- one sentence: what of each word read is still there at each later word ----
 *
 *   G[t,s] = d state_t / d x_s                 H x E, exact, from a zero state before the first word
 *   gain         |G[t,s]|_F  and  the largest singular value of G[t,s]
 *   left         gain[t,s] / gain[s,s]         what of word s is left at word t; 1 at t = s
 *   score y_t    of the words read up to t: log p(target | w_1..w_t) in nats, or logit(target) -
 *                logit(against)
 *   use          |d y_t / d x_s|, and (d y_t / d x_s) . x_s: what word s does to the score, to first order
 *   change       |state_t(x') - state_t(x)|: what exchanging word s for another one really does to the state, the mean
 *                over words x' drawn by frequency; gradients are sensitivities, this is memory
 *   kl           KL(p_t(x) || p_t(x')) of the next word, in nats, the same mean */
typedef struct {
    size_t struct_size;  /* see base.h */
    size_t layer;        /* 1 .. L; 0: the top one */
    sg_state_kind state; /* CELL or HIDDEN; 0: CELL for an LSTM, HIDDEN for the others */
    const char *target;  /* a word of the vocabulary, or NULL: no score */
    const char *against; /* a word of the vocabulary: the score is a difference of logits; or NULL */
    size_t replace;      /* words x' drawn for each word; 0: no replacement */
    uint64_t seed;       /* of those draws */
} sg_show_config;

typedef struct sg_show sg_show;
/* Checks the configuration; the model is borrowed. SG_EINVAL: no such layer or state, a word that the
 * vocabulary does not hold, a model without embedding or (for a score) decoder. */
SG_API sg_status sg_show_new(sg_show **out, const sg_model *m, const sg_show_config *cfg, sg_error *err);
/* Adds one sentence, cut as the model reads (white space, or characters). Unknown words become <unk>, and are
 * marked. SG_EINVAL: no word; more than 500; a word not in a vocabulary without <unk>. Costs T/2 gradients of
 * all delays. */
SG_API sg_status sg_show_add(sg_show *s, const char *text, sg_error *err);
SG_API size_t sg_show_sentences(const sg_show *s);
SG_API void sg_show_free(sg_show *s);

/* The triangle of what is left (Frobenius norm), and of the score's use: rows words read, columns words now.
 * width: characters of a line to fit into (0: no limit); colour: 256-colour escape sequences. */
SG_API sg_status sg_show_text(const sg_writer *to, const sg_show *s, size_t width, bool colour,
                              sg_error *err);
/* One JSON object with everything above: matrices as rows of t, entries s = 0 .. t. */
SG_API sg_status sg_show_json(const sg_writer *to, const sg_show *s, sg_error *err);
/* A self-contained page in which a click on a word shows what is left of it at each later word. */
SG_API sg_status sg_show_page(const char *html_path, const sg_show *s, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
