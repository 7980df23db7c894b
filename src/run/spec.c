/* SPDX-License-Identifier: MIT */
/* What is in a run file: the one table the writer, the reader and its checks share (documented in
 * doc/run-file.md). */
#include "run/run_internal.h"

#include <string.h>

/* Short for the table. */
#define EMPTY RUN_BIT(RUN_NO_PAIRS)
#define SMALL RUN_BIT(RUN_TOO_SMALL)
#define MOMENT RUN_BIT(RUN_NO_MOMENT)
#define GRAM RUN_BIT(RUN_NO_GRAM)
#define INTERVAL RUN_BIT(RUN_NO_INTERVAL)
#define DIFFERENCE RUN_BIT(RUN_NO_DIFFERENCE)
#define TEST RUN_BIT(RUN_NO_TEST)
#define DECAY RUN_BIT(RUN_NO_DECAY)
#define HALF_LIFE RUN_BIT(RUN_NO_HALF_LIFE)
#define DECAY_ERROR RUN_BIT(RUN_NO_DECAY_ERROR)
#define HALF_LIFE_ERROR RUN_BIT(RUN_NO_HALF_LIFE_ERROR)
#define SHARE RUN_BIT(RUN_NO_SHARE)
#define SHARE_ERROR RUN_BIT(RUN_NO_SHARE_ERROR)
#define MISFIT RUN_BIT(RUN_NO_MISFIT)
#define REFERENCE RUN_BIT(RUN_IS_REFERENCE)
#define SHAPE RUN_BIT(RUN_NO_SHAPE)
#define PROPERTY RUN_BIT(RUN_NO_DIRECTION)
#define PROPERTY_HALF_LIFE RUN_BIT(RUN_NO_PROPERTY_HALF_LIFE)
#define PROPERTY_HALF_LIFE_ERROR RUN_BIT(RUN_NO_PROPERTY_HALF_LIFE_ERROR)
#define RATIO RUN_BIT(RUN_NO_RATIO)
#define RATIO_INTERVAL RUN_BIT(RUN_NO_RATIO_INTERVAL)
#define TOKEN_TEST RUN_BIT(RUN_NO_TOKEN_TEST)
#define TYPE_TEST RUN_BIT(RUN_NO_TYPE_TEST)
#define WORD RUN_BIT(RUN_NO_WORD)
#define FACTOR RUN_BIT(RUN_NO_FACTOR)
#define REPLACED RUN_BIT(RUN_NO_REPLACED)
#define REPLACED_INTERVAL RUN_BIT(RUN_NO_REPLACED_INTERVAL)
#define KL RUN_BIT(RUN_NO_KL)
#define KL_INTERVAL RUN_BIT(RUN_NO_KL_INTERVAL)
#define IN_CLASS RUN_BIT(RUN_NO_IN_CLASS)
#define IN_CLASS_INTERVAL RUN_BIT(RUN_NO_IN_CLASS_INTERVAL)
#define PARTNER RUN_BIT(RUN_NO_PARTNER)
#define PARTNER_INTERVAL RUN_BIT(RUN_NO_PARTNER_INTERVAL)
#define PATH RUN_BIT(RUN_NO_PATH)
#define PATH_INTERVAL RUN_BIT(RUN_NO_PATH_INTERVAL)
#define REPLICATE RUN_BIT(RUN_NO_REPLICATE)
#define FOLD RUN_BIT(RUN_NO_FOLD)
#define CHOSEN RUN_BIT(RUN_NO_CHOSEN)
#define CHOSEN_INTERVAL RUN_BIT(RUN_NO_CHOSEN_INTERVAL)
#define UNIT_INTERVAL RUN_BIT(RUN_NO_UNIT_INTERVAL)
#define SELF_GAIN RUN_BIT(RUN_NO_SELF_GAIN)
#define SELF_GAIN_INTERVAL RUN_BIT(RUN_NO_SELF_GAIN_INTERVAL)
#define SELF_HALF_LIFE RUN_BIT(RUN_NO_SELF_HALF_LIFE)
#define SELF_HALF_LIFE_INTERVAL RUN_BIT(RUN_NO_SELF_HALF_LIFE_INTERVAL)

#define G "gradient of the state with respect to the embedding"
/* What a replacement shows, with both ends of its interval. KEY: of the report. */
#define OF_REPLACEMENT(NAME, KEY, DIMS, TEXT, WHEN, UNITS, NONE, NO_INTERVAL)                                \
    {NAME,                                                                                                   \
     RUN_F64,                                                                                                \
     true,                                                                                                   \
     false,                                                                                                  \
     DIMS,                                                                                                   \
     TEXT ", where " WHEN,                                                                                   \
     UNITS,                                                                                                  \
     .sometimes = true,                                                                                      \
     .missing = NONE,                                                                                        \
     .csv = true,                                                                                            \
     .report = {{KEY, RUN_WHOLE, true}}},                                                                    \
        {NAME "_low",                                                                                        \
         RUN_F64,                                                                                            \
         true,                                                                                               \
         false,                                                                                              \
         DIMS,                                                                                               \
         TEXT LOW,                                                                                           \
         UNITS,                                                                                              \
         .sometimes = true,                                                                                  \
         .missing = (NONE) | (NO_INTERVAL),                                                                  \
         .report = {{KEY "_low", RUN_WHOLE, false}}},                                                        \
    {                                                                                                        \
        NAME "_high", RUN_F64, true, false, DIMS, TEXT HIGH, UNITS,                                          \
            .sometimes = true, .missing = (NONE) | (NO_INTERVAL), .report = {                                \
                {KEY "_high", RUN_WHOLE, false}                                                              \
            }                                                                                                \
    }
/* All of one law. */
#define BY_REPLACEMENT(LAW, DIMS, WHEN, NONE, NO_INTERVAL, NONE_OF_KL, NO_INTERVAL_OF_KL)                      \
    {LAW "replaced_pairs",                                                                                     \
     RUN_I64,                                                                                                  \
     true,                                                                                                     \
     false,                                                                                                    \
     DIMS,                                                                                                     \
     "pairs (s, s + d), where " WHEN " at s",                                                                  \
     "pairs",                                                                                                  \
     .sometimes = true,                                                                                        \
     .csv = true,                                                                                              \
     .report = {{LAW "replaced_pairs", RUN_WHOLE, true}}},                                                     \
        {LAW "output_kl_pairs",                                                                                \
         RUN_I64,                                                                                              \
         true,                                                                                                 \
         false,                                                                                                \
         DIMS,                                                                                                 \
         "pairs whose Kullback-Leibler divergence was taken, where " WHEN,                                     \
         "pairs",                                                                                              \
         .sometimes = true,                                                                                    \
         .report = {{LAW "kl_pairs", RUN_WHOLE, true}}},                                                       \
        OF_REPLACEMENT(LAW "state_change", LAW "change", DIMS, "mean |Delta|: change of the state", WHEN,      \
                       "state units", NONE, NO_INTERVAL),                                                      \
        OF_REPLACEMENT(LAW "state_change_relative", LAW "change_relative", DIMS,                               \
                       "change of the state over that of the same words at delay 0", WHEN, "1", NONE,          \
                       NO_INTERVAL),                                                                           \
        OF_REPLACEMENT(LAW "linear_prediction", LAW "linear", DIMS,                                            \
                       "mean |G dx|: change of the state that the gradient predicts", WHEN, "state units",     \
                       NONE, NO_INTERVAL),                                                                     \
        OF_REPLACEMENT(LAW "linear_cosine", LAW "linear_cosine", DIMS,                                         \
                       "mean cosine of the change of state and its linear prediction", WHEN, "1", NONE,        \
                       NO_INTERVAL),                                                                           \
        OF_REPLACEMENT(LAW "infidelity", LAW "infidelity", DIMS,                                               \
                       "sum of |Delta - G dx|^2 over sum of |Delta|^2", WHEN, "1", NONE, NO_INTERVAL),         \
        OF_REPLACEMENT(                                                                                        \
            LAW "output_kl", LAW "kl", DIMS,                                                                   \
            "mean Kullback-Leibler divergence of the next word's distributions, without and with replacement", \
            WHEN, "nats", NONE_OF_KL, NO_INTERVAL_OF_KL)
/* Of chosen pairs of words, by delay and over all of them. */
#define OF_PAIRS_AT(NAME, DIMS, TEXT, UNITS)                                                                 \
    {NAME,                                                                                                   \
     RUN_F64,                                                                                                \
     true,                                                                                                   \
     false,                                                                                                  \
     DIMS,                                                                                                   \
     TEXT,                                                                                                   \
     UNITS,                                                                                                  \
     .sometimes = true,                                                                                      \
     .missing = CHOSEN,                                                                                      \
     .csv = true,                                                                                            \
     .report = {{NAME, RUN_WHOLE, false}}},                                                                  \
        {NAME "_low",                                                                                        \
         RUN_F64,                                                                                            \
         true,                                                                                               \
         false,                                                                                              \
         DIMS,                                                                                               \
         TEXT LOW,                                                                                           \
         UNITS,                                                                                              \
         .sometimes = true,                                                                                  \
         .missing = CHOSEN | CHOSEN_INTERVAL,                                                                \
         .report = {{NAME "_low", RUN_WHOLE, false}}},                                                       \
    {                                                                                                        \
        NAME "_high", RUN_F64, true, false, DIMS, TEXT HIGH, UNITS,                                          \
            .sometimes = true, .missing = CHOSEN | CHOSEN_INTERVAL, .report = {                              \
                {NAME "_high", RUN_WHOLE, false}                                                             \
            }                                                                                                \
    }
#define OF_PAIRS(NAME, TEXT, UNITS)                                                                          \
    OF_PAIRS_AT(NAME, "pair_label delay", TEXT, UNITS),                                                      \
        OF_PAIRS_AT(NAME "_all", "pair_label", TEXT ", over all distances of the pairs", UNITS)
/* Of normalised gradients; without normalisation the writer has "unit" in place of "standard deviation". */
#define GAIN_UNITS "state units per standard deviation of the embedding"
#define RAW_UNITS "state units per unit of the embedding"
#define LOW ", lower end of the 95 % interval over blocks of the corpus"
#define HIGH ", upper end of the 95 % interval over blocks of the corpus"
#define SE ", standard error over blocks of the corpus"

const run_variable run_variables[] = {
    /* root */
    {"delay", RUN_I32, false, true, "delay", "steps between the input word and the state", "tokens",
     .missing = 0},
    {"class_name", RUN_STRING, false, true, "class", "class of the input word", "1", .missing = 0},
    {"class_spec", RUN_STRING, false, false, "class",
     "the spec of classes that the class is of, without files", "1", .sometimes = true},
    {"class_tokens", RUN_I64, false, true, "class", "tokens of the class in the analysed corpus", "tokens",
     .missing = 0},
    {"class_types", RUN_I64, false, false, "class",
     "distinct words of the class in the corpus (<unk> is one)", "words", .sometimes = true, .csv = true},
    {"class_effective_types", RUN_F64, false, false, "class",
     "effective number of distinct words: N^2 / sum n_w^2, n_w tokens of word w in the class", "words",
     .sometimes = true, .csv = true},
    {"class_top_share", RUN_F64, false, false, "class",
     "share of the most frequent word in the class's tokens", "1", .sometimes = true, .csv = true},
    {"class_top_word", RUN_STRING, false, false, "class", "most frequent word of the class", "1",
     .sometimes = true},
    {"property_name", RUN_STRING, false, false, "property", "property: a difference of mean embeddings", "1",
     .missing = 0},
    {"property_words_a", RUN_I64, false, false, "property", "words on the first side of the property",
     "words", .missing = 0},
    {"property_words_b", RUN_I64, false, false, "property", "words on the second side of the property",
     "words", .missing = 0},
    {"property_pairs", RUN_I64, false, false, "property",
     "pairs of words, of which each is the other's partner; 0: the property has none", "pairs", .missing = 0},
    {"property_vector", RUN_F64, false, false, "property embedding",
     "mean embedding of the first side minus that of the second", "units of the embedding", .missing = 0},
    {"embedding_covariance_factor", RUN_F64, false, false, "embedding embedding",
     "L, lower triangular: covariance of the embeddings = L L^T (identity without normalisation)",
     "units of the embedding", .missing = 0},
    {"word", RUN_STRING, false, false, "word", "vocabulary in id order", "1", .sometimes = true},
    {"word_count", RUN_I64, false, false, "word", "tokens of the word in the analysed corpus", "tokens",
     .sometimes = true},
    {"embedding_matrix", RUN_F32, false, false, "word embedding", "embeddings of the words",
     "units of the embedding", .sometimes = true},
    {"untrained_embedding_matrix", RUN_F32, false, false, "word embedding",
     "embeddings of the words in the untrained copy", "units of the embedding", .sometimes = true},
    {"member_word", RUN_I32, false, false, "member", "word type of a (word, class) pair seen in the corpus",
     "1", .sometimes = true},
    {"member_class", RUN_I32, false, false, "member", "class of a (word, class) pair seen in the corpus", "1",
     .sometimes = true},
    {"member_count", RUN_I64, false, false, "member", "tokens of the (word, class) pair in the corpus",
     "tokens", .sometimes = true},
    {"decay_quantity", RUN_STRING, false, false, "decay_quantity", "series whose decay was fitted", "1",
     .missing = 0},
    {"decay_law", RUN_STRING, false, false, "decay_law", "law fitted: y = scale f(d; rate, shape), d >= 1",
     "1", .missing = 0},
    {"decay_share", RUN_F64, false, false, "decay_share", "shares of the peak whose delays are given", "1",
     .missing = 0},
    {"pair_label", RUN_STRING, false, false, "pair_label", "label of chosen pairs of words", "1",
     .sometimes = true},
    /* one group per analysed state: its coordinates */
    {"delay", RUN_I32, true, false, "delay", "steps between the input word and the state", "tokens",
     .coordinate = true, .labels = "delay"},
    {"class", RUN_STRING, true, false, "class", "class of the input word", "1", .coordinate = true,
     .labels = "class_name"},
    {"property", RUN_STRING, true, false, "property", "property: a difference of mean embeddings", "1",
     .coordinate = true, .labels = "property_name"},
    {"unit", RUN_I32, true, false, "unit", "number of the state's unit, from 0", "1", .coordinate = true},
    {"rank", RUN_I32, true, false, "rank", "number of the singular value or gain, from 1, the largest first",
     "1", .coordinate = true, .first = 1},
    {"decay_quantity", RUN_STRING, true, false, "decay_quantity", "series whose decay was fitted", "1",
     .coordinate = true, .labels = "decay_quantity"},
    {"decay_law", RUN_STRING, true, false, "decay_law", "law fitted: y = scale f(d; rate, shape), d >= 1",
     "1", .coordinate = true, .labels = "decay_law"},
    {"decay_share", RUN_F64, true, false, "decay_share", "shares of the peak whose delays are given", "1",
     .coordinate = true, .labels = "decay_share"},
    {"pair_label", RUN_STRING, true, false, "pair_label", "label of chosen pairs of words", "1",
     .sometimes = true, .coordinate = true, .labels = "pair_label"},
    /* its values */
    {"pairs", RUN_I64, true, true, "class delay", "pairs (t, t-d) averaged over", "pairs", .csv = true,
     .report = {{"pairs", RUN_WHOLE, true}}},
    {"mean_gradient", RUN_F32, true, true, "class delay unit embedding", "mean " G ", not normalised",
     RAW_UNITS, .missing = EMPTY},
    {"singular_value", RUN_F64, true, true, "class delay rank",
     "singular values of the normalised mean gradient", GAIN_UNITS, .missing = EMPTY | SMALL | FACTOR,
     .csv = true, .report = {{"sigma1", RUN_FIRST, true}, {"spectrum", RUN_LEADING, false}}},
    {"singular_value_low", RUN_F64, true, false, "class delay rank", "singular value" LOW, GAIN_UNITS,
     .missing = INTERVAL | FACTOR, .report = {{"sigma1_low", RUN_FIRST, false}}},
    {"singular_value_high", RUN_F64, true, false, "class delay rank", "singular value" HIGH, GAIN_UNITS,
     .missing = INTERVAL | FACTOR, .report = {{"sigma1_high", RUN_FIRST, false}}},
    {"singular_value_se", RUN_F64, true, false, "class delay rank", "singular value" SE, GAIN_UNITS,
     .missing = INTERVAL | FACTOR},
    {"singular_value_bias", RUN_F64, true, false, "class delay rank",
     "bias of the singular value, estimated by the jackknife (not subtracted)", GAIN_UNITS,
     .missing = INTERVAL | FACTOR},
    {"right_singular_vector", RUN_F32, true, false, "class delay rank embedding",
     "right singular vectors: directions in the whitened embedding space", "1", .missing = EMPTY | FACTOR},
    {"left_singular_vector", RUN_F32, true, false, "class delay rank unit",
     "left singular vectors: directions in the state space", "1", .missing = EMPTY | FACTOR},
    {"singular_sum", RUN_F64, true, false, "class delay", "sum of the singular values", GAIN_UNITS,
     .missing = EMPTY | SMALL | FACTOR, .csv = true, .report = {{"sum", RUN_WHOLE, true}}},
    {"singular_sum_low", RUN_F64, true, false, "class delay", "sum of the singular values" LOW, GAIN_UNITS,
     .missing = INTERVAL | FACTOR, .report = {{"sum_low", RUN_WHOLE, false}}},
    {"singular_sum_high", RUN_F64, true, false, "class delay", "sum of the singular values" HIGH, GAIN_UNITS,
     .missing = INTERVAL | FACTOR, .report = {{"sum_high", RUN_WHOLE, false}}},
    {"singular_sum_se", RUN_F64, true, false, "class delay", "sum of the singular values" SE, GAIN_UNITS,
     .missing = INTERVAL | FACTOR},
    {"effective_rank", RUN_F64, true, false, "class delay", "exp(entropy) of the normalised singular values",
     "1", .missing = EMPTY | SMALL | FACTOR, .csv = true, .report = {{"effective_rank", RUN_WHOLE, true}}},
    {"effective_rank_low", RUN_F64, true, false, "class delay", "effective rank" LOW, "1",
     .missing = INTERVAL | FACTOR, .report = {{"effective_rank_low", RUN_WHOLE, false}}},
    {"effective_rank_high", RUN_F64, true, false, "class delay", "effective rank" HIGH, "1",
     .missing = INTERVAL | FACTOR, .report = {{"effective_rank_high", RUN_WHOLE, false}}},
    {"rms_gain", RUN_F64, true, false, "class delay rank",
     "root-mean-square gains: square roots of the eigenvalues of L^T (mean of G^T G) L", GAIN_UNITS,
     .missing = EMPTY | SMALL | MOMENT | FACTOR, .csv = true, .report = {{"rms", RUN_FIRST, true}}},
    {"rms_gain_low", RUN_F64, true, false, "class delay rank", "root-mean-square gain" LOW, GAIN_UNITS,
     .missing = INTERVAL | FACTOR, .report = {{"rms_low", RUN_FIRST, false}}},
    {"rms_gain_high", RUN_F64, true, false, "class delay rank", "root-mean-square gain" HIGH, GAIN_UNITS,
     .missing = INTERVAL | FACTOR, .report = {{"rms_high", RUN_FIRST, false}}},
    {"coherence", RUN_F64, true, false, "class delay",
     "squared norm of the mean gradient over the mean squared norm: 1 = the same linear map at every "
     "position",
     "1", .missing = EMPTY | SMALL | MOMENT, .csv = true, .report = {{"coherence", RUN_WHOLE, true}}},
    {"coherence_low", RUN_F64, true, false, "class delay", "coherence" LOW, "1", .missing = INTERVAL,
     .report = {{"coherence_low", RUN_WHOLE, false}}},
    {"coherence_high", RUN_F64, true, false, "class delay", "coherence" HIGH, "1", .missing = INTERVAL,
     .report = {{"coherence_high", RUN_WHOLE, false}}},
    {"second_moment", RUN_F32, true, false, "class delay embedding embedding_2",
     "mean of G^T G, not normalised", "(" RAW_UNITS ")^2", .missing = EMPTY | MOMENT},
    {"second_moment_pairs", RUN_I64, true, false, "class delay",
     "pairs that the second moment represents: computed at one token in second_moment_every", "pairs",
     .missing = 0},
    {"existing_pairs", RUN_I64, true, false, "class delay", "pairs in the corpus (`pairs` of them were used)",
     "pairs", .report = {{"existing_pairs", RUN_WHOLE, false}}},
    {"gain_ratio", RUN_F64, true, false, "class delay",
     "rms gain over all directions, root of the mean of |G L|^2, over that of all words (without <eos> and <unk> where the "
     "class holds none)",
     "1", .missing = RATIO | REFERENCE | FACTOR, .csv = true, .report = {{"ratio", RUN_WHOLE, false}}},
    {"gain_ratio_low", RUN_F64, true, false, "class delay", "ratio of gains" LOW, "1",
     .missing = RATIO | RATIO_INTERVAL | REFERENCE | FACTOR, .report = {{"ratio_low", RUN_WHOLE, false}}},
    {"gain_ratio_high", RUN_F64, true, false, "class delay", "ratio of gains" HIGH, "1",
     .missing = RATIO | RATIO_INTERVAL | REFERENCE | FACTOR, .report = {{"ratio_high", RUN_WHOLE, false}}},
    {"p_tokens", RUN_F64, true, false, "class delay",
     "two-sided p-value of the ratio: this set of tokens is a random draw of tokens", "1",
     .missing = RATIO | TOKEN_TEST | REFERENCE | FACTOR, .csv = true,
     .report = {{"p_tokens", RUN_WHOLE, false}}},
    {"p_tokens_adjusted", RUN_F64, true, false, "class delay",
     "p_tokens adjusted over all classes and delays of this state (Benjamini-Hochberg)", "1",
     .missing = RATIO | TOKEN_TEST | REFERENCE | FACTOR, .csv = true,
     .report = {{"q_tokens", RUN_WHOLE, false}}},
    {"p_types", RUN_F64, true, false, "class delay",
     "two-sided p-value of the ratio: the words of the class are random words of similar frequency", "1",
     .missing = RATIO | TYPE_TEST | REFERENCE | FACTOR, .csv = true,
     .report = {{"p_types", RUN_WHOLE, false}}},
    {"p_types_adjusted", RUN_F64, true, false, "class delay",
     "p_types adjusted over all classes and delays of this state (Benjamini-Hochberg)", "1",
     .missing = RATIO | TYPE_TEST | REFERENCE | FACTOR, .csv = true,
     .report = {{"q_types", RUN_WHOLE, false}}},
    {"types_null_low", RUN_F64, true, false, "class delay",
     "ratio of gains of random words of similar frequency: 2.5 % quantile", "1",
     .missing = RATIO | TYPE_TEST | REFERENCE | FACTOR, .report = {{"types_low", RUN_WHOLE, false}}},
    {"types_null_high", RUN_F64, true, false, "class delay",
     "ratio of gains of random words of similar frequency: 97.5 % quantile", "1",
     .missing = RATIO | TYPE_TEST | REFERENCE | FACTOR, .report = {{"types_high", RUN_WHOLE, false}}},
    {"word_gain", RUN_F32, true, false, "word delay",
     "rms gain over all directions of the word's own pairs, at the steps of second moments", GAIN_UNITS,
     .sometimes = true, .missing = WORD},
    {"class_difference", RUN_F64, true, false, "class delay", "sigma_1 of the class minus sigma_1 of all",
     GAIN_UNITS, .missing = DIFFERENCE | REFERENCE | FACTOR, .csv = true},
    {"class_difference_low", RUN_F64, true, false, "class delay", "difference from all" LOW, GAIN_UNITS,
     .missing = DIFFERENCE | REFERENCE | FACTOR},
    {"class_difference_high", RUN_F64, true, false, "class delay", "difference from all" HIGH, GAIN_UNITS,
     .missing = DIFFERENCE | REFERENCE | FACTOR},
    {"class_difference_p", RUN_F64, true, false, "class delay",
     "two-sided p-value: sigma_1 of the class against random classes of its size", "1",
     .missing = TEST | REFERENCE | FACTOR, .csv = true, .report = {{"p", RUN_WHOLE, false}}},
    {"class_difference_p_adjusted", RUN_F64, true, false, "class delay",
     "p-value adjusted over all classes and delays of this state (Benjamini-Hochberg)", "1",
     .missing = TEST | REFERENCE | FACTOR, .csv = true, .report = {{"q", RUN_WHOLE, false}}},
    {"class_null_low", RUN_F64, true, false, "class delay",
     "sigma_1 of random classes of this size: 2.5 % quantile", GAIN_UNITS,
     .missing = TEST | REFERENCE | FACTOR, .report = {{"null_low", RUN_WHOLE, false}}},
    {"class_null_high", RUN_F64, true, false, "class delay",
     "sigma_1 of random classes of this size: 97.5 % quantile", GAIN_UNITS,
     .missing = TEST | REFERENCE | FACTOR, .report = {{"null_high", RUN_WHOLE, false}}},
    {"decay_scale", RUN_F64, true, false, "class decay_quantity decay_law", "scale of the law",
     "units of the fitted series", .missing = DECAY | FACTOR, .csv = true,
     .report = {{"decay_scale", RUN_WHOLE, false}}},
    {"decay_scale_error", RUN_F64, true, false, "class decay_quantity decay_law",
     "scale of the law: standard error", "units of the fitted series",
     .missing = DECAY | DECAY_ERROR | FACTOR, .report = {{"decay_scale_error", RUN_WHOLE, false}}},
    {"decay_rate", RUN_F64, true, false, "class decay_quantity decay_law",
     "tau in delays (exponential, stretched exponential); alpha (power law)", "tokens (tau), 1 (alpha)",
     .missing = DECAY | FACTOR, .csv = true, .report = {{"decay_rate", RUN_WHOLE, false}}},
    {"decay_rate_error", RUN_F64, true, false, "class decay_quantity decay_law",
     "rate of the law: standard error", "tokens (tau), 1 (alpha)", .missing = DECAY | DECAY_ERROR | FACTOR,
     .report = {{"decay_rate_error", RUN_WHOLE, false}}},
    {"decay_shape", RUN_F64, true, false, "class decay_quantity decay_law",
     "beta of the stretched exponential", "1", .missing = DECAY | SHAPE | FACTOR, .csv = true,
     .report = {{"decay_shape", RUN_WHOLE, false}}},
    {"decay_shape_error", RUN_F64, true, false, "class decay_quantity decay_law", "beta: standard error", "1",
     .missing = DECAY | DECAY_ERROR | SHAPE | FACTOR, .report = {{"decay_shape_error", RUN_WHOLE, false}}},
    {"decay_residual", RUN_F64, true, false, "class decay_quantity decay_law",
     "weighted root mean square of ln y - ln fit", "1", .missing = DECAY | FACTOR},
    {"decay_aic", RUN_F64, true, false, "class decay_quantity decay_law",
     "Akaike's information criterion, small-sample corrected", "1", .missing = DECAY | FACTOR},
    {"decay_weight", RUN_F64, true, false, "class decay_quantity decay_law", "Akaike weight of the law", "1",
     .missing = DECAY | FACTOR, .csv = true, .report = {{"decay_weight", RUN_WHOLE, false}}},
    {"decay_shape_low", RUN_F64, true, false, "class decay_quantity decay_law", "beta" LOW, "1",
     .missing = DECAY | DECAY_ERROR | SHAPE | FACTOR, .report = {{"decay_shape_low", RUN_WHOLE, false}}},
    {"decay_shape_high", RUN_F64, true, false, "class decay_quantity decay_law", "beta" HIGH, "1",
     .missing = DECAY | DECAY_ERROR | SHAPE | FACTOR, .report = {{"decay_shape_high", RUN_WHOLE, false}}},
    {"decay_misfit_p", RUN_F64, true, false, "class decay_quantity decay_law",
     "p-value of the law's lack of fit, by the block errors", "1",
     .missing = DECAY | DECAY_ERROR | MISFIT | FACTOR, .csv = true,
     .report = {{"decay_misfit_p", RUN_WHOLE, false}}},
    {"decay_verdict", RUN_I32, true, false, "class decay_quantity",
     "the one law compatible with the data, an index into decay_law; -1: no law fits; -2: undecided", "1",
     .missing = 0, .csv = true, .report = {{"decay_verdict", RUN_WHOLE, false}}},
    {"peak_delay", RUN_F64, true, false, "class decay_quantity", "delay of the largest value", "tokens",
     .missing = EMPTY | HALF_LIFE | FACTOR, .csv = true, .report = {{"peak_delay", RUN_WHOLE, false}}},
    {"half_life", RUN_F64, true, false, "class decay_quantity",
     "delays after the peak at which the series first falls below half of it", "tokens",
     .missing = HALF_LIFE | FACTOR, .csv = true, .report = {{"half_life", RUN_WHOLE, false}}},
    {"half_life_low", RUN_F64, true, false, "class decay_quantity", "half-life" LOW, "tokens",
     .missing = HALF_LIFE | HALF_LIFE_ERROR | FACTOR, .report = {{"half_life_low", RUN_WHOLE, false}}},
    {"half_life_high", RUN_F64, true, false, "class decay_quantity", "half-life" HIGH, "tokens",
     .missing = HALF_LIFE | HALF_LIFE_ERROR | FACTOR, .report = {{"half_life_high", RUN_WHOLE, false}}},
    {"half_life_error", RUN_F64, true, false, "class decay_quantity", "half-life" SE, "tokens",
     .missing = HALF_LIFE | HALF_LIFE_ERROR | FACTOR},
    {"share_delay", RUN_F64, true, false, "class decay_quantity decay_share",
     "delays after the peak at which the series first falls below a share of it", "tokens",
     .missing = SHARE | FACTOR, .csv = true, .report = {{"share_delay", RUN_WHOLE, false}}},
    {"share_delay_low", RUN_F64, true, false, "class decay_quantity decay_share",
     "delays after the peak at a share of it" LOW, "tokens", .missing = SHARE | SHARE_ERROR | FACTOR,
     .report = {{"share_delay_low", RUN_WHOLE, false}}},
    {"share_delay_high", RUN_F64, true, false, "class decay_quantity decay_share",
     "delays after the peak at a share of it" HIGH, "tokens", .missing = SHARE | SHARE_ERROR | FACTOR,
     .report = {{"share_delay_high", RUN_WHOLE, false}}},
    {"lyapunov_exponent", RUN_F64, true, false, "exponent",
     "Lyapunov exponents of the whole state along the corpus, the largest first", "nats per token",
     .sometimes = true, .report = {{"lyapunov", RUN_WHOLE, true}}},
    {"lyapunov_exponent_low", RUN_F64, true, false, "exponent", "Lyapunov exponent" LOW, "nats per token",
     .sometimes = true, .report = {{"lyapunov_low", RUN_WHOLE, true}}},
    {"lyapunov_exponent_high", RUN_F64, true, false, "exponent", "Lyapunov exponent" HIGH, "nats per token",
     .sometimes = true, .report = {{"lyapunov_high", RUN_WHOLE, true}}},
    {"relative_memory", RUN_F64, true, false, "property class delay",
     "gain along the property's direction over the largest singular value", "1",
     .missing = EMPTY | SMALL | PROPERTY | FACTOR, .csv = true,
     .report = {{"relative_memory", RUN_WHOLE, false}}},
    {"relative_memory_low", RUN_F64, true, false, "property class delay", "relative memory" LOW, "1",
     .missing = INTERVAL | PROPERTY | FACTOR, .report = {{"relative_memory_low", RUN_WHOLE, false}}},
    {"relative_memory_high", RUN_F64, true, false, "property class delay", "relative memory" HIGH, "1",
     .missing = INTERVAL | PROPERTY | FACTOR, .report = {{"relative_memory_high", RUN_WHOLE, false}}},
    {"relative_memory_random", RUN_F64, true, false, "property class delay",
     "relative memory of random unit vectors: mean", "1", .missing = EMPTY | FACTOR, .csv = true,
     .report = {{"relative_memory_random", RUN_WHOLE, false}}},
    {"relative_memory_random_low", RUN_F64, true, false, "property class delay",
     "relative memory of random unit vectors: 2.5 % quantile", "1", .missing = EMPTY | FACTOR,
     .report = {{"relative_memory_random_low", RUN_WHOLE, false}}},
    {"relative_memory_random_high", RUN_F64, true, false, "property class delay",
     "relative memory of random unit vectors: 97.5 % quantile", "1", .missing = EMPTY | FACTOR,
     .report = {{"relative_memory_random_high", RUN_WHOLE, false}}},
    {"unit_gain", RUN_F64, true, false, "class delay unit",
     "length of the unit's row of the normalised mean gradient: its gain along its own best direction",
     GAIN_UNITS, .sometimes = true, .missing = EMPTY | SMALL | FACTOR, .csv = true},
    {"unit_gain_low", RUN_F64, true, false, "class delay unit", "gain of a unit" LOW, GAIN_UNITS,
     .sometimes = true, .missing = EMPTY | SMALL | FACTOR | UNIT_INTERVAL},
    {"unit_gain_high", RUN_F64, true, false, "class delay unit", "gain of a unit" HIGH, GAIN_UNITS,
     .sometimes = true, .missing = EMPTY | SMALL | FACTOR | UNIT_INTERVAL},
    {"unit_property_gain", RUN_F64, true, false, "property class delay unit",
     "the unit's row of the normalised mean gradient times the property's direction, with its sign",
     GAIN_UNITS, .sometimes = true, .missing = EMPTY | SMALL | PROPERTY | FACTOR, .csv = true},
    {"unit_property_gain_low", RUN_F64, true, false, "property class delay unit",
     "gain of a unit along the property" LOW, GAIN_UNITS, .sometimes = true,
     .missing = EMPTY | SMALL | PROPERTY | FACTOR | UNIT_INTERVAL},
    {"unit_property_gain_high", RUN_F64, true, false, "property class delay unit",
     "gain of a unit along the property" HIGH, GAIN_UNITS, .sometimes = true,
     .missing = EMPTY | SMALL | PROPERTY | FACTOR | UNIT_INTERVAL},
    {"unit_self_gain_pairs", RUN_I64, true, false, "delay",
     "pairs (t, t + d) whose self gains were estimated", "pairs", .sometimes = true},
    {"unit_self_gain", RUN_F64, true, false, "delay unit",
     "mean self gain of a unit, d s_u(t + d) / d s_u(t) (with a cell state: of that), inputs held fixed", "1",
     .sometimes = true, .missing = SELF_GAIN, .csv = true},
    {"unit_self_gain_low", RUN_F64, true, false, "delay unit", "self gain of a unit" LOW, "1",
     .sometimes = true, .missing = SELF_GAIN | SELF_GAIN_INTERVAL},
    {"unit_self_gain_high", RUN_F64, true, false, "delay unit", "self gain of a unit" HIGH, "1",
     .sometimes = true, .missing = SELF_GAIN | SELF_GAIN_INTERVAL},
    {"unit_self_half_life", RUN_F64, true, false, "unit",
     "delay at which the unit's mean self gain first falls below one half", "tokens", .sometimes = true,
     .missing = SELF_GAIN | SELF_HALF_LIFE, .csv = true},
    {"unit_self_half_life_low", RUN_F64, true, false, "unit", "half-life of a unit's self gain" LOW, "tokens",
     .sometimes = true, .missing = SELF_GAIN | SELF_HALF_LIFE | SELF_HALF_LIFE_INTERVAL},
    {"unit_self_half_life_high", RUN_F64, true, false, "unit", "half-life of a unit's self gain" HIGH,
     "tokens", .sometimes = true, .missing = SELF_GAIN | SELF_HALF_LIFE | SELF_HALF_LIFE_INTERVAL},
    {"property_gain", RUN_F64, true, false, "property class delay",
     "gain along the property's direction, |Ghat n|", GAIN_UNITS,
     .missing = EMPTY | SMALL | PROPERTY | FACTOR, .csv = true,
     .report = {{"property_gain", RUN_WHOLE, false}}},
    {"property_gain_low", RUN_F64, true, false, "property class delay",
     "gain along the property, lower end of the 95 % interval over blocks of the corpus and words of the sides",
     GAIN_UNITS, .missing = INTERVAL | PROPERTY | FACTOR,
     .report = {{"property_gain_low", RUN_WHOLE, false}}},
    {"property_gain_high", RUN_F64, true, false, "property class delay",
     "gain along the property, upper end of the 95 % interval over blocks of the corpus and words of the sides",
     GAIN_UNITS, .missing = INTERVAL | PROPERTY | FACTOR,
     .report = {{"property_gain_high", RUN_WHOLE, false}}},
    {"property_gain_random", RUN_F64, true, false, "property class delay",
     "gain along random unit vectors: mean", GAIN_UNITS, .missing = EMPTY | SMALL | FACTOR, .csv = true,
     .report = {{"property_gain_random", RUN_WHOLE, false}}},
    {"property_gain_random_low", RUN_F64, true, false, "property class delay",
     "gain along random unit vectors: 2.5 % quantile", GAIN_UNITS, .missing = EMPTY | SMALL | FACTOR,
     .report = {{"property_gain_random_low", RUN_WHOLE, false}}},
    {"property_gain_random_high", RUN_F64, true, false, "property class delay",
     "gain along random unit vectors: 97.5 % quantile", GAIN_UNITS, .missing = EMPTY | SMALL | FACTOR,
     .report = {{"property_gain_random_high", RUN_WHOLE, false}}},
    {"property_half_life", RUN_F64, true, false, "property class",
     "delays after the peak at which the gain along the property first falls below half of it", "tokens",
     .missing = EMPTY | SMALL | PROPERTY | PROPERTY_HALF_LIFE | FACTOR, .csv = true,
     .report = {{"property_half_life", RUN_WHOLE, false}}},
    {"property_half_life_low", RUN_F64, true, false, "property class",
     "half-life of the gain along the property, lower end of the 95 % interval over blocks of the corpus and words "
     "of the sides",
     "tokens", .missing = PROPERTY | PROPERTY_HALF_LIFE | PROPERTY_HALF_LIFE_ERROR | FACTOR,
     .report = {{"property_half_life_low", RUN_WHOLE, false}}},
    {"property_half_life_high", RUN_F64, true, false, "property class",
     "half-life of the gain along the property, upper end of the 95 % interval over blocks of the corpus and words "
     "of the sides",
     "tokens", .missing = PROPERTY | PROPERTY_HALF_LIFE | PROPERTY_HALF_LIFE_ERROR | FACTOR,
     .report = {{"property_half_life_high", RUN_WHOLE, false}}},
    {"subspace_cosine", RUN_F64, true, false, "property class delay rank",
     "cosine between the property and the span of the first k right singular vectors (entry k-1)", "1",
     .missing = EMPTY | SMALL | PROPERTY | FACTOR, .csv = true, .report = {{"cosine", RUN_SUBSPACE, false}}},
    {"subspace_cosine_low", RUN_F64, true, false, "property class delay rank", "subspace cosine" LOW, "1",
     .missing = INTERVAL | PROPERTY | FACTOR, .report = {{"cosine_low", RUN_SUBSPACE, false}}},
    {"subspace_cosine_high", RUN_F64, true, false, "property class delay rank", "subspace cosine" HIGH, "1",
     .missing = INTERVAL | PROPERTY | FACTOR, .report = {{"cosine_high", RUN_SUBSPACE, false}}},
    {"subspace_cosine_random", RUN_F64, true, false, "property class delay rank",
     "subspace cosine of random unit vectors: mean", "1", .missing = EMPTY,
     .report = {{"cosine_random", RUN_SUBSPACE, false}}},
    {"subspace_cosine_random_low", RUN_F64, true, false, "property class delay rank",
     "subspace cosine of random unit vectors: 2.5 % quantile", "1", .missing = EMPTY,
     .report = {{"cosine_random_low", RUN_SUBSPACE, false}}},
    {"subspace_cosine_random_high", RUN_F64, true, false, "property class delay rank",
     "subspace cosine of random unit vectors: 97.5 % quantile", "1", .missing = EMPTY,
     .report = {{"cosine_random_high", RUN_SUBSPACE, false}}},
    {"block_pairs", RUN_F64, true, false, "class delay block",
     "weight of each block of the corpus in the mean: its pairs", "pairs", .missing = 0},
    {"mean_gradient_error", RUN_F64, true, false, "delay",
     "mean Frobenius norm of the truncation error of shared bases, estimated by random probes: bounds "
     "the error of mean_gradient",
     RAW_UNITS, .sometimes = true},
    {"block_gram", RUN_F32, true, false, "class delay block packed",
     "Gram matrix of the mean gradient without one block, not normalised: rows of the lower triangle",
     "(" RAW_UNITS ")^2", .sometimes = true, .missing = EMPTY | GRAM},
    /* replicates: entry 0 of all blocks, then without each block, then without each quarter of one */
    {"left_out_pairs", RUN_F64, true, false, "class delay left_out",
     "weight of what is left out: its pairs; entry 0: of all", "pairs", .sometimes = true},
    {"left_out_moment_pairs", RUN_F64, true, false, "class delay left_out",
     "the same of the pairs in second moments", "pairs", .sometimes = true},
    {"left_out_sigma_1", RUN_F64, true, false, "class delay left_out",
     "largest singular value without a block or a quarter of one; entry 0: of all", GAIN_UNITS,
     .sometimes = true, .missing = EMPTY | SMALL | FACTOR | REPLICATE},
    {"left_out_rms_gain", RUN_F64, true, false, "class delay left_out",
     "largest rms gain without a block or a quarter of one; entry 0: of all", GAIN_UNITS, .sometimes = true,
     .missing = EMPTY | SMALL | MOMENT | FACTOR | REPLICATE},
    {"left_out_total_gain", RUN_F64, true, false, "class delay left_out",
     "rms gain over all directions, root of the mean of |G L|^2, without a block or a quarter of one; entry 0: of all",
     GAIN_UNITS, .sometimes = true, .missing = EMPTY | SMALL | MOMENT | FACTOR | REPLICATE},
    {"left_out_replaced_pairs", RUN_F64, true, false, "class delay left_out",
     "weight of what is left out of the replaced words: its pairs; entry 0: of all", "pairs",
     .sometimes = true},
    {"left_out_state_change", RUN_F64, true, false, "class delay left_out",
     "mean change of the state without a block or a quarter of one; entry 0: of all", "state units",
     .sometimes = true, .missing = REPLACED | REPLICATE},
    {"left_out_property_weight", RUN_F64, true, false, "property class delay left_out_property",
     "weight of what is left out: pairs of a block, share of a fold of the property's words; entry 0: pairs of all",
     "1", .sometimes = true, .missing = EMPTY | PROPERTY | FACTOR | FOLD},
    {"left_out_property_gain", RUN_F64, true, false, "property class delay left_out_property",
     "gain along the property without a block, then without a fold of its words; entry 0: of all", GAIN_UNITS,
     .sometimes = true, .missing = EMPTY | SMALL | PROPERTY | FACTOR | REPLICATE | FOLD},
    /* words replaced by others (setting replace) */
    BY_REPLACEMENT("", "class delay", "the word is replaced", REPLACED, REPLACED_INTERVAL, KL, KL_INTERVAL),
    BY_REPLACEMENT("within_", "class delay", "the word is replaced by another of its class", IN_CLASS,
                   IN_CLASS_INTERVAL, IN_CLASS | KL, IN_CLASS_INTERVAL | KL),
    BY_REPLACEMENT("partner_", "property delay", "the word is replaced by the other word of its pair",
                   PARTNER, PARTNER_INTERVAL, PARTNER | KL, PARTNER_INTERVAL | KL),
    {"partner_path_pairs", RUN_I64, true, false, "property delay",
     "pairs whose gradient was averaged along the line from the word to the other word of its pair", "pairs",
     .sometimes = true, .csv = true, .report = {{"partner_path_pairs", RUN_WHOLE, true}}},
    OF_REPLACEMENT(
        "partner_path_average", "partner_path_average", "property delay",
        "mean |G~ dx|: change of the state by the gradient averaged along the line between the two embeddings",
        "dx leads to the other word of its pair", "state units", PARTNER | PATH, PARTNER | PATH_INTERVAL),
    OF_REPLACEMENT("partner_path_gap", "partner_path_gap", "property delay",
                   "mean |Delta - G~ dx| / |Delta|: error of that average",
                   "dx leads to the other word of its pair", "1", PARTNER | PATH, PARTNER | PATH_INTERVAL),
    /* chosen pairs of words (analyze --pairs) */
    {"pair_count", RUN_I64, true, false, "pair_label delay", "chosen pairs, by label and distance", "pairs",
     .sometimes = true, .csv = true, .report = {{"pair_count", RUN_WHOLE, false}}},
    OF_PAIRS("pair_gain", "rms gain over all directions, root of the mean of |G L|^2, of chosen pairs",
             GAIN_UNITS),
    OF_PAIRS(
        "pair_other_gain",
        "the same of words that no pair reads, of the same kinds in the same shares, at the same distances",
        GAIN_UNITS),
    OF_PAIRS("pair_gain_ratio", "gain of chosen pairs over that of other words of the same kinds", "1"),
    OF_PAIRS("pair_change",
             "mean change of the state at the later word of chosen pairs, where the earlier one is replaced",
             "state units"),
    OF_PAIRS(
        "pair_other_change",
        "the same of words that no pair reads, of the same kinds in the same shares, at the same distances",
        "state units"),
    OF_PAIRS("pair_change_ratio",
             "change of the state of chosen pairs over that of other words of the same kinds", "1"),
    /* a part of a run (analyze --part): sums of its own blocks, for merge */
    {"part_block", RUN_I64, false, false, "part_block", "number of the block in the whole corpus", "1",
     .sometimes = true},
    {"part_weight", RUN_F64, false, false, "part_block class delay", "weight of the block's sum", "pairs",
     .sometimes = true},
    {"part_moment_weight", RUN_F64, false, false, "part_block class delay",
     "weight of the block's second moment", "pairs", .sometimes = true},
    {"part_pairs", RUN_I64, false, false, "part_block class delay", "pairs in the block's sum", "pairs",
     .sometimes = true},
    {"part_moment_pairs", RUN_I64, false, false, "part_block class delay",
     "pairs in the block's second moment", "pairs", .sometimes = true},
    {"part_existing", RUN_I64, false, false, "part_block class delay", "pairs in the corpus within the block",
     "pairs", .sometimes = true},
    {"part_warm_up_difference", RUN_F64, false, false, "part_block",
     "largest difference of the state at the end of the block from one begun from zero, relative to the largest "
     "entry",
     "1", .sometimes = true},
    {"part_sum", RUN_F32, true, false, "part_block class delay unit embedding",
     "sum of the gradients in the block", RAW_UNITS, .sometimes = true},
    {"part_growth", RUN_F64, true, false, "part_block exponent",
     "sum of the logarithmic growth of small changes in the block", "nats", .sometimes = true},
    {"part_growth_steps", RUN_F64, true, false, "part_block", "steps in that sum", "tokens",
     .sometimes = true},
    {"part_fold_vector", RUN_F64, false, false, "property part_fold embedding",
     "property's direction without each fold of its words, not normalised", "units of the embedding",
     .sometimes = true},
    {"part_fold_weight", RUN_F64, false, false, "property part_fold", "share of the fold in the sides", "1",
     .sometimes = true},
    {"part_square", RUN_F64, true, false, "part_block part_which delay",
     "sum of |G L|^2 in the block: all words, <eos>, <unk>", "(" GAIN_UNITS ")^2", .sometimes = true},
    {"part_square_pairs", RUN_F64, true, false, "part_block part_which delay", "pairs in that sum", "pairs",
     .sometimes = true},
    {"part_word_square", RUN_F64, true, false, "word delay", "sum of |G L|^2 by word", "(" GAIN_UNITS ")^2",
     .sometimes = true},
    {"part_word_square_low", RUN_F64, true, false, "word delay",
     "rounding error of that sum (compensation term)", "(" GAIN_UNITS ")^2", .sometimes = true},
    {"part_word_pairs", RUN_F64, false, false, "word delay", "pairs in that sum", "pairs", .sometimes = true},
    {"part_missed", RUN_F64, true, false, "part_block delay",
     "sum of the Frobenius norms of the truncation errors of shared bases", RAW_UNITS, .sometimes = true},
    {"part_missed_of", RUN_F64, true, false, "part_block delay", "gradients in that sum", "1",
     .sometimes = true},
    {"part_moment", RUN_F32, true, false, "part_block class delay packed",
     "sum of G^T G in the block: rows of the lower triangle", "(" RAW_UNITS ")^2", .sometimes = true},
    {"part_self_gain_pairs", RUN_F64, false, false, "part_block delay",
     "pairs (t, t + d) whose self gains were estimated, t in the block", "pairs", .sometimes = true},
    {"part_self_gain", RUN_F64, true, false, "part_block delay unit",
     "sum of the estimates of self gains in the block", "1", .sometimes = true},
    {"part_replaced", RUN_F64, false, false, "part_block replaced_model replaced_row delay replaced_sum",
     "what replacing words does, summed over the words of the block", "1", .sometimes = true},
    {.name = NULL},
};

const run_variable *run_variable_find(const char *name, bool in_group)
{
    const run_variable *found = NULL;
    for (const run_variable *v = run_variables; v->name; v++)
        if (!strcmp(v->name, name) && (!found || v->in_group == in_group))
            found = v;
    return found;
}
