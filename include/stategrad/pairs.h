/* SPDX-License-Identifier: MIT */
/* pairs.h - minimal pairs: does a model prefer the acceptable (good) sentence, and which words decide?
 *
 *   D = log p(good) - log p(bad)       nats; right: D > 0, tie: D = 0 (half right)
 *   attribution of word i              gradient times input, (dD / dx_i) . x_i, summed over its tokens, and
 *                                      over both sentences for a word of both; none for words that are not
 *                                      read before what is scored. With path: integrated gradients, dD / dx
 *                                      averaged over u x, u in [0, 1]; the sum over all words is then D(x) -
 *                                      D(0) (completeness)
 *
 * Each sentence is read from a zero state; where the model's lines end with <eos>, <eos> is read before the
 * first word and predicted after the last. Score by sentence: all words that are predicted. By word: the
 * first token in which the sentences differ, after their common prefix.
 *
 * Files: one pair per line.
 *   TSV      good TAB bad [TAB condition]; or a header with the columns good and bad (or sentence_good,
 *            sentence_bad), condition (or UID), and role:NAME, positions in the good sentence (1 is the first
 *            word; "2,5": two; none)
 *   BLiMP    JSON lines with sentence_good, sentence_bad, UID (or condition), "roles": {"subject": 2,
 *            "attractor": [5, 7]}
 *   Linzen   FILE.text (sentences) and FILE.gold (position from 0, right form, wrong form, number of
 *            attractors); or a TSV with the columns sentence, position (from 1), right, wrong and, if there,
 *            attractors and role:NAME */
#ifndef STATEGRAD_PAIRS_H
#define STATEGRAD_PAIRS_H

#include "stategrad/analysis.h"
#include "stategrad/lm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { SG_PAIRS_AUTO, SG_PAIRS_TSV, SG_PAIRS_BLIMP, SG_PAIRS_LINZEN } sg_pairs_format;
/* AUTO: word for Linzen, else sentence */
typedef enum { SG_PAIRS_SCORE_AUTO, SG_PAIRS_SENTENCE, SG_PAIRS_WORD } sg_pairs_score;
/* What is a word: separated by spaces, or also punctuation marks and clitics (n't, 's, ...). AUTO: also these
 * for BLiMP, unless the model has a tokenizer or reads characters. */
typedef enum { SG_PAIRS_SPLIT_AUTO, SG_PAIRS_SPACES, SG_PAIRS_PUNCTUATION } sg_pairs_split;

typedef struct {
    size_t struct_size;     /* see base.h */
    sg_pairs_format format; /* AUTO: by extension (.jsonl, .text, .gold), first character and header */
    sg_pairs_score score;
    sg_pairs_split split;
    bool lowercase;        /* words are read in lower case */
    bool no_eos;           /* no <eos> before and after a sentence, although the model was trained with it */
    const char *condition; /* column or key that holds the condition; NULL: see above */
    bool attribution;      /* true: always; false: only where the file gives roles, or with path */
    size_t path; /* Gauss-Legendre nodes, rounded up to 4 n; 0: the gradient at the sentence itself */
    int threads; /* 0: all cores */
} sg_pairs_config;

typedef struct sg_pairs sg_pairs;
/* Reads and scores a whole file. The model is borrowed. SG_EFORMAT: names file and line, what was found and
 * expected; a word that a vocabulary without <unk> lacks; a model without decoder. SG_EINVAL: a setting.
 * SG_ENONFINITE; SG_ENOMEM. Cost: a forward pass per sentence; with attribution a backward pass too, with
 * path one for each node. */
SG_API sg_status sg_pairs_new(sg_pairs **out, const sg_model *m, const char *path, const sg_pairs_config *cfg,
                              const sg_monitor *monitor, sg_error *err);
SG_API void sg_pairs_free(sg_pairs *p);

typedef struct {
    const char *name;     /* "all" for condition 0 */
    uint64_t pairs;       /* that are scored */
    uint64_t left_out;    /* all words that differ are unknown in both sentences: not scored */
    uint64_t one_unknown; /* scored, though a word that differs is unknown in one of the two */
    uint64_t right, ties;
    double accuracy, accuracy_low, accuracy_high;       /* (right + ties / 2) / pairs; Wilson 95 % */
    double difference, difference_low, difference_high; /* mean of D; Student 95 %, pairs are independent */
} sg_pairs_condition;
/* Condition 0 is all pairs; then those of the file in order of appearance. NULL beyond the last. */
SG_API const sg_pairs_condition *sg_pairs_get_condition(const sg_pairs *p, size_t condition);

typedef struct {
    const char *name;
    uint64_t pairs; /* with a word of this role that is read */
    /* mean over these pairs of the sum over the words of the role; Student 95 % */
    double attribution, low, high;
    /* That of the first role minus that of this one, in pairs that have both. NaN for the first role
     * itself. */
    uint64_t both;
    double first_minus, first_minus_low, first_minus_high;
} sg_pairs_role;
/* NULL beyond the last role or condition. */
SG_API const sg_pairs_role *sg_pairs_get_role(const sg_pairs *p, size_t condition, size_t role);

typedef struct {
    uint64_t words, unknown_words; /* of all sentences */
    bool by_word;                  /* what was scored */
    bool begins;                   /* <eos> was read before the first word: it is predicted too */
    bool attribution;
    /* with path, relative completeness error: sum of |sum of attributions - (D(x) - D(0))| / sum of |D(x) -
     * D(0)| */
    double gap;
    double largest_gap; /* the largest |...| of a pair, nats; NaN both without path */
} sg_pairs_summary;
SG_API const sg_pairs_summary *sg_pairs_get_summary(const sg_pairs *p);

typedef struct {
    size_t line;
    const char *condition; /* "" : none */
    double log_p_good, log_p_bad, difference;
    bool left_out; /* then the numbers are NaN */
    uint64_t unknown_words;
} sg_pairs_item;
SG_API size_t sg_pairs_count(const sg_pairs *p);
SG_API void sg_pairs_get_item(const sg_pairs *p, size_t i, sg_pairs_item *out);

typedef enum {
    SG_PAIRS_CONDITIONS, /* condition, role, quantity, pairs, value, low, high */
    SG_PAIRS_ITEMS,      /* a row per pair */
    SG_PAIRS_WORDS       /* a row per word with its attribution; needs attribution (SG_EINVAL) */
} sg_pairs_table;
/* CSV (RFC 4180), missing numbers as empty fields; "-": standard output. */
SG_API sg_status sg_pairs_write_csv(const sg_pairs *p, sg_pairs_table table, const char *path,
                                    sg_csv_style style, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
