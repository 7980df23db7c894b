/* Words: --vocab FILE, else what the model's file holds, else numbers where that is allowed. */
#include "vocabulary.h"

#include "base/base_internal.h"

#include <string.h>

static sg_status from_words(sg_vocab **out, const bag_words *w, const char *path, const char *name, sg_error *err)
{
    sg_status st;
    sg_error why = {0};
    const char **words = sg_calloc(w->n, sizeof *words);
    if (!words)
        return sg_fail(err, SG_ENOMEM, "%s: no memory for %zu words", path, w->n);
    for (size_t i = 0; i < w->n; i++)
        words[i] = w->text + w->at[i];
    st = sg_vocab_from_words(out, words, NULL, w->n, &why);
    if (st != SG_OK)
        st = sg_fail(err, st == SG_EINVAL ? SG_EFORMAT : st, "%s: %s: %s", path, name, why.msg);
    sg_free(words);
    return st;
}

/* "#0", "#1", ...: enough to look at gradients, not to read a corpus. */
static sg_status numbered(sg_vocab **out, size_t V, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    bag_words w = {.text = sg_calloc(V, 24), .at = sg_calloc(V, sizeof *w.at), .n = V};
    if (!w.text || !w.at)
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for %zu words", path, V));
    for (size_t i = 0; i < V; i++) {
        w.at[i] = 24 * i;
        snprintf(w.text + w.at[i], 24, "#%zu", i);
    }
    TRY(from_words(out, &w, path, "words", err));
done:
    bag_words_free(&w);
    return st;
}

static bool is_special(const char *word)
{
    size_t n = strlen(word);
    return n > 2 && ((word[0] == '<' && word[n - 1] == '>') || (word[0] == '[' && word[n - 1] == ']'));
}

/* Characters, when every word is one code point (names like <unk> aside). */
static bool all_characters(const sg_vocab *v)
{
    size_t characters = 0;
    for (size_t i = 0; i < sg_vocab_size(v); i++) {
        const char *word = sg_vocab_word(v, i);
        size_t n = 0;
        for (const char *c = word; *c; c++)
            n += (*c & 0xc0) != 0x80;
        if (n == 1)
            characters++;
        else if (!is_special(word))
            return false;
    }
    return characters > 0;
}

sg_status vocabulary_find(sg_vocab **out, plan *p, bag *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    size_t V = p->shape.vocabulary;
    bag_words words = {0};
    char name[BAG_MAX_NAME] = "vocabulary";
    sg_vocab *v = NULL;
    *out = NULL;
    p->shape.unit = cfg->unit == SG_AUTO ? SG_UNIT_WORD : (sg_unit)cfg->unit;
    if (!V) {
        if (cfg->vocab)
            return sg_fail(err, SG_EINVAL, "%s: has no embedding that reads words, so --vocab %s has no use", b->path,
                           cfg->vocab);
        return SG_OK;
    }
    if (cfg->vocab) {
        TRY(sg_vocab_read_ids(&v, cfg->vocab, V, err));
        if (sg_vocab_size(v) != V)
            TRY(sg_fail(err, SG_EFORMAT, "%s: has %zu words, %s has %zu", cfg->vocab, sg_vocab_size(v),
                        p->encoder.tensor->name, V));
    } else {
        if (b->vocabulary)
            TRY(b->vocabulary(b, V, &words, name, err));
        if (words.n)
            TRY(from_words(&v, &words, b->path, name, err));
        else if (cfg->numbered_vocabulary)
            TRY(numbered(&v, V, b->path, err));
        else
            TRY(sg_fail(err, SG_EFORMAT, "%s: holds no vocabulary for its %zu words (%s): give one with --vocab FILE, one "
                        "token a line in id order, or JSON", b->path, V, p->encoder.tensor->name));
    }
    if (cfg->unit == SG_AUTO && all_characters(v))
        p->shape.unit = SG_UNIT_CHAR;
    p->shape.eos = p->shape.unit == SG_UNIT_CHAR ? sg_vocab_id(v, "\n", 1) >= 0 : sg_vocab_eos(v) >= 0;
    *out = v;
    v = NULL;
done:
    bag_words_free(&words);
    sg_vocab_free(v);
    return st;
}
