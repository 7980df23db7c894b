/* SPDX-License-Identifier: MIT */
/* Words along directions: whitening, projections and directions against their definitions, written out
 * here. */
#include "helpers/small_run.h"

#include "report/words.h"

enum { E = SMALL_E, V = WORDS };

static void whitened_embeddings(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    words *w;
    size_t n;
    small_run_new(&s, "even", "three");
    sg_run *r = opened(small_run_write(&s, "run.nc"));
    assert_null(words_missing(r));
    assert_ok(words_new(&w, r, &err), err);
    double *X = numbers(r, NULL, "embedding_matrix", &n),
           *L = numbers(r, NULL, "embedding_covariance_factor", &n);
    for (size_t i = 0; i < V; i++) { /* L z = x - mean */
        char name[8];
        size_t count = 0;
        snprintf(name, sizeof name, "w%02zu", i);
        assert_string_equal(w->names[i], name);
        for (size_t t = 0; t < TOKENS; t++)
            count += (size_t)s.ids[t] == i;
        assert_int_equal(w->counts[i], count);
        for (size_t e = 0; e < E; e++) {
            double mean = 0, back = 0;
            for (size_t k = 0; k < V; k++)
                mean += X[k * E + e] / V;
            for (size_t j = 0; j <= e; j++)
                back += L[e * E + j] * w->Z[j * V + i];
            assert_close(back, X[i * E + e] - mean, 1e-9, 1e-3, "L z", i * E + e);
        }
    }
    for (size_t a = 0; a < E; a++) /* covariance 1 over the vocabulary (n - 1) */
        for (size_t b = 0; b < E; b++) {
            double sum = 0;
            for (size_t i = 0; i < V; i++)
                sum += w->Z[a * V + i] * w->Z[b * V + i];
            assert_close(sum / (V - 1), a == b, 1e-5, 1, "covariance", a * E + b);
        }
    sg_free(X), sg_free(L);
    words_free(w);
    sg_run_close(r);
    small_run_free(&s);
}

static void projections_and_ends(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    words *w;
    double v[2 * E], p[2 * V];
    size_t n, ids[V];
    small_run_new(&s, "even", "three");
    sg_run *r = opened(small_run_write(&s, "run.nc"));
    assert_ok(words_new(&w, r, &err), err);
    double *vectors = numbers(r, "layer1.cell", "right_singular_vector", &n);
    assert_ok(words_along(w, r, "layer1.cell", 1, 2, 2, v, p, &err), err);
    for (size_t i = 0; i < 2 * E; i++)
        assert_true(v[i] == vectors[(1 * SMALL_D + 2) * E * E + i]);
    for (size_t i = 0; i < 2 * V; i++) {
        double sum = 0;
        for (size_t e = 0; e < E; e++)
            sum += v[i / V * E + e] * w->Z[e * V + i % V];
        assert_close(p[i], sum, 1e-12, 1, "projection", i);
    }
    for (int sign = -1; sign <= 1; sign += 2)
        for (size_t top = 0; top <= V; top += 6) {
            size_t seen = 0, got = words_furthest(w, p, sign, 28, top, ids);
            for (size_t i = 0; i < V; i++)
                seen += w->counts[i] >= 28;
            assert_true(seen > 6 && seen < V);
            assert_int_equal(got, top < seen ? top : seen);
            for (size_t k = 0; k < got; k++) { /* exactly k words of the seen ones are further out */
                size_t further = 0;
                for (size_t i = 0; i < V; i++)
                    further += w->counts[i] >= 28 && sign * p[i] > sign * p[ids[k]];
                assert_int_equal(further, k);
                assert_true(w->counts[ids[k]] >= 28);
            }
        }
    assert_int_equal(words_along(w, r, "layer1.cell", 0, 0, E + 1, v, p, &err), SG_EFORMAT);
    sg_free(vectors);
    words_free(w);
    sg_run_close(r);
    small_run_free(&s);
}

static void directions(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    words *w;
    double n[E], expected[E] = {0}, norm = 0;
    bool known;
    const sg_property side = {"side", "w00", "w01"};
    small_run_new(&s, "even", "three");
    s.cfg.properties = &side, s.cfg.n_properties = 1;
    sg_run *r = opened(small_run_write(&s, "run.nc"));
    assert_ok(words_new(&w, r, &err), err);
    assert_true(words_class_direction(w, 2, n));
    for (size_t i = 0; i < V; i += 3)
        for (size_t e = 0; e < E; e++)
            expected[e] += w->Z[e * V + i];
    for (size_t e = 0; e < E; e++)
        norm += expected[e] * expected[e];
    for (size_t e = 0; e < E; e++)
        assert_close(n[e], expected[e] / sqrt(norm), 1e-12, 1e-6, "class direction", e);
    assert_false(words_class_direction(w, 0, n)); /* all: no member is stored */
    assert_ok(words_property_direction(r, 0, n, &known, &err), err);
    assert_true(known);
    norm = 0; /* along z(w00) - z(w01) */
    for (size_t e = 0; e < E; e++)
        norm += pow(w->Z[e * V] - w->Z[e * V + 1], 2);
    for (size_t e = 0; e < E; e++)
        assert_close(n[e], (w->Z[e * V] - w->Z[e * V + 1]) / sqrt(norm), 1e-6, 1e-6, "property direction", e);
    assert_ok(words_property_direction(r, 1, n, &known, &err), err);
    assert_false(known);
    words_free(w);
    sg_run_close(r);
    small_run_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whitened_embeddings),
        cmocka_unit_test(projections_and_ends),
        cmocka_unit_test(directions),
    };
    return cmocka_run_group_tests_name("words", tests, set_up, tear_down);
}
