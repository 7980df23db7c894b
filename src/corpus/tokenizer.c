/* SPDX-License-Identifier: MIT */
/* Tokenizers of Hugging Face's tokenizer.json: one word of the text (split at white space already) becomes
 * the ids of its pieces.
 *
 *   normalizer     Lowercase, BertNormalizer, Sequence of them
 *   pre_tokenizer  WhitespaceSplit, Whitespace (\w+|[^\w\s]+), BertPreTokenizer, Punctuation, Sequence of
 *                  them
 *   model          WordLevel, WordPiece, BPE over characters
 *
 * Everything else is refused by its name. Characters are utf8proc's. */
#include "corpus/tokenizer.h"

#include "base/base_internal.h"
#include "base/utf8.h"
#include "base/string_table.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MAX_SYMBOLS = 4096, MAX_MERGES = 1 << 22 };

typedef enum { MODEL_WORDLEVEL, MODEL_WORDPIECE, MODEL_BPE } model_kind;

struct tokenizer {
    char *text; /* the rules as JSON, without the vocabulary */
    model_kind kind;
    bool lowercase, strip_accents, isolate_chinese, clean;
    bool runs;             /* Whitespace: runs of word characters and runs of others */
    bool punctuation;      /* each punctuation mark is a word of its own */
    char *prefix, *suffix; /* "##"; "</w>" */
    size_t longest;        /* WordPiece: longer words are unknown */
    string_table *merges;  /* "left right", by rank */
    int32_t unknown;       /* -1: none */
    bool fuse_unknown;
};

void tokenizer_free(tokenizer *t)
{
    if (!t)
        return;
    string_table_free(t->merges);
    sg_free(t->text);
    sg_free(t->prefix);
    sg_free(t->suffix);
    sg_free(t);
}

const char *tokenizer_text(const tokenizer *t)
{
    return t->text;
}

/* ---- reading the rules ---- */

static const char *type_of(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type ? type : "without a type";
}

static bool is_true(const json_t *o, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static sg_status unsupported(const char *what, const char *name, sg_error *err)
{
    return sg_fail(err, SG_EFORMAT, "tokenizer: %s %.60s is not supported", what, name);
}

static sg_status read_normalizer(tokenizer *t, const json_t *o, unsigned depth, sg_error *err)
{
    sg_status st = SG_OK;
    const char *type = type_of(o);
    size_t i;
    json_t *item;
    if (!o || json_is_null(o))
        return SG_OK;
    if (!strcmp(type, "Sequence") && depth < 8) {
        json_array_foreach(json_object_get(o, "normalizers"), i, item)
            TRY(read_normalizer(t, item, depth + 1, err));
    } else if (!strcmp(type, "Lowercase"))
        t->lowercase = true;
    else if (!strcmp(type, "BertNormalizer")) {
        t->lowercase = is_true(o, "lowercase", true);
        t->strip_accents = is_true(o, "strip_accents", t->lowercase);
        t->isolate_chinese = is_true(o, "handle_chinese_chars", true);
        t->clean = is_true(o, "clean_text", true);
    } else
        TRY(unsupported("normalizer", type, err));
done:
    return st;
}

static sg_status read_splitter(tokenizer *t, const json_t *o, unsigned depth, sg_error *err)
{
    sg_status st = SG_OK;
    const char *type = type_of(o);
    size_t i;
    json_t *item;
    if (!o || json_is_null(o))
        return sg_fail(err, SG_EFORMAT, "tokenizer: a tokenizer without pre_tokenizer is not supported");
    if (!strcmp(type, "Sequence") && depth < 8) {
        json_array_foreach(json_object_get(o, "pretokenizers"), i, item)
            TRY(read_splitter(t, item, depth + 1, err));
    } else if (!strcmp(type, "WhitespaceSplit"))
        return SG_OK;
    else if (!strcmp(type, "Whitespace"))
        t->runs = true;
    else if (!strcmp(type, "BertPreTokenizer"))
        t->punctuation = true;
    else if (!strcmp(type, "Punctuation")) {
        const char *how = json_string_value(json_object_get(o, "behavior"));
        if (how && strcmp(how, "Isolated") != 0)
            TRY(unsupported("Punctuation behavior", how, err));
        t->punctuation = true;
    } else
        TRY(unsupported("pre_tokenizer", type, err));
done:
    return st;
}

static sg_status copy_text(char **out, const json_t *o, const char *key, const char *otherwise, sg_error *err)
{
    const char *s = json_string_value(json_object_get(o, key));
    *out = sg_strdup(s ? s : otherwise);
    return *out ? SG_OK : no_memory(err, "the tokenizer");
}

static sg_status read_merges(tokenizer *t, const json_t *model, sg_error *err)
{
    sg_status st;
    const json_t *list = json_object_get(model, "merges");
    size_t i;
    json_t *item;
    char pair[1024];
    TRY(string_table_new(&t->merges, err));
    if (!json_is_array(list) || json_array_size(list) > MAX_MERGES)
        TRY(sg_fail(err, SG_EFORMAT, "tokenizer: a BPE model without a list of merges"));
    json_array_foreach(list, i, item)
    {
        const char *left = json_string_value(json_array_get(item, 0)),
                   *right = json_string_value(json_array_get(item, 1));
        const char *both = json_string_value(item);
        int n = both ? snprintf(pair, sizeof pair, "%s", both)
                     : snprintf(pair, sizeof pair, "%s %s", left ? left : "", right ? right : "");
        int32_t id;
        if ((!both && (!left || !right)) || n <= 0 || (size_t)n >= sizeof pair || !strchr(pair, ' '))
            TRY(sg_fail(err, SG_EFORMAT, "tokenizer: merge %zu is not a pair of pieces", i));
        TRY(string_table_add(t->merges, pair, (size_t)n, &id, NULL, err));
    }
done:
    return st;
}

static sg_status read_model(tokenizer *t, const json_t *o, const piece_ids *ids, sg_error *err)
{
    sg_status st = SG_OK;
    const char *type = type_of(o), *unknown = json_string_value(json_object_get(o, "unk_token"));
    const json_t *longest = json_object_get(o, "max_input_chars_per_word");
    t->unknown = unknown ? ids->find(ids->ctx, unknown, strlen(unknown)) : -1;
    t->fuse_unknown = is_true(o, "fuse_unk", false);
    t->longest = json_is_integer(longest) && json_integer_value(longest) > 0
                     ? (size_t)json_integer_value(longest)
                     : 100;
    if (!strcmp(type, "WordLevel"))
        t->kind = MODEL_WORDLEVEL;
    else if (!strcmp(type, "WordPiece"))
        t->kind = MODEL_WORDPIECE;
    else if (!strcmp(type, "BPE"))
        t->kind = MODEL_BPE;
    else
        TRY(unsupported("model", type, err));
    if (is_true(o, "byte_fallback", false))
        TRY(unsupported("BPE with", "byte_fallback", err));
    if (json_is_number(json_object_get(o, "dropout")) && json_number_value(json_object_get(o, "dropout")) > 0)
        TRY(unsupported("BPE with", "dropout", err));
    TRY(copy_text(&t->prefix, o, "continuing_subword_prefix", t->kind == MODEL_WORDPIECE ? "##" : "", err));
    TRY(copy_text(&t->suffix, o, "end_of_word_suffix", "", err));
    if (t->kind == MODEL_BPE)
        TRY(read_merges(t, o, err));
done:
    return st;
}

sg_status tokenizer_new(tokenizer **out, const char *json, const piece_ids *ids, sg_error *err)
{
    sg_status st = SG_OK;
    json_error_t why;
    json_t *root = json_loads(json, 0, &why);
    tokenizer *t = sg_calloc(1, sizeof *t);
    *out = NULL;
    NEED(t, err, "the tokenizer");
    if (!json_is_object(root))
        TRY(sg_fail(err, SG_EFORMAT, "tokenizer: not a JSON object"));
    TRY(read_normalizer(t, json_object_get(root, "normalizer"), 0, err));
    TRY(read_splitter(t, json_object_get(root, "pre_tokenizer"), 0, err));
    TRY(read_model(t, json_object_get(root, "model"), ids, err));
    NEED(t->text = sg_strdup(json), err, "the tokenizer");
    *out = t;
    t = NULL;
done:
    json_decref(root);
    tokenizer_free(t);
    return st;
}

/* ---- characters ---- */

/* One code point; of bytes that are no UTF-8, one byte. */
static int32_t decode(const char *s, size_t left, size_t *n)
{
    utf8proc_int32_t x;
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)left, &x);
    *n = length > 0 ? (size_t)length : 1;
    return length > 0 ? x : (unsigned char)s[0];
}

static size_t encode(int32_t x, char *out)
{
    return (size_t)utf8proc_encode_char(x, (utf8proc_uint8_t *)out);
}

static bool is_chinese(int32_t x)
{
    return (x >= 0x4e00 && x <= 0x9fff) || (x >= 0x3400 && x <= 0x4dbf) || (x >= 0xf900 && x <= 0xfaff) ||
           (x >= 0x20000 && x <= 0x2fa1f);
}

/* BERT's: ASCII that is no letter, digit or blank, and what Unicode calls punctuation (not symbols). */
static bool is_punctuation(int32_t x)
{
    if (x < 0x80)
        return (x >= 33 && x <= 47) || (x >= 58 && x <= 64) || (x >= 91 && x <= 96) || (x >= 123 && x <= 126);
    utf8proc_category_t c = utf8proc_category(x);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

/* \w of regular expressions: letters, marks, decimal digits, letter numbers, connectors (_), joiners. */
static bool is_word(int32_t x)
{
    utf8proc_category_t c = utf8proc_category(x);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC ||
           x == 0x200c || x == 0x200d;
}

/* What BERT's cleaning takes out: all that Unicode calls "other", and the replacement character. */
static bool is_dirt(int32_t x)
{
    utf8proc_category_t c = utf8proc_category(x);
    return !x || x == 0xfffd || c == UTF8PROC_CATEGORY_CN || c >= UTF8PROC_CATEGORY_CC;
}

/* ---- pieces of one segment of text ---- */

typedef struct {
    const tokenizer *t;
    const piece_ids *known;
    int32_t *ids;
    size_t n, room;
} pieces;

static bool emit(pieces *p, int32_t id)
{
    if (p->n == p->room)
        return false;
    p->ids[p->n++] = id;
    return true;
}

static bool word_pieces(pieces *p, const char *s, size_t n)
{
    char piece[1024];
    size_t at = 0, first = p->n, prefix = strlen(p->t->prefix), characters = utf8_count(s, n);
    while (at < n && characters <= p->t->longest) {
        size_t end = n;
        int32_t id = -1;
        for (; end > at; end--) {
            size_t lead = at ? prefix : 0, length = lead + end - at;
            if ((end < n && utf8_continues(s[end])) || length >= sizeof piece)
                continue;
            memcpy(piece, p->t->prefix, lead);
            memcpy(piece + lead, s + at, end - at);
            if ((id = p->known->find(p->known->ctx, piece, length)) >= 0)
                break;
        }
        if (id < 0)
            break;
        if (!emit(p, id))
            return false;
        at = end;
    }
    if (at == n)
        return true;
    p->n = first; /* one piece that is not known makes the whole word unknown */
    return emit(p, p->t->unknown);
}

typedef struct {
    size_t at, n; /* in the buffer of symbols */
} symbol;

/* Rank of the merge of two neighbours; -1: none. */
static int32_t merge_rank(const tokenizer *t, const char *text, symbol a, symbol b)
{
    char pair[1024];
    if (a.n + b.n + 1 >= sizeof pair)
        return -1;
    memcpy(pair, text + a.at, a.n);
    pair[a.n] = ' ';
    memcpy(pair + a.n + 1, text + b.at, b.n);
    return string_table_find(t->merges, pair, a.n + b.n + 1);
}

/* Byte-pair encoding: merge the pair of the lowest rank, the leftmost first, until none is left. Symbols lie
 * one after the other in text, so that a merge only lengthens the left one (a prefix of the right one is
 * dropped). */
static bool byte_pairs(pieces *p, const char *s, size_t n)
{
    const tokenizer *t = p->t;
    size_t prefix = strlen(t->prefix), suffix = strlen(t->suffix), count = 0, used = 0;
    if (n > MAX_SYMBOLS)
        return emit(p, t->unknown);
    char *text = sg_calloc(n * (prefix + 1) + suffix + 1, 1);
    symbol *symbols = sg_calloc(n, sizeof *symbols);
    bool fine = text && symbols;
    for (size_t i = 0; fine && i < n;) {
        size_t length;
        (void)decode(s + i, n - i, &length);
        size_t lead = i ? prefix : 0, tail = i + length == n ? suffix : 0;
        symbols[count++] = (symbol){used, lead + length + tail};
        memcpy(text + used, t->prefix, lead);
        memcpy(text + used + lead, s + i, length);
        memcpy(text + used + lead + length, t->suffix, tail);
        used += lead + length + tail;
        i += length;
    }
    while (fine && count > 1) {
        size_t best = 0;
        int32_t rank = -1;
        for (size_t i = 0; i + 1 < count; i++) {
            int32_t r = merge_rank(t, text, symbols[i], symbols[i + 1]);
            if (r >= 0 && (rank < 0 || r < rank)) {
                rank = r;
                best = i;
            }
        }
        if (rank < 0)
            break;
        symbol *a = &symbols[best], *b = a + 1;
        memmove(text + a->at + a->n, text + b->at + prefix, b->n - prefix);
        a->n += b->n - prefix;
        memmove(b, b + 1, (count - best - 2) * sizeof *b);
        count--;
    }
    bool unknown_before = false;
    for (size_t i = 0; fine && i < count; i++) {
        int32_t id = p->known->find(p->known->ctx, text + symbols[i].at, symbols[i].n);
        bool unknown = id < 0;
        if (!(unknown && unknown_before && t->fuse_unknown))
            fine = emit(p, unknown ? t->unknown : id);
        unknown_before = unknown;
    }
    sg_free(text);
    sg_free(symbols);
    return fine;
}

static bool segment(pieces *p, const char *s, size_t n)
{
    if (!n)
        return true;
    if (p->t->kind == MODEL_WORDPIECE)
        return word_pieces(p, s, n);
    if (p->t->kind == MODEL_BPE)
        return byte_pairs(p, s, n);
    int32_t id = p->known->find(p->known->ctx, s, n);
    return emit(p, id >= 0 ? id : p->t->unknown);
}

static size_t put_lower(int32_t x, bool lower, char *out)
{
    if (lower && x == 0x130) /* capital I with dot: the one letter whose lower case is two characters */
        return encode('i', out) + encode(0x307, out + 1);
    return encode(lower ? utf8proc_tolower(x) : x, out);
}

/* Control characters out, accents off (canonical decomposition without nonspacing marks), lower case; never
 * longer than three bytes for one. */
static size_t normalize(const tokenizer *t, const char *s, size_t n, char *out)
{
    size_t used = 0, length;
    for (size_t i = 0; i < n; i += length) {
        int32_t x = decode(s + i, n - i, &length), parts[8] = {x};
        utf8proc_ssize_t m = 1;
        int unused = 0;
        if (t->clean && is_dirt(x))
            continue;
        if (t->strip_accents)
            m = utf8proc_decompose_char(x, parts, 8, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &unused);
        for (utf8proc_ssize_t k = 0; k < m && m <= 8; k++)
            if (!t->strip_accents || utf8proc_category(parts[k]) != UTF8PROC_CATEGORY_MN)
                used += put_lower(parts[k], t->lowercase, out + used);
    }
    return used;
}

/* 0: white space (none is left), 1: inside a word, 2: other; above: alone. */
static unsigned class_of(const tokenizer *t, int32_t x)
{
    if ((t->punctuation && is_punctuation(x)) || (t->isolate_chinese && is_chinese(x)))
        return 3;
    return t->runs ? (is_word(x) ? 1 : 2) : 1;
}

sg_status tokenizer_split(const tokenizer *t, const piece_ids *known, const char *word, size_t length,
                          int32_t **ids, size_t *room, size_t *n, sg_error *err)
{
    sg_status st = SG_OK;
    size_t need = 2 * length + 1, begin = 0, step;
    char *text = sg_calloc(3 * length + 1, 1);
    *n = 0;
    if (!text)
        return no_memory(err, "the tokenizer");
    if (need > *room) {
        int32_t *grown = sg_regrow(*ids, *room, need, sizeof *grown);
        NEED(grown, err, "the tokenizer");
        *ids = grown;
        *room = need;
    }
    pieces p = {.t = t, .known = known, .ids = *ids, .room = *room};
    size_t used = normalize(t, word, length, text);
    unsigned before = 0;
    bool fine = true;
    for (size_t i = 0; i < used && fine; i += step) {
        unsigned c = class_of(t, decode(text + i, used - i, &step));
        if (i && (c != before || c == 3)) {
            fine = segment(&p, text + begin, i - begin);
            begin = i;
        }
        before = c;
    }
    fine = fine && segment(&p, text + begin, used - begin);
    NEED(fine, err, "the tokenizer");
    *n = p.n;
done:
    sg_free(text);
    return st;
}
