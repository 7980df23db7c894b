/* SPDX-License-Identifier: MIT */
/* Class files: the first byte chooses the spec, then come the class file, the groups and the corpus, parted
 * by 0x1e. What is accepted names every class once, counts every token once, and keeps sets, classes and
 * words consistent. */
#include "corpus/corpus_internal.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_classes(const sg_classes *k, const sg_stream *s, const sg_vocab *v)
{
    size_t n = sg_classes_count(k), sets = sg_classes_sets(k);
    must(n >= 1 && !strcmp(sg_classes_name(k, 0), "all"));
    must(sg_stream_class_tokens(s, k, 0) == sg_stream_length(s));
    for (size_t c = 0; c < n; c++) {
        const sg_class_word *words;
        uint64_t tokens = 0;
        size_t n_words = sg_classes_words(k, c, &words);
        must(sg_classes_find(k, sg_classes_name(k, c)) == (int32_t)c);
        for (size_t i = 0; i < n_words; i++) {
            must(words[i].id >= 0 && (size_t)words[i].id < sg_vocab_size(v) && words[i].count > 0);
            must(i == 0 || words[i].id > words[i - 1].id);
            tokens += words[i].count;
        }
        must(tokens <= sg_stream_class_tokens(s, k, c));
        must(tokens + sg_stream_info(s)->unknown >= sg_stream_class_tokens(s, k, c) || sg_vocab_unk(v) >= 0);
    }
    uint64_t unclassed = 0;
    for (uint64_t t = 0; t < sg_stream_length(s); t++) {
        sg_step step;
        sg_error err;
        must(sg_stream_read(s, t, 1, &step, &err) == SG_OK && step.set < sets);
        unclassed += step.set == 0;
    }
    must(sg_stream_info(s)->unclassed <= unclassed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"words:", "lexicon:",  "tags:",   "tags",     "upos",  "feats",
                                        "xpos",   "frequency", "x=tags:", "lexicon:", "tags:", "position",
                                        "misc:X", "deprel",    "to-end",  "column:7"};
    if (!size)
        return 0;
    const uint8_t *parts[3], *p = data + 1, *end = data + size;
    size_t sizes[3];
    for (int i = 0; i < 3; i++) {
        const uint8_t *stop = i < 2 ? memchr(p, 0x1e, (size_t)(end - p)) : NULL;
        parts[i] = p;
        sizes[i] = (size_t)((stop ? stop : end) - p);
        p = stop ? stop + 1 : end;
    }
    unsigned kind = data[0] % 8 + (data[0] & 16 ? 8 : 0);
    bool grouped = data[0] & 8;
    memory_file files[3];
    for (int i = 0; i < 3; i++)
        files[i] = memory_file_of(parts[i], sizes[i]);
    char spec[128];
    snprintf(spec, sizeof spec, "%s%s%s%s", kinds[kind], kind % 8 < 3 ? files[0].path : "",
             grouped ? ",groups=" : "", grouped ? files[1].path : "");
    const char *specs[] = {spec, "frequency"}, *path = files[2].path;
    static const char *const words[] = {"<unk>", "<eos>", "the", "dog", "dogs", "run"};
    sg_corpus_config cfg = {.paths = &path,
                            .n_paths = 1,
                            .eos = true,
                            .format = kind == 3               ? SG_FORMAT_TAGGED
                                      : kind > 3 && kind != 9 ? SG_FORMAT_CONLLU
                                                              : SG_FORMAT_TEXT};
    sg_vocab *v = NULL;
    sg_classes *k = NULL;
    sg_stream *s = NULL;
    sg_error err = {0};
    must(sg_vocab_from_words(&v, words, NULL, 6, &err) == SG_OK);
    sg_status st = sg_classes_new(&k, specs, kind == 7 ? 1 : 2, v, &err);
    if (st == SG_OK)
        st = sg_stream_new(&s, &cfg, v, k, NULL, &err);
    must(st == SG_OK ? s != NULL : !s && err.msg[0] && !strchr(err.msg, '\n'));
    if (s)
        check_classes(k, s, v);
    sg_stream_free(s);
    sg_classes_free(k);
    sg_vocab_free(v);
    for (int i = 0; i < 3; i++)
        memory_file_close(&files[i]);
    return 0;
}
