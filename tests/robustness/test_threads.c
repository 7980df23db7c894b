/* SPDX-License-Identifier: MIT */
/* Two threads of one process each read a corpus, train and analyse at the same time: no shared state, so the
 * files are those of one after the other. Several threads open HDF5 files, Keras models and run files, at the
 * same time: libhdf5 has process-wide tables. Run under the thread sanitizer in make check. */
#include "stategrad/analysis.h"
#include "stategrad/import.h"
#include "stategrad/run.h"
#include "stategrad/train.h"

#include "helpers/test_util.h"

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

enum { READERS = 4, READINGS = 40 };

typedef struct {
    char keras[512], run[512];
    char sha256[65]; /* of the model, the same in every thread */
    sg_status st;
    sg_error err;
} reading;

static void *read_files(void *argument)
{
    reading *j = argument;
    sg_import_config cfg;
    sg_import_defaults(&cfg);
    cfg.numbered_vocabulary = true;
    for (int i = 0; i < READINGS; i++) {
        sg_file_format kind;
        sg_model *m = NULL;
        sg_run *r = NULL;
        size_t rank, shape[SG_RUN_MAX_DIMS];
        double x[4096];
        STEP(sg_file_format_of(&kind, j->run, &j->err));
        if (kind != SG_FILE_RUN)
            STEP((snprintf(j->err.msg, sizeof j->err.msg, "%s: kind %d", j->run, (int)kind), SG_EFORMAT));
        STEP(sg_model_load(&m, j->keras, &cfg, NULL, &j->err));
        sg_model_sha256(m, j->sha256);
        sg_model_free(m);
        STEP(sg_run_open(&r, j->run, &j->err));
        if (sg_run_shape(r, "layer1.cell", "singular_value", &rank, shape) &&
            shape[0] * shape[1] * shape[2] < 4096)
            j->st = sg_run_read(r, "layer1.cell", "singular_value", NULL, NULL, x, &j->err);
        sg_run_close(r);
        STEP(j->st);
    }
done:
    return NULL;
}

/* libhdf5 and libnetcdf say nothing on standard error either, in whichever thread. */
static void hdf5_files_at_once(void **state)
{
    (void)state;
    const char *seeds = getenv("STATEGRAD_SEEDS");
    if (!seeds)
        skip(); /* run by Meson, which knows where they are */
    reading readers[READERS];
    pthread_t threads[READERS];
    FILE *said = tmpfile();
    assert_non_null(said);
    fflush(stderr);
    int terminal = dup(STDERR_FILENO);
    dup2(fileno(said), STDERR_FILENO);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (reading){.st = SG_OK};
        snprintf(readers[i].keras, sizeof readers[i].keras, "%s/import_keras/lstm", seeds);
        snprintf(readers[i].run, sizeof readers[i].run, "%s/run/small", seeds);
        assert_int_equal(pthread_create(&threads[i], NULL, read_files, &readers[i]), 0);
    }
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    assert_int_equal(fseek(said, 0, SEEK_END), 0);
    assert_int_equal(ftell(said), 0);
    fclose(said);
    for (int i = 0; i < READERS; i++) {
        if (readers[i].st != SG_OK)
            fail_msg("reader %d: %s", i, readers[i].err.msg);
        assert_int_equal(strlen(readers[i].sha256), 64);
        assert_string_equal(readers[i].sha256, readers[0].sha256);
    }
}

/* A run open twice, closed once: the other reader's strings are still there. */
static void one_run_read_twice(void **state)
{
    (void)state;
    const char *seeds = getenv("STATEGRAD_SEEDS");
    char path[512], *name = NULL;
    sg_run *r[2] = {NULL, NULL};
    sg_error err = {""};
    if (!seeds)
        skip();
    snprintf(path, sizeof path, "%s/run/small", seeds);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 2; i++)
            if (sg_run_open(&r[i], path, &err) != SG_OK)
                fail_msg("%s", err.msg);
        sg_run_close(r[round % 2]);
        if (sg_run_read_string(r[!(round % 2)], NULL, "class_name", 0, &name, &err) != SG_OK)
            fail_msg("%s", err.msg);
        assert_string_equal(name, "all");
        sg_string_free(name);
        sg_run_close(r[!(round % 2)]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_analyses_at_once),
                                       cmocka_unit_test(one_run_read_twice),
                                       cmocka_unit_test(hdf5_files_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
