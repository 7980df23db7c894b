/* SPDX-License-Identifier: MIT */
/* Block sums in the file of a part. */
#include "analysis/block_sums.h"
#include "analysis/part.h"

#include "base/base_internal.h"

#include <math.h>

/* A sum by word, written; or that of a part, added. low (or NULL): what rounding takes. */
static sg_status part_words(part_file *p, const char *variable, const word_sums *words, double *own,
                            double *high, double *low, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t n = words->V * words->D, shape[] = {words->V, words->D};
    double *more = NULL, none = 0;
    TRY(part_variable(p, variable, 2, shape, err));
    NEED(p->out || (more = sg_calloc(n, sizeof *more)), err, "%s of %s", variable, p->path);
    TRY(part_matrix(p, variable, words->V, words->D, p->out ? own : more, err));
    for (size_t i = 0; more && i < n; i++)
        exact_add(high + i, low ? low + i : &none, more[i]);
done:
    sg_free(more);
    return st;
}

/* What setting 'warm_up' changes at the ends of blocks. */
static sg_status differences(part_file *p, block_sums *sums, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t one = 1;
    TRY(part_variable(p, "part_warm_up_difference", 1, &p->rows, err));
    for (size_t i = 0; i < p->rows; i++) {
        double *x = sums_difference_at(sums, p->block[i]);
        TRY(part_f64(p, "part_warm_up_difference", &i, &one, x, err));
        if (!(*x >= 0))
            TRY(sg_fail(err, SG_EFORMAT, "%s: part_warm_up_difference: %g", p->path, *x));
    }
done:
    return st;
}

sg_status sums_part_weights(part_file *p, block_sums *sums, word_sums *words, sg_error *err)
{
    enum { FIELDS = 5 };
    static const char *const names[FIELDS] = {"part_weight", "part_moment_weight", "part_pairs",
                                              "part_moment_pairs", "part_existing"};
    sg_status st = SG_OK;
    const sums_shape *s = sums_get_shape(sums);
    const size_t CD = s->C * s->D, shape[] = {p->rows, s->C, s->D};
    double *x = sg_calloc(FIELDS * CD, sizeof *x);
    NEED(x, err, "the weights of %s", p->path);
    TRY(differences(p, sums, err));
    TRY(part_dim(p, "packed", sums_packed(s->E), err));
    if (words) {
        double *pairs = word_sums_pairs(words, 0);
        TRY(part_dim(p, "part_which", SUMS_WORDS, err));
        TRY(part_words(p, "part_word_pairs", words, pairs, pairs, NULL, err));
    }
    for (size_t v = 0; v < FIELDS; v++)
        TRY(part_variable(p, names[v], 3, shape, err));
    for (size_t i = 0; i < p->rows; i++) {
        const size_t start[] = {i, 0, 0}, count[] = {1, s->C, s->D};
        for (size_t k = 0; p->out && k < CD; k++) {
            const sums_weight *from = sums_weight_at(sums, p->block[i], k / s->D, k % s->D);
            x[k] = from->weight, x[CD + k] = from->moment_weight, x[2 * CD + k] = (double)from->pairs;
            x[3 * CD + k] = (double)from->moment_pairs, x[4 * CD + k] = (double)from->exist;
        }
        for (size_t v = 0; v < FIELDS; v++)
            TRY(part_f64(p, names[v], start, count, x + v * CD, err));
        for (size_t k = 0; k < FIELDS * CD; k++)
            if (!(x[k] >= 0 && x[k] < 1e18))
                TRY(sg_fail(err, SG_EFORMAT, "%s: %s: %g is not a number of pairs", p->path, names[k / CD],
                            x[k]));
        for (size_t k = 0; !p->out && k < CD; k++)
            *sums_weight_at(sums, p->block[i], k / s->D, k % s->D) = (sums_weight){
                x[k], x[CD + k], (int64_t)x[2 * CD + k], (int64_t)x[3 * CD + k], (int64_t)x[4 * CD + k]};
    }
done:
    sg_free(x);
    return st;
}

/* What the gradients of group g lack in a long window. */
static sg_status missed(part_file *p, block_sums *sums, size_t g, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t D = sums_get_shape(sums)->D, shape[] = {p->rows, D};
    double *norms = sg_calloc(D, 2 * sizeof *norms), *of = norms + D;
    NEED(norms, err, "%zu delays of %s", D, p->path);
    TRY(part_variable(p, "part_missed", 2, shape, err));
    TRY(part_variable(p, "part_missed_of", 2, shape, err));
    for (size_t i = 0; i < p->rows; i++) {
        const size_t start[] = {i, 0}, count[] = {1, D};
        for (size_t d = 0; d < D; d++) {
            const sums_missed *from = sums_missed_at(sums, p->block[i], g, d);
            norms[d] = from->norms, of[d] = from->of;
        }
        TRY(part_f64(p, "part_missed", start, count, norms, err));
        TRY(part_f64(p, "part_missed_of", start, count, of, err));
        for (size_t d = 0; d < D; d++) {
            if (!(norms[d] >= 0) || !(of[d] >= 0))
                TRY(sg_fail(err, SG_EFORMAT, "%s: part_missed: %g of %g", p->path, norms[d], of[d]));
            *sums_missed_at(sums, p->block[i], g, d) = (sums_missed){norms[d], of[d]};
        }
    }
done:
    sg_free(norms);
    return st;
}

/* The squared gains of group g. */
static sg_status squares(part_file *p, block_sums *sums, size_t g, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t D = sums_get_shape(sums)->D, n = SUMS_WORDS * D, shape[] = {p->rows, SUMS_WORDS, D};
    double *x = sg_calloc(2 * n, sizeof *x), *pairs = x + n;
    NEED(x, err, "the squared gains of %s", p->path);
    TRY(part_variable(p, "part_square", 3, shape, err));
    TRY(part_variable(p, "part_square_pairs", 3, shape, err));
    for (size_t i = 0; i < p->rows; i++) {
        const size_t start[] = {i, 0, 0}, count[] = {1, SUMS_WORDS, D};
        for (size_t k = 0; k < n; k++) {
            const sums_squares *from = sums_squares_at(sums, p->block[i], g, k % D);
            x[k] = from->square[k / D], pairs[k] = from->pairs[k / D];
        }
        TRY(part_f64(p, "part_square", start, count, x, err));
        TRY(part_f64(p, "part_square_pairs", start, count, pairs, err));
        for (size_t k = 0; !p->out && k < n; k++) {
            sums_squares *to = sums_squares_at(sums, p->block[i], g, k % D);
            if (!(x[k] >= -1e-6 * fabs(x[k % D])) || !(pairs[k] >= 0))
                TRY(sg_fail(err, SG_EFORMAT, "%s: part_square: %g of %g pairs", p->path, x[k], pairs[k]));
            to->square[k / D] = x[k], to->pairs[k / D] = pairs[k];
        }
    }
done:
    sg_free(x);
    return st;
}

sg_status sums_part(part_file *p, block_sums *sums, word_sums *words, size_t g, sg_error *err)
{
    sg_status st = SG_OK;
    const sums_shape *s = sums_get_shape(sums);
    const size_t H = s->units[g], E = s->E, packed = sums_packed(E);
    const size_t of_sum[] = {p->rows, s->C, s->D, H, E}, of_moment[] = {p->rows, s->C, s->D, packed};
    float *sum = sg_calloc(H * E, sizeof *sum), *moment = sg_calloc(packed, sizeof *moment);
    NEED(sum && moment, err, "the sums of %s", p->path);
    TRY(part_dim(p, "unit", H, err));
    TRY(part_variable(p, "part_sum", 5, of_sum, err));
    TRY(part_variable(p, "part_moment", 4, of_moment, err));
    TRY(missed(p, sums, g, err));
    if (words) {
        TRY(squares(p, sums, g, err));
        double *square = word_sums_square(words, g, 0), *low = word_sums_low(words, g, 0);
        TRY(part_words(p, "part_word_square", words, square, square, low, err));
        TRY(part_words(p, "part_word_square_low", words, low, square, low, err));
    }
    for (size_t i = 0; i < p->rows * s->C * s->D; i++) {
        const size_t c = i / s->D % s->C, d = i % s->D, row = i / (s->C * s->D), b = p->block[row];
        const size_t start[] = {row, c, d, 0, 0}, count[] = {1, 1, 1, H, E}, flat[] = {1, 1, 1, packed};
        if (p->out)
            TRY(sums_get(sums, b, g, c, d, sum, moment, err));
        TRY(part_f32(p, "part_sum", start, count, sum, err));
        TRY(part_f32(p, "part_moment", start, flat, moment, err));
        if (!p->out)
            TRY(sums_put(sums, b, g, c, d, sum, moment, err));
    }
done:
    sg_free(sum);
    sg_free(moment);
    return st;
}
