/* SPDX-License-Identifier: MIT */
/* Corpora: the first byte chooses format, unit and <eos>; the rest is the file (gzip too). Whatever it holds,
 * reading ends in tokens of valid UTF-8 or in one line of error; reading again gives the same; a vocabulary
 * built from it knows every word; and words written one behind the other are read as the same words. */
#include "corpus/corpus_internal.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    char *text; /* the tokens as plain text: a space behind each word, a newline for each line end */
    size_t length, tokens, words;
    uint64_t digest;
} reading;

static void remember(reading *r, const void *bytes, size_t n)
{
    r->text = realloc(r->text, r->length + n + 1);
    must(r->text != NULL);
    memcpy(r->text + r->length, bytes, n);
    r->length += n;
    r->text[r->length] = 0;
}

static void check_token(const sg_token *t, sg_unit unit, bool was_end)
{
    must(t->form && t->length > 0 && strlen(t->form) == t->length && t->line > 0 && t->path);
    must(utf8_valid_prefix(t->form, t->length) == t->length);
    must(t->first || !was_end);
    if (unit == SG_UNIT_CHAR)
        must(utf8_length((const unsigned char *)t->form, t->length) == t->length);
    must(!t->tag || (t->tag[0] && utf8_valid_prefix(t->tag, strlen(t->tag)) == strlen(t->tag)));
}

static sg_status read_all(reading *r, const sg_corpus_config *cfg, sg_error *err)
{
    sg_corpus *c = NULL;
    sg_token t;
    bool end = false, was_end = true;
    *r = (reading){.digest = 1};
    remember(r, "", 0);
    sg_status st = sg_corpus_open(&c, cfg, err);
    while (st == SG_OK) {
        st = sg_corpus_next(c, &t, &end, err);
        if (st != SG_OK || end)
            break;
        check_token(&t, cfg->unit, was_end);
        was_end = t.eos || (cfg->unit == SG_UNIT_CHAR && !strcmp(t.form, "\n"));
        r->tokens++;
        r->words += !t.eos;
        for (const char *p = t.form; *p; p++)
            r->digest = r->digest * 31 + (unsigned char)*p;
        r->digest = r->digest * 31 + t.eos + 2 * (unsigned)t.first;
        if (t.eos)
            remember(r, "\n", 1);
        else {
            remember(r, t.form, t.length);
            if (cfg->unit == SG_UNIT_WORD)
                remember(r, " ", 1);
        }
    }
    sg_corpus_close(c);
    return st;
}

static void check_encoding(const sg_corpus_config *cfg, const reading *r)
{
    sg_corpus *c = NULL;
    sg_vocab *v = NULL;
    sg_stream *s = NULL;
    sg_error err = {0};
    must(sg_corpus_open(&c, cfg, &err) == SG_OK);
    must(sg_vocab_build(&v, c, &(sg_vocab_config){.unk = true}, &err) == (r->tokens ? SG_OK : SG_EFORMAT));
    sg_corpus_close(c);
    if (v) {
        uint64_t sum = 0;
        must(sg_stream_new(&s, cfg, v, NULL, NULL, &err) == SG_OK);
        must(sg_stream_length(s) == r->tokens && sg_stream_info(s)->unknown == 0);
        for (size_t i = 0; i < sg_vocab_size(v); i++) {
            must(i == 0 || sg_vocab_count(v, i) <= sg_vocab_count(v, i - 1));
            sum += sg_vocab_count(v, i);
        }
        must(sum == r->tokens || sum == r->tokens + 1); /* an <unk> that nothing became counts 1 */
        sg_stream_free(s);
    }
    sg_vocab_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    static const sg_format formats[] = {SG_FORMAT_TEXT, SG_FORMAT_CONLLU, SG_FORMAT_TAGGED, SG_FORMAT_TEXT};
    memory_file file = memory_file_of(data + 1, size - 1);
    const char *path = file.path, *written_path;
    bool chars = data[0] % 4 == 3;
    sg_corpus_config cfg = {.paths = &path,
                            .n_paths = 1,
                            .format = formats[data[0] % 4],
                            .unit = chars ? SG_UNIT_CHAR : SG_UNIT_WORD,
                            .eos = !(data[0] & 4)};
    reading one, two;
    sg_error err = {0};
    sg_status st = read_all(&one, &cfg, &err);
    must(st == SG_OK || (err.msg[0] && !strchr(err.msg, '\n')));
    if (st == SG_OK) {
        must(read_all(&two, &cfg, &err) == SG_OK && two.digest == one.digest);
        free(two.text);
        check_encoding(&cfg, &one);
        /* a lone "\r", a character of its own, would go together with a line end written behind it */
        if (cfg.format == SG_FORMAT_TEXT && cfg.eos && !memchr(one.text, '\r', one.length)) {
            memory_file written = memory_file_of(one.text, one.length);
            written_path = written.path;
            sg_corpus_config again = cfg;
            again.paths = &written_path;
            must(read_all(&two, &again, &err) == SG_OK);
            /* a byte-order mark may stand anywhere but at the start of what was written */
            must(two.digest == one.digest ||
                 !memcmp(one.text, "\xef\xbb\xbf", one.length < 3 ? one.length : 3));
            free(two.text);
            memory_file_close(&written);
        }
    }
    free(one.text);
    memory_file_close(&file);
    return 0;
}
