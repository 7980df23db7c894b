/* SPDX-License-Identifier: MIT */
/* The root of a part, and what the groups of an untrained copy record of it, copied into the whole run. */
#include "analysis/results/metadata.h"
#include "analysis/results/part_input.h"

#include "base/base_internal.h"

#include <string.h>

static size_t product(size_t rank, const size_t *shape)
{
    size_t n = 1;
    for (size_t i = 0; i < rank; i++)
        n *= shape[i];
    return n;
}

static sg_status copy_dims(run_writer *w, const sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    static const struct {
        const char *dim, *variable; /* a variable whose first dimension it is */
    } optional[] = {{"decay_quantity", "decay_quantity"},
                    {"decay_law", "decay_law"},
                    {"decay_share", "decay_share"},
                    {"word", "word"},
                    {"member", "member_word"}};
    TRY(run_writer_dim(w, RUN_ROOT, "delay", sg_run_delays(r), err));
    TRY(run_writer_dim(w, RUN_ROOT, "class", sg_run_classes(r), err));
    TRY(run_writer_dim(w, RUN_ROOT, "embedding", sg_run_embedding(r), err));
    TRY(run_writer_dim(w, RUN_ROOT, "property", 0, err));
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        size_t rank, shape[SG_RUN_MAX_DIMS];
        if (sg_run_shape(r, NULL, optional[i].variable, &rank, shape) && rank && shape[0])
            TRY(run_writer_dim(w, RUN_ROOT, optional[i].dim, shape[0], err));
    }
done:
    return st;
}

static sg_status copy_variable(run_writer *w, int nc, sg_run *r, const char *group, const run_variable *v,
                               sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS], start[SG_RUN_MAX_DIMS] = {0};
    double *x = NULL;
    int64_t *whole = NULL;
    char *text = NULL;
    if (!sg_run_shape(r, group, v->name, &rank, shape))
        return SG_OK;
    TRY(run_writer_define(w, nc, v->name, err));
    const char *why = sg_run_variable_attribute(r, group, v->name, "missing_reason");
    if (why)
        TRY(run_writer_text(w, nc, v->name, "missing_reason", why, err));
    size_t n = product(rank, shape);
    if (!n)
        return SG_OK;
    if (v->type == RUN_STRING) {
        for (size_t i = 0; i < n; i++) {
            TRY(sg_run_read_string(r, group, v->name, i, &text, err));
            TRY(run_writer_put_string(w, nc, v->name, i, text, err));
            sg_string_free(text);
            text = NULL;
        }
        goto done;
    }
    NEED((x = sg_calloc(n, sizeof *x)) && (whole = sg_calloc(n, sizeof *whole)), err, "%s", run_path(r));
    TRY(sg_run_read(r, group, v->name, NULL, NULL, x, err));
    if (v->type == RUN_F32 || v->type == RUN_F64) {
        TRY(run_writer_put_f64(w, nc, v->name, start, shape, x, err));
    } else {
        for (size_t i = 0; i < n; i++)
            whole[i] = (int64_t)x[i];
        TRY(run_writer_put_i64(w, nc, v->name, start, shape, whole, err));
    }
done:
    sg_free(x);
    sg_free(whole);
    sg_string_free(text);
    return st;
}

static sg_status copy_root(run_writer *w, sg_run *r, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    char created[32];
    metadata_created(created);
    TRY(copy_dims(w, r, err));
    for (const run_variable *v = run_variables; v->name; v++)
        if (!v->in_group && strncmp(v->name, "part_", 5))
            TRY(copy_variable(w, RUN_ROOT, r, NULL, v, err));
    for (size_t i = 0; i < sg_run_attributes(r); i++) {
        const char *name = sg_run_attribute_name(r, i);
        if (!strcmp(name, "kind"))
            TRY(run_writer_text(w, RUN_ROOT, NULL, name, RUN_KIND, err));
        else if (!strcmp(name, "created"))
            TRY(run_writer_text(w, RUN_ROOT, NULL, name, created, err));
        else if (!part_input_attribute(name) && name[0] != '_')
            TRY(run_writer_copy_attribute(w, r, name, err));
    }
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "merged_parts", (int64_t)n, err));
done:
    return st;
}

static sg_status copy_untrained(run_writer *w, sg_run *r, sg_error *err)
{
    static const char *const names[] = {"embedding_covariance_factor", "property_vector"};
    sg_status st = SG_OK;
    for (size_t g = 0; g < sg_run_groups(r); g++) {
        const char *group = sg_run_group_name(r, g);
        int nc;
        if (!run_is_untrained(group))
            continue;
        TRY(run_writer_group(w, group, &nc, err));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            TRY(copy_variable(w, nc, r, group, run_variable_find(names[i], false), err));
    }
done:
    return st;
}

sg_status metadata_copy(run_writer *w, sg_run *part, size_t parts, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(copy_root(w, part, parts, err));
    TRY(copy_untrained(w, part, err));
done:
    return st;
}
