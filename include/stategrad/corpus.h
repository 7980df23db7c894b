/* SPDX-License-Identifier: MIT */
/* corpus.h - from files to numbers: readers, vocabularies, classes of words, encoded token streams.
 *
 *   files --sg_corpus_next--> tokens (word, tags, line)  --sg_vocab--> ids, --sg_classes--> sets of classes
 *   files --sg_stream_new---> sg_stream: token i = {id, set, first}, n tokens, read by position in constant
 *   memory
 *
 * The corpus may be larger than memory: only a temporary file grows with it, by 8 bytes per token. */
#ifndef STATEGRAD_CORPUS_H
#define STATEGRAD_CORPUS_H

#include "stategrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { SG_UNIT_WORD, SG_UNIT_CHAR } sg_unit;
typedef enum { SG_FORMAT_AUTO, SG_FORMAT_TEXT, SG_FORMAT_CONLLU, SG_FORMAT_TAGGED } sg_format;

/* ---- reading ----
 * Text is UTF-8; a byte-order mark is skipped; gzip is detected by content. What a token is:
 *   text        whitespace-separated words (Unicode, as Python's str.split()); with eos, <eos> at
 *               the end of every line, blank lines and a last line without newline included
 *   word/tag    the same, the last slash separates word and tag, "\\/" is a slash of the word; blank lines
 *               are ignored
 *   CoNLL-U     the syntactic words (ranges "1-2" and empty nodes "1.1" are skipped); <eos> after each
 *               sentence
 *   characters  code points; a line end ("\n" or "\r\n") is one character "\n" (none with eos false) */

/* Spools non-seekable inputs (standard input "-", pipes) to unnamed temporary files in TMPDIR, so that a
 * corpus can be opened more than once: to count the words, and to encode them. Other paths are not copied. */
typedef struct sg_spool sg_spool;
/* SG_EINVAL: "-" given twice. */
SG_API sg_status sg_spool_new(sg_spool **out, const char *const *paths, size_t n_paths, sg_error *err);
SG_API void sg_spool_free(sg_spool *s);

typedef struct {
    size_t struct_size; /* see base.h */
    /* files (.gz: decompressed), folders (their files by name), "-": standard input */
    const char *const *paths;
    size_t n_paths;   /* subfolders are included, hidden files are not */
    sg_format format; /* AUTO: .conllu (or .conllu.gz) is CoNLL-U, all else text */
    sg_unit unit;
    bool eos;              /* true: <eos> after each line (words), the line end itself (characters) */
    const char *tags_path; /* tags, line-aligned with a plain corpus; or NULL */
    /* spooled copies of non-seekable paths (borrowed while a corpus is open), or NULL */
    const sg_spool *spool;
    /* In place of paths (n_paths 0), one of these: a text in memory, text_size bytes (UTF-8, or gzip),
     * borrowed while a corpus is open; or rows > 0: `rows` lines of one token "row", for models that read
     * feature vectors (they may have tags). */
    const char *text;
    size_t text_size;
    uint64_t rows;
    const sg_monitor *monitor; /* receives progress and may stop the reading; or NULL */
    /* Pairs of words that the stream keeps (sg_stream_pairs), each spec one of
     *   deprel:RELATION->head   the word and its head in CoNLL-U; a relation includes its subtypes
     *   deprel:head->RELATION   the reverse: the head is read first
     *   subject-verb            subject-verb=deprel:nsubj->head,attractors
     *   a file                  lines "READ NOW LABEL": two positions in the stream from 0, <eos> included
     * NAME= before a relation sets its label (default: its text); ",attractors" after it adds two labels:
     * pairs with a noun of the other number between them, and pairs without. Any number of specs;
     * borrowed. */
    const char *const *pairs;
    size_t n_pairs;
    bool lowercase; /* words and characters are read in lower case; annotation is not */
} sg_corpus_config;

/* Borrowed until the next call. A tag is NULL where the format has none (and for <eos>). */
typedef struct {
    const char *form; /* UTF-8, NUL-terminated */
    size_t length;    /* bytes */
    const char *tag;  /* word/tag or tags file; CoNLL-U: XPOS */
    const char *upos, *feats;
    const char *const *columns; /* CoNLL-U: the ten columns, NULL where "_"; else NULL */
    const char *const *layers;  /* its tags in the tags files of the corpus; NULL: none */
    bool first;                 /* first token of a sentence (line) */
    bool eos;         /* the <eos> added at the end of a line or sentence; never a word of the text */
    uint8_t begins;   /* SG_BEGINS_... a document may begin here */
    const char *path; /* where the token was read */
    size_t line;
} sg_token;

/* Where documents may begin: bits of a token. A file's bit is at its first word, that of a blank line at the
 * first word after it, that of a heading at its own first word: a line "= Title =" (not "= = Part = ="), as
 * WikiText has it, or in CoNLL-U the first word after "# newdoc". */
enum { SG_BEGINS_BLANK = 1, SG_BEGINS_HEADING = 2, SG_BEGINS_FILE = 4 };
/* What separates documents: see setting 'documents' of the analysis. */
typedef enum {
    SG_DOCUMENTS_AUTO,
    SG_DOCUMENTS_BLANK, /* blank lines, and files */
    SG_DOCUMENTS_HEADING,
    SG_DOCUMENTS_FILE,
    SG_DOCUMENTS_LINE, /* each line (or sentence) is a document */
    SG_DOCUMENTS_NONE
} sg_documents;

typedef struct sg_corpus sg_corpus;
/* cfg is copied (except spool). SG_EIO: a file is missing. SG_EFORMAT: an
 * empty folder; SG_EINVAL: incompatible settings. */
SG_API sg_status sg_corpus_open(sg_corpus **out, const sg_corpus_config *cfg, sg_error *err);
/* *end is set at the end of the corpus. SG_EFORMAT: invalid UTF-8, NUL bytes (a binary file), a word of more
 * than 1 MiB, a CoNLL-U line without ten columns, a word without tag, a tags line of another length, damaged
 * gzip; names file and line. SG_ECANCELLED: stopped by the monitor. */
SG_API sg_status sg_corpus_next(sg_corpus *c, sg_token *token, bool *end, sg_error *err);
SG_API void sg_corpus_close(sg_corpus *c);

/* ---- vocabulary ---- */
typedef struct sg_vocab sg_vocab;
typedef struct {
    size_t struct_size; /* see base.h */
    size_t size;        /* largest number of words, including <unk> and <eos>; 0: no limit */
    size_t min_count;   /* smallest count of a word to be kept; 0, 1: all */
    bool unk;           /* keep an <unk> even if every word is known (words: yes; characters: no) */
    size_t most;        /* as size, for corpora that may have fewer words; 0: no limit */
} sg_vocab_config;

/* Sorted by decreasing frequency, ties by first appearance. Consumes the corpus. <unk> has the count of
 * all omitted words (1 if there are none) and the corresponding rank. <eos> is always kept. Memory grows
 * with the number of distinct words. SG_EFORMAT: an empty corpus; SG_EINVAL: fewer distinct words than
 * size asks for; none at min_count. */
SG_API sg_status sg_vocab_build(sg_vocab **out, sg_corpus *c, const sg_vocab_config *cfg, sg_error *err);
/* words[i] is id i; counts may be NULL. SG_EINVAL: a word twice, an empty word. */
SG_API sg_status sg_vocab_from_words(sg_vocab **out, const char *const *words, const uint64_t *counts,
                                     size_t n, sg_error *err);
/* Reads a file: one word per line in id order, a JSON list of words, or a JSON map word -> id (0 .. n-1, each
 * once). Counts are unknown. SG_EFORMAT: names line or word. */
SG_API sg_status sg_vocab_read(sg_vocab **out, const char *path, sg_error *err);
/* The same for a model with `ids` ids: a map may omit ids, which are then named "<unused 0>" and so on. */
SG_API sg_status sg_vocab_read_ids(sg_vocab **out, const char *path, size_t ids, sg_error *err);
/* Sets the counts to those of a corpus (unknown words count for <unk>); unchanged on failure. */
SG_API sg_status sg_vocab_recount(sg_vocab *v, sg_corpus *c, sg_error *err);
SG_API size_t sg_vocab_size(const sg_vocab *v);
SG_API const char *sg_vocab_word(const sg_vocab *v, size_t id);
SG_API uint64_t sg_vocab_count(const sg_vocab *v, size_t id); /* in the training corpus; 0: unknown */
SG_API int32_t sg_vocab_id(const sg_vocab *v, const char *word, size_t length); /* -1: unknown word */
/* Id of "<unk>" (if missing, "<UNK>" or "[UNK]") and of "<eos>" ("</s>", "<EOS>", "[EOS]"); -1: none. */
SG_API int32_t sg_vocab_unk(const sg_vocab *v);
SG_API int32_t sg_vocab_eos(const sg_vocab *v);
/* Sets the rules of a Hugging Face tokenizer.json (supported subset: src/corpus/tokenizer.c; its own
 * vocabulary may be absent): words of a text are then split into pieces, each a token. SG_EFORMAT: names what
 * is not supported. */
SG_API sg_status sg_vocab_set_tokenizer(sg_vocab *v, const char *json, sg_error *err);
SG_API const char *sg_vocab_tokenizer(const sg_vocab *v); /* the JSON; NULL: words are looked up unchanged */
/* Ids of a word's pieces (needs a tokenizer); -1 for a piece without id if there is no unknown token. *ids
 * grows to *room entries; the caller frees it with sg_ids_free. */
SG_API sg_status sg_vocab_split(const sg_vocab *v, const char *word, size_t length, int32_t **ids,
                                size_t *room, size_t *n, sg_error *err);
SG_API void sg_ids_free(int32_t *ids);
SG_API void sg_vocab_free(sg_vocab *v);

/* ---- classes of words ----
 * A spec is one of
 *   upos, xpos, feats   columns of a CoNLL-U corpus; each Feature=Value is a class; "_" is none
 *   deprel, lemma       two more; column:N the Nth (1 to 10); misc:KEY the values of KEY in MISC:
 *                       "SpaceAfter=No"
 *   tags                the tags of a word/tag corpus (of CoNLL-U: xpos)
 *   tags:FILE           tags, line-aligned with a corpus (of CoNLL-U and word/tag: a line per sentence);
 *                       several files, NAME=tags:FILE: one with a name
 *   position            "first", "last" of the sentence, "quoted", "bracketed" (doc/corpora.md)
 *   to-end              words after it in the sentence: "to end 0", "to end 1", "to end 2-3", "to end 4-7",
 *                       ...
 *   lexicon:FILE        a line per word: "word tag tag ..."; a word is in the class of each of its tags
 *   words:FILE          a line per class: "name: word word ..."; lines with # are comments
 *   frequency           bands by rank, the most frequent word first: "rank 1-10", "rank 11-100", "rank
 *                       101-1000", ... and "out of vocabulary"; counts of the vocabulary, else of the corpus
 * each with an optional ",groups=FILE", a line per group: "name: tag tag ..."; the groups are then the
 * classes, and a tag in no group is in no class. Words are compared as written in the corpus, whether or not
 * they are in the vocabulary. Classes may overlap. <eos> is in "all" and frequency only.
 *
 * Anything else that has an operator, parentheses, quotes or "=" is an expression:
 *   NOUN&Number=Plur   A|B   !PUNCT   (A|B)&!C     one class, named by its text; NAME=EXPRESSION names it
 *   upos*frequency     a class for each combination of one member of each side, named "NOUN&rank 1-10"
 * of classes of the specs and of tags of the corpus (grammar and names: doc/corpora.md). SG_EINVAL: the
 * message has two more lines, the text and a caret below the first wrong character. Names without any token
 * are reported when the first stream has been read.
 *
 * Class 0 is "all". Classes that a file names follow in the order of the specs and files, then those
 * found in the corpus in order of appearance. A name that an earlier spec already has is prefixed with
 * its spec: "xpos:X". A set is a distinct combination of memberships: token streams store the number of
 * the token's set, and sums are kept per set, so overlapping classes cost no extra pass. Set 0 is "all"
 * alone. Numbers are reproducible. */
typedef struct sg_classes sg_classes;
/* Parses the specs. SG_EINVAL: an unknown or duplicate spec; SG_EFORMAT: names file and line.
 * The vocabulary is borrowed. */
SG_API sg_status sg_classes_new(sg_classes **out, const char *const *specs, size_t n_specs,
                                const sg_vocab *vocab, sg_error *err);
/* Classes without specs: class i+1 is names[i]; its tokens are given to sg_stream_from_ids. SG_EINVAL: a name
 * twice, an empty name, the name "all"; more than 9999 names. The vocabulary is borrowed and may be NULL. */
SG_API sg_status sg_classes_from_names(sg_classes **out, const char *const *names, size_t n,
                                       const sg_vocab *vocab, sg_error *err);
/* Before a stream is read: keeps the annotation that `text` (an expression, or the sides of a property)
 * refers to by "lemma:", "column:", "misc:", "position:" or "to end", for properties given later. What the
 * specs themselves name is kept without a call. */
SG_API sg_status sg_classes_keep(sg_classes *k, const char *text, sg_error *err);
/* Including "all"; grows while a stream is encoded. At most 10000. */
SG_API size_t sg_classes_count(const sg_classes *k);
/* Borrowed until the next stream is encoded. */
SG_API const char *sg_classes_name(const sg_classes *k, size_t c);
/* The spec that class c is of, without files: its name, else "upos", "words", "frequency", ... or the text of
 * an expression; NULL: class "all", or classes without specs. Borrowed. */
SG_API const char *sg_classes_spec(const sg_classes *k, size_t c);
SG_API int32_t sg_classes_find(const sg_classes *k, const char *name); /* -1: no such class */
SG_API size_t sg_classes_sets(const sg_classes *k);                    /* distinct sets seen; at most 65536 */
SG_API bool sg_classes_contains(const sg_classes *k, size_t set, size_t c);

/* Words of the vocabulary seen in class c, by increasing id, without <unk>: the words of the class's mean
 * embedding. count: tokens of the word in the class, in all streams encoded so far. Returns the number of
 * words; *words is borrowed until the next stream is encoded. */
typedef struct {
    int32_t id;
    uint64_t count;
} sg_class_word;
SG_API size_t sg_classes_words(const sg_classes *k, size_t c, const sg_class_word **words);
/* 0: not seen in the class. */
SG_API uint64_t sg_classes_word_count(const sg_classes *k, size_t c, int32_t id);
SG_API void sg_classes_free(sg_classes *k);

/* ---- encoded streams ---- */
typedef struct {
    int32_t id;
    uint16_t set;   /* number of the token's class set */
    uint8_t first;  /* 1: first token of a sentence; else 0 */
    uint8_t begins; /* SG_BEGINS_... */
} sg_step;

typedef struct {
    uint64_t tokens;
    /* words outside the vocabulary, read as <unk> (an <unk> in the text is a known word; of ids and pieces of
     * words, every <unk>) */
    uint64_t unknown;
    uint64_t sentences;
    uint64_t unclassed; /* tokens in no class except "all", without <eos>; 0 without classes */
    uint64_t longest;   /* tokens of the longest sentence */
} sg_stream_counts;

typedef struct sg_stream sg_stream;
/* Reads the whole corpus. classes may be NULL (set 0 everywhere); a tags:FILE among them is read in parallel.
 * Neither is needed later. vocab may be NULL (all ids -1). SG_EFORMAT: a word that is not in a vocabulary
 * without <unk> (with file, line and word); an empty corpus; a class of a words or groups file without
 * tokens. SG_EINVAL: a column missing from the corpus. On failure, classes may have grown. */
SG_API sg_status sg_stream_new(sg_stream **out, const sg_corpus_config *cfg, const sg_vocab *vocab,
                               sg_classes *classes, const sg_monitor *monitor, sg_error *err);
/* A stream of n tokens from arrays, which are copied (8 bytes per token in a temporary file).
 *   ids     (n), each from 0 to V-1; NULL: all -1, for models that read feature vectors
 *   first   (n), true where a sentence begins (token 0 always begins one); NULL: at token 0 only
 *   member  (n, C) row-major, C = sg_classes_count(classes) - 1: member[i*C + c] is true if token i is in
 *           class c+1; NULL: in no class. classes: of sg_classes_from_names, or NULL with member NULL.
 * A token counts as unknown if its id is that of <unk>. Its SHA-256 is that of, per token, the id (4 bytes,
 * little endian) and a byte 1 or 0 for first. SG_EINVAL: n is 0; an id outside the vocabulary (names the
 * token); a class without tokens. On failure classes may have been filled in part. */
SG_API sg_status sg_stream_from_ids(sg_stream **out, const int32_t *ids, const bool *first, uint64_t n,
                                    const bool *member, const sg_vocab *vocab, sg_classes *classes,
                                    sg_error *err);
/* Documents begin at these tokens, ascending; token 0 begins one anyway. They replace the boundaries of
 * files. For streams from arrays; not while another thread reads. SG_EINVAL: not ascending, or beyond the end
 * (names the entry). After a failure the stream may only be freed. */
SG_API sg_status sg_stream_mark_documents(sg_stream *s, const uint64_t *starts, size_t n, sg_error *err);
/* Number of documents with this separator; 1 for AUTO and NONE. Text before the first heading belongs to the
 * first document. */
SG_API uint64_t sg_stream_documents(const sg_stream *s, sg_documents separated);
/* Whether a document begins at this step of the stream; false for AUTO and NONE. */
SG_API bool sg_step_begins(const sg_step *step, sg_documents separated);
/* Pairs of positions: the word that is read, and the one d = now - read steps later. Borrowed from the
 * stream. */
typedef struct {
    uint64_t read, now; /* positions in the stream, read <= now */
    uint32_t label;
} sg_word_pair;
typedef struct {
    const sg_word_pair *pairs; /* (n), by read, then now, then label */
    uint64_t n;
    const char *const *labels; /* (n_labels) */
    size_t n_labels;
    const uint8_t *kind; /* (tokens) kind of each word: its UPOS, else its tag, else "word"; or "<eos>" */
    const char *const *kinds; /* (n_kinds) */
    size_t n_kinds;
    uint64_t reversed; /* left out: the word that is read comes after the other */
    uint64_t outside;  /* left out: no such token, or no head */
} sg_word_pairs;
/* NULL: none were asked for. */
SG_API const sg_word_pairs *sg_stream_pairs(const sg_stream *s);
SG_API uint64_t sg_stream_length(const sg_stream *s);
SG_API const sg_stream_counts *sg_stream_info(const sg_stream *s);
/* SHA-256 of the decompressed bytes of the corpus, 64 hexadecimal digits; a different one if it is read in
 * lower case. */
SG_API const char *sg_stream_sha256(const sg_stream *s);
SG_API uint64_t sg_stream_class_tokens(const sg_stream *s, const sg_classes *k, size_t c);
/* Steps start .. start+n-1. Thread-safe. */
SG_API sg_status sg_stream_read(const sg_stream *s, uint64_t start, size_t n, sg_step *steps, sg_error *err);
SG_API void sg_stream_free(sg_stream *s);

#ifdef __cplusplus
}
#endif
#endif
