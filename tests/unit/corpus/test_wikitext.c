/* SPDX-License-Identifier: MIT */
/* Tokens and words of WikiText-2, as its authors count them. Skipped where the corpus is not. */
#include "helpers/corpus_util.h"

enum { SKIPPED = 77 }; /* to Meson */

static const char *path_of(const char *name)
{
    static char path[512];
    const char *shared = getenv("STATEGRAD_SHARED");
    snprintf(path, sizeof path, "%s/data/wikitext-2/%s.txt", shared ? shared : "", name);
    return path;
}

static void tokens_and_words(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t tokens;
    } files[] = {{"valid", 217646}, {"test", 245569}, {"train", 2088628}};
    for (size_t i = 0; i < 3; i++) {
        const char *path = path_of(files[i].name);
        sg_corpus_config cfg = config_of(&path, 1);
        sg_error err = {""};
        sg_vocab *v;
        sg_stream *s;
        assert_ok(build_vocab(&v, &cfg, (sg_vocab_config){.unk = true}, &err), err);
        assert_ok(sg_stream_new(&s, &cfg, v, NULL, NULL, &err), err);
        assert_int_equal(sg_stream_length(s), files[i].tokens);
        if (i == 2)
            assert_int_equal(sg_vocab_size(v), 33278);
        sg_stream_free(s);
        sg_vocab_free(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tokens_and_words)};
    if (access(path_of("train"), R_OK) != 0) {
        printf("skipped: no %s\n", path_of("train"));
        return SKIPPED;
    }
    return cmocka_run_group_tests_name("wikitext", tests, set_up, tear_down);
}
