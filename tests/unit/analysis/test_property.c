/* SPDX-License-Identifier: MIT */
/* What a property's text means, against differences of means worked out here. */
#include "helpers/corpus_util.h"

#include "analysis/property.h"

enum { V = 6, E = 2 };
static const char *const words[V] = {"cat", "cats", "dog", "dogs", "red", "x"};
static float embeddings[V * E] = {1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31};
static const sg_class_word nouns[] = {{0, 3}, {2, 1}};

static int32_t find(const void *ctx, const char *word, size_t n)
{
    (void)ctx;
    for (int32_t i = 0; i < V; i++)
        if (strlen(words[i]) == n && !memcmp(words[i], word, n))
            return i;
    return -1;
}

static bool class_words(const void *ctx, const char *name, const sg_class_word **list, size_t *n)
{
    (void)ctx;
    *list = nouns, *n = 2;
    return !strcmp(name, "nouns");
}

static const char *class_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i ? NULL : "nouns";
}

static const property_source source = {.E = E,
                                       .find = find,
                                       .class_words = class_words,
                                       .class_name = class_name,
                                       .n_models = 1,
                                       .embeddings = {embeddings}};

static void assert_delta(const char *a, const char *b, double x, double y, int64_t n_a, int64_t n_b)
{
    sg_error err = {""};
    property p = {0};
    assert_ok(property_resolve(&p, &source, &(sg_property){"name", a, b}, NULL, &err), err);
    assert_null(p.missing);
    assert_close(p.delta[0][0], x, 1e-12, 0, a, 0);
    assert_close(p.delta[0][1], y, 1e-12, 0, a, 1);
    assert_int_equal(p.words_a, n_a);
    assert_int_equal(p.words_b, n_b);
    property_free(&p);
}

static void sides_are_means(void **state)
{
    (void)state;
    assert_delta("cats", "cat", 3 - 1, 5 - 2, 1, 1);
    assert_delta("cats dogs", "cat,dog", (3 + 13) / 2. - (1 + 7) / 2., (5 + 17) / 2. - (2 + 11) / 2., 2, 2);
    assert_delta("cats-cat", NULL, 2, 3, 1, 1);
    /* a class: by its tokens */
    assert_delta("nouns", "red", (3 * 1 + 7) / 4. - 19, (3 * 2 + 11) / 4. - 23, 2, 1);
    assert_delta("red", "nouns", 19 - (3 * 1 + 7) / 4., 23 - (3 * 2 + 11) / 4., 1, 2);
    const char *list = write_text(&tmp, "list", "red\nunseen\nx\n");
    assert_delta(list, "cat", (19 + 29) / 2. - 1, (23 + 31) / 2. - 2, 2,
                 1); /* words of a file that are known */
}

static void pairs_are_means_of_differences(void **state)
{
    (void)state;
    const char *pairs = write_text(&tmp, "pairs", "cats cat\ndogs dog\nunseen cat\n");
    assert_delta(pairs, NULL, ((3 - 1) + (13 - 7)) / 2., ((5 - 2) + (17 - 11)) / 2., 2, 2);
}

static void what_cannot_be_resolved(void **state)
{
    (void)state;
    sg_error err = {""};
    property p = {0};
    assert_ok(property_resolve(&p, &source, &(sg_property){"none", "unseen words", "cat"}, NULL, &err), err);
    assert_non_null(p.missing);
    assert_true(isnan(p.delta[0][0]));
    property_free(&p);
    p = (property){0};
    assert_ok(property_resolve(&p, &source, &(sg_property){"equal", "cat dog", "dog cat"}, NULL, &err), err);
    assert_non_null(p.missing);
    property_free(&p);
    p = (property){0};
    assert_int_equal(property_resolve(&p, &source, &(sg_property){"n", "no-where-known", NULL}, NULL, &err),
                     SG_EINVAL);
    property_free(&p);
    p = (property){0};
    assert_int_equal(property_resolve(&p, &source, &(sg_property){"n", "noun-zzz", NULL}, NULL, &err),
                     SG_EINVAL);
    assert_non_null(strstr(err.msg, "'noun' (left of '-')"));
    assert_non_null(strstr(err.msg, "did you mean class nouns?"));
    property_free(&p);
}

/* Words that a program gives are these, although there is a class of that name; so are pairs and a vector. */
static void what_a_program_gives(void **state)
{
    (void)state;
    sg_error err = {""};
    const char *const a[] = {"nouns", "red"}, *const b[] = {"#x", "cat"}, *const one[] = {"dogs"};
    const double x[E] = {0.5, -2};
    const struct {
        sg_property given;
        double delta[E];
        int64_t n_a, n_b;
    } cases[] = {
        {{.name = "words", .words_a = a, .n_words_a = 2, .words_b = one, .n_words_b = 1}, {6, 6}, 1, 1},
        {{.name = "mixed", .a = "nouns", .words_b = one, .n_words_b = 1}, {2.5 - 13, 4.25 - 17}, 2, 1},
        {{.name = "mixed", .words_a = one, .n_words_a = 1, .b = "nouns"}, {13 - 2.5, 17 - 4.25}, 1, 2},
        {{.name = "pairs", .words_a = a, .n_words_a = 2, .words_b = b, .n_words_b = 2, .pairs = true},
         {18, 21},
         1,
         1},
        {{.name = "vector", .vector = x, .n_vector = E}, {0.5, -2}, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        property p = {0};
        assert_ok(property_resolve(&p, &source, &cases[i].given, NULL, &err), err);
        for (size_t e = 0; e < E; e++)
            assert_close(p.delta[0][e], cases[i].delta[e], 1e-12, 0, cases[i].given.name, e);
        assert_int_equal(p.words_a, cases[i].n_a);
        assert_int_equal(p.words_b, cases[i].n_b);
        property_free(&p);
    }
    const double wrong[] = {1, NAN};
    for (size_t n = 1; n <= 2; n++) {
        property p = {0};
        const sg_property given = {.name = "v", .vector = wrong, .n_vector = n};
        assert_int_equal(property_resolve(&p, &source, &given, NULL, &err), SG_EINVAL);
        assert_non_null(strstr(err.msg, n == 1 ? "expected a vector of 2 numbers, found 1"
                                               : "number 1 of the vector is nan"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides_are_means),
        cmocka_unit_test(pairs_are_means_of_differences),
        cmocka_unit_test(what_cannot_be_resolved),
        cmocka_unit_test(what_a_program_gives),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
