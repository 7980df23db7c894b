/* SPDX-License-Identifier: MIT */
/* Recursive descent into a program in postfix order, one per factor; a stack of booleans runs it. */
#include "corpus/class_expression.h"
#include "corpus/classes_internal.h"
#include "corpus/sentence_position.h"

#include "base/text_out.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64, BEFORE_CARET = 50, BEHIND_CARET = 20, ROOM = 400 };

typedef enum { OP_LABEL, OP_NOT, OP_AND, OP_OR } op_kind;

typedef struct {
    op_kind kind;
    size_t label;
} op;

typedef struct {
    label_kind kind;
    char *text;
    size_t at; /* where it is, for messages */
    uint64_t first, last;
    int32_t class;      /* its number; -1: there is none among the first `names_seen` */
    size_t names_seen;  /* classes there were when it was looked for */
    uint64_t places;    /* bits: the kinds where it was met; 0: never */
    uint64_t elsewhere; /* other kinds where it was met, by a word for which `places` did not hold alike */
} label;

typedef struct {
    size_t at, start, end; /* in the text; its operations */
    char *text, *family;
} factor;

struct expression {
    char *text, *whose, *name;
    factor factors[EXPRESSION_FACTORS];
    size_t n_factors;
    op *ops;
    size_t n_ops, ops_cap;
    label *labels;
    size_t n_labels, labels_cap;
};

static const struct {
    const char *name;
    label_kind kind;
} columns[] = {{"class", LABEL_CLASS},      {"upos", LABEL_UPOS},     {"xpos", LABEL_XPOS},
               {"feats", LABEL_FEATS},      {"tag", LABEL_TAG},       {"deprel", LABEL_DEPREL},
               {"lemma", LABEL_LEMMA},      {"column", LABEL_COLUMN}, {"misc", LABEL_MISC},
               {"position", LABEL_POSITION}};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* ---- messages ---- */

/* Bytes from `at` that are at most n characters, backwards or forwards. */
static size_t characters_before(const char *text, size_t at, size_t n)
{
    size_t start = at;
    for (; start && n; n--)
        for (start--; start && utf8_continues(text[start]);)
            start--;
    return at - start;
}

static size_t characters_behind(const char *text, size_t n)
{
    size_t end = 0;
    for (; text[end] && n; n--)
        for (end++; utf8_continues(text[end]);)
            end++;
    return end;
}

static const char *excerpt(char room[ROOM], const char *text, size_t n)
{
    size_t keep = n < ROOM ? n : ROOM - 1;
    memcpy(room, text + (n - keep), keep);
    room[keep] = 0;
    sg_printable(room);
    return room;
}

/* Makes of the message "classes 'NOUN&(VERB', character 11: message" and, below it, the text with a caret
 * under byte `at`. */
static sg_status point_at(const expression *x, size_t at, sg_status st, sg_error *err)
{
    if (!err)
        return st;
    char message[ROOM], left[ROOM], right[ROOM], whose[64], whole[64];
    size_t character = 1, before = characters_before(x->text, at, BEFORE_CARET),
           behind = characters_behind(x->text + at, BEHIND_CARET);
    for (size_t i = 0; i < at; i++)
        character += ((unsigned char)x->text[i] & 0xC0) != 0x80;
    const char *cut = before < at ? "..." : "", *more = x->text[at + behind] ? "..." : "";
    excerpt(message, err->msg, strlen(err->msg));
    excerpt(left, x->text + at - before, before);
    excerpt(right, x->text + at, behind);
    sg_fail_message(err, "%s '%s', character %zu: %s", text_excerpt(whose, x->whose, strlen(x->whose)),
                    text_excerpt(whole, x->text, strlen(x->text)), character, message);
    size_t used = strlen(err->msg);
    snprintf(err->msg + used, sizeof err->msg - used, "\n  %s%s%s%s\n  %*s^", cut, left, right, more,
             (int)(strlen(cut) + text_width(left)), "");
    return st;
}

#define FAIL_AT(x, at, err, ...) point_at(x, at, sg_fail(err, SG_EINVAL, __VA_ARGS__), err)

/* ---- reading ---- */

typedef struct {
    expression *x;
    const char *p; /* in x->text */
    unsigned depth;
    bool crossing;
    sg_error *err;
} parser;

static size_t current_offset(const parser *s)
{
    return (size_t)(s->p - s->x->text);
}

static void skip_blanks(parser *s)
{
    s->p += strspn(s->p, " \t");
}

static const char *const operators = "&|*()\"";

bool expression_has_operators(const char *text)
{
    return strpbrk(text, "&|*()\"!=") != NULL;
}

static sg_status add_op(parser *s, op_kind kind, size_t number)
{
    expression *x = s->x;
    sg_status st = array_reserve(&x->ops, &x->ops_cap, x->n_ops + 1, sizeof *x->ops, s->err);
    if (st == SG_OK)
        x->ops[x->n_ops++] = (op){kind, number};
    return st;
}

/* "..." with "" for one quote. *out is owned. */
static sg_status read_quoted(parser *s, char **out)
{
    size_t start = current_offset(s), n = 0;
    char *text = sg_calloc(strlen(s->p), 1);
    if (!text)
        return no_memory(s->err, "an expression of classes");
    for (s->p++; *s->p && (*s->p != '"' || s->p[1] == '"'); s->p++) {
        s->p += *s->p == '"';
        text[n++] = *s->p;
    }
    bool closed = *s->p == '"';
    s->p += closed;
    *out = text;
    if (closed && n)
        return SG_OK;
    sg_free(text);
    *out = NULL;
    if (!closed)
        return FAIL_AT(s->x, start, s->err, "a quote that is not closed");
    return FAIL_AT(s->x, start, s->err, "an empty name");
}

/* Numbers of labels: the text in front of them, their kind, the least. */
static const struct {
    const char *name;
    label_kind kind;
    uint64_t least;
} ranges[] = {{"rank", LABEL_RANK, 1}, {"to end", LABEL_TO_END, 0}};
enum { RANGES = sizeof ranges / sizeof *ranges };

/* Digits A, and B of "A-B"; false: it is not that. One number of a distance is A and B. */
static bool find_range(const char *text, size_t r, const char **first, const char **last)
{
    static const char digits[] = "0123456789";
    size_t name = strlen(ranges[r].name);
    if (strncmp(text, ranges[r].name, name) != 0)
        return false;
    *first = text + name + strspn(text + name, " ");
    size_t n = strspn(*first, digits);
    if (n && !(*first)[n] && ranges[r].kind == LABEL_TO_END) {
        *last = *first;
        return true;
    }
    if (!n || (*first)[n] != '-')
        return false;
    *last = *first + n + 1;
    size_t m = strspn(*last, digits);
    return m && !(*last)[m];
}

/* rank 11-100, to end 0-3: whether it is one; what is wrong with its numbers is reported. */
static sg_status read_range(parser *s, label *l)
{
    enum { MOST_DIGITS = 18 };
    const char *first, *last;
    for (size_t r = 0; r < RANGES; r++) {
        if (!find_range(l->text, r, &first, &last))
            continue;
        l->first = strtoull(first, NULL, 10);
        l->last = strtoull(last, NULL, 10);
        if (strcspn(first, "-") > MOST_DIGITS || strlen(last) > MOST_DIGITS || l->first < ranges[r].least ||
            l->first > l->last)
            return FAIL_AT(s->x, l->at, s->err, "'%.60s', expected %s A-B with %d <= A <= B", l->text,
                           ranges[r].name, (int)ranges[r].least);
        l->kind = ranges[r].kind;
    }
    return SG_OK;
}

static sg_status add_label(parser *s, label *l)
{
    expression *x = s->x;
    sg_status st = array_reserve(&x->labels, &x->labels_cap, x->n_labels + 1, sizeof *x->labels, s->err);
    if (st != SG_OK)
        return st;
    x->labels[x->n_labels++] = *l;
    l->text = NULL;
    return add_op(s, OP_LABEL, x->n_labels - 1);
}

/* The row of "column:" at the beginning; COLUMNS: none. */
static size_t column_of(const char *text)
{
    size_t i = 0;
    for (; i < COLUMNS; i++) {
        size_t n = strlen(columns[i].name);
        if (!strncmp(text, columns[i].name, n) && text[n] == ':')
            break;
    }
    return i;
}

bool expression_has_column(const char *text)
{
    const char *first, *last;
    bool range = false;
    for (size_t r = 0; r < RANGES; r++)
        range = range || find_range(text, r, &first, &last);
    return range || column_of(text) < COLUMNS;
}

/* Is the rest of column:, misc: or position: one that can be? */
static sg_status check_label(const parser *s, const label *l)
{
    if (l->kind == LABEL_COLUMN) {
        size_t n = strspn(l->text, "0123456789");
        unsigned long number = strtoul(l->text, NULL, 10);
        if (!n || l->text[n] != ':' || !l->text[n + 1] || number < 1 || number > CONLLU_COLUMNS)
            return FAIL_AT(s->x, l->at, s->err, "'column:%.60s', expected column:N:VALUE with N from 1 to %d",
                           l->text, CONLLU_COLUMNS);
    }
    const char *equals = strchr(l->text, '=');
    if (l->kind == LABEL_MISC && (!equals || equals == l->text))
        return FAIL_AT(s->x, l->at, s->err, "'misc:%.60s', expected misc:KEY=VALUE", l->text);
    for (size_t i = 0; l->kind == LABEL_POSITION && i <= PLACES; i++) {
        const char *near = i < PLACES ? NULL : sg_nearest_name(l->text, place_names, PLACES);
        if (i == PLACES)
            return FAIL_AT(s->x, l->at, s->err,
                           "'position:%.60s', expected first, last, quoted or bracketed%s%s%s", l->text,
                           near ? "; did you mean position:" : "", near ? near : "", near ? "?" : "");
        if (!strcmp(l->text, place_names[i]))
            break;
    }
    return SG_OK;
}

/* Cuts "column:" off a bare text. */
static sg_status take_column(const parser *s, label *l)
{
    size_t i = column_of(l->text);
    if (i == COLUMNS)
        return SG_OK;
    size_t n = strlen(columns[i].name) + 1;
    l->kind = columns[i].kind;
    memmove(l->text, l->text + n, strlen(l->text + n) + 1);
    if (!l->text[0])
        return FAIL_AT(s->x, l->at, s->err, "expected a label after the column's name");
    return check_label(s, l);
}

/* The text of a label: bare, quoted, or a bare beginning with a quoted rest (column:"text"). *bare:
 * characters of it that are not in quotes. */
static sg_status read_text(parser *s, char **out, size_t *bare)
{
    sg_status st = SG_OK;
    char *text = NULL, *quoted = NULL;
    size_t n = strcspn(s->p, operators);
    const char *start = s->p;
    s->p += n;
    if (*s->p == '"') {
        if (n && !strchr(":=", start[n - 1]))
            TRY(FAIL_AT(s->x, current_offset(s), s->err,
                        "a quote inside a name: put the whole name into quotes"));
        TRY(read_quoted(s, &quoted));
        skip_blanks(s);
    } else
        while (n && strchr(" \t", start[n - 1]))
            n--;
    size_t size = n + (quoted ? strlen(quoted) : 0) + 1;
    NEED(text = sg_calloc(size, 1), s->err, "an expression of classes");
    snprintf(text, size, "%.*s%s", (int)n, start, quoted ? quoted : "");
    *bare = n;
    *out = text;
    text = NULL;
done:
    sg_free(text);
    sg_free(quoted);
    return st;
}

static sg_status expected_class(parser *s)
{
    if (!*s->p)
        return FAIL_AT(s->x, current_offset(s), s->err, "expected a class, found the end");
    return FAIL_AT(s->x, current_offset(s), s->err, "expected a class, found '%c'", *s->p);
}

static sg_status read_label(parser *s)
{
    sg_status st = SG_OK;
    label l = {.kind = LABEL_ANY, .at = current_offset(s), .class = -1};
    size_t bare;
    TRY(read_text(s, &l.text, &bare));
    if (!l.text[0])
        TRY(expected_class(s));
    if (bare && class_kind_of(l.text))
        TRY(FAIL_AT(s->x, l.at, s->err,
                    "'%.60s' is many classes: it may only be a factor of '*', outside parentheses", l.text));
    if (bare)
        TRY(take_column(s, &l));
    if (bare && l.kind == LABEL_ANY) {
        TRY(read_range(s, &l));
        l.kind = !strcmp(l.text, "all")                 ? LABEL_ALL
                 : !strcmp(l.text, "out of vocabulary") ? LABEL_OUTSIDE
                                                        : l.kind;
    }
    TRY(add_label(s, &l));
done:
    sg_free(l.text);
    return st;
}

static sg_status read_union(parser *s);

static sg_status read_part(parser *s)
{
    sg_status st = SG_OK;
    size_t nots = 0, open = 0;
    for (skip_blanks(s); *s->p == '!'; skip_blanks(s)) {
        if (s->depth + ++nots > MAX_DEPTH)
            TRY(FAIL_AT(s->x, current_offset(s), s->err, "more than %d levels of '!' and '('", MAX_DEPTH));
        s->p++;
    }
    if (*s->p != '(')
        TRY(read_label(s));
    else {
        open = current_offset(s);
        if (++s->depth > MAX_DEPTH)
            TRY(FAIL_AT(s->x, open, s->err, "more than %d levels of '!' and '('", MAX_DEPTH));
        s->p++;
        TRY(read_union(s));
        if (*s->p == '*')
            TRY(FAIL_AT(s->x, current_offset(s), s->err, "'*' inside parentheses, expected ')' before it"));
        if (!*s->p)
            TRY(FAIL_AT(s->x, open, s->err, "this '(' is not closed"));
        if (*s->p != ')')
            TRY(FAIL_AT(s->x, current_offset(s), s->err, "expected an operator or ')', found '%c'", *s->p));
        s->p++;
        s->depth--;
    }
    for (; nots; nots--)
        TRY(add_op(s, OP_NOT, 0));
    skip_blanks(s);
done:
    return st;
}

static sg_status read_intersection(parser *s)
{
    sg_status st = SG_OK;
    TRY(read_part(s));
    while (*s->p == '&') {
        s->p++;
        TRY(read_part(s));
        TRY(add_op(s, OP_AND, 0));
    }
done:
    return st;
}

static sg_status read_union(parser *s)
{
    sg_status st = SG_OK;
    TRY(read_intersection(s));
    while (*s->p == '|') {
        s->p++;
        TRY(read_intersection(s));
        TRY(add_op(s, OP_OR, 0));
    }
done:
    return st;
}

/* A family, if nothing but its spec is there up to the next '*'. */
static sg_status read_family(parser *s, char **family)
{
    sg_status st = SG_OK;
    char *text = NULL;
    size_t bare;
    const char *start = s->p;
    if (strchr(operators, *s->p) || *s->p == '!') /* the end too */
        return SG_OK;
    TRY(read_text(s, &text, &bare));
    if (bare && class_kind_of(text) && (*s->p == '*' || !*s->p)) {
        *family = text;
        text = NULL;
    } else
        s->p = start;
done:
    sg_free(text);
    return st;
}

static sg_status read_factor(parser *s)
{
    sg_status st = SG_OK;
    expression *x = s->x;
    skip_blanks(s);
    if (x->n_factors == EXPRESSION_FACTORS)
        return FAIL_AT(x, current_offset(s), s->err, "more than %d factors", EXPRESSION_FACTORS);
    factor *f = &x->factors[x->n_factors++];
    const char *start = s->p;
    f->at = current_offset(s);
    f->start = x->n_ops;
    if (s->crossing)
        TRY(read_family(s, &f->family));
    if (!f->family)
        TRY(read_union(s));
    f->end = x->n_ops;
    size_t n = (size_t)(s->p - start);
    while (n && strchr(" \t", start[n - 1]))
        n--;
    NEED(f->text = f->family ? sg_strdup(f->family) : sg_strndup(start, n), s->err,
         "an expression of classes");
done:
    return st;
}

/* Number, Number[psor]: what comes before "=" in a feature of CoNLL-U, and is no name of a class then. */
static bool is_feature(const char *text, size_t n)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz";
    enum { FIRST = 36 };
    if (!n || !memchr(plain, text[0], FIRST))
        return false;
    size_t m = strspn(text, plain);
    if (m < n && text[m] == '[')
        m += 1 + strspn(text + m + 1, plain);
    return m == n || (m + 1 == n && text[m] == ']');
}

/* "name =" at the beginning. */
static sg_status read_name(parser *s)
{
    sg_status st = SG_OK;
    expression *x = s->x;
    skip_blanks(s);
    const char *start = s->p;
    if (*s->p == '"') {
        TRY(read_quoted(s, &x->name));
        skip_blanks(s);
        if (*s->p == '=') {
            s->p++;
            return SG_OK;
        }
        sg_free(x->name);
        x->name = NULL;
        s->p = start;
        return SG_OK;
    }
    size_t n = strcspn(start, "=&|*!()\""), length = n;
    while (length && strchr(" \t", start[length - 1]))
        length--;
    if (start[n] != '=' || memchr(start, ':', n) || memchr(start, ',', n) || is_feature(start, length))
        return SG_OK;
    if (!length)
        TRY(FAIL_AT(x, current_offset(s), s->err, "the name before '=' is empty"));
    NEED(x->name = sg_strndup(start, length), s->err, "an expression of classes");
    s->p = start + n + 1;
done:
    return st;
}

static sg_status read_all(parser *s)
{
    sg_status st = SG_OK;
    expression *x = s->x;
    size_t valid = utf8_valid_prefix(x->text, strlen(x->text));
    if (x->text[valid])
        TRY(FAIL_AT(x, valid, s->err, "not valid UTF-8"));
    if (s->crossing)
        TRY(read_name(s));
    for (;; s->p++) {
        TRY(read_factor(s));
        if (*s->p != '*')
            break;
        if (!s->crossing)
            TRY(FAIL_AT(x, current_offset(s), s->err, "'*' makes many classes, expected one"));
    }
    if (*s->p == ')')
        TRY(FAIL_AT(x, current_offset(s), s->err, "a ')' without '('"));
    if (*s->p)
        TRY(FAIL_AT(x, current_offset(s), s->err, "expected an operator, found '%c'", *s->p));
    if (x->n_factors == 1 && x->factors[0].family)
        TRY(FAIL_AT(x, x->factors[0].at, s->err, "'%.60s' is many classes: it takes no name, '*' crosses it",
                    x->factors[0].family));
    if (x->name && x->n_factors > 1)
        TRY(FAIL_AT(x, 0, s->err, "'*' makes many classes, which take no name"));
done:
    return st;
}

sg_status expression_parse(expression **out, const char *text, const char *whose, bool crossing,
                           sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    expression *x = sg_calloc(1, sizeof *x);
    NEED(x && (x->text = sg_strdup(text)) && (x->whose = sg_strdup(whose)), err, "an expression of classes");
    parser s = {.x = x, .p = x->text, .crossing = crossing, .err = err};
    TRY(read_all(&s));
    *out = x;
    x = NULL;
done:
    expression_free(x);
    return st;
}

/* ---- what it is ---- */

const char *expression_name(const expression *x)
{
    return x->name ? x->name : x->factors[0].text;
}

size_t expression_factors(const expression *x)
{
    return x->n_factors;
}

const char *expression_family(const expression *x, size_t f)
{
    return x->factors[f].family;
}

const char *expression_factor_text(const expression *x, size_t f)
{
    return x->factors[f].text;
}

bool expression_wants_ranks(const expression *x)
{
    for (size_t i = 0; i < x->n_labels; i++)
        if (x->labels[i].kind == LABEL_RANK)
            return true;
    return false;
}

bool expression_by_rank(const expression *x)
{
    for (size_t i = 0; i < x->n_labels; i++)
        if (x->labels[i].kind == LABEL_OUTSIDE)
            return true;
    return expression_wants_ranks(x);
}

size_t expression_labels(const expression *x)
{
    return x->n_labels;
}

label_kind expression_label(const expression *x, size_t i, const char **text)
{
    if (text)
        *text = x->labels[i].text;
    return x->labels[i].kind;
}

sg_status expression_refuse(const expression *x, size_t i, const char *why, sg_error *err)
{
    return FAIL_AT(x, x->labels[i].at, err, "%s", why);
}

sg_status expression_no_ranks(const expression *x, const char *why, sg_error *err)
{
    size_t i = 0;
    while (x->labels[i].kind != LABEL_RANK)
        i++;
    return expression_refuse(x, i, why, err);
}

/* ---- which words are in it ---- */

static bool in_class(label *l, const expression_word *w)
{
    size_t n = string_table_count(w->names);
    if (l->class < 0 && l->names_seen != n) {
        l->class = string_table_find(w->names, l->text, strlen(l->text));
        l->names_seen = n;
    }
    for (size_t i = 0; l->class > 0 && i < w->n_classes; i++)
        if (w->classes[i] == l->class)
            return true;
    return false;
}

/* Does a text ask the label `text` of this kind? A named layer's with its name or without. */
static bool is_asked(const label *l, label_kind kind, const char *text)
{
    if (kind >= LABEL_LAYER)
        return l->kind == LABEL_ANY && (!strcmp(text, l->text) || !strcmp(strchr(text, ':') + 1, l->text));
    return (l->kind == kind || (l->kind == LABEL_ANY && kind < LABEL_LEMMA)) && !strcmp(text, l->text);
}

/* Bits: the kinds in which the word has the label. */
static uint64_t places_of(label *l, const expression_word *w)
{
    uint64_t places = 0;
    if ((l->kind == LABEL_ANY || l->kind == LABEL_CLASS) && in_class(l, w))
        places = 1U << LABEL_CLASS;
    const char *end = w->labels + w->n_labels;
    for (const char *p = w->labels; p < end; p += strlen(p) + 1)
        if (is_asked(l, (label_kind)*p, p + 1))
            places |= (uint64_t)1 << (unsigned)*p;
    return places;
}

/* How far its sentence's end is, where it is known. */
static bool is_near_end(const label *l, const expression_word *w)
{
    const char *end = w->labels + w->n_labels;
    for (const char *p = w->labels; p < end; p += strlen(p) + 1)
        if (*p == LABEL_TO_END) {
            uint64_t distance = strtoull(p + 1, NULL, 10);
            return distance >= l->first && distance <= l->last;
        }
    return false;
}

static bool label_holds(label *l, const expression_word *w)
{
    if (l->kind == LABEL_TO_END)
        return is_near_end(l, w);
    if (l->kind >= LABEL_RANK)
        return l->kind == LABEL_ALL ||
               (l->kind == LABEL_OUTSIDE ? !w->rank : w->rank >= l->first && w->rank <= l->last);
    uint64_t places = places_of(l, w);
    if (places && !l->places)
        l->places = places;
    l->elsewhere |= places ? places ^ l->places : 0;
    return places != 0;
}

bool expression_holds(expression *x, size_t f, const expression_word *w)
{
    /* a level of parentheses leaves at most two operands behind: one of '|', one of '&' */
    bool stack[2 * MAX_DEPTH + 4] = {false};
    size_t n = 0;
    for (size_t i = x->factors[f].start; i < x->factors[f].end; i++) {
        const op *o = &x->ops[i];
        if (o->kind == OP_LABEL)
            stack[n++] = label_holds(&x->labels[o->label], w);
        else if (o->kind == OP_NOT)
            stack[n - 1] = !stack[n - 1];
        else {
            n--;
            stack[n - 1] = o->kind == OP_AND ? stack[n - 1] && stack[n] : stack[n - 1] || stack[n];
        }
    }
    return n && stack[0];
}

/* ---- after the last word ---- */

static bool is_settled(const label *l)
{
    return l->kind >= LABEL_TO_END || (l->places && !l->elsewhere);
}

bool expression_settled(const expression *x)
{
    for (size_t i = 0; i < x->n_labels; i++)
        if (!is_settled(&x->labels[i]))
            return false;
    return true;
}

static sg_status refuse_ambiguous(const expression *x, const label *l, const char *const *layers,
                                  sg_error *err)
{
    char list[ROOM] = "";
    size_t used = 0, n = 0;
    while (layers[n])
        n++;
    for (size_t i = 0; i < COLUMNS + n && used < sizeof list; i++) {
        size_t kind = i < COLUMNS ? columns[i].kind : LABEL_LAYER + i - COLUMNS;
        if ((l->places | l->elsewhere) >> kind & 1U)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%.40s:%.40s", used ? " or " : "",
                                     i < COLUMNS ? columns[i].name : layers[i - COLUMNS], l->text);
    }
    return FAIL_AT(x, l->at, err, "'%.60s' has several meanings, which differ: write %s", l->text, list);
}

sg_status expression_check(const expression *x, const char *const *names, size_t n, const char *const *layers,
                           sg_error *err)
{
    for (size_t i = 0; i < x->n_labels; i++) {
        const label *l = &x->labels[i];
        if (is_settled(l))
            continue;
        if (l->places)
            return refuse_ambiguous(x, l, layers, err);
        const char *near = sg_nearest_name(l->text, names, n), *column = "";
        for (size_t c = 0; c < COLUMNS; c++)
            column = columns[c].kind == l->kind ? columns[c].name : column;
        if (near && !strcmp(near, l->text)) /* of another column, or of an option that follows */
            return FAIL_AT(x, l->at, err, "'%.60s' is %s%s", l->text,
                           *column ? "elsewhere in the corpus, but not in "
                                   : "a class of a later expression: expected an earlier one",
                           column);
        return FAIL_AT(x, l->at, err, "'%.60s' is neither a class nor a tag of the corpus%s%s%s%.60s%s%s",
                       l->text, *column ? ", looked for in " : "", column, near ? "; did you mean " : "",
                       near ? near : "", near ? "?" : "",
                       strchr(l->text, '=') ? "; a class is named so: \"Name\"=EXPRESSION" : "");
    }
    return SG_OK;
}

void expression_free(expression *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->n_labels; i++)
        sg_free(x->labels[i].text);
    for (size_t f = 0; f < x->n_factors; f++) {
        sg_free(x->factors[f].text);
        sg_free(x->factors[f].family);
    }
    sg_free(x->text);
    sg_free(x->whose);
    sg_free(x->name);
    sg_free(x->ops);
    sg_free(x->labels);
    sg_free(x);
}
