/* SPDX-License-Identifier: MIT */
/* corpus_util.h - what the tests of corpora share: small files in a folder of their own, configurations. */
#ifndef CORPUS_UTIL_H
#define CORPUS_UTIL_H

#include "test_util.h"

#include "base/base_internal.h"
#include "stategrad/corpus.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

typedef struct {
    char folder[64];
} temp_folder;

static inline void temp_folder_make(temp_folder *t)
{
    const char *base = getenv("TMPDIR");
    snprintf(t->folder, sizeof t->folder, "%s/sgtest.XXXXXX", base && strlen(base) < 40 ? base : "/tmp");
    assert_non_null(mkdtemp(t->folder));
}

static inline void temp_folder_remove_path(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        DIR *d = opendir(path);
        struct dirent *e;
        while (d && (e = readdir(d))) {
            char *inner = NULL;
            if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
                asprintf(&inner, "%s/%s", path, e->d_name) > 0)
                temp_folder_remove_path(inner);
            free(inner);
        }
        closedir(d);
        rmdir(path);
    } else {
        unlink(path);
    }
}

/* Of the whole test program: made and removed by set_up and tear_down; what is left on the heap in the end is
 * told. */
static temp_folder tmp;

static inline int set_up(void **state)
{
    (void)state;
    temp_folder_make(&tmp);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    temp_folder_remove_path(tmp.folder);
    return sg_alloc_live() != 0;
}

/* A file of n bytes; the returned path lives in one of 64 static buffers. */
static inline const char *write_bytes(temp_folder *t, const char *name, const void *data, size_t n)
{
    static char paths[64][512];
    static unsigned next;
    char *path = paths[next++ % 64];
    snprintf(path, sizeof paths[0], "%s/%s", t->folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static inline const char *write_text(temp_folder *t, const char *name, const char *text)
{
    return write_bytes(t, name, text, strlen(text));
}

/* The tokens of a corpus, "a b <eos> ..." with " | " before each first token of a sentence; or the error. */
static inline sg_status read_tokens(char *out, size_t size, const sg_corpus_config *cfg, sg_error *err)
{
    sg_corpus *c = NULL;
    sg_token token;
    bool end = false;
    size_t n = 0;
    out[0] = 0;
    sg_status st = sg_corpus_open(&c, cfg, err);
    while (st == SG_OK) {
        st = sg_corpus_next(c, &token, &end, err);
        if (st != SG_OK || end)
            break;
        assert_int_equal(strlen(token.form), token.length);
        const char *form = strcmp(token.form, "\n") ? token.form : "\\n";
        n += (size_t)snprintf(out + n, size - n, "%s%s%s%s", token.first ? "|" : " ", form,
                              token.tag ? "~" : "", token.tag ? token.tag : "");
        assert_true(n < size);
    }
    sg_corpus_close(c);
    return st;
}

/* The vocabulary of a corpus; *v is NULL after failure. */
static inline sg_status build_vocab(sg_vocab **v, const sg_corpus_config *corpus, sg_vocab_config cfg,
                                    sg_error *err)
{
    sg_corpus *c = NULL;
    *v = NULL;
    sg_status st = sg_corpus_open(&c, corpus, err);
    if (st == SG_OK)
        st = sg_vocab_build(v, c, &cfg, err);
    sg_corpus_close(c);
    return st;
}

static inline sg_corpus_config config_of(const char *const *paths, size_t n)
{
    return (sg_corpus_config){.paths = paths, .n_paths = n, .eos = true};
}

#endif
