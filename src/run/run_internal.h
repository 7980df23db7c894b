/* SPDX-License-Identifier: MIT */
/* run_internal.h - writing the run file, and the one table of what is in it (spec.c).
 *
 * A file is defined first (dimensions, groups, variables, attributes), then filled by hyperslabs in any
 * order, then committed: it appears atomically. */
#ifndef SG_RUN_INTERNAL_H
#define SG_RUN_INTERNAL_H

#include "stategrad/run.h"

#include <string.h>

typedef enum { RUN_F32, RUN_F64, RUN_I32, RUN_I64, RUN_STRING } run_type;

/* Why a value can be missing; the attribute missing_reason lists those that apply in this order. */
typedef enum {
    RUN_NO_PAIRS,    /* nothing to average over */
    RUN_TOO_SMALL,   /* below what float32 distinguishes from 0 */
    RUN_NO_MOMENT,   /* no pair at a step whose second moment was taken */
    RUN_NO_GRAM,     /* all pairs in one block */
    RUN_NO_INTERVAL, /* of this statistic: sg_interval's `missing` */
    RUN_NO_DIFFERENCE,
    RUN_NO_TEST,
    RUN_NO_DECAY,
    RUN_NO_HALF_LIFE,
    RUN_NO_DECAY_ERROR,
    RUN_NO_HALF_LIFE_ERROR,
    RUN_NO_SHARE, /* the curve never falls that far */
    RUN_NO_SHARE_ERROR,
    RUN_NO_MISFIT,    /* a lack of fit that cannot be judged */
    RUN_IS_REFERENCE, /* class all, in comparisons with it */
    RUN_NO_SHAPE,     /* a law without a shape */
    RUN_NO_DIRECTION, /* a property without known words */
    RUN_NO_PROPERTY_HALF_LIFE,
    RUN_NO_PROPERTY_HALF_LIFE_ERROR,
    RUN_NO_RATIO, /* nothing to compare a class with */
    RUN_NO_RATIO_INTERVAL,
    RUN_NO_TOKEN_TEST,
    RUN_NO_TYPE_TEST,
    RUN_NO_WORD,     /* a word without pairs */
    RUN_NO_FACTOR,   /* the inputs do not vary: nothing can be normalised */
    RUN_NO_REPLACED, /* no word of the class was replaced */
    RUN_NO_REPLACED_INTERVAL,
    RUN_NO_KL, /* of the next word, when a word was replaced */
    RUN_NO_KL_INTERVAL,
    RUN_NO_IN_CLASS, /* no word of the class was replaced by another of it */
    RUN_NO_IN_CLASS_INTERVAL,
    RUN_NO_PARTNER, /* no word was replaced by its partner */
    RUN_NO_PARTNER_INTERVAL,
    RUN_NO_PATH, /* no gradient was averaged from a word to its partner */
    RUN_NO_PATH_INTERVAL,
    RUN_NO_REPLICATE, /* no pairs are left when one of the blocks is left out */
    RUN_NO_FOLD,      /* a property whose words have no folds */
    RUN_NO_CHOSEN,    /* no pair of a label at a distance */
    RUN_NO_CHOSEN_INTERVAL,
    RUN_NO_UNIT_INTERVAL, /* of a unit of the state */
    RUN_NO_SELF_GAIN,     /* no origin at a delay */
    RUN_NO_SELF_GAIN_INTERVAL,
    RUN_NO_SELF_HALF_LIFE,
    RUN_NO_SELF_HALF_LIFE_INTERVAL,
    RUN_REASONS
} run_reason;
#define RUN_BIT(reason) (UINT64_C(1) << (reason))

/* How a report cuts a variable. */
typedef enum {
    RUN_WHOLE,   /* as it is */
    RUN_FIRST,   /* entry 0 of the last dimension (rank) */
    RUN_LEADING, /* as many entries of the last dimension as the page has room for */
    RUN_SUBSPACE /* entries 0, 1, 2, 4, 9, 19 of the last dimension: the first 1, 2, 3, 5, 10, 20 vectors */
} run_cut;

typedef struct {
    const char *key; /* in the page's data; NULL: none */
    run_cut cut;
    bool of_baseline; /* shown for the untrained copy too */
} run_report;

/* The table of variables. A row decides where a variable lives, what xarray shows of it, why it can be
 * missing, and whether tables and reports have it. Variables NAME, NAME_low, NAME_high, NAME_se and NAME_bias
 * of a statistic called NAME in the table of spectrum.h are filled from it. */
typedef struct {
    const char *name;
    run_type type;
    bool in_group;    /* else in the root */
    bool required;    /* a run file without it is refused */
    const char *dims; /* "class delay rank" */
    const char *long_name, *units;
    bool sometimes;   /* not in every run: whoever fills it defines it */
    uint64_t missing; /* RUN_BIT of each */
    bool csv;         /* in the tidy table, with NAME_low and NAME_high where they exist, or NAME_error */
    run_report report[2];
    /* a coordinate of a group: it repeats the variable `labels` of the root; NULL: it counts from `first` */
    bool coordinate;
    const char *labels;
    int first;
} run_variable;

extern const run_variable run_variables[]; /* ends with a NULL name */
/* NULL: not in the table. A name of both is the row of the root or of the group as asked for; a baseline's
 * own embedding_covariance_factor lives in its group, by the row of the root. */
const run_variable *run_variable_find(const char *name, bool in_group);

enum {
    RUN_ROOT = 0,
    RUN_MAX_GROUPS = 64,
    RUN_MAX_CLASSES = 1 << 20,
    RUN_MAX_DELAYS = 1 << 24,
    RUN_STRINGS = 1 << 12
};
/* "kind" attribute of the root */
#define RUN_KIND "stategrad-run"
#define RUN_KIND_PART "stategrad-run-part"

/* Groups of the untrained copy of the model: "untrained.layer1.cell" */
#define RUN_UNTRAINED "untrained."
static inline bool run_is_untrained(const char *group)
{
    return !strncmp(group, RUN_UNTRAINED, sizeof RUN_UNTRAINED - 1);
}

/* "layer1.cell", with or without untrained: layer N from 1, then a name of letters, digits, _ and -. */
enum { RUN_MAX_STATE_NAME = 24 };
bool run_is_state(const char *group);

typedef struct run_writer run_writer;

/* A new file that will become `path` at commit. */
sg_status run_writer_create(run_writer **out, const char *path, sg_error *err);
/* The file at `path` opened for changes: works on a copy that replaces `target` (may be `path`) at commit.
 * monitor: progress of copying, in bytes; or NULL. */
sg_status run_writer_modify(run_writer **out, const char *path, const char *target, const sg_monitor *monitor,
                            sg_error *err);
/* Groups are numbered from 1; RUN_ROOT is the root. */
sg_status run_writer_group(run_writer *w, const char *name, int *group, sg_error *err);
/* length 0: grows with what is written (only "property"). */
sg_status run_writer_dim(run_writer *w, int group, const char *name, size_t length, sg_error *err);
/* A row of run_variables; its dimensions exist in the group or the root. Nothing happens if it is there
 * already. */
sg_status run_writer_define(run_writer *w, int group, const char *variable, sg_error *err);
/* All rows of the root (group 0) or of a group of a state, but for those that exist only sometimes. */
sg_status run_writer_define_all(run_writer *w, int group, sg_error *err);
/* Fills the coordinates that are defined in a group, from the root as it is now. */
sg_status run_writer_coordinates(run_writer *w, int group, sg_error *err);
bool run_writer_has(run_writer *w, int group, const char *variable);
/* variable NULL: of the group. */
sg_status run_writer_text(run_writer *w, int group, const char *variable, const char *name, const char *text,
                          sg_error *err);
sg_status run_writer_integer(run_writer *w, int group, const char *variable, const char *name, int64_t value,
                             sg_error *err);
sg_status run_writer_real(run_writer *w, int group, const char *variable, const char *name, double value,
                          sg_error *err);
/* Of the root. */
bool run_writer_has_attribute(run_writer *w, const char *name);
/* An attribute of r's root, with its type. */
sg_status run_writer_copy_attribute(run_writer *w, const sg_run *r, const char *name, sg_error *err);
/* Hyperslabs, row-major; start and count NULL: the whole variable. float and double go into either kind. */
sg_status run_writer_put_f32(run_writer *w, int group, const char *variable, const size_t *start,
                             const size_t *count, const float *x, sg_error *err);
sg_status run_writer_put_f64(run_writer *w, int group, const char *variable, const size_t *start,
                             const size_t *count, const double *x, sg_error *err);
sg_status run_writer_put_i64(run_writer *w, int group, const char *variable, const size_t *start,
                             const size_t *count, const int64_t *x, sg_error *err);
/* Texts first .. first+n-1, RUN_STRINGS at once: a million single calls take minutes, and the number of texts
 * in a call affects the bytes of the file. */
sg_status run_writer_put_strings(run_writer *w, int group, const char *variable, size_t first, size_t n,
                                 const char *const *texts, sg_error *err);
sg_status run_writer_put_string(run_writer *w, int group, const char *variable, size_t i, const char *text,
                                sg_error *err);
/* Frees w in every case. Commit adds a checksum after the NetCDF data (readers of NetCDF do not see it). */
sg_status run_writer_commit(run_writer *w, sg_error *err);
void run_writer_abort(run_writer *w);

/* Opens a part (RUN_KIND_PART) as well; sg_run_open refuses those by name. */
sg_status run_open_part(sg_run **out, const char *path, sg_error *err);
bool run_is_part(const sg_run *r);
const char *run_path(const sg_run *r);
int run_nc(const sg_run *r); /* NetCDF's handle */
/* All n texts of a variable of the root, each freed with sg_free; out (n) must be NULLs, which those not read
 * stay. */
sg_status run_read_strings(const sg_run *r, const char *variable, size_t n, char **out, sg_error *err);
/* float32, read as float32 */
sg_status run_read_f32(const sg_run *r, const char *group, const char *variable, const size_t *start,
                       const size_t *count, float *out, sg_error *err);

/* SG_EFORMAT: an HDF5 file that refers to other files (links, external or virtual data) or needs foreign
 * filters. What is no HDF5 file passes. Under hdf5_lock. */
sg_status run_refuse_foreign(const char *path, sg_error *err);

/* NetCDF's handle of a file (handle.c). create: over the file that is there; change: to read and write; both
 * give NetCDF's status, under hdf5_lock. read: refuses what run_refuse_foreign refuses; a file that another
 * sg_run has open gives the same handle; each is given back by run_nc_close. These two take the lock. */
int run_nc_create(const char *path, int *nc);
int run_nc_change(const char *path, int *nc);
sg_status run_nc_read(const char *path, int *nc, sg_error *err);
void run_nc_close(int nc);

#endif
