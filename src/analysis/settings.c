/* SPDX-License-Identifier: MIT */
/* The table of settings. A new setting is a field of sg_analysis_config and a row here. */
#include "analysis/settings.h"

#include "base/base_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Words that a field can be given as, and their values. "window:N": a number for the second field follows. */
typedef struct {
    const char *word;
    size_t value;
} word;

typedef enum { NO, YES, PART } decides; /* the contents of the run file; which part of it */

typedef struct {
    sg_setting s;
    size_t size, second; /* bytes of the field; offset of a second one */
    const word *words;
    decides identity;
    const char *attribute; /* its name in the run file, or NULL */
    const char *needs;     /* the attribute is written only if this setting is not 0 */
} row;

#define FIELD(f) .s.offset = offsetof(sg_analysis_config, f), .size = sizeof(((sg_analysis_config *)0)->f)
#define SECOND(f) .second = offsetof(sg_analysis_config, f)
#define WORDS(...)                                                                                           \
    .words = (const word[])                                                                                  \
    {                                                                                                        \
        __VA_ARGS__,                                                                                         \
        {                                                                                                    \
            NULL, 0                                                                                          \
        }                                                                                                    \
    }

/* clang-format off */
static const row rows[] = {
    {.s = {"delays", 'd', SG_SETTING_SIZE, "D", "50", 1, 1e7,
           "delays 0 .. D-1"},
     FIELD(delays), .identity = YES, .attribute = "delays"},
    {.s = {"state", 's', SG_SETTING_WORD, "cell|hidden|both", NULL, 0, 0,
           "which state (default: cell for LSTMs, hidden otherwise)"},
     FIELD(state), .identity = YES,
     WORDS({"cell", SG_STATE_CELL}, {"hidden", SG_STATE_HIDDEN}, {"both", SG_STATE_BOTH})},
    {.s = {"layer", 'l', SG_SETTING_SIZE, "N|all", "0", 1, 1e9,
           "1 is the lowest (default: the top one)"},
     .s.without_model = "", FIELD(layer), .identity = YES, WORDS({"all", SG_ALL_LAYERS})},
    {.s = {"state_handling", 0, SG_SETTING_WORD, "carry|reset|window:N", "carry", 1, 1e15,
           "reset: zero at sentence starts; window:N: no pair across a multiple of N"},
     .s.advanced = true, FIELD(handling), SECOND(window), .identity = YES, .attribute = "state_handling",
     WORDS({"carry", SG_CARRY}, {"reset", SG_RESET}, {"window:N", SG_WINDOW})},
    {.s = {"warm_up", 0, SG_SETTING_U64, "N|all", "0", 1, 1e15,
           "begin the states of each quarter of a block from zero, N tokens before it, so that parts and processes need not "
           "read all text before their share; the run file has the resulting warm_up_difference (default: all, exact)"},
     .s.advanced = true, .s.without_model = "", FIELD(warm_up), .identity = YES, .attribute = "warm_up", .needs = "warm_up", WORDS({"all", 0})},
    {.s = {"burn_in", 0, SG_SETTING_SIZE, "B", "0", 0, 1e15,
           "exclude words read fewer than B steps after a zero state"},
     .s.advanced = true, FIELD(burn_in), .identity = YES, .attribute = "burn_in"},
    {.s = {"normalize", 0, SG_SETTING_WORD, "covariance|none", "covariance", 0, 0,
           "by the covariance of the embeddings, or not at all"},
     .s.advanced = true, FIELD(normalize), .identity = YES, .attribute = "normalization",
     WORDS({"none", false}, {"covariance", true})},
    {.s = {"covariance", 0, SG_SETTING_WORD, "types|tokens", "types", 0, 0,
           "types: each word counts once; tokens: by frequency"},
     .s.advanced = true, FIELD(frequency_weighted), .identity = YES, .attribute = "covariance",
     WORDS({"types", false}, {"tokens", true})},
    {.s = {"ridge", 0, SG_SETTING_REAL, "X", "0", 0, 1e6,
           "add X times the mean variance to the diagonal of the covariance"},
     .s.advanced = true, FIELD(ridge), .identity = YES, .attribute = "ridge"},
    {.s = {"sample", 0, SG_SETTING_U64, "N", "0", 1, 1e15,
           "draw N input positions at random, stratified by class, instead of using all"},
     .s.advanced = true, .s.without_model = "", FIELD(sample), .identity = YES, .attribute = "sample"},
    {.s = {"precision", 0, SG_SETTING_REAL, "P", "0", 1e-6, 0.999,
           "draw input positions until sigma_1 of each class at delays 0 .. 20 has a relative standard error "
           "of at most P; where blocks of the corpus differ by more, until sampling contributes at most P and "
           "half of the error"},
     .s.without_model = "", FIELD(precision), .identity = YES, .attribute = "precision"},
    {.s = {"blocks", 'b', SG_SETTING_SIZE, "B", "20", 1, 10000,
           "blocks of the corpus for the intervals, fewer where documents are fewer"},
     .s.advanced = true, FIELD(blocks), .identity = YES, .attribute = "blocks"},
    {.s = {"documents", 0, SG_SETTING_WORD, "auto|blank|heading|file|line|none", "auto", 0, 0,
           "where documents end (blocks end there too): at blank lines, headings (\"= Title =\", \"# newdoc\"), files, "
           "line ends or nowhere; auto: the first of heading, file, blank that occurs"},
     .s.advanced = true, FIELD(documents), .identity = YES, .attribute = "documents",
     WORDS({"auto", SG_DOCUMENTS_AUTO}, {"blank", SG_DOCUMENTS_BLANK}, {"heading", SG_DOCUMENTS_HEADING},
           {"file", SG_DOCUMENTS_FILE}, {"line", SG_DOCUMENTS_LINE}, {"none", SG_DOCUMENTS_NONE})},
    {.s = {"baseline", 0, SG_SETTING_WORD, "untrained", NULL, 0, 0,
           "also analyse an untrained copy of the model"},
     .s.without_model = "", FIELD(untrained_baseline), .identity = YES, WORDS({"none", false}, {"untrained", true})},
    {.s = {"lyapunov", 0, SG_SETTING_SIZE, "K|none", "1", 1, 1e6,
           "the K largest Lyapunov exponents: how fast small changes of the state grow or decay "
           "(default: 1)"},
     .s.without_model = "none", FIELD(lyapunov), .identity = YES, .attribute = "lyapunov", WORDS({"none", 0})},
    {.s = {"second_moment_every", 0, SG_SETTING_SIZE, "K", "0", 1, 1e9,
           "second moment at one step in K (default: every step on small corpora, else at most a tenth of the "
           "cost)"},
     .s.advanced = true, FIELD(second_moment_every), .identity = YES, .attribute = "second_moment_every"},
    {.s = {"long_after", 0, SG_SETTING_SIZE, "N|auto|never", "auto", 1, 1e15,
           "for hundreds of delays: words read more than N to 2N steps ago share a basis; auto: 64 from 256 "
           "delays on (default: auto)"},
     .s.advanced = true, .s.without_model = "never", FIELD(long_after), .identity = YES, .attribute = "long_after",
     WORDS({"auto", 0}, {"never", SG_LONG_NEVER})},
    {.s = {"long_tolerance", 0, SG_SETTING_REAL, "X", "1e-6", 1e-12, 0.1,
           "truncation tolerance of a shared basis, relative to the Frobenius norm of a gradient; the "
           "run file has the resulting mean_gradient_error"},
     .s.advanced = true, FIELD(long_tolerance), .identity = YES, .attribute = "long_tolerance", .needs = "long_after"},
    {.s = {"block_gram", 0, SG_SETTING_WORD, "auto|yes|no", "auto", 0, 0,
           "store the Gram matrices that intervals of later properties need (track); auto: below 512 MiB"},
     .s.advanced = true, FIELD(block_gram), .identity = YES,
     WORDS({"auto", SG_GRAM_AUTO}, {"yes", SG_GRAM_YES}, {"no", SG_GRAM_NO})},
    {.s = {"replace", 0, SG_SETTING_REAL, "N|RATE|auto|none", "auto", 1e-9, 1e15,
           "words to replace by others, to measure the effect: a number, or a share below 1; auto: about a "
           "tenth of the cost (default: auto)"},
     FIELD(replace), .identity = YES, .attribute = "replace", WORDS({"auto", 0}, {"none", (size_t)-1})},
    {.s = {"units", 0, SG_SETTING_WORD, "yes|no", "no", 0, 0,
           "gain of each single unit of the state, over all directions and along the properties"},
     FIELD(units), .identity = YES, .attribute = "unit_gains", .needs = "units", WORDS({"no", false}, {"yes", true})},
    {.s = {"inputs", 0, SG_SETTING_TEXT, "FILE.npy", NULL, 0, 0,
           "rows of features instead of words, for models without embedding; classes by tags:FILE, one label "
           "per line"},
     .s.advanced = true, FIELD(features_path)},
    {.s = {"part", 0, SG_SETTING_WORD, "I/N", NULL, 0, 0,
           "only part I of N of the corpus; stategrad merge joins the parts"},
     .s.advanced = true, .s.neutral = true, .s.without_model = "", FIELD(part), SECOND(parts), .identity = PART, .attribute = "part", .needs = "part"},
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
     .s.advanced = true, FIELD(seed), .identity = YES, .attribute = "seed"},
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

static const row *find(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (!strcmp(rows[i].s.name, name))
            return &rows[i];
    return NULL;
}

/* ---- values ---- */

static size_t whole_of(const row *r, const sg_analysis_config *cfg)
{
    const char *at = (const char *)cfg + r->s.offset;
    unsigned choice;
    size_t whole;
    if (r->size == sizeof(bool))
        return *(const bool *)at;
    if (r->size == sizeof choice)
        return memcpy(&choice, at, sizeof choice), choice;
    return memcpy(&whole, at, sizeof whole), whole;
}

static double number_of(const row *r, const sg_analysis_config *cfg)
{
    double x;
    return r->s.type == SG_SETTING_REAL ? memcpy(&x, (const char *)cfg + r->s.offset, sizeof x),
           x                            : (double)whole_of(r, cfg);
}

/* Words in place of a real number. */
static bool is_word(const row *r, const sg_analysis_config *cfg, const word *w)
{
    return r->s.type == SG_SETTING_REAL ? number_of(r, cfg) == (double)(int64_t)w->value
                                        : whole_of(r, cfg) == w->value;
}

static void put_whole(const row *r, sg_analysis_config *cfg, size_t value)
{
    char *at = (char *)cfg + r->s.offset;
    unsigned choice = (unsigned)value;
    double real = (double)(int64_t)value;
    if (r->s.type == SG_SETTING_REAL)
        memcpy(at, &real, sizeof real);
    else if (r->size == sizeof(bool))
        *(bool *)at = value != 0;
    else
        memcpy(at, r->size == sizeof choice ? (void *)&choice : (void *)&value, r->size);
}

static size_t *second_of(const row *r, sg_analysis_config *cfg)
{
    return (size_t *)(void *)((char *)cfg + r->second);
}

static bool in_range(const sg_setting *s, double x)
{
    return !(s->least < s->most) || (x >= s->least && x <= s->most);
}

static bool read_whole(const char *text, size_t *n)
{
    char *end;
    errno = 0;
    *n = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno;
}

/* true: text is one of the words. */
static bool read_word(const row *r, sg_analysis_config *cfg, const char *text)
{
    for (const word *w = r->words; w && w->word; w++) {
        size_t stem = strcspn(w->word, "N");
        if (w->word[stem] ? strncmp(text, w->word, stem) != 0 : strcmp(text, w->word) != 0)
            continue;
        size_t n = 0;
        if (w->word[stem] && (!read_whole(text + stem, &n) || !n))
            return false;
        put_whole(r, cfg, w->value);
        if (r->second)
            *second_of(r, cfg) = n;
        return true;
    }
    return false;
}

static bool read_part(const row *r, sg_analysis_config *cfg, const char *text)
{
    size_t part, parts;
    int used = 0;
    if (sscanf(text, "%zu/%zu%n", &part, &parts, &used) != 2 || text[used] || !part || part > parts)
        return false;
    put_whole(r, cfg, part);
    *second_of(r, cfg) = parts;
    return true;
}

static bool read_number(const row *r, sg_analysis_config *cfg, const char *text)
{
    char *at = (char *)cfg + r->s.offset, *end;
    size_t whole = 0;
    double x = strtod(text, &end);
    bool real = r->s.type == SG_SETTING_REAL,
         good = end != text && !*end && isfinite(x) && in_range(&r->s, x);
    if (!good || (!real && !read_whole(text, &whole)))
        return false;
    if (real)
        memcpy(at, &x, sizeof x);
    else
        put_whole(r, cfg, whole);
    return true;
}

/* What the letter in `values` stands for. */
static const char *meaning(const row *r, char *text, size_t size)
{
    const bool whole = r->s.type != SG_SETTING_REAL;
    text[0] = 0;
    if (r->s.type == SG_SETTING_WORD || r->s.type == SG_SETTING_TEXT || !(r->s.least < r->s.most))
        return text;
    if (whole && r->s.most >= 1e6)
        snprintf(text, size, " (a whole number from %g on)", r->s.least);
    else
        snprintf(text, size, " (a %snumber from %g to %g)", whole ? "whole " : "", r->s.least, r->s.most);
    return text;
}

sg_status sg_analysis_set(sg_analysis_config *cfg, const char *name, const char *value, sg_error *err)
{
    char text[80];
    const row *r = find(name);
    if (!r)
        return sg_fail(err, SG_EINVAL, "%s is not a setting of the analysis", name);
    if (cfg->struct_size && r->s.offset + r->size > cfg->struct_size)
        return sg_fail(err, SG_EINVAL,
                       "setting '%s': the program was compiled with headers that do not have it", name);
    if (r->s.type == SG_SETTING_TEXT)
        memcpy((char *)cfg + r->s.offset, &value, sizeof value);
    else if (!read_word(r, cfg, value) &&
             !(r->s.type == SG_SETTING_WORD ? !r->words && read_part(r, cfg, value)
                                            : read_number(r, cfg, value)))
        return sg_fail(err, SG_EINVAL, "setting '%s': expected %s%s, found '%s'", name, r->s.values,
                       meaning(r, text, sizeof text), value);
    return SG_OK;
}

/* As sg_analysis_set reads it. */
static void print(const row *r, const sg_analysis_config *cfg, char *text, size_t size)
{
    size_t whole = r->s.type == SG_SETTING_REAL ? 0 : whole_of(r, cfg);
    size_t second = r->second ? *second_of(r, (sg_analysis_config *)cfg) : 0;
    for (const word *w = r->words; w && w->word; w++)
        if (is_word(r, cfg, w)) {
            bool has_number = r->second && strchr(w->word, 'N');
            snprintf(text, size, has_number ? "%.*s%zu" : "%.*s", (int)strcspn(w->word, "N"), w->word,
                     second);
            return;
        }
    if (r->s.type == SG_SETTING_REAL)
        snprintf(text, size, "%.17g", number_of(r, cfg));
    else
        snprintf(text, size, r->second ? "%zu/%zu" : "%zu", whole, second);
}

/* ---- all of them ---- */

void sg_analysis_defaults_sized(sg_analysis_config *cfg, size_t struct_size, const sg_model *m)
{
    sg_analysis_config own = {.state = SG_STATE_HIDDEN};
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].s.fallback && strcmp(rows[i].s.fallback, "0"))
            sg_analysis_set(&own, rows[i].s.name, rows[i].s.fallback, NULL);
    if (m)
        own.state = sg_cell_default_state(sg_model_get_shape(m)->cell);
    config_give(cfg, struct_size, &own, sizeof own);
}

sg_status settings_check_ranges(const sg_analysis_config *cfg, sg_error *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        const sg_setting *s = &rows[i].s;
        if (s->type == SG_SETTING_TEXT || s->type == SG_SETTING_WORD)
            continue;
        double x = number_of(&rows[i], cfg);
        bool off = x == 0 && s->fallback && (!strcmp(s->fallback, "0") || !strcmp(s->fallback, "auto"));
        bool word_of_it = false;
        for (const word *w = rows[i].words; w && w->word; w++)
            word_of_it |= is_word(&rows[i], cfg, w);
        if (!off && !word_of_it && !in_range(s, x))
            return sg_fail(err, SG_EINVAL, "setting '%s': expected %.15g to %.15g, found %.15g", s->name,
                           s->least, s->most, x);
    }
    return SG_OK;
}

sg_status settings_check_given(const sg_analysis_config *cfg, sg_error *err)
{
    sg_analysis_config usual;
    char text[40], expected[40];
    sg_analysis_defaults(&usual, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        const row *r = &rows[i];
        if (!r->s.without_model)
            continue;
        if (r->s.type != SG_SETTING_TEXT)
            print(r, cfg, text, sizeof text), print(r, &usual, expected, sizeof expected);
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
    char value[64];
    size_t used = strlen(text);
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].identity == NO || (rows[i].identity == PART && !with_part))
            continue;
        print(&rows[i], cfg, value, sizeof value);
        used += (size_t)snprintf(text + used, size - used, "%s=%s\n", rows[i].s.name, value);
    }
}

static sg_status put(run_writer *w, const sg_analysis_config *cfg, const row *r, sg_error *err)
{
    char text[64];
    const row *needed = r->needs ? find(r->needs) : NULL;
    if (needed && !whole_of(needed, cfg))
        return SG_OK;
    if (r->s.type == SG_SETTING_REAL && !r->words)
        return run_writer_real(w, RUN_ROOT, NULL, r->attribute, number_of(r, cfg), err);
    if (r->s.type != SG_SETTING_WORD && r->s.type != SG_SETTING_REAL)
        return run_writer_integer(w, RUN_ROOT, NULL, r->attribute, (int64_t)whole_of(r, cfg), err);
    print(r, cfg, text, sizeof text);
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
