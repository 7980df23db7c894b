/* SPDX-License-Identifier: MIT */
/* Encoded streams: 8 bytes per token in a temporary file without a name, read by position. */
#include "corpus/class_expression.h"
#include "corpus/corpus_internal.h"
#include "corpus/word_pairs.h"
#include "corpus/sentence_position.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum {
    BUFFERED = 1 << 13,
    MANY_UNKNOWN = 20,       /* per cent of the words: a warning */
    UNKNOWN_TYPES = 1 << 16, /* different unknown words that are counted */
    UNKNOWN_NAMED = 5
};

struct sg_stream {
    int fd;
    sg_stream_counts counts;
    char sha256[65];
    uint64_t *set_tokens;
    size_t n_sets, sets_cap;
    uint64_t documents[SG_DOCUMENTS_NONE]; /* by what separates them */
    pair_collector *pairs;                 /* NULL: none */
};

/* The line that is being read, blanks aside: is it "= Title ="? */
typedef struct {
    uint64_t start; /* its first token */
    size_t words;
    bool first, second, before_last, last; /* these words are "=" */
} line_shape;

typedef struct {
    sg_stream *s;
    const sg_vocab *vocab;
    sg_classes *classes;
    place_reader *places; /* NULL: nobody asks them */
    word_place place;     /* of the token at hand */
    size_t n;
    sg_step *steps;
    int32_t *ids; /* of one word: several with a tokenizer */
    size_t ids_room;
    line_shape line;
    uint64_t sentence; /* its tokens so far */
    uint8_t begins;    /* of the next step */
    uint64_t line_ends;
    string_table *unknown; /* words outside the vocabulary, the first UNKNOWN_TYPES different ones */
    uint64_t *unknown_count;
    size_t unknown_room;
} encoder;

static sg_status encoder_flush(encoder *e, sg_error *err)
{
    sg_status st = temp_file_write(e->s->fd, e->steps, e->n * sizeof *e->steps, err);
    e->n = 0;
    return st;
}

/* The id the model reads; *known false: the word is outside the vocabulary. */
static sg_status encode_word(const sg_vocab *v, const sg_token *t, int32_t *id, bool *known, sg_error *err)
{
    *id = -1;
    *known = true;
    if (!v)
        return SG_OK;
    *id = t->eos ? sg_vocab_eos(v) : sg_vocab_id(v, t->form, t->length);
    *known = *id >= 0;
    if (*known)
        return SG_OK;
    *id = sg_vocab_unk(v);
    if (*id >= 0)
        return SG_OK;
    char excerpt[64];
    if (t->eos)
        return sg_fail(
            err, SG_EINVAL,
            "%s:%zu: the model's vocabulary has neither <eos> nor <unk> for the end of the line; use setting 'eos' false",
            t->path, t->line);
    return sg_fail(err, SG_EFORMAT, "%s:%zu: '%s' is not in the vocabulary, which has no <unk>", t->path,
                   t->line, strcmp(t->form, "\n") ? text_excerpt(excerpt, t->form, t->length) : "\\n");
}

/* The ids of a word: one, or with a tokenizer those of its pieces. */
static sg_status encode_pieces(const sg_vocab *v, const sg_token *t, int32_t **ids, size_t *room, size_t *n,
                               bool *known, sg_error *err)
{
    sg_status st = SG_OK;
    char excerpt[64];
    *known = true;
    if (v && sg_vocab_tokenizer(v) && !t->eos) {
        TRY(sg_vocab_split(v, t->form, t->length, ids, room, n, err));
        for (size_t i = 0; i < *n; i++)
            if ((*ids)[i] < 0)
                TRY(sg_fail(
                    err, SG_EFORMAT,
                    "%s:%zu: '%s' has a piece that is not in the vocabulary, and the tokenizer has no "
                    "unknown token",
                    t->path, t->line, text_excerpt(excerpt, t->form, t->length)));
        return st;
    }
    if (!*room) {
        NEED(*ids = sg_calloc(1, sizeof **ids), err, "the corpus");
        *room = 1;
    }
    *n = 1;
    TRY(encode_word(v, t, *ids, known, err));
done:
    return st;
}

static sg_status put_step(encoder *e, int32_t id, uint32_t set, bool first, sg_error *err)
{
    sg_status st = SG_OK;
    sg_stream *s = e->s;
    TRY(array_reserve(&s->set_tokens, &s->sets_cap, (size_t)set + 1, sizeof *s->set_tokens, err));
    s->n_sets = set + 1 > s->n_sets ? set + 1 : s->n_sets;
    s->set_tokens[set]++;
    s->counts.tokens++;
    s->counts.sentences += first;
    e->sentence = first ? 1 : e->sentence + 1;
    s->counts.longest = e->sentence > s->counts.longest ? e->sentence : s->counts.longest;
    const sg_step step = {.id = id, .set = (uint16_t)set, .first = first, .begins = e->begins};
    for (sg_documents by = SG_DOCUMENTS_BLANK; by < SG_DOCUMENTS_NONE; by++)
        s->documents[by] += sg_step_begins(&step, by);
    e->begins = 0;
    e->steps[e->n++] = step;
    if (e->n == BUFFERED)
        TRY(encoder_flush(e, err));
done:
    return st;
}

static sg_status push_step(encoder *e, const sg_token *t, int32_t id, bool known, bool first, sg_error *err)
{
    sg_status st = SG_OK;
    uint32_t set = 0;
    if (e->classes)
        TRY(classes_assign(e->classes, t, &e->place, id, &set, err));
    TRY(put_step(e, id, set, first, err));
    e->s->counts.unknown += !known && !t->eos;
    e->s->counts.unclassed += e->classes && set == 0 && !t->eos;
done:
    return st;
}

/* ---- words outside the vocabulary ---- */

static sg_status count_unknown(encoder *e, const sg_token *t, sg_error *err)
{
    sg_status st = SG_OK;
    int32_t id;
    if (!e->unknown)
        TRY(string_table_new(&e->unknown, err));
    id = string_table_find(e->unknown, t->form, t->length);
    if (id < 0 && string_table_count(e->unknown) >= UNKNOWN_TYPES)
        return SG_OK;
    TRY(string_table_add(e->unknown, t->form, t->length, &id, NULL, err));
    TRY(array_reserve(&e->unknown_count, &e->unknown_room, (size_t)id + 1, sizeof *e->unknown_count, err));
    e->unknown_count[id]++;
done:
    return st;
}

/* "'foo' (12), 'bar' (7)": the most frequent ones, the earlier first where equal. */
static void name_unknown(const encoder *e, char *text, size_t size)
{
    int32_t named[UNKNOWN_NAMED] = {0};
    size_t at = 0, n = e->unknown ? string_table_count(e->unknown) : 0;
    text[0] = 0;
    for (size_t k = 0; k < UNKNOWN_NAMED; k++) {
        int32_t best = -1;
        for (size_t i = 0; i < n; i++) {
            bool taken = false;
            for (size_t j = 0; j < k; j++)
                taken |= named[j] == (int32_t)i;
            if (!taken && (best < 0 || e->unknown_count[i] > e->unknown_count[best]))
                best = (int32_t)i;
        }
        if (best < 0)
            return;
        named[k] = best;
        char excerpt[64];
        size_t length;
        const char *word = string_table_get(e->unknown, (size_t)best, &length);
        at += (size_t)snprintf(text + at, size - at, "%s'%s' (%ju)", k ? ", " : "",
                               *word == '\n' ? "\\n" : text_excerpt(excerpt, word, length),
                               (uintmax_t)e->unknown_count[best]);
    }
}

static void warn_of_unknown(const encoder *e, const sg_monitor *monitor)
{
    char named[UNKNOWN_NAMED * 96];
    const sg_stream_counts *n = &e->s->counts;
    const uint64_t words = n->tokens - e->line_ends;
    if (!words || n->unknown * 100 <= words * MANY_UNKNOWN)
        return;
    name_unknown(e, named, sizeof named);
    sg_warn(
        monitor,
        "%.1f %% of the words (%ju of %ju) are not in the vocabulary and are read as one unknown word%s%s",
        100 * (double)n->unknown / (double)words, (uintmax_t)n->unknown, (uintmax_t)words,
        named[0] ? "; most frequent: " : "", named);
}

/* Sets a bit of a step that has been given already. */
static sg_status mark(sg_stream *s, uint64_t at, uint8_t begins, sg_error *err)
{
    const off_t place = (off_t)(at * sizeof(sg_step) + offsetof(sg_step, begins));
    if (pwrite(s->fd, &begins, 1, place) != 1)
        return sg_fail(err, SG_EIO, "corpus: the temporary file cannot be written: %s", strerror(errno));
    return SG_OK;
}

/* The line is over: a heading begins a document where the line began. */
static sg_status end_line(encoder *e, sg_error *err)
{
    const line_shape *l = &e->line;
    sg_stream *s = e->s;
    if (l->words < 3 || !l->first || l->second || l->before_last || !l->last)
        return SG_OK;
    sg_step step;
    uint64_t written = s->counts.tokens - e->n;
    if (l->start >= written) {
        sg_step *x = &e->steps[l->start - written];
        s->documents[SG_DOCUMENTS_HEADING] += !(x->begins & SG_BEGINS_HEADING);
        x->begins |= SG_BEGINS_HEADING;
        return SG_OK;
    }
    sg_status st = sg_stream_read(s, l->start, 1, &step, err);
    s->documents[SG_DOCUMENTS_HEADING] += !(step.begins & SG_BEGINS_HEADING);
    return st == SG_OK ? mark(s, l->start, step.begins | SG_BEGINS_HEADING, err) : st;
}

static void see_word(line_shape *l, const sg_token *t)
{
    bool equals = t->length == 1 && t->form[0] == '=';
    if (t->eos || (t->length == 1 && strchr(" \t\r\n", t->form[0]))) /* characters: blanks are tokens */
        return;
    l->words++;
    l->first = l->words == 1 ? equals : l->first;
    l->second = l->words == 2 ? equals : l->second;
    l->before_last = l->last;
    l->last = equals;
}

static sg_status encode_token(encoder *e, const sg_token *t, sg_error *err)
{
    sg_status st;
    size_t n;
    bool known;
    if (t->first) {
        TRY(end_line(e, err));
        e->line = (line_shape){.start = e->s->counts.tokens};
    }
    see_word(&e->line, t);
    if (e->places)
        TRY(places_next(e->places, &e->place, err));
    e->begins |= t->begins;
    TRY(encode_pieces(e->vocab, t, &e->ids, &e->ids_room, &n, &known, err));
    bool pieces = e->vocab && sg_vocab_tokenizer(e->vocab) && !t->eos;
    for (size_t i = 0; i < n; i++)
        TRY(push_step(e, t, e->ids[i], pieces ? e->ids[i] != sg_vocab_unk(e->vocab) : known,
                      t->first && i == 0, err));
    e->line_ends += t->eos;
    if (!known && !t->eos)
        TRY(count_unknown(e, t, err));
    if (e->s->pairs && n)
        TRY(pairs_token(e->s->pairs, t, e->s->counts.tokens - 1, n, err));
done:
    return st;
}

/* Frequency bands of a vocabulary without counts: the corpus is read once more, before. */
static sg_status rank_by_corpus(sg_classes *k, const sg_vocab *v, const sg_corpus_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    sg_corpus *c = NULL;
    sg_token token;
    bool end = false, known;
    int32_t *ids = NULL;
    size_t room = 0, n;
    uint64_t *counts = sg_calloc(sg_vocab_size(v), sizeof *counts);
    NEED(counts, err, "%zu counts", sg_vocab_size(v));
    TRY(sg_corpus_open(&c, cfg, err));
    corpus_is_counted(c);
    for (;;) {
        TRY(sg_corpus_next(c, &token, &end, err));
        if (end)
            break;
        TRY(encode_pieces(v, &token, &ids, &room, &n, &known, err));
        for (size_t i = 0; i < n; i++)
            counts[ids[i]]++;
    }
    st = classes_rank(k, counts, err);
done:
    sg_corpus_close(c);
    sg_free(ids);
    sg_free(counts);
    return st;
}

/* The tags files of the classes; the first without a name gives the tags of plain text. */
static sg_status read_layers(sg_corpus *c, const sg_classes *k, sg_error *err)
{
    const char *paths[MAX_LAYERS];
    size_t n = 0, tags = MAX_LAYERS;
    for (bool named; k && (paths[n] = classes_layer_path(k, n, &named)); n++)
        tags = !named && tags == MAX_LAYERS ? n : tags;
    return n ? corpus_read_layers(c, paths, n, tags, err) : SG_OK;
}

static sg_status encode_all(encoder *e, const sg_corpus_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    sg_corpus *c = NULL;
    sg_sha256 *hash = NULL;
    sg_token token;
    bool end = false;
    TRY(sg_corpus_open(&c, cfg, err));
    TRY(read_layers(c, e->classes, err));
    if (e->classes && classes_want_places(e->classes))
        TRY(places_open(&e->places, cfg, err));
    TRY(sg_sha256_new(&hash, err));
    if (cfg->lowercase) /* another text: it resumes, merges and is compared with its kind alone */
        sg_sha256_add(hash, "lowercase", sizeof "lowercase");
    corpus_hash_into(c, hash);
    for (;;) {
        TRY(sg_corpus_next(c, &token, &end, err));
        if (end)
            break;
        TRY(encode_token(e, &token, err));
    }
    TRY(end_line(e, err));
    if (!e->s->counts.tokens)
        TRY(sg_fail(err, SG_EFORMAT, "%s: an empty corpus: no words", corpus_first_path(c)));
    TRY(encoder_flush(e, err));
    corpus_warn(c);
    warn_of_unknown(e, cfg->monitor);
    sg_sha256_hex(hash, e->s->sha256);
done:
    sg_corpus_close(c);
    sg_sha256_free(hash);
    return st;
}

/* Room for an encoder's stream and steps; on failure encoder_free frees what there is. */
static sg_status encoder_init(encoder *e, sg_error *err)
{
    if (!(e->s = sg_calloc(1, sizeof *e->s)))
        return no_memory(err, "the corpus");
    e->s->fd = -1;
    if (!(e->steps = sg_calloc(BUFFERED, sizeof *e->steps)))
        return no_memory(err, "the corpus");
    return SG_OK;
}

static void encoder_free(encoder *e)
{
    sg_free(e->steps);
    sg_free(e->ids);
    places_close(e->places);
    string_table_free(e->unknown);
    sg_free(e->unknown_count);
    sg_stream_free(e->s);
}

sg_status sg_stream_new(sg_stream **out, const sg_corpus_config *cfg, const sg_vocab *vocab,
                        sg_classes *classes, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    sg_spool *spool = NULL;
    sg_corpus_config c = {0};
    cfg = config_take(&c, sizeof c, cfg);
    encoder e = {.vocab = vocab, .classes = classes};
    c.monitor = monitor ? monitor : c.monitor;
    bool named, counts = classes && classes_want_counts(classes);
    const char *tags = classes ? classes_layer_path(classes, 0, &named) : NULL;
    if (tags && cfg->tags_path)
        return sg_fail(err, SG_EINVAL, "%s: a second tags file, %s is given already", tags, cfg->tags_path);
    TRY(encoder_init(&e, err));
    if ((counts || (classes && classes_want_places(classes))) && !c.spool) {
        TRY(sg_spool_new(&spool, c.paths, c.n_paths, err));
        c.spool = spool;
    }
    if (counts)
        TRY(rank_by_corpus(classes, vocab, &c, err));
    if (cfg->n_pairs)
        TRY(pairs_new(&e.s->pairs, cfg->pairs, cfg->n_pairs, err));
    TRY(temp_file_open(&e.s->fd, err));
    TRY(encode_all(&e, &c, err));
    if (e.s->pairs)
        TRY(pairs_finish(e.s->pairs, e.s->counts.tokens, err));
    if (classes)
        TRY(classes_finish(classes, err));
    *out = e.s;
    e.s = NULL;
done:
    sg_spool_free(spool);
    encoder_free(&e);
    return st;
}

/* Token i of the arrays of sg_stream_from_ids. */
static sg_status encode_id(encoder *e, sg_sha256 *hash, uint64_t i, int32_t id, bool first,
                           const bool *member, sg_error *err)
{
    sg_status st = SG_OK;
    uint32_t set = 0;
    const uint32_t u = (uint32_t)id;
    const unsigned char bytes[5] = {(unsigned char)u, (unsigned char)(u >> 8), (unsigned char)(u >> 16),
                                    (unsigned char)(u >> 24), first};
    if (e->vocab && (id < 0 || (size_t)id >= sg_vocab_size(e->vocab)))
        TRY(sg_fail(err, SG_EINVAL, "token %ju: id %d, expected 0 to %zu", (uintmax_t)i, id,
                    sg_vocab_size(e->vocab) - 1));
    sg_sha256_add(hash, bytes, sizeof bytes);
    if (e->classes)
        TRY(classes_assign_members(e->classes, member, id, i, &set, err));
    TRY(put_step(e, id, set, first, err));
    e->s->counts.unknown += e->vocab && id == sg_vocab_unk(e->vocab);
    e->s->counts.unclassed += e->classes && set == 0;
done:
    return st;
}

sg_status sg_stream_from_ids(sg_stream **out, const int32_t *ids, const bool *first, uint64_t n,
                             const bool *member, const sg_vocab *vocab, sg_classes *classes, sg_error *err)
{
    sg_status st = SG_OK;
    sg_sha256 *hash = NULL;
    encoder e = {.vocab = ids ? vocab : NULL, .classes = classes};
    *out = NULL;
    if (!n)
        return sg_fail(err, SG_EINVAL, "stream: no tokens");
    if (classes ? classes_have_specs(classes) : member != NULL)
        return sg_fail(err, SG_EINVAL, "stream: members of classes need classes made from names");
    const size_t C = classes ? sg_classes_count(classes) - 1 : 0;
    TRY(encoder_init(&e, err));
    TRY(sg_sha256_new(&hash, err));
    TRY(temp_file_open(&e.s->fd, err));
    e.begins = SG_BEGINS_FILE;
    for (uint64_t i = 0; i < n; i++)
        TRY(encode_id(&e, hash, i, ids ? ids[i] : -1, i == 0 || (first && first[i]),
                      member ? member + i * C : NULL, err));
    TRY(encoder_flush(&e, err));
    sg_sha256_hex(hash, e.s->sha256);
    if (classes)
        TRY(classes_finish(classes, err));
    *out = e.s;
    e.s = NULL;
done:
    sg_sha256_free(hash);
    encoder_free(&e);
    return st;
}

sg_status sg_stream_mark_documents(sg_stream *s, const uint64_t *starts, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    sg_step *steps = sg_calloc(BUFFERED, sizeof *steps);
    if (!steps)
        return no_memory(err, "the corpus");
    for (size_t i = 0; i < n; i++)
        if (starts[i] >= s->counts.tokens || (i && starts[i] <= starts[i - 1]))
            TRY(sg_fail(err, SG_EINVAL, "documents: entry %zu is %ju, expected ascending tokens below %ju", i,
                        (uintmax_t)starts[i], (uintmax_t)s->counts.tokens));
    memset(s->documents, 0, sizeof s->documents);
    for (uint64_t t = 0, i = 0; t < s->counts.tokens; t += BUFFERED) {
        uint64_t left = s->counts.tokens - t;
        size_t m = left < BUFFERED ? (size_t)left : BUFFERED;
        TRY(sg_stream_read(s, t, m, steps, err));
        for (size_t k = 0; k < m; k++) {
            uint8_t begins = steps[k].begins & (uint8_t)~SG_BEGINS_FILE;
            if (t + k == 0 || (i < n && starts[i] == t + k))
                begins |= SG_BEGINS_FILE;
            i += i < n && starts[i] == t + k;
            if (begins != steps[k].begins)
                TRY(mark(s, t + k, begins, err));
            steps[k].begins = begins;
            for (sg_documents by = SG_DOCUMENTS_BLANK; by < SG_DOCUMENTS_NONE; by++)
                s->documents[by] += sg_step_begins(&steps[k], by);
        }
    }
done:
    sg_free(steps);
    return st;
}

bool sg_step_begins(const sg_step *step, sg_documents separated)
{
    static const uint8_t bits[] = {[SG_DOCUMENTS_BLANK] = SG_BEGINS_BLANK | SG_BEGINS_FILE,
                                   [SG_DOCUMENTS_HEADING] = SG_BEGINS_HEADING,
                                   [SG_DOCUMENTS_FILE] = SG_BEGINS_FILE};
    return separated == SG_DOCUMENTS_LINE ? step->first
           : separated > SG_DOCUMENTS_AUTO && separated < SG_DOCUMENTS_LINE
               ? (step->begins & bits[separated]) != 0
               : false;
}

uint64_t sg_stream_documents(const sg_stream *s, sg_documents separated)
{
    uint64_t n = separated > SG_DOCUMENTS_AUTO && separated < SG_DOCUMENTS_NONE ? s->documents[separated] : 1;
    return n ? n : 1;
}

const sg_word_pairs *sg_stream_pairs(const sg_stream *s)
{
    return s->pairs ? pairs_view(s->pairs) : NULL;
}

uint64_t sg_stream_length(const sg_stream *s)
{
    return s->counts.tokens;
}

const sg_stream_counts *sg_stream_info(const sg_stream *s)
{
    return &s->counts;
}

const char *sg_stream_sha256(const sg_stream *s)
{
    return s->sha256;
}

uint64_t sg_stream_class_tokens(const sg_stream *s, const sg_classes *k, size_t c)
{
    uint64_t tokens = 0;
    if (!k)
        return c ? 0 : s->counts.tokens;
    for (size_t set = 0; set < s->n_sets; set++)
        if (sg_classes_contains(k, set, c))
            tokens += s->set_tokens[set];
    return tokens;
}

sg_status sg_stream_read(const sg_stream *s, uint64_t start, size_t n, sg_step *steps, sg_error *err)
{
    if (start > s->counts.tokens || n > s->counts.tokens - start)
        return sg_fail(err, SG_EINVAL, "corpus: tokens %llu .. %llu requested, it has %llu",
                       (unsigned long long)start, (unsigned long long)(start + n),
                       (unsigned long long)s->counts.tokens);
    char *p = (char *)steps;
    size_t left = n * sizeof *steps;
    off_t offset = (off_t)(start * sizeof *steps);
    while (left) {
        ssize_t k = pread(s->fd, p, left, offset);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return sg_fail(err, SG_EIO, "corpus: the temporary file cannot be read: %s",
                           k < 0 ? strerror(errno) : "it became shorter");
        p += k;
        left -= (size_t)k;
        offset += k;
    }
    return SG_OK;
}

void sg_stream_free(sg_stream *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    sg_free(s->set_tokens);
    pairs_free(s->pairs);
    sg_free(s);
}
