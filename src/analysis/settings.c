/* SPDX-License-Identifier: MIT */
/* The table of settings. A new setting is a field of sg_analysis_config and a row here. */
#include "analysis/settings.h"

#include "base/base_internal.h"
#include "base/settings.h"

#include <string.h>

#define FIELD(f) SETTING_FIELD(sg_analysis_config, f)
#define SECOND(f) .second = offsetof(sg_analysis_config, f)
#define WORDS SETTING_WORDS

/* clang-format off */
static const setting_row rows[] = {
    {.s = {"delays", 'd', SG_SETTING_SIZE, "D", "50", 1, 1e7,
           "delays 0 .. D-1"},
     FIELD(delays), .decides = CONTENTS, .attribute = "delays"},
    {.s = {"state", 's', SG_SETTING_WORD, "cell|hidden|both", NULL, 0, 0,
           "which state (default: cell for LSTMs, hidden otherwise)"},
     FIELD(state), .decides = CONTENTS,
     WORDS({"cell", SG_STATE_CELL}, {"hidden", SG_STATE_HIDDEN}, {"both", SG_STATE_BOTH})},
    {.s = {"layer", 'l', SG_SETTING_SIZE, "N|all", "0", 1, 1e9,
           "1 is the lowest (default: the top one)"},
     .s.without_model = "", FIELD(layer), .decides = CONTENTS, WORDS({"all", SG_ALL_LAYERS})},
    {.s = {"state_handling", 0, SG_SETTING_WORD, "carry|reset|window:N", "carry", 1, 1e15,
           "reset: zero at sentence starts; window:N: no pair across a multiple of N"},
     .s.advanced = true, FIELD(handling), SECOND(window), .decides = CONTENTS, .attribute = "state_handling",
     WORDS({"carry", SG_CARRY}, {"reset", SG_RESET}, {"window:N", SG_WINDOW})},
    {.s = {"warm_up", 0, SG_SETTING_U64, "N|all", "0", 1, 1e15,
           "begin the states of each quarter of a block from zero, N tokens before it, so that parts and processes need not "
           "read all text before their share; the run file has the resulting warm_up_difference (default: all, exact)"},
     .s.advanced = true, .s.without_model = "", FIELD(warm_up), .decides = CONTENTS, .attribute = "warm_up", .needs = "warm_up", WORDS({"all", 0})},
    {.s = {"burn_in", 0, SG_SETTING_SIZE, "B", "0", 0, 1e15,
           "exclude words read fewer than B steps after a zero state"},
     .s.advanced = true, FIELD(burn_in), .decides = CONTENTS, .attribute = "burn_in"},
    {.s = {"normalize", 0, SG_SETTING_WORD, "covariance|none", "covariance", 0, 0,
           "by the covariance of the embeddings, or not at all"},
     .s.advanced = true, FIELD(normalize), .decides = CONTENTS, .attribute = "normalization",
     WORDS({"none", false}, {"covariance", true})},
    {.s = {"covariance", 0, SG_SETTING_WORD, "types|tokens", "types", 0, 0,
           "types: each word counts once; tokens: by frequency"},
     .s.advanced = true, FIELD(frequency_weighted), .decides = CONTENTS, .attribute = "covariance",
     WORDS({"types", false}, {"tokens", true})},
    {.s = {"ridge", 0, SG_SETTING_REAL, "X", "0", 0, 1e6,
           "add X times the mean variance to the diagonal of the covariance"},
     .s.advanced = true, FIELD(ridge), .decides = CONTENTS, .attribute = "ridge"},
    {.s = {"sample", 0, SG_SETTING_U64, "N", "0", 1, 1e15,
           "draw N input positions at random, stratified by class, instead of using all"},
     .s.advanced = true, .s.without_model = "", FIELD(sample), .decides = CONTENTS, .attribute = "sample"},
    {.s = {"precision", 0, SG_SETTING_REAL, "P", "0", 1e-6, 0.999,
           "draw input positions until sigma_1 of each class at delays 0 .. 20 has a relative standard error "
           "of at most P; where blocks of the corpus differ by more, until sampling contributes at most P and "
           "half of the error"},
     .s.without_model = "", FIELD(precision), .decides = CONTENTS, .attribute = "precision"},
    {.s = {"blocks", 'b', SG_SETTING_SIZE, "B", "20", 1, 10000,
           "blocks of the corpus for the intervals, fewer where documents are fewer"},
     .s.advanced = true, FIELD(blocks), .decides = CONTENTS, .attribute = "blocks"},
    {.s = {"documents", 0, SG_SETTING_WORD, "auto|blank|heading|file|line|none", "auto", 0, 0,
           "where documents end (blocks end there too): at blank lines, headings (\"= Title =\", \"# newdoc\"), files, "
           "line ends or nowhere; auto: the first of heading, file, blank that occurs"},
     .s.advanced = true, FIELD(documents), .decides = CONTENTS, .attribute = "documents",
     WORDS({"auto", SG_DOCUMENTS_AUTO}, {"blank", SG_DOCUMENTS_BLANK}, {"heading", SG_DOCUMENTS_HEADING},
           {"file", SG_DOCUMENTS_FILE}, {"line", SG_DOCUMENTS_LINE}, {"none", SG_DOCUMENTS_NONE})},
    {.s = {"baseline", 0, SG_SETTING_WORD, "untrained", NULL, 0, 0,
           "also analyse an untrained copy of the model"},
     .s.without_model = "", FIELD(untrained_baseline), .decides = CONTENTS, WORDS({"none", false}, {"untrained", true})},
    {.s = {"lyapunov", 0, SG_SETTING_SIZE, "K|none", "1", 1, 1e6,
           "the K largest Lyapunov exponents: how fast small changes of the state grow or decay "
           "(default: 1)"},
     .s.without_model = "none", FIELD(lyapunov), .decides = CONTENTS, .attribute = "lyapunov", WORDS({"none", 0})},
    {.s = {"second_moment_every", 0, SG_SETTING_SIZE, "K", "0", 1, 1e9,
           "second moment at one step in K (default: every step on small corpora, else at most a tenth of the "
           "cost)"},
     .s.advanced = true, FIELD(second_moment_every), .decides = CONTENTS, .attribute = "second_moment_every"},
    {.s = {"long_after", 0, SG_SETTING_SIZE, "N|auto|never", "auto", 1, 1e15,
           "for hundreds of delays: words read more than N to 2N steps ago share a basis; auto: 64 from 256 "
           "delays on (default: auto)"},
     .s.advanced = true, .s.without_model = "never", FIELD(long_after), .decides = CONTENTS, .attribute = "long_after",
     WORDS({"auto", 0}, {"never", SG_LONG_NEVER})},
    {.s = {"long_tolerance", 0, SG_SETTING_REAL, "X", "1e-6", 1e-12, 0.1,
           "truncation tolerance of a shared basis, relative to the Frobenius norm of a gradient; the "
           "run file has the resulting mean_gradient_error"},
     .s.advanced = true, FIELD(long_tolerance), .decides = CONTENTS, .attribute = "long_tolerance", .needs = "long_after"},
    {.s = {"block_gram", 0, SG_SETTING_WORD, "auto|yes|no", "auto", 0, 0,
           "store the Gram matrices that intervals of later properties need (track); auto: below 512 MiB"},
     .s.advanced = true, FIELD(block_gram), .decides = CONTENTS,
     WORDS({"auto", SG_GRAM_AUTO}, {"yes", SG_GRAM_YES}, {"no", SG_GRAM_NO})},
    {.s = {"replace", 0, SG_SETTING_REAL, "N|RATE|auto|none", "auto", 1e-9, 1e15,
           "words to replace by others, to measure the effect: a number, or a share below 1; auto: about a "
           "tenth of the cost (default: auto)"},
     FIELD(replace), .decides = CONTENTS, .attribute = "replace", WORDS({"auto", 0}, {"none", (size_t)-1})},
    {.s = {"units", 0, SG_SETTING_WORD, "yes|no", "no", 0, 0,
           "gain of each single unit of the state, over all directions and along the properties; its self gain"},
     FIELD(units), .decides = CONTENTS, .attribute = "unit_gains", .needs = "units", WORDS({"no", false}, {"yes", true})},
    {.s = {"inputs", 0, SG_SETTING_TEXT, "FILE.npy", NULL, 0, 0,
           "rows of features instead of words, for models without embedding; classes by tags:FILE, one label "
           "per line"},
     .s.advanced = true, FIELD(features_path)},
    {.s = {"part", 0, SG_SETTING_WORD, "I/N", NULL, 0, 0,
           "only part I of N of the corpus; stategrad merge joins the parts"},
     .s.advanced = true, .s.neutral = true, .s.without_model = "", FIELD(part), SECOND(parts), .decides = WHICH_PART, .attribute = "part", .needs = "part"},
    {.s = {"checkpoint", 0, SG_SETTING_TEXT, "FILE", NULL, 0, 0,
           "save progress there; the same command continues from it"},
     .s.neutral = true, .s.without_model = "", FIELD(checkpoint)},
    {.s = {"checkpoint_minutes", 0, SG_SETTING_REAL, "M", "5", 0, 1e6,
           "minutes between checkpoints"},
     .s.advanced = true, .s.neutral = true, FIELD(checkpoint_minutes)},
    {.s = {"csv", 0, SG_SETTING_TEXT, "FILE", NULL, 0, 0,
           "also write a tidy table: state, class, delay, quantity, value, low, high; -: on standard output, without the summary"},
     .s.neutral = true, FIELD(csv_path)},
    {.s = {"csv_style", 0, SG_SETTING_WORD, "plain|spreadsheet", "plain", 0, 0,
           "spreadsheet: an apostrophe before names that begin with = + - or @, so that none is evaluated as a formula"},
     .s.advanced = true, .s.neutral = true, FIELD(csv_style), WORDS({"plain", SG_CSV_PLAIN}, {"spreadsheet", SG_CSV_SPREADSHEET})},
    {.s = {"seed", 0, SG_SETTING_U64, "N", "1", 0, 9e18,
           "seed of sampling, random references and the untrained copy"},
     .s.advanced = true, FIELD(seed), .decides = CONTENTS, .attribute = "seed"},
    {.s = {"threads", 't', SG_SETTING_INT, "N", "0", 0, 1024,
           "number of threads (default: all cores); the result does not depend on it"},
     .s.neutral = true, FIELD(threads)},
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows };

const sg_setting *sg_analysis_setting(size_t i)
{
    return i < ROWS ? &rows[i].s : NULL;
}

static const settings_table table = {rows, ROWS, "the analysis"};

sg_status sg_analysis_set(sg_analysis_config *cfg, const char *name, const char *value, sg_error *err)
{
    return setting_set(&table, cfg, name, value, err);
}

void sg_analysis_defaults_sized(sg_analysis_config *cfg, size_t struct_size, const sg_model *m)
{
    sg_analysis_config own = {.state = SG_STATE_HIDDEN};
    settings_give_defaults(&table, &own);
    if (m)
        own.state = sg_cell_default_state(sg_model_get_shape(m)->cell);
    config_give(cfg, struct_size, &own, sizeof own);
}

sg_status settings_check_ranges(const sg_analysis_config *cfg, sg_error *err)
{
    return settings_in_range(&table, cfg, err);
}

sg_status settings_check_given(const sg_analysis_config *cfg, sg_error *err)
{
    sg_analysis_config usual;
    char text[40], expected[40];
    sg_analysis_defaults(&usual, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        const setting_row *r = &rows[i];
        if (!r->s.without_model)
            continue;
        if (r->s.type != SG_SETTING_TEXT)
            setting_print(r, cfg, 0, text, sizeof text),
                setting_print(r, &usual, 0, expected, sizeof expected);
        if (r->s.type == SG_SETTING_TEXT ? *(const char *const *)((const char *)cfg + r->s.offset) != NULL
                                         : strcmp(text, expected) && strcmp(text, r->s.without_model))
            return sg_fail(err, SG_EINVAL,
                           "setting '%s': needs the model, but the gradients are given by the caller",
                           r->s.name);
    }
    return SG_OK;
}

void settings_identity(const sg_analysis_config *cfg, bool with_part, char *text, size_t size)
{
    settings_describe(&table, cfg, with_part, text, size);
}

static sg_status put(run_writer *w, const sg_analysis_config *cfg, const setting_row *r, sg_error *err)
{
    char text[64];
    const setting_row *needed = r->needs ? setting_find(&table, r->needs) : NULL;
    if (needed && !setting_whole(needed, cfg))
        return SG_OK;
    if (r->s.type == SG_SETTING_REAL && !r->words)
        return run_writer_real(w, RUN_ROOT, NULL, r->attribute, setting_number(r, cfg), err);
    if (r->s.type != SG_SETTING_WORD && r->s.type != SG_SETTING_REAL)
        return run_writer_integer(w, RUN_ROOT, NULL, r->attribute, (int64_t)setting_whole(r, cfg), err);
    setting_print(r, cfg, 0, text, sizeof text);
    return run_writer_text(w, RUN_ROOT, NULL, r->attribute, text, err);
}

sg_status settings_put(run_writer *w, const sg_analysis_config *cfg, const char *attribute, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0; i < ROWS; i++) {
        const char *name = rows[i].attribute;
        if (name && (attribute ? !strcmp(name, attribute) : !run_writer_has_attribute(w, name)))
            TRY(put(w, cfg, &rows[i], err));
    }
done:
    return st;
}
