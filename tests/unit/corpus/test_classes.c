/* SPDX-License-Identifier: MIT */
/* Classes of words: every spec, groups, sets, words per class, and what is wrong with specs and files. */
#include "helpers/corpus_util.h"

typedef struct {
    sg_vocab *vocab;
    sg_classes *classes;
    sg_stream *stream;
    sg_error err;
} analysed;

/* The corpus read with specs; vocabulary: its own words (and counts), or `words` without counts. */
static sg_status analyse(analysed *a, const char *path, sg_format format, const char *const *specs,
                         size_t n_specs, const char *const *words, size_t n_words)
{
    sg_corpus_config cfg = config_of(&path, 1);
    cfg.format = format;
    *a = (analysed){0};
    sg_status st = words ? sg_vocab_from_words(&a->vocab, words, NULL, n_words, &a->err)
                         : build_vocab(&a->vocab, &cfg, (sg_vocab_config){.unk = true}, &a->err);
    if (st == SG_OK)
        st = sg_classes_new(&a->classes, specs, n_specs, a->vocab, &a->err);
    if (st == SG_OK)
        st = sg_stream_new(&a->stream, &cfg, a->vocab, a->classes, NULL, &a->err);
    return st;
}

static void analysed_free(analysed *a)
{
    sg_stream_free(a->stream);
    sg_classes_free(a->classes);
    sg_vocab_free(a->vocab);
}

/* "name:tokens=word*count,word*count ..." for each class; then the classes of each token as numbers. */
static void expect_classes(const analysed *a, const char *classes, const char *tokens)
{
    char found[4096] = "";
    size_t n = 0;
    const sg_classes *k = a->classes;
    for (size_t c = 0; c < sg_classes_count(k); c++) {
        const sg_class_word *words;
        size_t n_words = sg_classes_words(k, c, &words);
        assert_int_equal(sg_classes_find(k, sg_classes_name(k, c)), c);
        n += (size_t)snprintf(found + n, sizeof found - n, "%s%s:%llu=", c ? " " : "", sg_classes_name(k, c),
                              (unsigned long long)sg_stream_class_tokens(a->stream, k, c));
        for (size_t i = 0; i < n_words; i++) {
            n += (size_t)snprintf(found + n, sizeof found - n, "%s%s*%llu", i ? "," : "",
                                  sg_vocab_word(a->vocab, (size_t)words[i].id),
                                  (unsigned long long)words[i].count);
            assert_int_equal(sg_classes_word_count(k, c, words[i].id), words[i].count);
        }
    }
    assert_string_equal(found, classes);
    n = 0;
    for (uint64_t t = 0; t < sg_stream_length(a->stream); t++) {
        sg_step step;
        sg_error err;
        assert_ok(sg_stream_read(a->stream, t, 1, &step, &err), err);
        assert_true(step.set < sg_classes_sets(k));
        n += (size_t)snprintf(found + n, sizeof found - n, "%s", t ? " " : "");
        for (size_t c = 0; c < sg_classes_count(k); c++)
            if (sg_classes_contains(k, step.set, c))
                n += (size_t)snprintf(found + n, sizeof found - n, "%s%zu", c ? "," : "", c);
    }
    assert_string_equal(found, tokens);
}

#define EXPECT(path, format, words, n_words, classes_text, tokens_text, ...)                                 \
    do {                                                                                                     \
        const char *specs_[] = {__VA_ARGS__};                                                                \
        analysed a_;                                                                                         \
        sg_status st_ = analyse(&a_, path, format, specs_, sizeof specs_ / sizeof *specs_, words, n_words);  \
        if (st_ != SG_OK)                                                                                    \
            fail_msg("status %d: %s", (int)st_, a_.err.msg);                                                 \
        expect_classes(&a_, classes_text, tokens_text);                                                      \
        analysed_free(&a_);                                                                                  \
    } while (0)

#define EXPECT_ERROR(path, format, status, part, ...)                                                        \
    do {                                                                                                     \
        const char *specs_[] = {__VA_ARGS__};                                                                \
        analysed a_;                                                                                         \
        sg_status st_ = analyse(&a_, path, format, specs_, sizeof specs_ / sizeof *specs_, NULL, 0);         \
        if (st_ != (status) || !strstr(a_.err.msg, part))                                                    \
            fail_msg("status %d, expected %d; '%s', expected '...%s...'", (int)st_, (int)(status),           \
                     a_.err.msg, part);                                                                      \
        assert_null(a_.stream);                                                                              \
        analysed_free(&a_);                                                                                  \
    } while (0)

static const char *spec_of(const char *kind, const char *path)
{
    static char specs[8][1200];
    static unsigned next;
    char *s = specs[next++ % 8];
    snprintf(s, sizeof specs[0], "%s%s", kind, path);
    return s;
}

static const char *with_groups(const char *spec, const char *path)
{
    static char specs[8][2400];
    static unsigned next;
    char *s = specs[next++ % 8];
    snprintf(s, sizeof specs[0], "%s,groups=%s", spec, path);
    return s;
}

static void test_tags(void **state)
{
    const char *corpus = write_text(&tmp, "c", "the/DT dogs/NNS run/VB\nthe/DT run/NN ;/:\n");
    EXPECT(corpus, SG_FORMAT_TAGGED, NULL, 0,
           "all:8=the*2,run*2,<eos>*2,dogs*1,;*1 DT:2=the*2 NNS:1=dogs*1 VB:1=run*1 NN:1=run*1 ::1=;*1",
           "0,1 0,2 0,3 0 0,1 0,4 0,5 0", "tags");
    const char *groups =
        write_text(&tmp, "g", "# parts of speech\nnoun: NN NNS\nverb: VB VBD\nnoun: NNP\n\nplural: NNS\n");
    EXPECT(corpus, SG_FORMAT_TAGGED, NULL, 0,
           "all:8=the*2,run*2,<eos>*2,dogs*1,;*1 noun:2=run*1,dogs*1 verb:1=run*1 plural:1=dogs*1",
           "0 0,1,3 0,2 0 0 0,1 0 0", with_groups("tags", groups));
    /* fine tags and groups together; a name that is there already is told apart */
    const char *clash = write_text(&tmp, "g", "DT: DT\nall: NN NNS\n");
    EXPECT(
        corpus, SG_FORMAT_TAGGED, NULL, 0,
        "all:8=the*2,run*2,<eos>*2,dogs*1,;*1 DT:2=the*2 tags:all:2=run*1,dogs*1 tags:DT:2=the*2 NNS:1=dogs*1 "
        "VB:1=run*1 NN:1=run*1 ::1=;*1",
        "0,1,3 0,2,4 0,5 0 0,1,3 0,2,6 0,7 0", with_groups("tags", clash), "tags");
}

static void test_tags_file(void **state)
{
    const char *corpus = write_text(&tmp, "c", "the dogs\nrun\n"),
               *tags = write_text(&tmp, "t", "DT NNS\nVB\n"), *groups = write_text(&tmp, "g", "noun: NNS\n");
    EXPECT(corpus, SG_FORMAT_TEXT, NULL, 0,
           "all:5=<eos>*2,the*1,dogs*1,run*1 noun:1=dogs*1 DT:1=the*1 NNS:1=dogs*1 VB:1=run*1",
           "0,2 0,1,3 0 0,4 0", with_groups(spec_of("tags:", tags), groups), spec_of("tags:", tags));
    /* a second layer, with a name or without; the tags of the first are xpos */
    const char *more = write_text(&tmp, "t2", "O B\nO\n"),
               *conllu = write_text(&tmp, "c.conllu",
                                    "1\tthe\t_\t_\tDT\t_\t_\t_\t_\t_\n2\tdogs\t_\t_\tNNS\t_\t_\t_\t_\t_\n\n"
                                    "1\trun\t_\t_\tVB\t_\t_\t_\t_\t_\n\n");
    EXPECT(
        corpus, SG_FORMAT_TEXT, NULL, 0,
        "all:5=<eos>*2,the*1,dogs*1,run*1 x:2=the*1,dogs*1 y:1=dogs*1 DT:1=the*1 O:2=the*1,run*1 NNS:1=dogs*1 "
        "B:1=dogs*1 VB:1=run*1",
        "0,1,3,4 0,1,2,5,6 0 0,4,7 0", spec_of("tags:", tags), spec_of("ner=tags:", more), "x=xpos:NNS|DT",
        "y=ner:B");
    EXPECT(
        conllu, SG_FORMAT_AUTO, NULL, 0,
        "all:5=<eos>*2,the*1,dogs*1,run*1 x:1=run*1 DT:1=the*1 O:2=the*1,run*1 NNS:1=dogs*1 B:1=dogs*1 VB:1=run*1",
        "0,2,3 0,4,5 0 0,1,3,6 0", "xpos", spec_of("ner=tags:", more), "x=VB&ner:O");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "the name is that of", spec_of("x=tags:", tags),
                 spec_of("x=tags:", more));
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "has another meaning", spec_of("upos=tags:", tags));
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "a character that is no letter",
                 spec_of("a b=tags:", tags));
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EIO, "No such file", spec_of("tags:", tags), "tags:other");
    EXPECT_ERROR(conllu, SG_FORMAT_AUTO, SG_EFORMAT, "t:2: more tags than words of the sentence at",
                 spec_of("tags:", write_text(&tmp, "t", "DT NNS\nVB VB\n")));
    EXPECT_ERROR(conllu, SG_FORMAT_AUTO, SG_EFORMAT, "t:1: fewer tags than words of the sentence at",
                 spec_of("tags:", write_text(&tmp, "t", "DT\nVB\n")));
    EXPECT_ERROR(conllu, SG_FORMAT_AUTO, SG_EFORMAT, "t: ends after line 1, expected tags",
                 spec_of("tags:", write_text(&tmp, "t", "DT NNS\n")));
    EXPECT_ERROR(conllu, SG_FORMAT_AUTO, SG_EFORMAT, "t:3: more lines than the corpus",
                 spec_of("tags:", write_text(&tmp, "t", "DT NNS\nVB\nX\n")));
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EFORMAT, "2 tags, expected 1",
                 spec_of("tags:", write_text(&tmp, "t", "DT NNS\nVB VB\n")));
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EIO, "No such file", "tags:/nonexistent/t");
}

static void test_conllu(void **state)
{
    const char *corpus =
        write_text(&tmp, "c.conllu",
                   "1\tdogs\tdog\tNOUN\tNNS\tNumber=Plur|Case=Nom\t_\t_\t_\t_\n"
                   "2\trun\trun\tVERB\tVBP\tNumber=Plur\t_\t_\t_\t_\n3\t!\t!\tPUNCT\t_\t_\t_\t_\t_\t_\n\n");
    EXPECT(
        corpus, SG_FORMAT_AUTO, NULL, 0,
        "all:4=dogs*1,run*1,!*1,<eos>*1 NOUN:1=dogs*1 NNS:1=dogs*1 Number=Plur:2=dogs*1,run*1 Case=Nom:1=dogs*1 "
        "VERB:1=run*1 VBP:1=run*1 PUNCT:1=!*1",
        "0,1,2,3,4 0,3,5,6 0,7 0", "upos", "xpos", "feats");
    EXPECT(corpus, SG_FORMAT_AUTO, NULL, 0, "all:4=dogs*1,run*1,!*1,<eos>*1 NNS:1=dogs*1 VBP:1=run*1",
           "0,1 0,2 0 0", "tags");
}

static void test_words_and_lexicon(void **state)
{
    const char *corpus = write_text(&tmp, "c", "the dogs run to the dog\n");
    const char *words = write_text(&tmp, "w", "pets: dog dogs cat\nbig animals: dogs horse\npets: run\n");
    EXPECT(corpus, SG_FORMAT_TEXT, NULL, 0,
           "all:7=the*2,dogs*1,run*1,to*1,dog*1,<eos>*1 pets:3=dogs*1,run*1,dog*1 big animals:1=dogs*1",
           "0 0,1,2 0,1 0 0 0,1 0", spec_of("words:", words));
    const char *lexicon = write_text(&tmp, "l", "dog NN\ndogs NNS VBZ\nrun VB NN\n\nxx FW\ndog VB\n");
    EXPECT(
        corpus, SG_FORMAT_TEXT, NULL, 0,
        "all:7=the*2,dogs*1,run*1,to*1,dog*1,<eos>*1 NNS:1=dogs*1 VBZ:1=dogs*1 VB:2=run*1,dog*1 NN:2=run*1,dog*1",
        "0 0,1,2 0,3,4 0 0 0,3,4 0", spec_of("lexicon:", lexicon));
    const char *groups = write_text(&tmp, "g", "noun: NN NNS\nverb: VB VBZ\n");
    EXPECT(corpus, SG_FORMAT_TEXT, NULL, 0,
           "all:7=the*2,dogs*1,run*1,to*1,dog*1,<eos>*1 noun:3=dogs*1,run*1,dog*1 verb:3=dogs*1,run*1,dog*1",
           "0 0,1,2 0,1,2 0 0 0,1,2 0", with_groups(spec_of("lexicon:", lexicon), groups));
    /* two ways into one class count once; <eos> is no word; a word in different sets has its counts added */
    const char *tagged = write_text(&tmp, "ct", "dog/A dog/A dog/A dog/B dog/B x/A\n");
    EXPECT(tagged, SG_FORMAT_TAGGED, NULL, 0, "all:7=dog*5,x*1,<eos>*1 noun:5=dog*5 A:4=dog*3,x*1 B:2=dog*2",
           "0,1,2 0,1,2 0,1,2 0,1,3 0,1,3 0,2 0",
           with_groups(spec_of("lexicon:", write_text(&tmp, "l2", "dog NN NNS\n<eos> NN\n")),
                       write_text(&tmp, "g2", "noun: NN NNS NN\n")),
           "tags");
    const char *animal = write_text(&tmp, "g", "animal: pets horses\n");
    EXPECT(corpus, SG_FORMAT_TEXT, NULL, 0,
           "all:7=the*2,dogs*1,run*1,to*1,dog*1,<eos>*1 animal:3=dogs*1,run*1,dog*1", "0 0,1 0,1 0 0 0,1 0",
           with_groups(spec_of("words:", words), animal));
    /* words are compared as they stand in the text: dogs is outside this vocabulary, and still a pet */
    const char *few[] = {"the", "dog", "<unk>", "<eos>"};
    EXPECT(corpus, SG_FORMAT_TEXT, few, 4,
           "all:7=the*2,dog*1,<eos>*1 pets:3=dog*1 big animals:1=", "0 0,1,2 0,1 0 0 0,1 0",
           spec_of("words:", words));
}

static void test_frequency(void **state)
{
    char text[4096];
    size_t n = 0;
    for (size_t w = 0; w < 12; w++) /* w0 12 times ... w11 once; <eos> once: rank 12 by first appearance */
        for (size_t i = w; i < 12; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "w%zu ", w);
    const char *corpus = write_text(&tmp, "c", text);
    analysed a;
    const char *spec = "frequency";
    assert_int_equal(analyse(&a, corpus, SG_FORMAT_TEXT, &spec, 1, NULL, 0), SG_OK);
    assert_int_equal(sg_classes_count(a.classes), 3);
    assert_string_equal(sg_classes_name(a.classes, 1), "rank 1-10");
    assert_string_equal(sg_classes_spec(a.classes, 1), "frequency");
    assert_null(sg_classes_spec(a.classes, 0)); /* all */
    assert_string_equal(sg_classes_name(a.classes, 2), "rank 11-100");
    assert_int_equal(sg_stream_class_tokens(a.stream, a.classes, 1), 75);
    assert_int_equal(sg_stream_class_tokens(a.stream, a.classes, 2), 4);
    assert_int_equal(sg_stream_info(a.stream)->unclassed, 0);
    analysed_free(&a);
    /* counts not known: ranked in the corpus, whatever the ids; what is outside has a band of its own */
    const char *words[] = {"w9", "w8", "w7", "w6",    "w5",    "w4", "w3",
                           "w2", "w1", "w0", "<eos>", "<unk>", "w10"};
    assert_int_equal(analyse(&a, corpus, SG_FORMAT_TEXT, &spec, 1, words, 13), SG_OK);
    assert_int_equal(sg_classes_count(a.classes), 4);
    assert_int_equal(sg_stream_class_tokens(a.stream, a.classes, 1), 75);
    assert_int_equal(sg_stream_class_tokens(a.stream, a.classes, 2), 3);
    assert_string_equal(sg_classes_name(a.classes, 3), "out of vocabulary");
    assert_int_equal(sg_stream_class_tokens(a.stream, a.classes, 3), 1);
    analysed_free(&a);
    /* <unk>, though the most frequent, has no rank: ten known words are ranks 1 to 10 */
    const char *few[] = {"w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11", "<unk>"};
    assert_int_equal(analyse(&a, corpus, SG_FORMAT_TEXT, &spec, 1, few, 11), SG_OK);
    assert_int_equal(sg_classes_count(a.classes), 3);
    assert_string_equal(sg_classes_name(a.classes, 1), "rank 1-10");
    assert_string_equal(sg_classes_name(a.classes, 2), "out of vocabulary");
    analysed_free(&a);
}

static void test_counts(void **state)
{
    const char *corpus = write_text(&tmp, "c", "a/X b/Y\n\nc/X\n"), *groups = write_text(&tmp, "g", "x: X\n");
    const char *specs[] = {with_groups("tags", groups)};
    analysed a;
    assert_int_equal(analyse(&a, corpus, SG_FORMAT_TAGGED, specs, 1, NULL, 0), SG_OK);
    assert_int_equal(sg_stream_info(a.stream)->unclassed, 1); /* b; <eos> is not counted */
    /* a second stream goes on with the same numbers and adds to the words */
    sg_stream *second = NULL;
    const char *more = write_text(&tmp, "d", "c/X zz/X\n");
    sg_corpus_config cfg = config_of(&more, 1);
    cfg.format = SG_FORMAT_TAGGED;
    assert_ok(sg_stream_new(&second, &cfg, a.vocab, a.classes, NULL, &a.err), a.err);
    assert_true(strcmp(sg_stream_sha256(second), sg_stream_sha256(a.stream)) != 0);
    assert_int_equal(sg_stream_class_tokens(second, a.classes, 1), 2);
    assert_int_equal(sg_stream_class_tokens(a.stream, a.classes, 1), 2);
    assert_int_equal(sg_classes_word_count(a.classes, 1, sg_vocab_id(a.vocab, "c", 1)), 2);
    assert_int_equal(sg_classes_word_count(a.classes, 1, sg_vocab_id(a.vocab, "b", 1)), 0);
    assert_int_equal(sg_classes_word_count(a.classes, 1, sg_vocab_unk(a.vocab)), 0);
    sg_stream_free(second);
    analysed_free(&a);
}

static void test_errors(void **state)
{
    const char *corpus = write_text(&tmp, "c", "the dogs\n"), *tagged = write_text(&tmp, "ct", "a/X\n"),
               *file;
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'nouns': expected upos, xpos", "nouns");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'': expected upos", "");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL,
                 "'x' is neither a class nor a tag of the corpus, looked for in upos", "upos:x");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'column:11': CoNLL-U has the columns 1 to 10",
                 "column:11");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "character 3: 'column:0:x', expected column:N:VALUE",
                 "a=column:0:x");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'column:': the number of a column is missing",
                 "column:");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'misc:': a key of the column MISC is missing", "misc:");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'misc:=x', expected misc:KEY=VALUE", "a=misc:=x");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "did you mean position:quoted?", "a=position:quotd");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'to end 3-1', expected to end A-B", "a=to end 3-1");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL,
                 "'lemma': contains no word of the corpus (a column of CoNLL-U", "lemma");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'words': expected", "words");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'words:': the name of the file is missing", "words:");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "name of the file is missing", "tags,groups=");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "given twice", "frequency", "frequency");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "no groups", "frequency,groups=x");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL,
                 "'upos': contains no word of the corpus (a column of CoNLL-U", "upos");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "'tags': contains no word of the corpus (word/tag",
                 "tags");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EIO, "/nonexistent/w: No such", "words:/nonexistent/w");
    file = write_text(&tmp, "w", "pets: dogs\nfish: trout\n");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EFORMAT, "w:2: class 'fish' contains no word of the corpus",
                 spec_of("words:", file));
    file = write_text(&tmp, "l", "trout NN\n");
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EINVAL, "contains no word of the corpus",
                 spec_of("lexicon:", file));
    file = write_text(&tmp, "g", "noun: X\n\nverb: V\n");
    EXPECT_ERROR(tagged, SG_FORMAT_TAGGED, SG_EFORMAT, "g:3: class 'verb' contains no word",
                 with_groups("tags", file));
    static const struct {
        const char *kind, *text, *message;
    } bad[] = {
        {"words:", "", "w: empty, expected lines 'name: word word ...'"},
        {"words:", "# only\n", "w: empty"},
        {"words:", "a: x\nno colon\n", "w:2: 'no colon', expected 'name: word word ...'"},
        {"words:", ": x\n", "w:1: ': x', expected"},
        {"words:", "a:\n", "w:1: 'a' has no words"},
        {"words:", "a:b:\n", "w:1: 'a:b' has no words"},
        {"words:", "a: x\n\xff: y\n", "w:2: invalid UTF-8"},
        {"lexicon:", "", "w: empty, expected lines 'word tag tag ...'"},
        {"lexicon:", "dogs NN\nthe\n", "w:2: 'the' has no tag"},
        {"upos,groups=", "a b\n", "w:1: 'a b', expected 'name: tag tag ...'"},
        {"upos,groups=", "a: \n", "w:1: 'a' has no tags"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EFORMAT, bad[i].message,
                     spec_of(bad[i].kind, write_text(&tmp, "w", bad[i].text)));
    EXPECT_ERROR(corpus, SG_FORMAT_TEXT, SG_EFORMAT, "w:2: a NUL byte",
                 spec_of("words:", write_bytes(&tmp, "w", "a: b\n\0", 6)));
}

static void test_too_many(void **state)
{
    char *text = malloc(1 << 20);
    size_t n = 0;
    for (size_t i = 0; i < 10001; i++)
        n += (size_t)snprintf(text + n, (1 << 20) - n, "w/T%zu\n", i);
    EXPECT_ERROR(write_text(&tmp, "c", text), SG_FORMAT_TAGGED, SG_EINVAL,
                 "'T9999' would be class number 10001", "tags");
    free(text);
}

static void test_failing_allocations(void **state)
{
    const char *corpus = write_text(&tmp, "c", "the/DT dogs/NNS run/VB\nthe/DT run/NN ;/:\n");
    const char *groups = write_text(&tmp, "g", "noun: NN NNS\nverb: VB\n"),
               *words = write_text(&tmp, "w", "pets: dogs\n"),
               *lexicon = write_text(&tmp, "l", "run VB NN\n");
    const char *specs[] = {
        "tags",      with_groups("tags", groups), spec_of("words:", words),     spec_of("lexicon:", lexicon),
        "frequency", "tags*frequency*!pets",      "some=DT|\"NNS\"&!(rank 1-2)"};
    const char *bare[] = {"the", "dogs", "run", "<eos>", "<unk>"};
    long live = sg_alloc_live();
    bool done = false;
    for (long n = 0; !done; n++) {
        analysed a;
        sg_alloc_fail_after(n);
        sg_status st = analyse(&a, corpus, SG_FORMAT_TAGGED, specs, 7, bare, 5);
        sg_alloc_fail_after(-1);
        done = st == SG_OK;
        if (!done && st != SG_ENOMEM)
            fail_msg("allocation %ld failing: status %d: %s", n, (int)st, a.err.msg);
        assert_true((a.stream != NULL) == done);
        analysed_free(&a);
        assert_int_equal(sg_alloc_live(), live);
        assert_true(n < 3000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_tags_file),
        cmocka_unit_test(test_conllu),
        cmocka_unit_test(test_frequency),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_words_and_lexicon),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
