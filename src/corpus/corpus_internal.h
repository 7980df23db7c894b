/* SPDX-License-Identifier: MIT */
/* corpus_internal.h - the parts the corpus module is made of, bottom up: bytes of a file
 * (gzip, spooled standard input), words of a file. */
#ifndef SG_CORPUS_INTERNAL_H
#define SG_CORPUS_INTERNAL_H

#include "base/base_internal.h"
#include "base/string_table.h"
#include "base/utf8.h"
#include "stategrad/corpus.h"

/* ---- lines and words of small files (text.c) ---- */

/* Cuts a line (NUL-terminated, changed) into words at white space. Returns the next word or NULL; *cursor
 * moves. */
char *text_next_word(char **cursor);

/* A text file cut into lines, without their ends; UTF-8 checked, no NUL bytes, BOM skipped. */
typedef struct {
    char *text, *next, *end;
    size_t line; /* number of the line last returned */
    const char *path;
} text_lines;
/* SG_EFORMAT where the first n bytes are those of a file that is no text: an archive, a model, UTF-16. */
sg_status text_refuse_other_kinds(const char *path, const void *bytes, size_t n, sg_error *err);
sg_status text_lines_open(text_lines *l, const char *path, sg_error *err); /* path is borrowed */
char *text_lines_next(text_lines *l);                                      /* NULL: no more */
void text_lines_close(text_lines *l);

/* ---- bytes (source.c, spool.c) ---- */

/* An unlinked file in TMPDIR (or /tmp): gone when closed. */
sg_status temp_file_open(int *fd, sg_error *err);
/* The same with its name, for a library that opens files by name: unlink it as soon as that is done, then
 * free it. */
sg_status temp_file_named(int *fd, char **name, sg_error *err);
sg_status temp_file_write(int fd, const void *data, size_t n, sg_error *err);
/* The file descriptor that holds a copy of path, to be read with pread; -1: not spooled. s may be NULL. */
int spool_find(const sg_spool *s, const char *path);

typedef struct corpus_source corpus_source;
/* Bytes in memory: data (size of them) over and over, total in all. */
typedef struct {
    const char *data; /* borrowed; NULL: read the file */
    size_t size;
    uint64_t total;
} memory_bytes;
/* memory->data not NULL, or spool_fd >= 0: the bytes are there and path is only a name. hash (or NULL) gets
 * every decompressed byte. */
sg_status source_open(corpus_source **out, const char *path, int spool_fd, memory_bytes memory,
                      sg_sha256 *hash, sg_error *err);
/* The next block, borrowed until the next call; *n 0: end. The first block has at least 4 bytes if the file
 * has. */
sg_status source_next(corpus_source *s, const unsigned char **data, size_t *n, sg_error *err);
void source_close(corpus_source *s);

/* ---- words and lines of one file (scan.c) ---- */
typedef enum { SCAN_WORD, SCAN_LINE_END, SCAN_FILE_END } scan_kind;
typedef struct scanner scanner;
sg_status scan_open(scanner **out, const char *path, int spool_fd, memory_bytes memory, sg_sha256 *hash,
                    sg_error *err);
/* The next word, or the end of a line (a last line without newline has one too), or of the file. The word is
 * borrowed until the next call, NUL-terminated, may be changed in place. */
sg_status scan_word(scanner *s, scan_kind *kind, char **word, size_t *n, sg_error *err);
/* The next character (SCAN_WORD), or a line end ("\n", "\r\n"); a last line without newline has none. */
sg_status scan_char(scanner *s, scan_kind *kind, char **c, size_t *n, sg_error *err);
/* The next whole line without its end (SCAN_WORD). */
sg_status scan_line(scanner *s, scan_kind *kind, char **line, size_t *n, sg_error *err);
size_t scan_line_number(const scanner *s); /* of what was returned last */
/* Lines of the first U+FEFF inside the file (dropped) and of the first carriage return without a line feed;
 * 0: none. */
size_t scan_inner_bom(const scanner *s);
size_t scan_lone_cr(const scanner *s);
void scan_close(scanner *s);

/* ---- what the stream needs of reader and classes ---- */

enum { CONLLU_COLUMNS = 10 };

/* hash gets the corpus's decompressed bytes; before the first sg_corpus_next. */
void corpus_hash_into(sg_corpus *c, sg_sha256 *hash);
const char *corpus_first_path(const sg_corpus *c);
/* Reads the tags of these files with the corpus, in place of its tags_path; number tag_layer (or none, n)
 * gives the tags of plain text. Before the first sg_corpus_next. */
sg_status corpus_read_layers(sg_corpus *c, const char *const *paths, size_t n, size_t tag_layer,
                             sg_error *err);
/* Warnings about what was read so far: byte order marks, carriage returns, a literal <eos>, ranges without
 * parts. */
void corpus_warn(const sg_corpus *c);
/* The monitor receives "counting words" in place of "reading". */
void corpus_is_counted(sg_corpus *c);

/* unk, eos: words of the vocabulary that replace unknown ones and end a line; NULL: as they are. eos
 * "none": no word is added at line ends. *ends_lines is set where eos is given. SG_EINVAL: no such word;
 * names the option. */
sg_status vocab_choose(sg_vocab *v, const char *unk, const char *eos, sg_unit unit, bool *ends_lines,
                       sg_error *err);
/* The same words as in another vocabulary of the same words. */
void vocab_copy_choice(sg_vocab *v, const sg_vocab *from);

/* The tags files of tags:FILE and NAME=tags:FILE, in the order of the specs; NULL after the last. *named: by
 * NAME. */
const char *classes_layer_path(const sg_classes *k, size_t i, bool *named);
bool classes_want_places(const sg_classes *k);
bool classes_want_counts(const sg_classes *k); /* frequency, and the vocabulary knows no counts */
sg_status classes_rank(sg_classes *k, const uint64_t *counts, sg_error *err);
struct word_place; /* sentence_position.h */
/* The set of a token. id: its vocabulary id, -1: outside the vocabulary. place: NULL unless they are
 * wanted. */
sg_status classes_assign(sg_classes *k, const sg_token *t, const struct word_place *place, int32_t id,
                         uint32_t *set, sg_error *err);
/* The same for a token that is in the classes c+1 with member[c]; where: names the token in an error. */
sg_status classes_assign_members(sg_classes *k, const bool *member, int32_t id, uint64_t where, uint32_t *set,
                                 sg_error *err);
bool classes_have_specs(const sg_classes *k);
/* After the last token: no class may be empty; the lists of words are made. */
sg_status classes_finish(sg_classes *k, sg_error *err);

/* Words of the tokens, in all streams so far, for which an expression holds: as sg_classes_words, but *words
 * is the caller's, freed with sg_free. whose: begins messages. SG_EINVAL: the text is no expression of one
 * class, or a label of it was met nowhere; *words is NULL then. */
sg_status classes_words_where(const sg_classes *k, const char *text, const char *whose, sg_class_word **words,
                              size_t *n, sg_error *err);

#endif
