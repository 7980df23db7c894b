/* corpus.h - from files to numbers: readers, vocabularies, classes of words, encoded token streams.
 *
 *   files --sg_corpus_next--> tokens (word, tags, line)  --sg_vocab--> ids, --sg_classes--> sets of classes
 *   files --sg_stream_new---> sg_stream: token i = {id, set, first}, n tokens, read by position in constant memory
 *
 * A corpus larger than memory works: nothing here grows with it but a temporary file of 8 bytes a token. */
#ifndef STATEGRAD_CORPUS_H
#define STATEGRAD_CORPUS_H

#include "stategrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { SG_UNIT_WORD, SG_UNIT_CHAR } sg_unit;
typedef enum { SG_FORMAT_AUTO, SG_FORMAT_TEXT, SG_FORMAT_CONLLU, SG_FORMAT_TAGGED } sg_format;

/* ---- reading ---- */
typedef struct {
    const char *const *paths; /* files (.gz: decompressed), folders (their files by name), "-": standard input */
    size_t n_paths;
    sg_format format;         /* AUTO: .conllu (or .conllu.gz) is CoNLL-U, all else text */
    sg_unit unit;
    bool eos;                 /* true: <eos> after each line (words), the line end itself (characters) */
    const char *tags_path;    /* tags, line-aligned with a plain corpus; or NULL */
} sg_corpus_config;

/* Borrowed until the next call. A tag is NULL where the format has none (and for <eos>). */
typedef struct {
    const char *form;  /* UTF-8, NUL-terminated */
    size_t length;     /* bytes */
    const char *tag;   /* word/tag or tags file; CoNLL-U: XPOS */
    const char *upos, *feats;
    bool first;        /* first token of a sentence (line) */
    const char *path;  /* where it stands */
    size_t line;
} sg_token;

typedef struct sg_corpus sg_corpus;
sg_status sg_corpus_open(sg_corpus **out, const sg_corpus_config *cfg, sg_error *err);
/* *end is set when there are no more. SG_EFORMAT: wrong UTF-8, NUL bytes (a binary file), a CoNLL-U line without ten
 * columns, a tags line of another length: with file and line. */
sg_status sg_corpus_next(sg_corpus *c, sg_token *token, bool *end, sg_error *err);
void sg_corpus_close(sg_corpus *c);

/* ---- vocabulary ---- */
typedef struct sg_vocab sg_vocab;
typedef struct {
    size_t size;      /* at most so many words, <unk> and <eos> included; 0: no limit */
    size_t min_count; /* at least so often; 0, 1: all */
    bool unk;         /* keep an <unk> even if every word is known (words: yes; characters: no) */
} sg_vocab_config;

/* By falling frequency, ties by first appearance. Consumes the corpus. */
sg_status sg_vocab_build(sg_vocab **out, sg_corpus *c, const sg_vocab_config *cfg, sg_error *err);
/* words[i] is id i; counts may be NULL. SG_EINVAL: a word twice, an empty word. */
sg_status sg_vocab_from_words(sg_vocab **out, const char *const *words, const uint64_t *counts, size_t n,
                              sg_error *err);
size_t sg_vocab_size(const sg_vocab *v);
const char *sg_vocab_word(const sg_vocab *v, size_t id);
uint64_t sg_vocab_count(const sg_vocab *v, size_t id); /* in the training corpus; 0: not known */
int32_t sg_vocab_id(const sg_vocab *v, const char *word, size_t length); /* -1: not there */
int32_t sg_vocab_unk(const sg_vocab *v);                                /* id of <unk>, -1: none */
void sg_vocab_free(sg_vocab *v);

/* ---- classes of words ----
 * A spec is one of upos, xpos, feats, tags, tags:FILE, lexicon:FILE, frequency, words:FILE, each with an optional
 * ,groups=FILE. Classes may overlap. Class 0 is "all". A set is a distinct combination of memberships: token streams
 * store the number of the token's set, and sums are kept per set, so overlapping classes cost no extra pass. */
typedef struct sg_classes sg_classes;
/* corpus: what will be read (for tags files and for frequency bands, counted there when the vocabulary knows no
 * counts). Specs are read here: SG_EFORMAT with file and line. */
sg_status sg_classes_new(sg_classes **out, const char *const *specs, size_t n_specs, const sg_vocab *vocab,
                         sg_error *err);
size_t sg_classes_count(const sg_classes *k);               /* "all" included; grows while a stream is encoded */
const char *sg_classes_name(const sg_classes *k, size_t c);
size_t sg_classes_sets(const sg_classes *k);                /* distinct sets seen */
bool sg_classes_contains(const sg_classes *k, size_t set, size_t c);
void sg_classes_free(sg_classes *k);

/* ---- encoded streams ---- */
typedef struct {
    int32_t id;
    uint32_t set : 31;  /* number of the token's class set */
    uint32_t first : 1; /* first token of a sentence */
} sg_step;

typedef struct {
    uint64_t tokens, unknown, sentences, unclassed; /* unclassed: in no class but "all" */
} sg_stream_counts;

typedef struct sg_stream sg_stream;
/* Reads the corpus to its end. classes may be NULL (set 0 everywhere). SG_EINVAL: a word that is not in a vocabulary
 * without <unk> (with file, line and word); an empty corpus. */
sg_status sg_stream_new(sg_stream **out, const sg_corpus_config *cfg, const sg_vocab *vocab, sg_classes *classes,
                        const sg_monitor *monitor, sg_error *err);
uint64_t sg_stream_length(const sg_stream *s);
const sg_stream_counts *sg_stream_info(const sg_stream *s);
const char *sg_stream_sha256(const sg_stream *s); /* of the corpus's bytes after decompression, 64 hex digits */
uint64_t sg_stream_class_tokens(const sg_stream *s, const sg_classes *k, size_t c);
/* Steps start .. start+n-1; safe from several threads at once. */
sg_status sg_stream_read(const sg_stream *s, uint64_t start, size_t n, sg_step *steps, sg_error *err);
void sg_stream_free(sg_stream *s);

#ifdef __cplusplus
}
#endif
#endif
