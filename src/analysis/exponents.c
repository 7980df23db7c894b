/* SPDX-License-Identifier: MIT */
#include "analysis/exponents.h"

#include "base/base_internal.h"

#include <math.h>
#include <string.h>

const char exponents_reset[] = "the state is zeroed at sentence starts, so that no change is followed for long";

void exponents_interval(sg_interval *out, const exponent_sums *x, size_t m, size_t k, double *work)
{
    double growth = 0, steps = 0, *without = work, *weights = work + x->B;
    *out = (sg_interval){NAN, NAN, NAN, NAN, NAN, x->missing};
    if (x->missing)
        return;
    for (size_t b = 0; b < x->B; b++)
        growth += x->growth[m][b * x->K + k], steps += x->steps[m][b];
    for (size_t b = 0; b < x->B; b++) {
        weights[b] = x->steps[m][b];
        without[b] = (growth - x->growth[m][b * x->K + k]) / (steps - weights[b]);
    }
    sg_stats_jackknife(out, x->B, weights, growth / steps, without, 1);
}

sg_status exponents_write(run_writer *w, int group, const exponent_sums *x, size_t m, sg_error *err)
{
    static const char *const names[] = {"lyapunov_exponent", "lyapunov_exponent_low",
                                        "lyapunov_exponent_high"};
    sg_status st = SG_OK;
    double *work = NULL;
    const char *missing = NULL;
    if (!x->K)
        return SG_OK;
    NEED(work = sg_calloc(2 * x->B + 3 * x->K, sizeof *work), err, "%zu Lyapunov exponents", x->K);
    double *out = work + 2 * x->B;
    for (size_t k = 0; k < x->K; k++) {
        sg_interval t;
        exponents_interval(&t, x, m, k, work);
        out[k] = t.value, out[x->K + k] = t.low, out[2 * x->K + k] = t.high;
        missing = missing ? missing : t.missing;
    }
    TRY(run_writer_dim(w, group, "exponent", x->K, err));
    for (size_t i = 0; i < 3; i++) {
        TRY(run_writer_define(w, group, names[i], err));
        TRY(run_writer_put_f64(w, group, names[i], NULL, NULL, out + i * x->K, err));
        if (missing && (i || x->missing))
            TRY(run_writer_text(w, group, names[i], "missing_reason", missing, err));
    }
done:
    sg_free(work);
    return st;
}

sg_status exponents_of_parts(exponent_sums *x, const sg_run *first, size_t B, sg_error *err)
{
    sg_status st = SG_OK;
    const char *K = sg_run_attribute(first, "lyapunov");
    size_t rank, shape[SG_RUN_MAX_DIMS];
    *x = (exponent_sums){.B = B};
    if (!K || sscanf(K, "%zu", &x->K) != 1 || !x->K || x->K > 1000000)
        return x->K = 0, SG_OK;
    if (!sg_run_shape(first, sg_run_group_name(first, 0), "part_growth", &rank, shape))
        x->missing = exponents_reset;
    for (size_t m = 0; m < 2 && !x->missing; m++)
        NEED((x->growth[m] = sg_calloc(B, x->K * sizeof(double))) &&
                 (x->steps[m] = sg_calloc(B, sizeof(double))),
             err, "%zu Lyapunov exponents", x->K);
done:
    return st;
}

sg_status exponents_part(part_file *p, exponent_sums *x, size_t m, size_t split, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t shape[] = {p->rows, x->K};
    if (!x->K || x->missing)
        return SG_OK;
    TRY(part_dim(p, "exponent", x->K, err));
    TRY(part_variable(p, "part_growth", 2, shape, err));
    TRY(part_variable(p, "part_growth_steps", 1, shape, err));
    for (size_t i = 0; i < p->rows; i++) {
        const size_t b = p->block[i] / split, start[] = {i, 0}, count[] = {1, x->K};
        if (p->block[i] % split) /* the growth of a block is in the row of its first quarter */
            continue;
        TRY(part_f64(p, "part_growth", start, count, x->growth[m] + b * x->K, err));
        TRY(part_f64(p, "part_growth_steps", start, count, x->steps[m] + b, err));
        if (!(x->steps[m][b] >= 0))
            TRY(sg_fail(err, SG_EFORMAT, "%s: part_growth_steps: %g", p->path, x->steps[m][b]));
    }
done:
    return st;
}

void exponents_free(exponent_sums *x)
{
    for (size_t m = 0; m < 2; m++) {
        sg_free(x->growth[m]);
        sg_free(x->steps[m]);
    }
    *x = (exponent_sums){0};
}
