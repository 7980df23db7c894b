/* SPDX-License-Identifier: MIT */
/* Nulls of sets of tokens and of kinds of words: error rates, power, what cannot be said.
 * experiments/kinds_of_words.py is the long form, on the words of real runs. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "stategrad/stats.h"

enum { V = 600, D = 2, CLASSES = 300, DRAWS = 300, B = 20 };

static uint64_t count[V];
static double square[V * D], in_class[V];

/* Zipf's law; rare words have the larger gains, by a factor of 8 from end to end, and each word one of its
 * own. */
static void words(sg_rng *rng)
{
    for (size_t w = 0; w < V; w++) {
        count[w] = (uint64_t)(2000 / (w + 1.));
        for (size_t d = 0; d < D; d++)
            square[w * D + d] = pow(w + 1, 0.33) * exp(0.4 * sg_rng_normal(rng));
    }
}

/* `size` words from `from` on, drawn without replacement; gain multiplies theirs. Share of p <= 0.05 at the
 * first delay. */
static double rejected(size_t size, size_t from, double gain, size_t *given)
{
    size_t found = 0;
    sg_rng rng;
    sg_error err;
    *given = 0;
    sg_rng_seed(&rng, 17 + size, from);
    for (size_t k = 0; k < CLASSES; k++) {
        sg_type_p out[D];
        words(&rng);
        memset(in_class, 0, sizeof in_class);
        for (size_t n = 0; n < size;) {
            size_t w = from + (size_t)sg_rng_below(&rng, V - from);
            if (in_class[w] > 0)
                continue;
            in_class[w] = (double)count[w], n++;
            for (size_t d = 0; d < D; d++)
                square[w * D + d] *= gain * gain;
        }
        assert_ok(sg_stats_type_test(out, V, D, count, in_class, square, DRAWS, DRAWS, k, &err), err);
        *given += !isnan(out[0].p);
        found += out[0].p <= 0.05;
        assert_true(isnan(out[0].p) ? out[0].missing != NULL : out[0].null_low <= out[0].null_high);
    }
    return *given ? (double)found / (double)*given : 0;
}

static void random_words_are_no_kind(void **state)
{
    (void)state;
    static const size_t sizes[] = {20, 50, 200};
    for (size_t i = 0; i < 3; i++)
        for (size_t from = 0; from <= 250;
             from += 250) { /* all words; those of less than 8 tokens, whose gains are larger */
            size_t given;
            double share = rejected(sizes[i], from, 1, &given);
            print_message("%zu words of %d: p <= 0.05 in %.1f %% of %zu classes\n", sizes[i], V - (int)from,
                          100 * share, given);
            /* 4 standard errors above 5 % */
            assert_true(share <= 0.05 + 4 * sqrt(0.05 * 0.95 / (double)(given ? given : 1)));
            assert_true(given > CLASSES / 4);
        }
    size_t given;
    rejected(5, 0, 1, &given);
    assert_int_equal(given, 0); /* fewer than 8 effective types */
}

static void kinds_are_found(void **state)
{
    (void)state;
    size_t given;
    double share = rejected(50, 250, 1.3, &given);
    print_message("50 words with a gain of 1.3: found in %.1f %% of %zu classes\n", 100 * share, given);
    assert_true(share > 0.9);
}

/* Every third word from `from` on, `size` of them, is in one class, with this gain. */
static void test_class(sg_type_p out[D], size_t size, size_t from, double gain, size_t draws, size_t most)
{
    sg_rng rng;
    sg_error err;
    sg_rng_seed(&rng, 3, 0);
    words(&rng);
    memset(in_class, 0, sizeof in_class);
    for (size_t w = from; w < from + 3 * size; w += 3) {
        in_class[w] = (double)count[w];
        for (size_t d = 0; d < D; d++)
            square[w * D + d] *= gain * gain;
    }
    assert_ok(sg_stats_type_test(out, V, D, count, in_class, square, draws, most, 1, &err), err);
}

/* A p-value at its lower limit is lowered by further draws; one far above it costs none. */
static void small_p_values_get_more_draws(void **state)
{
    (void)state;
    sg_type_p few[D], more[D];
    test_class(few, 100, 250, 3, 200, 200), test_class(more, 100, 250, 3, 200, 5000);
    for (size_t d = 0; d < D; d++) {
        assert_true(fabs(few[d].p - 2.0 / 201) < 1e-12);
        assert_true(fabs(more[d].p - 2.0 / 5001) < 1e-12);
        assert_true(few[d].value == more[d].value);
    }
    test_class(few, 100, 251, 1, 200, 200), test_class(more, 100, 251, 1, 200, 5000);
    for (size_t d = 0; d < D; d++)
        assert_true(few[d].p > 2 * 20.0 / 201); /* 20 draws beyond it, or the next line says nothing */
    for (size_t d = 0; d < D; d++)
        assert_true(few[d].p == more[d].p && few[d].null_high == more[d].null_high);
    assert_int_equal(sg_stats_draws(1), 1000);
    assert_int_equal(sg_stats_draws(250), 10000);
    assert_int_equal(sg_stats_draws(1000000), 10000);
    assert_true(2.0 / (1 + (double)sg_stats_draws(100)) < 0.05 / 100);
}

/* Sums of a block: n tokens of the class around its mean, and the mean of all. */
static double tokens_rejected(double gain)
{
    size_t found = 0;
    sg_rng rng;
    sg_rng_seed(&rng, 5, 0);
    for (size_t k = 0; k < CLASSES; k++) {
        double sums[B], pairs[B], reference[B], p;
        const char *missing;
        for (size_t b = 0; b < B; b++) {
            double level = exp(0.5 * sg_rng_normal(&rng));
            pairs[b] = 20 + (double)sg_rng_below(&rng, 30);
            sums[b] = 0;
            reference[b] = level;
            for (size_t i = 0; i < (size_t)pairs[b]; i++)
                sums[b] += gain * gain * level * (1 + 0.5 * sg_rng_normal(&rng));
        }
        sg_stats_token_test(&p, &missing, B, sums, pairs, reference, DRAWS, k);
        assert_null(missing);
        found += p <= 0.05;
    }
    return (double)found / CLASSES;
}

static void sets_of_tokens(void **state)
{
    (void)state;
    double none = tokens_rejected(1), some = tokens_rejected(1.1);
    print_message("tokens: p <= 0.05 in %.1f %%; with a gain of 1.1 in %.1f %%\n", 100 * none, 100 * some);
    assert_true(none <= 0.05 + 4 * sqrt(0.05 * 0.95 / CLASSES) && some > 0.9);
    double sums[B] = {1}, pairs[B] = {2}, reference[B] = {1}, p;
    const char *missing;
    sg_stats_token_test(&p, &missing, B, sums, pairs, reference, DRAWS, 1);
    assert_true(isnan(p) && missing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_words_are_no_kind), cmocka_unit_test(kinds_are_found),
        cmocka_unit_test(small_p_values_get_more_draws), cmocka_unit_test(sets_of_tokens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
