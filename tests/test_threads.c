/* Two threads of one process each read a corpus, train and analyse at the same time: no shared state, so the
 * files are those of one after the other. Run under the thread sanitizer in make check. */
#include "stategrad/analysis.h"
#include "stategrad/train.h"

#include "test_util.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char corpus[128], run[128];
    uint64_t seed;
    sg_cell cell;
    sg_status st;
    sg_error err;
} job;

#define STEP(call)                                                                                           \
    if ((j->st = (call)) != SG_OK)                                                                           \
    goto done

static void *work(void *argument)
{
    job *j = argument;
    const char *paths[] = {j->corpus}, *specs[] = {"tags", "frequency"};
    sg_corpus_config read = {.paths = paths, .n_paths = 1, .format = SG_FORMAT_TAGGED, .eos = true};
    sg_corpus *c = NULL;
    sg_vocab *v = NULL;
    sg_classes *k = NULL;
    sg_stream *s = NULL;
    sg_model *m = NULL;
    sg_vocab_config words = {.unk = true};
    sg_model_shape shape = {
        .cell = j->cell, .layers = 1, .embedding = 5, .hidden = {7}, .has_decoder = true, .eos = true};
    sg_train_config train;
    sg_train_result result;
    sg_analysis_config cfg;
    STEP(sg_corpus_open(&c, &read, &j->err));
    STEP(sg_vocab_build(&v, c, &words, &j->err));
    shape.vocabulary = sg_vocab_size(v);
    STEP(sg_model_new(&m, &shape, v, &j->err));
    STEP(sg_classes_new(&k, specs, 2, v, &j->err));
    STEP(sg_stream_new(&s, &read, v, k, NULL, &j->err));
    sg_train_defaults(&train);
    train.epochs = 1, train.batch = 3, train.steps = 5, train.seed = j->seed, train.threads = 2;
    STEP(sg_train(&result, m, s, s, &train, NULL, &j->err));
    sg_analysis_defaults(&cfg, m);
    cfg.delays = 5, cfg.threads = 2;
    STEP(sg_analyze(j->run, m, s, k, &cfg, NULL, &j->err));
done:
    sg_stream_free(s);
    sg_classes_free(k);
    sg_model_free(m);
    sg_vocab_free(v);
    sg_corpus_close(c);
    return NULL;
}

static void assert_same_files(const char *a, const char *b)
{
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    assert_non_null(f);
    assert_non_null(g);
    size_t at = 0;
    int x, y;
    do {
        x = getc(f), y = getc(g);
        if (x != y)
            fail_msg("%s and %s differ at byte %zu", a, b, at);
        at++;
    } while (x != EOF);
    assert_true(at > 1000);
    fclose(f);
    fclose(g);
}

static void two_analyses_at_once(void **state)
{
    (void)state;
    char folder[] = "/tmp/sg_threads_XXXXXX";
    assert_non_null(mkdtemp(folder));
    setenv("SOURCE_DATE_EPOCH", "1", 1);
    job alone[2], together[2];
    for (int i = 0; i < 2; i++) {
        alone[i] = (job){.seed = (uint64_t)i + 1, .cell = i ? SG_CELL_GRU : SG_CELL_LSTM};
        snprintf(alone[i].corpus, sizeof alone[i].corpus, "%s/corpus%d", folder, i);
        FILE *f = fopen(alone[i].corpus, "w");
        assert_non_null(f);
        for (int line = 0; line < 40; line++)
            fprintf(f, "the/DT word%d/NN is/VBZ near/IN word%d/NN\n", line % (5 + i), line % 3);
        fclose(f);
        together[i] = alone[i];
        snprintf(alone[i].run, sizeof alone[i].run, "%s/alone%d", folder, i);
        snprintf(together[i].run, sizeof together[i].run, "%s/together%d", folder, i);
        work(&alone[i]);
        if (alone[i].st != SG_OK)
            fail_msg("%s", alone[i].err.msg);
    }
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &together[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) {
        if (together[i].st != SG_OK)
            fail_msg("%s", together[i].err.msg);
        assert_same_files(alone[i].run, together[i].run);
        unlink(alone[i].run);
        unlink(together[i].run);
        unlink(alone[i].corpus);
    }
    assert_int_equal(rmdir(folder), 0); /* nothing else was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_analyses_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
