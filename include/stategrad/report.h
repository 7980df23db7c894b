/* SPDX-License-Identifier: MIT */
/* report.h - output for readers: pages for runs, sentences and minimal pairs; words along the strongest
 * directions.
 *
 * Nothing is computed beyond formatting: every number shown is in the run file. Missing values are reported
 * with the reason stored in the file. */
#ifndef STATEGRAD_REPORT_H
#define STATEGRAD_REPORT_H

#include "stategrad/compare.h"
#include "stategrad/gradient.h"
#include "stategrad/pairs.h"
#include "stategrad/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One self-contained HTML page about n >= 1 runs, side by side and overlaid; paths[i] is the file name shown
 * for runs[i]. groups[i]: name of the group of models that runs[i] belongs to, or NULL; groups may be NULL. A
 * group holds several trained models analysed on one text: its means have a section of their own, with
 * intervals over models and over blocks (sg_stats_over_models). Written atomically. SG_EINVAL: n is 0; runs
 * of a group that have the same model, or other texts; SG_EIO, SG_ENOMEM. */
SG_API sg_status sg_report_write(const char *html_path, sg_run *const *runs, const char *const *paths,
                                 const char *const *groups, size_t n, sg_error *err);
/* The same page, with a section for the comparison c that sg_compare made of pairs[0..n_pairs), of these
 * runs. */
SG_API sg_status sg_report_write_comparison(const char *html_path, sg_run *const *runs,
                                            const char *const *paths, const char *const *groups, size_t n,
                                            const sg_comparison *c, const sg_compare_pair *pairs,
                                            size_t n_pairs, sg_error *err);

/* ---- words along the strongest directions ---- */
typedef struct {
    size_t struct_size; /* see base.h */
    const char *group;  /* "layer1.cell"; NULL: the first */
    size_t class_index; /* 0: all */
    size_t delay;       /* 0 */
    size_t directions;  /* number of strongest directions, 3 */
    size_t top;         /* words at each end, 10 */
    double min_count;   /* smallest count of a word in the analysed corpus, 0 */
} sg_words_config;
#define sg_words_defaults(cfg) sg_words_defaults_sized((cfg), sizeof *(cfg))
SG_API void sg_words_defaults_sized(sg_words_config *cfg, size_t struct_size);

/* For each direction v_k (right singular vector) the words whose embeddings, whitened (mean 0, covariance 1
 * over the vocabulary), have the largest projections on it at both ends, with count and classes; and the
 * cosine of v_k with each property and each class (mean of its word types), with the 95 % bound of random
 * vectors. Written as text or one JSON object. SG_EINVAL: no such group, class or delay; SG_EFORMAT: the run
 * has no words; names what is missing. */
SG_API sg_status sg_words_write(const sg_writer *to, sg_run *r, const sg_words_config *cfg, bool json,
                                sg_error *err);

/* ---- one sentence: gain from each word to each later state ----
 *
 *   G[t,s] = d state_t / d x_s                 H x E, exact, from a zero state before the first word
 *   gain         |G[t,s]|_F  and  the largest singular value of G[t,s]
 *   left         gain[t,s] / gain[s,s]         relative gain; 1 at t = s
 *   score y_t    of the words read up to t: log p(target | w_1..w_t) in nats, or logit(target) -
 *                logit(against)
 *   effect       (d y_t / d x_s) . x_s: of word s on the score, to first order; also |d y_t / d x_s|
 *   change       |state_t(x') - state_t(x)|: effect on the state of replacing word s, the mean
 *                over words x' drawn by frequency; gradients measure sensitivity, this measures memory
 *   kl           KL(p_t(x) || p_t(x')) of the next word, in nats, the same mean
 *   path         each word a (or b) replaced by b (or a): |G~ dx|, G~ the gradient averaged along the line
 *                from one embedding to the other. G~ dx equals the change of state; gap is the relative
 *                quadrature error
 *   unit u       its value after word t, and |row u of G[t,s]|, its gain from word s along its own best
 *                direction */
typedef struct {
    size_t struct_size;  /* see base.h */
    size_t layer;        /* 1 .. L; 0: the top one */
    sg_state_kind state; /* CELL or HIDDEN; 0: CELL for an LSTM, HIDDEN for the others */
    const char *target;  /* a word of the vocabulary, or NULL: no score */
    const char *against; /* a word of the vocabulary: the score is a difference of logits; or NULL */
    size_t replace;      /* words x' drawn for each word; 0: no replacement */
    uint64_t seed;       /* of those draws */
    const char *path_a;  /* two words of the vocabulary: path averages between them; or NULL */
    const char *path_b;
    /* of sg_show_add, borrowed: receives progress in words and may stop the work; or NULL */
    const sg_monitor *monitor;
    const size_t
        *units;     /* (n_units) single units of the state, 0 .. H-1: their values and gains too; or NULL */
    size_t n_units; /* 64 at most */
} sg_show_config;

typedef struct sg_show sg_show;
/* Checks the configuration; the model is borrowed. SG_EINVAL: no such layer or state, a word missing from the
 * vocabulary, a model without embedding or (for a score) decoder. */
SG_API sg_status sg_show_new(sg_show **out, const sg_model *m, const sg_show_config *cfg, sg_error *err);
/* Adds one sentence, split into words or characters as the model reads. Unknown words become <unk> and are
 * marked. SG_EINVAL: no word; more than 500; a word missing from a vocabulary without <unk>. Cost: T/2
 * gradients of all delays. SG_ECANCELLED: stopped by the monitor; nothing is added. */
SG_API sg_status sg_show_add(sg_show *s, const char *text, sg_error *err);
SG_API size_t sg_show_sentences(const sg_show *s);
/* How all words but the first of each sentence are predicted; tokens 0: there are none, or no decoder. */
SG_API void sg_show_predictions(sg_eval *out, const sg_show *s);
SG_API void sg_show_free(sg_show *s);

/* Prints the triangle of relative gains (Frobenius norm) and of the effects on the score: rows are words
 * read, columns the words at which the state is examined. width: characters per line (0: no limit); colour:
 * 256-colour escape sequences. */
SG_API sg_status sg_show_text(const sg_writer *to, const sg_show *s, size_t width, bool colour,
                              sg_error *err);
/* One JSON object with all of this; matrices by rows t, entries s = 0 .. t. */
SG_API sg_status sg_show_json(const sg_writer *to, const sg_show *s, sg_error *err);
/* Writes a self-contained page, atomically: a click on a word shows its gain at each later word. */
SG_API sg_status sg_show_page(const char *html_path, const sg_show *s, sg_error *err);

/* ---- minimal pairs ---- */

/* One JSON object: what was scored, and conditions with their roles; null for missing numbers. */
SG_API sg_status sg_pairs_json(const sg_writer *to, const sg_pairs *p, sg_error *err);
/* Writes a self-contained page, atomically: accuracy, D and attributions by condition, and single pairs with
 * the attribution of each word. model, file: the names shown, or NULL. It holds at most 500 conditions, 20
 * roles, 1000 pairs and 60,000 words, and says how many it leaves out; of each condition, pairs at evenly
 * spaced ranks of D. */
SG_API sg_status sg_pairs_page(const char *html_path, const sg_pairs *p, const char *model, const char *file,
                               sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
