/* SPDX-License-Identifier: MIT */
/* settings.h - one row of a table of settings. Each table (sg_analysis_setting, sg_train_setting) gives the
 * options of the program and the keywords of other languages. */
#ifndef STATEGRAD_SETTINGS_H
#define STATEGRAD_SETTINGS_H

#include "stategrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    SG_SETTING_SIZE, /* size_t */
    SG_SETTING_U64,  /* uint64_t */
    SG_SETTING_INT,  /* int */
    SG_SETTING_REAL, /* double */
    SG_SETTING_TEXT, /* const char *, borrowed */
    SG_SETTING_WORD  /* an enum or a bool; set it from text */
} sg_setting_type;

typedef struct {
    const char *name; /* "burn_in"; the option is --burn-in */
    char letter;      /* short option, or 0 */
    sg_setting_type type;
    const char *values; /* "N", "types|tokens", "N|auto|never" */
    /* the default as text; NULL: none, or it depends on the model or on other settings */
    const char *fallback;
    double least, most; /* range of a number, inclusive; equal: no limits */
    const char *help;   /* a phrase, without the default */
    bool advanced;      /* listed after the others */
    size_t offset;      /* of the field in the configuration */
    bool neutral;       /* changes no value of a finished run; the stored command omits it */
    /* not NULL: it controls how a model is run. An accumulator (accumulator.h) accepts only its default or
     * this value */
    const char *without_model;
} sg_setting;

#ifdef __cplusplus
}
#endif
#endif
