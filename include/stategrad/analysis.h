/* SPDX-License-Identifier: MIT */
/* analysis.h - the main job: state gradients of a whole corpus, averaged per class and delay,
 * into a run file.
 *
 *   stream -> forward states -> gradients -> sums per class set, delay and block -> means, spectra, errors
 *          -> run file                                              (doc/method.md, doc/run-file.md) */
#ifndef STATEGRAD_ANALYSIS_H
#define STATEGRAD_ANALYSIS_H

#include "stategrad/gradient.h"
#include "stategrad/run.h"
#include "stategrad/settings.h"
#include "stategrad/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A direction in embedding space: mean embedding of side a - mean embedding of side b (or a vector file). A
 * side is the name of a class (words weighted by their tokens in the class), a file of words, or words "w1
 * w2" / "w1,w2". */
typedef struct {
    const char *name;
    /* b NULL: a is "A-B", a file of pairs (a line "cat cats": mean of differences) or a .npy vector */
    const char *a, *b;
    /* In place of texts, from a program. Words in place of a or b, or of both: these, whatever classes and
     * files there are. pairs: words_a[i] and words_b[i] are a pair, n_words_a pairs. vector: (n_vector),
     * rounded to float. */
    const char *const *words_a, *const *words_b;
    size_t n_words_a, n_words_b;
    bool pairs;
    const double *vector;
    size_t n_vector;
} sg_property;

/* SPREADSHEET: names that begin with = + - @ tab or carriage return, which a spreadsheet would evaluate as
 * formulas, are prefixed with an apostrophe. */
typedef enum { SG_CSV_PLAIN, SG_CSV_SPREADSHEET } sg_csv_style;

typedef enum { SG_GRAM_AUTO, SG_GRAM_YES, SG_GRAM_NO } sg_gram_policy;

typedef struct {
    size_t struct_size;         /* see base.h */
    size_t delays;              /* D, 50 */
    sg_state_kind state;        /* CELL for LSTM, HIDDEN for the others */
    size_t layer;               /* 1 .. L; 0: top; SG_ALL_LAYERS */
    sg_state_handling handling; /* carry */
    size_t window;              /* N of window:N */
    size_t burn_in;             /* 0 */
    bool normalize;             /* by the covariance of the embeddings, true */
    bool frequency_weighted;    /* covariance over tokens instead of word types, false */
    double ridge;               /* ridge * tr/E is added to the diagonal of the covariance; 0 */
    const sg_property *properties;
    size_t n_properties;
    uint64_t sample;  /* number of input positions drawn at random; 0: all */
    double precision; /* stop at this relative standard error; 0: never. See doc/analyze.md */
    size_t blocks;    /* at most; 20 */
    /* blocks end where documents end. AUTO: at headings, files or blank lines, the first of these that
     * occurs */
    sg_documents documents;
    size_t lyapunov;            /* the K largest Lyapunov exponents; 1; 0: none */
    uint64_t seed;              /* 1 */
    int threads;                /* 0: all cores */
    size_t part, parts;         /* part I of N, counted from 1; parts 0: the whole corpus */
    size_t second_moment_every; /* 0: automatic, at most a tenth of the cost; 1: every token */
    /* inputs older than this (at most twice this) many tokens share bases, doc/long-windows.md. 0: automatic
     * (64 from 256 delays on, else never); SG_LONG_NEVER: all exact */
    size_t long_after;
    double long_tolerance; /* truncation tolerance of a basis, relative to the Frobenius norm; 1e-6 */
    /* store the Gram matrices that intervals of later properties need (sg_track); AUTO: if below 512 MiB */
    sg_gram_policy block_gram;
    bool untrained_baseline;
    const char *features_path; /* .npy inputs instead of words; or NULL */
    const float *features;  /* the same in memory, (tokens of the stream, E) row-major, borrowed; or NULL */
    const char *checkpoint; /* or NULL */
    double checkpoint_minutes; /* 5 */
    const char *csv_path;      /* or NULL */
    const char *command;       /* recorded in the run file */
    sg_csv_style csv_style;    /* plain */
    /* words to replace: a number (1 or more) or a share (below 1); 0: chosen to cost about a tenth of the
     * analysis; SG_REPLACE_NONE. See doc/method.md, section 5 */
    double replace;
    const sg_team *team; /* the processes that share this analysis, see team.h; NULL: only this one */
    bool units;          /* gains and self gains of single units of the state, false */
    /* 0: every state depends on all text before it. N: the states of each quarter of a block (of each block,
     * where attribute block_parts is 1) begin from zero, at least N tokens before it, so that a share of the
     * corpus does not depend on the text before that. Root attribute warm_up_difference: the largest
     * resulting difference of a state, relative to its largest entry */
    uint64_t warm_up;
} sg_analysis_config;

#define SG_REPLACE_NONE (-1.0)

#define SG_ALL_LAYERS ((size_t)-1)
#define SG_LONG_NEVER ((size_t)-1)

#define sg_analysis_defaults(cfg, m) sg_analysis_defaults_sized((cfg), sizeof *(cfg), (m))
SG_API void sg_analysis_defaults_sized(sg_analysis_config *cfg, size_t struct_size, const sg_model *m);
/* SG_EINVAL: names the setting, what was found and what was expected. */
SG_API sg_status sg_analysis_check(const sg_analysis_config *cfg, const sg_model *m, const sg_stream *s,
                                   sg_error *err);
/* Reads the files of cfg's properties and finds their words, as the analysis does. s and k as in sg_analyze.
 * SG_EINVAL: also what sg_analysis_check refuses, and a name given twice. SG_EIO, SG_EFORMAT:
 * names the file. */
SG_API sg_status sg_analysis_check_properties(const sg_analysis_config *cfg, const sg_model *m,
                                              const sg_stream *s, const sg_classes *k, sg_error *err);

/* ---- the table of settings: options of the program, keywords of other languages ---- */

/* Settings i = 0, 1, ...; NULL after the last. Classes, properties and `command` are not settings. */
SG_API const sg_setting *sg_analysis_setting(size_t i);
/* From text: "50", "window:20", "2/8". A SG_SETTING_TEXT borrows value. SG_EINVAL: an unknown setting or an
 * invalid value. Messages write "setting 'burn_in'" where they name one. */
SG_API sg_status sg_analysis_set(sg_analysis_config *cfg, const char *name, const char *value, sg_error *err);

/* Estimated cost: floating-point operations, bytes of memory of a process, seconds on this machine
 * (from a short benchmark), of a team those of the process that takes longest. */
typedef struct {
    double flops, seconds;
    size_t memory, run_file_bytes, scratch_bytes;
    double spectra_seconds; /* of one process; a part leaves them to sg_merge */
} sg_analysis_estimate;
SG_API sg_status sg_analysis_forecast(sg_analysis_estimate *out, const sg_analysis_config *cfg,
                                      const sg_model *m, const sg_stream *s, const sg_classes *k,
                                      sg_error *err);

/* Writes the run file atomically. The bytes do not depend on the number of threads (except the
 * attribute "created"). k may be NULL. SG_ECANCELLED: stopped by the monitor; with a checkpoint,
 * the same call continues. */
SG_API sg_status sg_analyze(const char *run_path, const sg_model *m, const sg_stream *s, const sg_classes *k,
                            const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err);

/* The same, but *out is the open run instead of a file at a path. It is stored in an unnamed file in TMPDIR,
 * which sg_run_close deletes. On failure *out is NULL. */
SG_API sg_status sg_analyze_run(sg_run **out, const sg_model *m, const sg_stream *s, const sg_classes *k,
                                const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err);

/* Joins all parts of a run into the run file of a single analysis (with the same numbers, to the bit),
 * written atomically. SG_EFORMAT: missing or duplicate parts, or different models, corpora or settings; names
 * the file and the difference. */
SG_API sg_status sg_merge(const char *run_path, const char *const *parts, size_t n_parts, int threads,
                          const sg_monitor *monitor, sg_error *err);

/* Adds properties to a finished run, computed from its stored means; written atomically to out_path (may be
 * run_path). Intervals need the run's block_gram; without it they are missing, with the reason. SG_EINVAL: a
 * name that the run already has. */
SG_API sg_status sg_track(const char *run_path, const char *out_path, const sg_property *properties, size_t n,
                          int threads, const sg_monitor *monitor, sg_error *err);

/* Writes the run as a tidy table: state, class, delay, quantity, value, low, high; missing
 * values are empty fields. Quoted as in RFC 4180. csv_path "-": standard output. */
SG_API sg_status sg_run_write_csv(const char *run_path, const char *csv_path, sg_csv_style style,
                                  sg_error *err);

/* Shape of a .npy matrix of features. SG_EFORMAT: not floating-point, not two-dimensional, truncated. */
SG_API sg_status sg_features_shape(const char *path, uint64_t *rows, size_t *columns, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
