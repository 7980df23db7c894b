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

/* The row of variable `name` of the part, if the whole run has it too; otherwise NULL. */
static const run_variable *kept(const char *group, const char *name)
{
    bool is_kept = group ? !strcmp(name, "embedding_covariance_factor") || !strcmp(name, "property_vector")
                         : strncmp(name, "part_", 5) != 0;
    return is_kept ? run_variable_find(name, group != NULL) : NULL;
}

static sg_status define_variable(run_writer *w, int nc, sg_run *r, const char *group, const run_variable *v,
                                 sg_error *err)
{
    sg_status st = SG_OK;
    const char *why = sg_run_variable_attribute(r, group, v->name, "missing_reason");
    TRY(run_writer_define(w, nc, v->name, err));
    if (why)
        TRY(run_writer_text(w, nc, v->name, "missing_reason", why, err));
done:
    return st;
}

static sg_status copy_texts(run_writer *w, int nc, sg_run *r, const char *group, const run_variable *v,
                            size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    char *texts[RUN_STRINGS] = {NULL};
    for (size_t at = 0, k = 0; at < n; at += k) {
        for (k = 0; k < RUN_STRINGS && at + k < n; k++) {
            sg_string_free(texts[k]);
            texts[k] = NULL;
            TRY(sg_run_read_string(r, group, v->name, at + k, &texts[k], err));
        }
        TRY(run_writer_put_strings(w, nc, v->name, at, k, (const char *const *)texts, err));
    }
done:
    for (size_t k = 0; k < RUN_STRINGS; k++)
        sg_string_free(texts[k]);
    return st;
}

static sg_status fill_variable(run_writer *w, int nc, sg_run *r, const char *group, const run_variable *v,
                               sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank = 0, shape[SG_RUN_MAX_DIMS], start[SG_RUN_MAX_DIMS] = {0};
    double *x = NULL;
    int64_t *whole = NULL;
    size_t n = sg_run_shape(r, group, v->name, &rank, shape) ? product(rank, shape) : 0;
    if (!n)
        return SG_OK;
    if (v->type == RUN_STRING)
        return copy_texts(w, nc, r, group, v, n, err);
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
    return st;
}

/* `each` for what is kept of the root, or of a group, in the order of the part. */
static sg_status for_each(sg_status (*each)(run_writer *, int, sg_run *, const char *, const run_variable *,
                                            sg_error *),
                          run_writer *w, int nc, sg_run *r, const char *group, sg_error *err)
{
    sg_status st = SG_OK;
    char name[SG_RUN_NAME];
    for (size_t i = 0; sg_run_variable_name(r, group, i, name); i++) {
        const run_variable *v = kept(group, name);
        if (v)
            TRY(each(w, nc, r, group, v, err));
    }
done:
    return st;
}

static sg_status copy_attributes(run_writer *w, const sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    char created[32];
    metadata_created(created);
    for (size_t i = 0; i < sg_run_attributes(r); i++) {
        const char *name = sg_run_attribute_name(r, i);
        if (!strcmp(name, "kind"))
            TRY(run_writer_text(w, RUN_ROOT, NULL, name, RUN_KIND, err));
        else if (!strcmp(name, "created"))
            TRY(run_writer_text(w, RUN_ROOT, NULL, name, created, err));
        else if (!part_input_attribute(name) && name[0] != '_')
            TRY(run_writer_copy_attribute(w, r, name, err));
    }
done:
    return st;
}

sg_status metadata_copy(run_writer *w, sg_run *part, sg_error *err)
{
    sg_status st = SG_OK;
    int nc[RUN_MAX_GROUPS + 1] = {RUN_ROOT};
    const char *group[RUN_MAX_GROUPS + 1] = {NULL};
    size_t n = 1;
    TRY(copy_dims(w, part, err));
    TRY(for_each(define_variable, w, RUN_ROOT, part, NULL, err));
    TRY(copy_attributes(w, part, err));
    for (size_t g = 0; g < sg_run_groups(part); g++)
        if (run_is_untrained(group[n] = sg_run_group_name(part, g))) {
            TRY(run_writer_group(w, group[n], &nc[n], err));
            TRY(for_each(define_variable, w, nc[n], part, group[n], err));
            n++;
        }
    for (size_t k = 0; k < n; k++)
        TRY(for_each(fill_variable, w, nc[k], part, k ? group[k] : NULL, err));
done:
    return st;
}
