/* SPDX-License-Identifier: MIT */
#include "analysis/property.h"

#include "base/base_internal.h"
#include "base/utf8.h"
#include "io/npy_rows.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { FEW_WORDS = 10, FILE_LIMIT = 1 << 26 };

/* Words of one side with their weights. */
typedef struct {
    sg_class_word *words; /* owned */
    size_t n, cap;
    size_t unknown;
    char first_unknown[64];
} side;

static void side_free(side *s)
{
    sg_free(s->words);
    *s = (side){0};
}

static sg_status side_add(side *s, int32_t id, uint64_t count, sg_error *err)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        sg_class_word *grown = sg_regrow(s->words, s->cap, cap, sizeof *grown);
        if (!grown)
            return no_memory(err, "the properties");
        s->words = grown;
        s->cap = cap;
    }
    s->words[s->n++] = (sg_class_word){id, count};
    return SG_OK;
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static const char *const spaces = " \t\r\n", *const operators = "&|!()\"";

/* A word that is not in the vocabulary is counted. */
static sg_status add_word(side *s, const property_source *src, const char *word, size_t n, sg_error *err)
{
    int32_t id = src->find(src->ctx, word, n);
    if (id >= 0)
        return side_add(s, id, 1, err);
    if (!s->unknown++)
        snprintf(s->first_unknown, sizeof s->first_unknown, "%.*s", (int)(n < 60 ? n : 60), word);
    return SG_OK;
}

/* Words separated by any of `separators`. */
static sg_status add_words(side *s, const property_source *src, const char *text, const char *separators,
                           sg_error *err)
{
    sg_status st = SG_OK;
    for (const char *p = text;;) {
        p += strspn(p, separators);
        size_t n = strcspn(p, separators);
        if (!n)
            break;
        TRY(add_word(s, src, p, n, err));
        p += n;
    }
done:
    return st;
}

/* The text of a file; it may be one by chance that has the name of a word. */
static sg_status read_text(char **content, size_t *n, const char *path, const char *name, bool words,
                           sg_error *err)
{
    sg_status st = sg_read_file(content, n, path, FILE_LIMIT, err);
    if (st != SG_OK || (strlen(*content) == *n && utf8_valid_prefix(*content, *n) == *n))
        return st;
    sg_free(*content);
    *content = NULL;
    if (words)
        return sg_fail(
            err, SG_EFORMAT,
            "property %s: '%.80s' is an existing file that is not text: expected words in UTF-8; the word itself "
            "is written '%.80s,'",
            name, path, path);
    return sg_fail(err, SG_EFORMAT, "property %s: %s: is not a text: expected pairs of words in UTF-8", name,
                   path);
}

/* What the text on a side of '-' may be. A lone name that is nothing known is as likely a misspelt class as a
 * word, or with a dot or slash a misspelt file; several are words. */
typedef enum { NO_FILE, LONE_NAME, UNKNOWN_WORDS, WORDS, A_FILE, AN_EXPRESSION, A_CLASS } side_kind;

static bool holds_expression(const property_source *src, const char *text)
{
    sg_class_word *words = NULL;
    size_t n;
    bool holds = src->words_where && src->words_where(src->ctx, text, "property", &words, &n, NULL) == SG_OK;
    sg_free(words);
    return holds;
}

/* An expression where no word is unknown is a list of words, which it was before there were expressions. */
static side_kind kind_of(const property_source *src, const char *text)
{
    const sg_class_word *words;
    size_t n;
    side s = {0};
    if (src->class_words(src->ctx, text, &words, &n))
        return A_CLASS;
    if (is_file(text))
        return A_FILE;
    bool known = add_words(&s, src, text, " \t\r\n,", NULL) == SG_OK && s.n > 0, several = s.unknown > 1,
         all = known && !s.unknown;
    side_free(&s);
    if (!all && holds_expression(src, text))
        return AN_EXPRESSION;
    return known ? WORDS : several ? UNKNOWN_WORDS : strpbrk(text, "./") ? NO_FILE : LONE_NAME;
}

/* A side as it was given: a text, or words. */
typedef struct {
    const char *text; /* or NULL */
    const char *const *words;
    size_t n;
} given_side;

/* Words as they are, or a class, an expression, a file of words, or words in a text. */
static sg_status read_side(side *s, const property_source *src, const char *name, const given_side *given,
                           sg_error *err)
{
    sg_status st = SG_OK;
    const sg_class_word *words = NULL;
    sg_class_word *own = NULL;
    char *content = NULL;
    size_t n = 0;
    const char *text = given->text;
    for (size_t i = 0; !text && i < given->n; i++)
        TRY(add_word(s, src, given->words[i], strlen(given->words[i]), err));
    if (!text)
        return SG_OK;
    side_kind kind = kind_of(src, text);
    if (kind == AN_EXPRESSION) {
        TRY(src->words_where(src->ctx, text, name, &own, &n, err));
        words = own;
    }
    if (words || src->class_words(src->ctx, text, &words, &n)) {
        for (size_t i = 0; i < n; i++)
            TRY(side_add(s, words[i].id, words[i].count, err));
    } else if (is_file(text)) {
        TRY(read_text(&content, &n, text, name, true, err));
        TRY(add_words(s, src, content, spaces, err));
    } else
        TRY(add_words(s, src, text, " \t\r\n,", err));
done:
    sg_free(content);
    sg_free(own);
    return st;
}

/* How good a reading is: 0 none at all; 1 word lists of which one is unknown throughout (the property will be
 * missing); 2 and more: something known on both sides, classes before the rest. */
static size_t rate_reading(side_kind a, side_kind b)
{
    if (a >= WORDS && b >= WORDS)
        return 2u + (a >= AN_EXPRESSION) + (b >= AN_EXPRESSION);
    bool lists = (a == UNKNOWN_WORDS && b != NO_FILE) || (b == UNKNOWN_WORDS && a != NO_FILE);
    return lists || (a == WORDS && b == LONE_NAME) || (a == LONE_NAME && b == WORDS);
}

/* The class that was probably meant, or NULL. */
static const char *nearest_class(const property_source *src, const char *text)
{
    enum { MOST = 512 };
    const char *names[MOST];
    size_t n = 0;
    for (const char *name; n < MOST && (name = src->class_name(src->ctx, n)) != NULL;)
        names[n++] = name;
    return sg_nearest_name(text, names, n);
}

/* Why the text of one side, or the whole of it, is nothing known. */
static sg_status unknown_side(const property_source *src, const sg_property *p, const char *text,
                              const char *which, sg_error *err)
{
    if (src->words_where && strpbrk(text, operators)) {
        char whose[80];
        sg_class_word *words = NULL;
        size_t n;
        snprintf(whose, sizeof whose, "property %.60s", p->name);
        sg_status st = src->words_where(src->ctx, text, whose, &words, &n, err);
        sg_free(words);
        if (st != SG_OK)
            return st;
    }
    if (!src->words_where && (strpbrk(text, operators) || strchr(text, '=')))
        return sg_fail(
            err, SG_EINVAL,
            "property %s: '%.80s'%s is an expression: it needs the corpus, which 'analyze' reads; expected "
            "classes of this run, words or files",
            p->name, text, which);
    const char *near = nearest_class(src, text);
    return sg_fail(err, SG_EINVAL,
                   "property %s: '%.80s'%s is neither a class, a file nor a word of the vocabulary%s%s%s",
                   p->name, text, which, near ? "; did you mean class " : "", near ? near : "",
                   near ? "?" : "");
}

/* No '-' parts the text into two things that are known: names the side that is not. */
static sg_status no_reading(const property_source *src, const sg_property *p, char *text, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 1; text[i] && text[i + 1]; i++) {
        if (text[i] != '-')
            continue;
        text[i] = 0;
        bool left = kind_of(src, text) >= WORDS, right = kind_of(src, text + i + 1) >= WORDS;
        st = left ? unknown_side(src, p, text + i + 1, " (right of '-')", err)
                  : unknown_side(src, p, text, " (left of '-')", err);
        text[i] = '-';
        if (left || right)
            return st;
    }
    if (st != SG_OK)
        return st;
    return sg_fail(err, SG_EINVAL, "property %s: '%s' is neither a file nor A-B with a '-' between two sides",
                   p->name, p->a);
}

/* Where "A-B" parts: the one '-' whose reading is best. */
static sg_status split(const property_source *src, const sg_property *p, char **left, char **right,
                       sg_error *err)
{
    sg_status st = SG_OK;
    size_t best = 0, readings = 0, best_quality = 0, length = strlen(p->a);
    char *text = sg_strdup(p->a);
    if (!text)
        return no_memory(err, "the properties");
    for (size_t i = 1; i + 1 < length; i++) {
        if (text[i] != '-')
            continue;
        text[i] = 0;
        size_t found = rate_reading(kind_of(src, text), kind_of(src, text + i + 1));
        if (found > best_quality)
            best = i, best_quality = found, readings = 1;
        else if (found && found == best_quality)
            readings++;
        text[i] = '-';
    }
    if (!readings)
        TRY(no_reading(src, p, text, err));
    if (readings > 1)
        TRY(sg_fail(err, SG_EINVAL,
                    "property %s: '%s' can be split at %zu positions; put the words into files", p->name,
                    p->a, readings));
    text[best] = 0;
    NEED((*left = sg_strdup(text)) && (*right = sg_strdup(text + best + 1)), err, "a property");
done:
    sg_free(text);
    return st;
}

static double weight_of(const side *s, size_t without)
{
    double total = 0;
    for (size_t i = 0; i < s->n; i++)
        total += i % PROPERTY_FOLDS == without ? 0 : (double)s->words[i].count;
    return total;
}

/* delta += sign * weighted mean embedding, of the words that are not in fold `without` (none: ALL) */
enum { ALL = PROPERTY_FOLDS };
static void add_mean(double *delta, double sign, const side *s, const float *X, size_t E, size_t without)
{
    double total = weight_of(s, without);
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < E && i % PROPERTY_FOLDS != without; j++)
            delta[j] += sign * (double)s->words[i].count / total * (double)X[(size_t)s->words[i].id * E + j];
}

/* Without a known word there is no difference of embeddings either: NaN. */
static void no_vector(property *out, const property_source *src)
{
    for (size_t m = 0; m < src->n_models; m++)
        for (size_t e = 0; e < src->E; e++)
            out->delta[m][e] = NAN;
}

static sg_status set_missing(property *out, const sg_monitor *monitor, const char *why, sg_error *err)
{
    size_t n = strlen(why) + strlen(out->name) + 16;
    if (!(out->missing = sg_calloc(n, 1)))
        return no_memory(err, "the properties");
    snprintf(out->missing, n, "property %s: %s", out->name, why);
    sg_warn(monitor, "%s; its values are missing", out->missing);
    return SG_OK;
}

static void warn_side(const property *out, const side *s, const given_side *given, const char *which,
                      const sg_monitor *monitor)
{
    char text[80];
    if (given->text)
        snprintf(text, sizeof text, "'%.60s'", given->text);
    else
        snprintf(text, sizeof text, "the %s side", which);
    if (s->unknown)
        sg_warn(monitor, "property %s: %zu of %zu word%s of %s %s not in the vocabulary, the first is '%s'",
                out->name, s->unknown, s->unknown + s->n, s->unknown + s->n == 1 ? "" : "s", text,
                s->unknown == 1 ? "is" : "are", s->first_unknown);
    if (s->n < FEW_WORDS)
        sg_warn(monitor, "property %s: %s has %zu word%s, fewer than %d", out->name, text, s->n,
                s->n == 1 ? "" : "s", (int)FEW_WORDS);
}

static double largest_entry(const double *x, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(x[i]));
    return largest;
}

static void folds_of_sides(property *out, const property_source *src, const side *a, const side *b)
{
    size_t E = src->E;
    if (a->n < FEW_WORDS || b->n < FEW_WORDS) {
        out->no_folds = PROPERTY_FEW_WORDS;
        return;
    }
    for (size_t k = 0; k < PROPERTY_FOLDS; k++) {
        out->fold_weight[k] =
            1 - 0.5 * (weight_of(a, k) / weight_of(a, ALL) + weight_of(b, k) / weight_of(b, ALL));
        for (size_t m = 0; m < src->n_models; m++) {
            double *delta = out->fold[m] + k * E;
            memset(delta, 0, E * sizeof *delta);
            add_mean(delta, 1, a, src->embeddings[m], E, k);
            add_mean(delta, -1, b, src->embeddings[m], E, k);
        }
    }
}

static sg_status from_sides(property *out, const property_source *src, const given_side *a,
                            const given_side *b, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    side left = {0}, right = {0};
    TRY(read_side(&left, src, out->name, a, err));
    TRY(read_side(&right, src, out->name, b, err));
    out->words_a = (int64_t)left.n;
    out->words_b = (int64_t)right.n;
    warn_side(out, &left, a, "first", monitor);
    warn_side(out, &right, b, "second", monitor);
    if (!left.n || !right.n) {
        no_vector(out, src);
        TRY(set_missing(out, monitor, "a side without a known word", err));
        goto done;
    }
    folds_of_sides(out, src, &left, &right);
    for (size_t m = 0; m < src->n_models; m++) {
        add_mean(out->delta[m], 1, &left, src->embeddings[m], src->E, ALL);
        double size = largest_entry(out->delta[m], src->E);
        add_mean(out->delta[m], -1, &right, src->embeddings[m], src->E, ALL);
        if (largest_entry(out->delta[m], src->E) <=
            1e-12 * size) /* equal sides leave rounding, no direction */
            memset(out->delta[m], 0, src->E * sizeof *out->delta[m]);
    }
done:
    side_free(&left);
    side_free(&right);
    return st;
}

/* From the sums of the folds and of all, delta, to means without each fold. */
static void folds_of_pairs(property *out, const property_source *src, size_t used)
{
    out->no_folds = used < FEW_WORDS ? PROPERTY_FEW_WORDS : NULL;
    for (size_t m = 0; m < src->n_models; m++)
        for (size_t k = 0; k < PROPERTY_FOLDS; k++)
            for (size_t e = 0; e < src->E; e++) {
                double *x = &out->fold[m][k * src->E + e];
                *x = out->no_folds ? (double)NAN
                                   : (out->delta[m][e] - *x) / ((double)used - out->fold_weight[k]);
            }
    for (size_t k = 0; used && k < PROPERTY_FOLDS; k++)
        out->fold_weight[k] /= (double)used;
}

static sg_status keep_pair(property *out, int32_t a, int32_t b, sg_error *err)
{
    if (a == b)
        return SG_OK;
    if (!(out->pairs & (out->pairs + 1))) { /* full: room for 1, 3, 7, ... */
        size_t room = 2 * out->pairs + 1;
        void *grown = sg_regrow(out->pair, out->pairs, room, sizeof *out->pair);
        if (!grown)
            return no_memory(err, "%zu pairs of property %s", room, out->name);
        out->pair = grown;
    }
    out->pair[out->pairs][0] = a, out->pair[out->pairs++][1] = b;
    return SG_OK;
}

/* Pairs of words, as they are read. */
typedef struct {
    size_t used, unknown;
    char first[64]; /* unknown word */
} pair_count;

/* n, m: lengths */
static sg_status add_pair(property *out, pair_count *k, const property_source *src, const char *a, size_t n,
                          const char *b, size_t m, sg_error *err)
{
    size_t E = src->E;
    int32_t i = src->find(src->ctx, a, n), j = src->find(src->ctx, b, m);
    if (i < 0 || j < 0) {
        if (!k->unknown++)
            snprintf(k->first, sizeof k->first, "%.*s", (int)(i < 0 ? n : m), i < 0 ? a : b);
        return SG_OK;
    }
    sg_status st = keep_pair(out, i, j, err);
    if (st != SG_OK)
        return st;
    size_t fold = k->used++ % PROPERTY_FOLDS;
    out->fold_weight[fold]++;
    for (size_t model = 0; model < src->n_models; model++)
        for (size_t e = 0; e < E; e++) {
            double x = (double)src->embeddings[model][(size_t)i * E + e] -
                       (double)src->embeddings[model][(size_t)j * E + e];
            out->delta[model][e] += x;
            out->fold[model][fold * E + e] += x; /* of the fold, for now */
        }
    return SG_OK;
}

/* A line "cat cats" each. */
static sg_status read_pairs(property *out, pair_count *k, const property_source *src, const char *path,
                            sg_error *err)
{
    sg_status st = SG_OK;
    char *content = NULL;
    size_t size, line = 0;
    TRY(read_text(&content, &size, path, out->name, false, err));
    for (char *p = content, *next; *p; p = next) {
        size_t length = strcspn(p, "\n");
        next = p + length + (p[length] == '\n');
        p[length] = 0;
        line++;
        const char *a = p + strspn(p, spaces);
        size_t n = strcspn(a, spaces);
        const char *b = a + n + strspn(a + n, spaces);
        size_t m = strcspn(b, spaces);
        if (!n || *a == '#')
            continue;
        if (!m || b[m + strspn(b + m, spaces)])
            TRY(sg_fail(err, SG_EFORMAT, "%s, line %zu: expected two words, found '%.60s'", path, line, p));
        TRY(add_pair(out, k, src, a, n, b, m, err));
    }
done:
    sg_free(content);
    return st;
}

/* The mean of the differences of pairs of which both words are known. */
static sg_status from_pairs(property *out, const property_source *src, const sg_property *p,
                            const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    pair_count k = {0};
    if (!p->pairs)
        TRY(read_pairs(out, &k, src, p->a, err));
    for (size_t i = 0; p->pairs && i < p->n_words_a; i++)
        TRY(add_pair(out, &k, src, p->words_a[i], strlen(p->words_a[i]), p->words_b[i], strlen(p->words_b[i]),
                     err));
    out->words_a = out->words_b = (int64_t)k.used;
    if (k.unknown)
        sg_warn(monitor,
                "property %s: %zu of %zu pairs%s%s are ignored because a word is unknown, the first is '%s'",
                out->name, k.unknown, k.unknown + k.used, p->pairs ? "" : " of ", p->pairs ? "" : p->a,
                k.first);
    if (!k.used) {
        no_vector(out, src);
        TRY(set_missing(out, monitor, "no pair of known words", err));
    } else if (k.used < FEW_WORDS)
        sg_warn(monitor, "property %s: %zu pair%s, fewer than %d", out->name, k.used, k.used == 1 ? "" : "s",
                (int)FEW_WORDS);
    folds_of_pairs(out, src, k.used);
    for (size_t m = 0; k.used && m < src->n_models; m++)
        for (size_t e = 0; e < src->E; e++)
            out->delta[m][e] /= (double)k.used;
done:
    return st;
}

static sg_status from_given_vector(property *out, const property_source *src, const double *x, size_t n,
                                   sg_error *err)
{
    if (n != src->E)
        return sg_fail(err, SG_EINVAL, "property %s: expected a vector of %zu numbers, found %zu", out->name,
                       src->E, n);
    for (size_t e = 0; e < n; e++) {
        float value = (float)x[e];
        if (!isfinite(value))
            return sg_fail(err, SG_EINVAL, "property %s: number %zu of the vector is %g", out->name, e, x[e]);
        for (size_t m = 0; m < src->n_models; m++)
            out->delta[m][e] = (double)value;
    }
    return SG_OK;
}

static sg_status from_vector(property *out, const property_source *src, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    rows_file *f = NULL;
    float *x = NULL;
    TRY(rows_open(&f, path, err));
    if (rows_count(f) != 1 || rows_columns(f) != src->E)
        TRY(sg_fail(err, SG_EFORMAT, "property %s: %s: expected a vector of %zu numbers, found %ju x %zu",
                    out->name, path, src->E, (uintmax_t)rows_count(f), rows_columns(f)));
    NEED(x = sg_calloc(src->E, sizeof *x), err, "a property");
    TRY(rows_read(f, 0, 1, x, err));
    for (size_t m = 0; m < src->n_models; m++)
        for (size_t e = 0; e < src->E; e++)
            out->delta[m][e] = (double)x[e];
done:
    rows_close(f);
    sg_free(x);
    return st;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

sg_status property_resolve(property *out, const property_source *src, const sg_property *p,
                           const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    char *left = NULL, *right = NULL;
    *out = (property){0};
    bool whole = !p->b && !p->words_a && !p->words_b && !p->vector;
    if (!p->name || !p->name[0] || (!p->words_a && !p->vector && (!p->a || !p->a[0])))
        return sg_fail(err, SG_EINVAL, "property: expected NAME=A-B, NAME=PAIRS or NAME=VECTOR.npy");
    out->name = sg_strdup(p->name);
    bool vector_file = whole && ends_with(p->a, ".npy"), vector = p->vector || vector_file,
         pairs = p->pairs || (whole && !vector_file && is_file(p->a)), room = true;
    for (size_t m = 0; m < src->n_models; m++) {
        out->delta[m] = sg_calloc(src->E, sizeof(double));
        out->fold[m] = sg_calloc(PROPERTY_FOLDS * src->E, sizeof(double));
        room = room && out->delta[m] && out->fold[m];
        for (size_t i = 0; out->fold[m] && !pairs && i < PROPERTY_FOLDS * src->E; i++)
            out->fold[m][i] = NAN;
    }
    NEED(out->name && room, err, "a property");
    if (!vector && !src->embeddings[0])
        TRY(sg_fail(err, SG_EINVAL, "property %s: the model has no words; expected a vector", p->name));
    if (p->vector)
        TRY(from_given_vector(out, src, p->vector, p->n_vector, err));
    else if (vector_file)
        TRY(from_vector(out, src, p->a, err));
    else if (pairs)
        TRY(from_pairs(out, src, p, monitor, err));
    else {
        if (whole)
            TRY(split(src, p, &left, &right, err));
        given_side a = {whole ? left : p->a, p->words_a, p->n_words_a},
                   b = {whole ? right : p->b, p->words_b, p->n_words_b};
        TRY(from_sides(out, src, &a, &b, monitor, err));
    }
    if (!out->missing && !(largest_entry(out->delta[0], src->E) > 0))
        TRY(set_missing(out, monitor,
                        vector ? "the vector is zero" : "its two sides are equal, the difference is zero",
                        err));
done:
    if (st != SG_OK)
        property_free(out);
    sg_free(left);
    sg_free(right);
    return st;
}

void property_free(property *p)
{
    sg_free(p->name);
    for (size_t m = 0; m < 2; m++) {
        sg_free(p->delta[m]);
        sg_free(p->fold[m]);
    }
    sg_free(p->pair);
    sg_free(p->missing);
    *p = (property){0};
}
