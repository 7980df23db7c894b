/* What is in a run file: the one table the writer, the reader and its checks share (contract: INTERFACE, Run file). */
#include "run_internal.h"

#include <string.h>

#define G "gradient of the state by the embedding"
#define LOW ", lower end of the 95 % interval over blocks of the corpus"
#define HIGH ", upper end of the 95 % interval over blocks of the corpus"
#define SE ", standard error over blocks of the corpus"

const run_variable run_variables[] = {
    /* root */
    {"delay", RUN_I32, false, true, "delay", "steps between the word read and the state", "tokens"},
    {"class_name", RUN_STRING, false, true, "class", "class of the word read", "1"},
    {"class_tokens", RUN_I64, false, true, "class", "tokens of the class in the analysed corpus", "tokens"},
    {"property_name", RUN_STRING, false, false, "property", "property: a difference of mean embeddings", "1"},
    {"property_words_a", RUN_I64, false, false, "property", "words on the first side of the property", "words"},
    {"property_words_b", RUN_I64, false, false, "property", "words on the second side of the property", "words"},
    {"property_vector", RUN_F64, false, false, "property embedding",
     "mean embedding of the first side minus that of the second", "1"},
    {"embedding_covariance_factor", RUN_F64, false, false, "embedding embedding",
     "L, lower triangular: covariance of the embeddings = L L^T (identity without normalisation)", "1"},
    {"word", RUN_STRING, false, false, "word", "vocabulary in id order", "1"},
    {"word_count", RUN_I64, false, false, "word", "tokens of the word in the analysed corpus", "tokens"},
    {"embedding_matrix", RUN_F32, false, false, "word embedding", "embeddings of the words", "1"},
    {"member_word", RUN_I32, false, false, "member", "word type of a (word, class) pair seen in the corpus", "1"},
    {"member_class", RUN_I32, false, false, "member", "class of a (word, class) pair seen in the corpus", "1"},
    {"member_count", RUN_I64, false, false, "member", "tokens of the (word, class) pair in the corpus", "tokens"},
    /* one group per analysed state */
    {"pairs", RUN_I64, true, true, "class delay", "pairs (t, t-d) averaged over", "pairs"},
    {"mean_gradient", RUN_F32, true, true, "class delay unit embedding", "mean " G ", not normalised", "1"},
    {"second_moment", RUN_F32, true, false, "class delay embedding embedding_2", "mean of G^T G, not normalised", "1"},
    {"second_moment_pairs", RUN_I64, true, false, "class delay", "pairs the second moment was averaged over", "pairs"},
    {"singular_value", RUN_F64, true, true, "class delay rank", "singular values of the normalised mean gradient", "1"},
    {"singular_value_low", RUN_F64, true, false, "class delay rank", "singular value" LOW, "1"},
    {"singular_value_high", RUN_F64, true, false, "class delay rank", "singular value" HIGH, "1"},
    {"singular_value_se", RUN_F64, true, false, "class delay rank", "singular value" SE, "1"},
    {"singular_value_bias", RUN_F64, true, false, "class delay rank",
     "upward bias of the singular value by noise in the mean, from the jackknife (not subtracted)", "1"},
    {"right_singular_vector", RUN_F32, true, false, "class delay rank embedding",
     "right singular vectors: directions among whitened embeddings", "1"},
    {"left_singular_vector", RUN_F32, true, false, "class delay rank unit",
     "left singular vectors: directions among state units", "1"},
    {"singular_sum", RUN_F64, true, false, "class delay", "sum of the singular values", "1"},
    {"singular_sum_low", RUN_F64, true, false, "class delay", "sum of the singular values" LOW, "1"},
    {"singular_sum_high", RUN_F64, true, false, "class delay", "sum of the singular values" HIGH, "1"},
    {"singular_sum_se", RUN_F64, true, false, "class delay", "sum of the singular values" SE, "1"},
    {"effective_rank", RUN_F64, true, false, "class delay", "exp(entropy) of the normalised singular values", "1"},
    {"effective_rank_low", RUN_F64, true, false, "class delay", "effective rank" LOW, "1"},
    {"effective_rank_high", RUN_F64, true, false, "class delay", "effective rank" HIGH, "1"},
    {"rms_gain", RUN_F64, true, false, "class delay rank",
     "root-mean-square gains: roots of the eigenvalues of L^T (mean of G^T G) L", "1"},
    {"rms_gain_low", RUN_F64, true, false, "class delay rank", "root-mean-square gain" LOW, "1"},
    {"rms_gain_high", RUN_F64, true, false, "class delay rank", "root-mean-square gain" HIGH, "1"},
    {"coherence", RUN_F64, true, false, "class delay",
     "squared norm of the mean gradient over the mean squared norm: 1 = the same linear map every time", "1"},
    {"coherence_low", RUN_F64, true, false, "class delay", "coherence" LOW, "1"},
    {"coherence_high", RUN_F64, true, false, "class delay", "coherence" HIGH, "1"},
    {"relative_memory", RUN_F64, true, false, "property class delay",
     "gain along the property's direction over the largest singular value", "1"},
    {"relative_memory_low", RUN_F64, true, false, "property class delay", "relative memory" LOW, "1"},
    {"relative_memory_high", RUN_F64, true, false, "property class delay", "relative memory" HIGH, "1"},
    {"relative_memory_random", RUN_F64, true, false, "property class delay",
     "relative memory of random unit vectors: mean", "1"},
    {"relative_memory_random_low", RUN_F64, true, false, "property class delay",
     "relative memory of random unit vectors: 2.5 % quantile", "1"},
    {"relative_memory_random_high", RUN_F64, true, false, "property class delay",
     "relative memory of random unit vectors: 97.5 % quantile", "1"},
    {"subspace_cosine", RUN_F64, true, false, "property class delay rank",
     "cosine between the property and the span of the first k right singular vectors (entry k-1)", "1"},
    {"subspace_cosine_low", RUN_F64, true, false, "property class delay rank", "subspace cosine" LOW, "1"},
    {"subspace_cosine_high", RUN_F64, true, false, "property class delay rank", "subspace cosine" HIGH, "1"},
    {"subspace_cosine_random", RUN_F64, true, false, "property class delay rank",
     "subspace cosine of random unit vectors: mean", "1"},
    {"subspace_cosine_random_low", RUN_F64, true, false, "property class delay rank",
     "subspace cosine of random unit vectors: 2.5 % quantile", "1"},
    {"subspace_cosine_random_high", RUN_F64, true, false, "property class delay rank",
     "subspace cosine of random unit vectors: 97.5 % quantile", "1"},
    {"block_pairs", RUN_I64, true, false, "class delay block", "pairs in each block of the corpus", "pairs"},
    {"block_gram", RUN_F32, true, false, "class delay block packed",
     "Gram matrix of the mean gradient without one block, not normalised: rows of the lower triangle", "1"},
    /* a part of a run (analyze --part): sums of its own blocks, for merge */
    {"part_block", RUN_I64, false, false, "part_block", "number of the block in the whole corpus", "1"},
    {"part_pairs", RUN_I64, true, false, "part_block class delay", "pairs in the block", "pairs"},
    {"part_moment_pairs", RUN_I64, true, false, "part_block class delay", "pairs in the block's second moment",
     "pairs"},
    {"part_sum", RUN_F32, true, false, "part_block class delay unit embedding", "sum of the gradients in the block",
     "1"},
    {"part_moment", RUN_F32, true, false, "part_block class delay embedding embedding_2",
     "sum of G^T G in the block", "1"},
    {NULL, RUN_F32, false, false, NULL, NULL, NULL},
};

const run_variable *run_variable_find(const char *name)
{
    for (const run_variable *v = run_variables; v->name; v++)
        if (!strcmp(v->name, name))
            return v;
    return NULL;
}
