/* Run files. A changed file is refused by its checksum, so the checksum is left away: what NetCDF itself can
 * read must open with sensible sizes or be refused with a message; what opens can be read in full. */
#include "memory_file.h"

#include "base/base_internal.h"
#include "run/run_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_everything(sg_run *r, const char *group)
{
    for (const run_variable *v = run_variables; v->name; v++) {
        size_t rank, shape[SG_RUN_MAX_DIMS], n = 1;
        if (!sg_run_shape(r, group, v->name, &rank, shape))
            continue;
        for (size_t i = 0; i < rank; i++)
            n = shape[i] && n > ((size_t)1 << 20) / shape[i] ? 0 : n * shape[i];
        if (!n || v->type == RUN_STRING)
            continue;
        double *x = sg_calloc(n, sizeof *x);
        if (x)
            (void)sg_run_read(r, group, v->name, NULL, NULL, x, NULL);
        sg_free(x);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    long live = sg_alloc_live();
    sg_error err = {""};
    sg_run *r = NULL;
    sg_status st = run_open_part(&r, real_file(data, size), &err);
    must((st == SG_OK) == (r != NULL));
    must(st == SG_OK || err.msg[0]);
    if (r) {
        must(sg_run_classes(r) > 0 && sg_run_delays(r) > 0 && sg_run_groups(r) > 0 &&
             sg_run_embedding(r) > 0);
        read_everything(r, NULL);
        for (size_t g = 0; g < sg_run_groups(r); g++)
            read_everything(r, sg_run_group_name(r, g));
    }
    sg_run_close(r);
    must(sg_alloc_live() == live);
    return 0;
}
