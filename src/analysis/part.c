/* SPDX-License-Identifier: MIT */
#include "analysis/part.h"
#include "analysis/team.h"

#include "base/base_internal.h"

#include <string.h>

sg_status part_of_stream(part_file *p, struct team_stream *stream, bool out, const char *path, size_t first,
                         size_t rows, sg_error *err)
{
    sg_status st = SG_OK;
    *p = (part_file){.path = path, .out = out, .stream = stream, .rows = rows};
    NEED(p->block = sg_calloc(rows, sizeof *p->block), err, "%zu blocks", rows);
    for (size_t i = 0; i < rows; i++)
        p->block[i] = first + i;
done:
    return st;
}

sg_status part_begin(part_file *p, run_writer *w, const char *path, size_t first, size_t rows, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t start = 0;
    double *number = sg_calloc(rows, sizeof *number);
    TRY(part_of_stream(p, NULL, true, path, first, rows, err));
    p->w = w;
    NEED(number, err, "%zu blocks", rows);
    for (size_t i = 0; i < rows; i++)
        number[i] = (double)p->block[i];
    TRY(part_dim(p, "part_block", rows, err));
    TRY(part_variable(p, "part_block", 1, &rows, err));
    TRY(part_f64(p, "part_block", &start, &rows, number, err));
done:
    sg_free(number);
    return st;
}

sg_status part_open(part_file *p, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    const size_t start = 0;
    double *number = NULL;
    *p = (part_file){.path = path};
    TRY(run_open_part(&p->r, path, err));
    const char *part = sg_run_attribute(p->r, "part");
    if (!run_is_part(p->r))
        TRY(sg_fail(err, SG_EFORMAT, "%s: is a whole run, not a part of one", path));
    if (!part || sscanf(part, "%zu/%zu", &p->part, &p->parts) != 2 || !p->part || p->part > p->parts)
        TRY(sg_fail(err, SG_EFORMAT, "%s: attribute part is '%s', expected I/N", path, part ? part : ""));
    if (!sg_run_shape(p->r, NULL, "part_block", &rank, shape) || !shape[0])
        TRY(sg_fail(err, SG_EFORMAT, "%s: variable part_block is missing", path));
    p->rows = shape[0];
    NEED((p->block = sg_calloc(p->rows, sizeof *p->block)) && (number = sg_calloc(p->rows, sizeof *number)),
         err, "the blocks of %s", path);
    TRY(part_f64(p, "part_block", &start, &p->rows, number, err));
    for (size_t i = 0; i < p->rows; i++)
        p->block[i] = number[i] >= 0 && number[i] < 1e9 ? (size_t)number[i] : SIZE_MAX;
done:
    sg_free(number);
    return st;
}

void part_close(part_file *p)
{
    sg_run_close(p->r);
    sg_free(p->block);
    *p = (part_file){0};
}

sg_status part_group(part_file *p, const char *name, sg_error *err)
{
    p->group = name;
    p->nc = RUN_ROOT;
    return p->w && name ? run_writer_group(p->w, name, &p->nc, err) : SG_OK;
}

sg_status part_dim(part_file *p, const char *name, size_t length, sg_error *err)
{
    return p->w ? run_writer_dim(p->w, p->nc, name, length, err) : SG_OK;
}

sg_status part_variable(part_file *p, const char *name, size_t rank, const size_t *shape, sg_error *err)
{
    size_t found, sizes[SG_RUN_MAX_DIMS];
    if (p->stream)
        return SG_OK;
    if (p->w)
        return run_writer_define(p->w, p->nc, name, err);
    if (sg_run_shape(p->r, p->group, name, &found, sizes) && found == rank &&
        !memcmp(sizes, shape, rank * sizeof *shape))
        return SG_OK;
    return sg_fail(err, SG_EFORMAT, "%s: variable %s is missing or does not fit the run", p->path, name);
}

/* n numbers, of the shape `count` that the variable has in the table. */
static sg_status pass_on(part_file *p, const char *variable, const size_t *count, size_t size, void *x,
                         sg_error *err)
{
    size_t n = size;
    for (const char *dim = run_variable_find(variable, p->group != NULL)->dims; *dim; count++) {
        n *= *count;
        dim += strcspn(dim, " ");
        dim += strspn(dim, " ");
    }
    return p->out ? team_put(p->stream, x, n, err) : team_get(p->stream, x, n, err);
}

sg_status part_f64(part_file *p, const char *variable, const size_t *start, const size_t *count, double *x,
                   sg_error *err)
{
    return p->stream ? pass_on(p, variable, count, sizeof *x, x, err)
           : p->w    ? run_writer_put_f64(p->w, p->nc, variable, start, count, x, err)
                     : sg_run_read(p->r, p->group, variable, start, count, x, err);
}

sg_status part_f32(part_file *p, const char *variable, const size_t *start, const size_t *count, float *x,
                   sg_error *err)
{
    return p->stream ? pass_on(p, variable, count, sizeof *x, x, err)
           : p->w    ? run_writer_put_f32(p->w, p->nc, variable, start, count, x, err)
                     : run_read_f32(p->r, p->group, variable, start, count, x, err);
}

sg_status part_matrix(part_file *p, const char *variable, size_t rows, size_t columns, double *x,
                      sg_error *err)
{
    const size_t start[] = {0, 0}, count[] = {rows, columns};
    return part_f64(p, variable, start, count, x, err);
}
