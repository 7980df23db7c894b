/* SPDX-License-Identifier: MIT */
/* corpus.h - from files to numbers: readers, vocabularies, classes of words, encoded token streams.
 *
 *   files --sg_corpus_next--> tokens (word, tags, line)  --sg_vocab--> ids, --sg_classes--> sets of classes
 *   files --sg_stream_new---> sg_stream: token i = {id, set, first}, n tokens, read by position in constant
 *   memory
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

/* ---- reading ----
 * Text is UTF-8; a byte-order mark is skipped; gzip is known by its first bytes. What a token is:
 *   text        words parted by white space (Unicode's, as Python's str.split() has it); with eos, <eos> at
 *               the end of every line, blank lines and a last line without newline included
 *   word/tag    the same, the last slash parts word and tag, "\\/" is a slash of the word; blank lines are no
 *               lines
 *   CoNLL-U     the syntactic words (ranges "1-2" and empty nodes "1.1" are skipped); <eos> after each
 *               sentence
 *   characters  code points; a line end ("\n" or "\r\n") is one character "\n" (none with eos false) */

/* What can be read only once - standard input "-", pipes - copied to temporary files without a name (in
 * TMPDIR), so that a corpus may be opened again and again: once to count the words, once to encode. Other
 * paths cost nothing. */
typedef struct sg_spool sg_spool;
/* SG_EINVAL: "-" given twice. */
SG_API sg_status sg_spool_new(sg_spool **out, const char *const *paths, size_t n_paths, sg_error *err);
SG_API void sg_spool_free(sg_spool *s);

typedef struct {
    size_t struct_size; /* see base.h */
    /* files (.gz: decompressed), folders (their files by name), "-": standard input */
    const char *const *paths;
    size_t n_paths;   /* a folder's subfolders are entered, hidden files left out */
    sg_format format; /* AUTO: .conllu (or .conllu.gz) is CoNLL-U, all else text */
    sg_unit unit;
    bool eos;              /* true: <eos> after each line (words), the line end itself (characters) */
    const char *tags_path; /* tags, line-aligned with a plain corpus; or NULL */
    /* where once-only paths were copied to (borrowed while a corpus is open), or NULL */
    const sg_spool *spool;
    /* In place of paths (n_paths 0), one of these: a text in memory, text_size bytes (UTF-8, or gzip), borrowed
     * while a corpus is open; or rows > 0: one token "row" a line, so many lines, for models that read feature
     * vectors (they may have tags). */
    const char *text;
    size_t text_size;
    uint64_t rows;
} sg_corpus_config;

/* Borrowed until the next call. A tag is NULL where the format has none (and for <eos>). */
typedef struct {
    const char *form; /* UTF-8, NUL-terminated */
    size_t length;    /* bytes */
    const char *tag;  /* word/tag or tags file; CoNLL-U: XPOS */
    const char *upos, *feats;
    bool first;       /* first token of a sentence (line) */
    bool eos;         /* the <eos> added at the end of a line or sentence; never a word of the text */
    const char *path; /* where it stands */
    size_t line;
} sg_token;

typedef struct sg_corpus sg_corpus;
/* cfg is copied (spool aside). SG_EIO: a file is missing. SG_EINVAL: an empty folder, settings that do not go
 * together. */
SG_API sg_status sg_corpus_open(sg_corpus **out, const sg_corpus_config *cfg, sg_error *err);
/* *end is set when there are no more. SG_EFORMAT: wrong UTF-8, NUL bytes (a binary file), a word of more than
 * 1 MiB, a CoNLL-U line without ten columns, a word without tag, a tags line of another length, damaged gzip:
 * with file and line. */
SG_API sg_status sg_corpus_next(sg_corpus *c, sg_token *token, bool *end, sg_error *err);
SG_API void sg_corpus_close(sg_corpus *c);

/* ---- vocabulary ---- */
typedef struct sg_vocab sg_vocab;
typedef struct {
    size_t struct_size; /* see base.h */
    size_t size;        /* so many words, <unk> and <eos> included; 0: no limit */
    size_t min_count;   /* at least so often; 0, 1: all */
    bool unk;           /* keep an <unk> even if every word is known (words: yes; characters: no) */
} sg_vocab_config;

/* By falling frequency, ties by first appearance. Consumes the corpus. The count of <unk> is that of all
 * words left out (1 if there are none), and gives its rank. <eos> is kept whatever its count. Memory grows
 * with the number of distinct words. SG_EINVAL: an empty corpus; fewer distinct words than size asks for;
 * none at min_count. */
SG_API sg_status sg_vocab_build(sg_vocab **out, sg_corpus *c, const sg_vocab_config *cfg, sg_error *err);
/* words[i] is id i; counts may be NULL. SG_EINVAL: a word twice, an empty word. */
SG_API sg_status sg_vocab_from_words(sg_vocab **out, const char *const *words, const uint64_t *counts,
                                     size_t n, sg_error *err);
/* A file: one word a line in id order, a JSON list of words, or a JSON map word -> id (0 .. n-1, each once).
 * Counts are not known. SG_EFORMAT names line or word. */
SG_API sg_status sg_vocab_read(sg_vocab **out, const char *path, sg_error *err);
/* The same for a model of so many ids: a map may leave ids out; those are called "<unused 0>" and so on. */
SG_API sg_status sg_vocab_read_ids(sg_vocab **out, const char *path, size_t ids, sg_error *err);
/* Sets the counts to those of a corpus (words outside count for <unk>); on failure they are as before. */
SG_API sg_status sg_vocab_recount(sg_vocab *v, sg_corpus *c, sg_error *err);
SG_API size_t sg_vocab_size(const sg_vocab *v);
SG_API const char *sg_vocab_word(const sg_vocab *v, size_t id);
SG_API uint64_t sg_vocab_count(const sg_vocab *v, size_t id); /* in the training corpus; 0: not known */
SG_API int32_t sg_vocab_id(const sg_vocab *v, const char *word, size_t length); /* -1: not there */
/* Id of "<unk>" (where there is none, of "<UNK>" or "[UNK]"), and of "<eos>" ("</s>", "<EOS>", "[EOS]"); -1:
 * none. */
SG_API int32_t sg_vocab_unk(const sg_vocab *v);
SG_API int32_t sg_vocab_eos(const sg_vocab *v);
/* The rules of a Hugging Face tokenizer.json (what it supports: src/corpus/tokenizer.c; its own vocabulary
 * may be left out): words of a text then become the pieces that the rules make of them, each a token.
 * SG_EFORMAT names what is not supported. */
SG_API sg_status sg_vocab_set_tokenizer(sg_vocab *v, const char *json, sg_error *err);
SG_API const char *
sg_vocab_tokenizer(const sg_vocab *v); /* the JSON; NULL: words are looked up as they are */
/* Ids of a word's pieces (needs a tokenizer); -1 for one without id and no unknown token. *ids grows to
 * *room; the caller frees it with sg_ids_free. */
SG_API sg_status sg_vocab_split(const sg_vocab *v, const char *word, size_t length, int32_t **ids,
                                size_t *room, size_t *n, sg_error *err);
SG_API void sg_ids_free(int32_t *ids);
SG_API void sg_vocab_free(sg_vocab *v);

/* ---- classes of words ----
 * A spec is one of
 *   upos, xpos, feats   columns of a CoNLL-U corpus; each Feature=Value is a class; "_" is none
 *   tags                the tags of a word/tag corpus (of CoNLL-U: xpos)
 *   tags:FILE           tags, line-aligned with a plain corpus
 *   lexicon:FILE        a line per word: "word tag tag ..."; a word is in the class of each of its tags
 *   words:FILE          a line per class: "name: word word ..."; lines with # are comments
 *   frequency           bands by rank, the most frequent word first: "rank 1-10", "rank 11-100", "rank
 *                       101-1000", ... and "out of vocabulary"; counts of the vocabulary, else of the corpus
 * each with an optional ",groups=FILE", a line per group: "name: tag tag ..."; the groups are the classes
 * then, and what is in no group is in no class. Words are compared as they stand in the corpus, whether the
 * vocabulary has them or not. Classes may overlap. <eos> is in "all" and frequency only.
 *
 * Class 0 is "all". Classes that a file names follow in the order of the specs and files, then those found in
 * the corpus in order of appearance. A name that an earlier spec has already is told apart by its spec:
 * "xpos:X". A set is a distinct combination of memberships: token streams store the number of the token's
 * set, and sums are kept per set, so overlapping classes cost no extra pass. Set 0 is "all" alone. Numbers
 * are reproducible. */
typedef struct sg_classes sg_classes;
/* Specs are read here: SG_EINVAL: an unknown spec, one given twice; SG_EFORMAT with file and line. The
 * vocabulary is borrowed. */
SG_API sg_status sg_classes_new(sg_classes **out, const char *const *specs, size_t n_specs,
                                const sg_vocab *vocab, sg_error *err);
/* Classes without specs: class i+1 is names[i]; which tokens are in it is told to sg_stream_from_ids. SG_EINVAL: a
 * name twice, an empty name, the name "all"; more than 9999 names. The vocabulary is borrowed and may be NULL. */
SG_API sg_status sg_classes_from_names(sg_classes **out, const char *const *names, size_t n,
                                       const sg_vocab *vocab, sg_error *err);
/* "all" included; grows while a stream is encoded, so ask after that. At most 10000. */
SG_API size_t sg_classes_count(const sg_classes *k);
SG_API const char *sg_classes_name(const sg_classes *k,
                                   size_t c); /* borrowed until the next stream is encoded */
SG_API int32_t sg_classes_find(const sg_classes *k, const char *name); /* -1: no such class */
SG_API size_t sg_classes_sets(const sg_classes *k);                    /* distinct sets seen; at most 65536 */
SG_API bool sg_classes_contains(const sg_classes *k, size_t set, size_t c);

/* The words of the vocabulary seen in class c, by rising id, no <unk> among them: what the class mean of
 * embeddings is taken over, and which tags a word has. count: tokens of that word that were in the class, in
 * the streams encoded so far. Returns how many; *words is borrowed until the next stream is encoded. */
typedef struct {
    int32_t id;
    uint64_t count;
} sg_class_word;
SG_API size_t sg_classes_words(const sg_classes *k, size_t c, const sg_class_word **words);
SG_API uint64_t sg_classes_word_count(const sg_classes *k, size_t c, int32_t id); /* 0: never seen in it */
SG_API void sg_classes_free(sg_classes *k);

/* ---- encoded streams ---- */
typedef struct {
    int32_t id;
    uint16_t set;  /* number of the token's class set */
    uint8_t first; /* 1: first token of a sentence; else 0 */
    uint8_t unused;
} sg_step;

typedef struct {
    uint64_t tokens;
    /* words outside the vocabulary, read as <unk> (an <unk> of the text itself is known) */
    uint64_t unknown;
    uint64_t sentences;
    uint64_t unclassed; /* in no class but "all", <eos> left out; 0 without classes */
} sg_stream_counts;

typedef struct sg_stream sg_stream;
/* Reads the corpus to its end. classes may be NULL (set 0 everywhere); with tags:FILE among them that file is
 * read beside the corpus. Neither is needed later. vocab may be NULL (all ids -1). SG_EINVAL: a word that is
 * not in a vocabulary without <unk> (with file, line and word); an empty corpus; a class of a words or groups
 * file that no token is in; classes by a column that the corpus has not. On failure classes may have
 * grown. */
SG_API sg_status sg_stream_new(sg_stream **out, const sg_corpus_config *cfg, const sg_vocab *vocab,
                               sg_classes *classes, const sg_monitor *monitor, sg_error *err);
/* A stream of n tokens from arrays, which are copied (8 bytes a token in a temporary file).
 *   ids     (n), each from 0 to V-1; NULL: all -1, for models that read feature vectors
 *   first   (n), true where a sentence begins (token 0 always begins one); NULL: at token 0 only
 *   member  (n, C) row-major, C = sg_classes_count(classes) - 1: member[i*C + c] is true if token i is in class
 *           c+1; NULL: in no class. classes: of sg_classes_from_names, or NULL with member NULL.
 * No token counts as unknown. Its SHA-256 is that of, per token, the id (4 bytes, little endian) and a byte 1 or
 * 0 for first. SG_EINVAL: n is 0; an id outside the vocabulary (names the token); a class without tokens. On
 * failure classes may have been filled in part. */
SG_API sg_status sg_stream_from_ids(sg_stream **out, const int32_t *ids, const bool *first, uint64_t n,
                                    const bool *member, const sg_vocab *vocab, sg_classes *classes,
                                    sg_error *err);
SG_API uint64_t sg_stream_length(const sg_stream *s);
SG_API const sg_stream_counts *sg_stream_info(const sg_stream *s);
/* of the corpus's bytes after decompression, 64 hex digits */
SG_API const char *sg_stream_sha256(const sg_stream *s);
SG_API uint64_t sg_stream_class_tokens(const sg_stream *s, const sg_classes *k, size_t c);
/* Steps start .. start+n-1; safe from several threads at once. */
SG_API sg_status sg_stream_read(const sg_stream *s, uint64_t start, size_t n, sg_step *steps, sg_error *err);
SG_API void sg_stream_free(sg_stream *s);

#ifdef __cplusplus
}
#endif
#endif
