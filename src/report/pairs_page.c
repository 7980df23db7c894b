/* SPDX-License-Identifier: MIT */
/* pairs_page.c - scored minimal pairs as JSON, and as a page of bounded size. */
#include "report/json_out.h"
#include "report/report_internal.h"

#include "base/base_internal.h"
#include "base/text_file.h"
#include "base/utf8.h"
#include "behaviour/pairs_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a page holds at most; bytes: of a word or a name. */
enum { MOST_CONDITIONS = 500, MOST_ROLES = 20, MOST_PAIRS = 1000, MOST_WORDS = 60000, MOST_BYTES = 120 };
enum { EXACT_DIGITS = 17 };

typedef struct {
    json_out *j;
    int digits;
    bool cut; /* long names are cut */
    size_t conditions, roles;
} writer;

/* The text, or its first MOST_BYTES bytes and dots. */
static void put_name(const writer *w, const char *name)
{
    char part[MOST_BYTES + 4];
    const size_t n = strlen(name);
    size_t keep = 0, k;
    if (!w->cut || n <= MOST_BYTES) {
        json_text(w->j, name);
        return;
    }
    while ((k = utf8_length((const unsigned char *)name + keep, n - keep)) && keep + k <= MOST_BYTES)
        keep += k;
    memcpy(part, name, keep);
    memcpy(part + keep, "\xE2\x80\xA6", 4);
    json_text(w->j, part);
}

static void put_count(const writer *w, const char *key, uint64_t n)
{
    json_key(w->j, key), json_count(w->j, n);
}

static void put_number(const writer *w, const char *key, double x)
{
    json_key(w->j, key), json_number(w->j, x, w->digits);
}

static void put_interval(const writer *w, const char *key, double value, double low, double high)
{
    json_key(w->j, key), json_open(w->j, '{');
    put_number(w, "value", value), put_number(w, "low", low), put_number(w, "high", high);
    json_close(w->j, '}');
}

static void put_role(const writer *w, const sg_pairs_role *r)
{
    json_open(w->j, '{');
    json_key(w->j, "role"), put_name(w, r->name);
    put_count(w, "pairs", r->pairs);
    put_interval(w, "attribution", r->attribution, r->low, r->high);
    put_count(w, "both", r->both);
    put_interval(w, "first_minus", r->first_minus, r->first_minus_low, r->first_minus_high);
    json_close(w->j, '}');
}

static void put_condition(const writer *w, const sg_pairs *p, size_t c)
{
    const sg_pairs_condition *x = &p->conditions[c];
    json_open(w->j, '{');
    json_key(w->j, "condition"), put_name(w, x->name);
    put_count(w, "pairs", x->pairs), put_count(w, "right", x->right), put_count(w, "ties", x->ties);
    put_count(w, "left_out", x->left_out), put_count(w, "one_unknown", x->one_unknown);
    put_interval(w, "accuracy", x->accuracy, x->accuracy_low, x->accuracy_high);
    put_interval(w, "difference", x->difference, x->difference_low, x->difference_high);
    json_key(w->j, "roles"), json_open(w->j, '[');
    for (size_t i = 0; i < w->roles; i++)
        put_role(w, &p->roles[c * p->n_roles + i]);
    json_close(w->j, ']'), json_close(w->j, '}');
}

static void put_suite(const writer *w, const sg_pairs *p)
{
    const sg_pairs_summary *s = &p->summary;
    json_open(w->j, '{');
    put_count(w, "pairs", p->file.n), put_count(w, "words", s->words);
    put_count(w, "unknown_words", s->unknown_words);
    json_key(w->j, "score"), json_text(w->j, s->by_word ? "word" : "sentence");
    json_key(w->j, "eos"), json_bool(w->j, s->begins);
    json_key(w->j, "conditions"), json_open(w->j, '[');
    for (size_t c = 0; c < w->conditions; c++)
        put_condition(w, p, c);
    json_close(w->j, ']');
    put_number(w, "gap", s->gap), put_number(w, "largest_gap", s->largest_gap);
    json_close(w->j, '}');
}

sg_status sg_pairs_json(const sg_writer *to, const sg_pairs *p, sg_error *err)
{
    FILE *f;
    sg_status st = writer_open(&f, to, err);
    if (st != SG_OK)
        return st;
    put_suite(&(writer){&(json_out){f, false}, EXACT_DIGITS, false, p->n_conditions, p->n_roles}, p);
    putc('\n', f);
    return writer_close(f, err);
}

/* ---- which pairs a page holds ---- */

typedef struct {
    int32_t condition;
    double difference; /* those that are left out come last */
    size_t pair;
} ranked;

static int compare_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->condition != y->condition)
        return x->condition < y->condition ? -1 : 1;
    if (x->difference < y->difference || x->difference > y->difference)
        return x->difference < y->difference ? -1 : 1;
    return x->pair < y->pair ? -1 : 1;
}

static int compare_pair(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Of each condition in r, `each` pairs at most, at evenly spaced ranks; returns how many. */
static size_t take(size_t *out, const ranked *r, size_t n, size_t each)
{
    size_t taken = 0;
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin; end < n && r[end].condition == r[begin].condition;)
            end++;
        const size_t all = end - begin, m = all < each ? all : each;
        for (size_t k = 0; k < m; k++)
            out[taken++] = r[begin + (m > 1 ? k * (all - 1) / (m - 1) : all / 2)].pair;
    }
    return taken;
}

static size_t taken_by(const ranked *r, size_t n, size_t each)
{
    size_t taken = 0;
    for (size_t i = 0, rank = 0; i < n; i++) {
        rank = i && r[i].condition == r[i - 1].condition ? rank + 1 : 0;
        taken += rank < each;
    }
    return taken;
}

/* How many of the first n pairs have MOST_WORDS words at most; one, if it alone has more. */
static size_t within_words(const sg_pairs *p, const size_t *pairs, size_t n)
{
    size_t words = 0;
    for (size_t i = 0; i < n; i++) {
        words += p->file.entries[pairs[i]].n_good + p->file.entries[pairs[i]].n_bad;
        if (words > MOST_WORDS)
            return i ? i : 1;
    }
    return n;
}

/* The pairs of a page, in the order of the file; *out is the caller's. */
static sg_status choose(size_t **out, size_t *n_out, const sg_pairs *p, size_t conditions, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = 0, each = MOST_PAIRS;
    ranked *r = sg_calloc(p->file.n, sizeof *r);
    *out = sg_calloc(p->file.n, sizeof **out);
    NEED(r && *out, err, "%zu pairs", p->file.n);
    for (size_t i = 0; i < p->file.n; i++) {
        const double d = p->results[i].difference;
        if (p->file.entries[i].condition + 1 < (int32_t)conditions)
            r[n++] = (ranked){p->file.entries[i].condition, isnan(d) ? (double)INFINITY : d, i};
    }
    qsort(r, n, sizeof *r, compare_rank);
    while (each > 1 && taken_by(r, n, each) > MOST_PAIRS)
        each--;
    *n_out = take(*out, r, n, each);
    for (; each > 1 && within_words(p, *out, *n_out) < *n_out; *n_out = take(*out, r, n, each))
        each /= 2;
    *n_out = within_words(p, *out, *n_out);
    qsort(*out, *n_out, sizeof **out, compare_pair);
done:
    sg_free(r);
    return st;
}

/* ---- the page ---- */

typedef struct {
    const sg_pairs *p;
    const char *model, *file;
    size_t *pairs, n;
    int32_t *number; /* of a word of the file, in the page; -1: not in it */
} page;

/* Both sentences slot by slot, as numbers in the page's table of words (-1: no word; slot 0 of pairs that
 * begin with <eos> has none), in the order in which they are read. */
static void put_slots(const writer *w, const page *g, size_t i)
{
    const pairs_entry *e = &g->p->file.entries[i];
    const pairs_result *r = &g->p->results[i];
    const size_t end = r->n > 1 + e->n_good ? r->same_end : 0, split = 1 + e->n_good - end;
    static const char *const keys[] = {"good", "bad", "attribution", "slots"};
    for (size_t key = 0; key < sizeof keys / sizeof *keys; key++) {
        if (key == 2 && !g->p->attribution)
            continue;
        json_key(w->j, keys[key]), json_open(w->j, '[');
        for (size_t k = g->p->summary.begins ? 0 : 1; k < r->n; k++) {
            const size_t at = k < split ? k : k < r->n - end ? k + end : k - (r->n - 1 - e->n_good);
            pairs_slot s;
            pairs_get_slot(g->p, i, at, &s);
            if (key == 2)
                json_number(w->j, s.attribution, w->digits);
            else if (key == 3)
                json_count(w->j, at);
            else
                json_number(w->j, (key ? s.bad : s.good) < 0 ? -1 : g->number[key ? s.bad : s.good], 10);
        }
        json_close(w->j, ']');
    }
}

static void put_pair(const writer *w, const page *g, size_t i)
{
    const pairs_entry *e = &g->p->file.entries[i];
    const pairs_result *r = &g->p->results[i];
    json_open(w->j, '{');
    put_count(w, "line", e->line);
    put_count(w, "condition", (uint64_t)(e->condition + 1)); /* its number in the suite; 0: none */
    put_number(w, "log_p_good", r->log_p_good), put_number(w, "log_p_bad", r->log_p_bad);
    put_number(w, "difference", r->difference);
    put_count(w, "unknown_words", r->unknown);
    json_key(w->j, "left_out"), json_bool(w->j, r->left_out);
    put_slots(w, g, i);
    json_key(w->j, "roles"), json_open(w->j, '[');
    for (size_t k = e->place; k < e->place + e->n_places; k++)
        if ((size_t)g->p->file.places[k].role < w->roles) {
            json_count(w->j, g->p->file.places[k].word + 1);
            json_count(w->j, (uint64_t)g->p->file.places[k].role);
        }
    json_close(w->j, ']'), json_close(w->j, '}');
}

/* The words of the page's pairs, each once. */
static void put_words(const writer *w, const page *g)
{
    int32_t n = 0;
    json_key(w->j, "words"), json_open(w->j, '[');
    for (size_t i = 0; i < g->n; i++) {
        const pairs_entry *e = &g->p->file.entries[g->pairs[i]];
        for (size_t k = 0; k < e->n_good + e->n_bad; k++) {
            const int32_t word = g->p->file.words[k < e->n_good ? e->good + k : e->bad + k - e->n_good];
            if (g->number[word] < 0)
                g->number[word] = n++, put_name(w, string_table_get(g->p->file.word, (size_t)word, NULL));
        }
    }
    json_close(w->j, ']');
}

static void put_settings(const writer *w, const sg_pairs *p)
{
    json_key(w->j, "cell"), json_text(w->j, sg_cell_name(p->shape.cell));
    put_count(w, "embedding", p->shape.embedding);
    json_key(w->j, "hidden"), json_open(w->j, '[');
    for (size_t k = 0; k < p->shape.layers; k++)
        json_count(w->j, p->shape.hidden[k]);
    json_close(w->j, ']');
    json_key(w->j, "punctuation"), json_bool(w->j, p->file.apart);
    json_key(w->j, "lowercase"), json_bool(w->j, p->cfg.lowercase);
    json_key(w->j, "attributed"), json_bool(w->j, p->attribution != NULL);
    json_key(w->j, "condition_column"), p->condition ? put_name(w, p->condition) : json_text(w->j, NULL);
    put_count(w, "path", p->cfg.path);
}

static sg_status page_data(json_out *j, const void *ctx, sg_error *err)
{
    (void)err;
    const page *g = ctx;
    const sg_pairs *p = g->p;
    const writer w = {j, JSON_PAGE_DIGITS, true,
                      p->n_conditions < MOST_CONDITIONS ? p->n_conditions : MOST_CONDITIONS,
                      p->n_roles < MOST_ROLES ? p->n_roles : MOST_ROLES};
    json_open(j, '{');
    json_key(j, "version"), json_text(j, sg_version());
    json_key(j, "model"), g->model ? put_name(&w, g->model) : json_text(j, NULL);
    json_key(j, "file"), g->file ? put_name(&w, g->file) : json_text(j, NULL);
    put_settings(&w, p);
    put_count(&w, "conditions_left", p->n_conditions - w.conditions);
    put_count(&w, "roles_left", p->n_roles - w.roles);
    json_key(j, "suite"), put_suite(&w, p);
    put_words(&w, g);
    json_key(j, "pairs"), json_open(j, '[');
    for (size_t i = 0; i < g->n; i++)
        put_pair(&w, g, g->pairs[i]);
    json_close(j, ']'), json_close(j, '}');
    return SG_OK;
}

sg_status sg_pairs_page(const char *html_path, const sg_pairs *p, const char *model, const char *file,
                        sg_error *err)
{
    sg_status st = SG_OK;
    sg_outfile *out = NULL;
    page g = {.p = p, .model = model, .file = file};
    const size_t words = string_table_count(p->file.word);
    NEED(g.number = sg_calloc(words, sizeof *g.number), err, "%zu words", words);
    for (size_t i = 0; i < words; i++)
        g.number[i] = -1;
    TRY(choose(&g.pairs, &g.n, p, MOST_CONDITIONS, err));
    TRY(outfile_open_text(&out, html_path, err));
    TRY(page_write(sg_outfile_stream(out), "pairs.html", page_data, &g, err));
    st = sg_outfile_commit(out, err), out = NULL;
done:
    sg_outfile_abort(out);
    sg_free(g.pairs), sg_free(g.number);
    return st;
}
