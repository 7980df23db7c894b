/* SPDX-License-Identifier: MIT */
/* reader_internal.h - an open run file: reader.c opens and checks it, values.c reads from it. */
#ifndef SG_RUN_READER_INTERNAL_H
#define SG_RUN_READER_INTERNAL_H

#include "io/hdf5.h"
#include "run/run_internal.h"

#include <netcdf.h>

typedef struct {
    char name[NC_MAX_NAME + 1];
    int nc;
    size_t units, rank;
    unsigned layer;
    bool untrained;
} run_group;

typedef struct {
    char *key, *text; /* key "group/variable/attribute" */
} cached_text;

struct sg_run {
    char *path;
    int nc;
    bool is_open, is_part;
    size_t D, C, P, E;
    char **class_names, **property_names;
    int64_t *class_tokens;
    run_group *groups;
    size_t n_groups;
    cached_text *attributes; /* of the root; key is the name alone */
    size_t n_attributes;
    cached_text *cache;
    size_t n_cache;
};

/* SG_OK, or a failure "FILE: WHAT: NetCDF's message". */
sg_status run_nc_status(const sg_run *r, int rc, const char *what, sg_error *err);
/* TRY of a call into NetCDF, under its lock. Needs `st`, `err` and a label `done`. */
#define RUN_NC(r, what, call)                                                                                \
    do {                                                                                                     \
        hdf5_lock();                                                                                         \
        int rc_ = (call);                                                                                    \
        hdf5_unlock();                                                                                       \
        TRY(run_nc_status(r, rc_, what, err));                                                               \
    } while (0)

/* The text of an attribute (numbers printed), the caller's; variable NC_GLOBAL: of the group. */
sg_status run_read_attribute(const sg_run *r, int nc, int variable, const char *name, char **text,
                             sg_error *err);

#endif
