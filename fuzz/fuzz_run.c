/* SPDX-License-Identifier: MIT */
/* Run files. A changed file is refused by its checksum, so the checksum is left away: what NetCDF itself can
 * read must open with sensible sizes or be refused with a message; what opens can be read in full; and what
 * the program's own writer makes of it (as `stategrad track` does: a copy, changed, with a checksum, renamed)
 * is refused with a message or reads the same: sizes, names, attributes, every number and string. */
#include "base/base_internal.h"
#include "round_trip.h"
#include "run/run_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_READ = 1 << 20 };

/* The numbers of a variable; NULL: not there, strings, too many, or unreadable. */
static double *numbers(const sg_run *r, const char *group, const run_variable *v, size_t *n)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    *n = 1;
    if (v->type == RUN_STRING || !sg_run_shape(r, group, v->name, &rank, shape))
        return NULL;
    for (size_t i = 0; i < rank; i++)
        *n = shape[i] && *n > MAX_READ / shape[i] ? 0 : *n * shape[i];
    double *x = *n ? sg_calloc(*n, sizeof *x) : NULL;
    if (x && sg_run_read(r, group, v->name, NULL, NULL, x, NULL) != SG_OK) {
        sg_free(x);
        x = NULL;
    }
    return x;
}

static void same_variable(sg_run *a, sg_run *b, const char *group, const run_variable *v)
{
    size_t rank_a, rank_b, shape_a[SG_RUN_MAX_DIMS], shape_b[SG_RUN_MAX_DIMS], n, m;
    bool there = sg_run_shape(a, group, v->name, &rank_a, shape_a);
    must(sg_run_shape(b, group, v->name, &rank_b, shape_b) == there);
    if (!there)
        return;
    must(rank_a == rank_b && !memcmp(shape_a, shape_b, rank_a * sizeof *shape_a));
    double *x = numbers(a, group, v, &n), *y = numbers(b, group, v, &m);
    must(n == m && (x != NULL) == (y != NULL) && (!x || !memcmp(x, y, n * sizeof *x)));
    sg_free(x);
    sg_free(y);
    for (size_t i = 0; v->type == RUN_STRING && rank_a == 1 && i < shape_a[0] && i < 1000; i++) {
        char *s = NULL, *t = NULL;
        must(sg_run_read_string(a, group, v->name, i, &s, NULL) ==
             sg_run_read_string(b, group, v->name, i, &t, NULL));
        same_text(s, t);
        sg_string_free(s);
        sg_string_free(t);
    }
    static const char *const names[] = {"long_name", "units", "missing_reason"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        same_text(sg_run_variable_attribute(a, group, v->name, names[i]),
                  sg_run_variable_attribute(b, group, v->name, names[i]));
}

static void same_run(sg_run *a, sg_run *b)
{
    must(sg_run_classes(a) == sg_run_classes(b) && sg_run_delays(a) == sg_run_delays(b));
    must(sg_run_properties(a) == sg_run_properties(b) && sg_run_embedding(a) == sg_run_embedding(b));
    must(sg_run_groups(a) == sg_run_groups(b) && run_is_part(a) == run_is_part(b));
    for (size_t c = 0; c < sg_run_classes(a); c++) {
        same_text(sg_run_class_name(a, c), sg_run_class_name(b, c));
        must(sg_run_class_tokens(a, c) == sg_run_class_tokens(b, c));
    }
    for (size_t i = 0; i < sg_run_attributes(a); i++) {
        const char *name = sg_run_attribute_name(a, i);
        same_text(sg_run_attribute(a, name), sg_run_attribute(b, name));
    }
    for (const run_variable *v = run_variables; v->name; v++)
        same_variable(a, b, NULL, v);
    for (size_t g = 0; g < sg_run_groups(a); g++) {
        const char *group = sg_run_group_name(a, g);
        same_text(group, sg_run_group_name(b, g));
        must(sg_run_units(a, g) == sg_run_units(b, g) && sg_run_rank(a, g) == sg_run_rank(b, g));
        for (const run_variable *v = run_variables; v->name; v++)
            same_variable(a, b, group, v);
    }
}

/* With an attribute more, so that NetCDF has something to write. */
static sg_status rewrite(const char *from, const char *to, sg_error *err)
{
    run_writer *w = NULL;
    sg_status st = run_writer_modify(&w, from, to, NULL, err);
    if (st == SG_OK)
        st = run_writer_text(w, RUN_ROOT, NULL, "rewritten by the fuzz target", "yes", err);
    if (st == SG_OK)
        return run_writer_commit(w, err);
    run_writer_abort(w);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    long live = sg_alloc_live();
    sg_error err = {""};
    sg_run *r = NULL, *again = NULL;
    const char *path = real_file(data, size);
    sg_status st = run_open_part(&r, path, &err);
    must((st == SG_OK) == (r != NULL));
    must(st == SG_OK || err.msg[0]);
    if (r) {
        must(sg_run_classes(r) > 0 && sg_run_delays(r) > 0 && sg_run_groups(r) > 0 &&
             sg_run_embedding(r) > 0);
        same_run(r, r); /* everything can be read, twice */
        st = rewrite(path, output_file(), &err);
        must(st == SG_OK || (err.msg[0] && !strchr(err.msg, '\n')));
        if (st == SG_OK) {
            must(run_open_part(&again, output_file(), &err) == SG_OK);
            must(sg_run_attributes(again) >= sg_run_attributes(r));
            same_run(r, again);
        }
    }
    sg_run_close(again);
    sg_run_close(r);
    must(sg_alloc_live() == live);
    return 0;
}
