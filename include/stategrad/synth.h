/* SPDX-License-Identifier: MIT */
/* synth.h - corpora whose memory demand is known by construction, to validate an analysis.
 *
 *   copy         a word of class SRC is echoed exactly k tokens later; FILL words carry no information
 *   agreement    the number of a noun decides its verb after 1 .. n adverbs; more adverbs follow the verb
 *   variance     binary features of equal use, but of unequal variance in the embeddings (a file of them is
 *                written)
 *   independent  words are drawn independently: no memory is needed
 *   latch        saturated gates store one bit indefinitely: memory without sensitivity
 *
 * Each is written to a folder of its name: train.txt, valid.txt, test.txt (word/tag, one sentence per line; a
 * tenth of the tokens in each of the latter two), words.txt (word lists for words:FILE), README (what is
 * true, commands to run); in addition, variance has embeddings.txt (word2vec text), latch has
 * model.safetensors (the LSTM). README also gives the entropy of the test file, the lowest possible loss. The
 * same settings give the same bytes. */
#ifndef STATEGRAD_SYNTH_H
#define STATEGRAD_SYNTH_H

#include "stategrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    SG_SYNTH_COPY,
    SG_SYNTH_AGREEMENT,
    SG_SYNTH_VARIANCE,
    SG_SYNTH_INDEPENDENT,
    SG_SYNTH_LATCH,
    SG_SYNTH_KINDS /* how many */
} sg_synth_kind;

typedef struct {
    size_t struct_size;        /* see base.h */
    uint64_t tokens;           /* of train.txt, about this number (whole sentences), 60000; at least 100 */
    size_t distance;           /* k of copy (4) and variance (3), n of agreement (4); 1 .. 100; 0: these */
    uint64_t seed;             /* 1 */
    const sg_monitor *monitor; /* receives progress, in tokens, and may stop the work; or NULL */
} sg_synth_config;

#define sg_synth_defaults(cfg) sg_synth_defaults_sized((cfg), sizeof *(cfg))
SG_API void sg_synth_defaults_sized(sg_synth_config *cfg, size_t struct_size);
SG_API const char *sg_synth_name(sg_synth_kind kind);    /* "copy", ... */
SG_API const char *sg_synth_summary(sg_synth_kind kind); /* one line */
/* Makes folder/NAME (folder too) and writes the files there; files of these names are replaced. After a
 * failure that sg_synth_check could not foresee (a full disk; SG_ECANCELLED) a folder that was made goes
 * again; in one that was there before, the files that were finished remain. */
SG_API sg_status sg_synth_write(const char *folder, sg_synth_kind kind, const sg_synth_config *cfg,
                                sg_error *err);

/* The checks that sg_synth_write begins with; nothing is written. SG_EINVAL: a size out of range; SG_EIO
 * names a folder that cannot be made or a file that cannot be written. */
SG_API sg_status sg_synth_check(const char *folder, sg_synth_kind kind, const sg_synth_config *cfg,
                                sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
