/* SPDX-License-Identifier: MIT */
/* analyze MODEL CORPUS RUN.nc - analyses a corpus with classes by frequency; prints sigma_1 by class and
 * delay. */
#include <stategrad/analysis.h>
#include <stategrad/import.h>
#include <stategrad/run.h>

#include <stdio.h>

enum { DELAYS = 5 };

static sg_status analyze(const char *model_path, const char *corpus_path, const char *run_path, sg_error *err)
{
    const char *specs[] = {"frequency"};
    sg_model *m = NULL;
    sg_classes *classes = NULL;
    sg_stream *stream = NULL;
    sg_status st = sg_model_load(&m, model_path, NULL, NULL, err);
    if (st == SG_OK)
        st = sg_classes_new(&classes, specs, 1, sg_model_vocab(m), err);
    if (st == SG_OK) {
        sg_corpus_config corpus = {.paths = &corpus_path, .n_paths = 1, .eos = sg_model_get_shape(m)->eos};
        st = sg_stream_new(&stream, &corpus, sg_model_vocab(m), classes, NULL, err);
    }
    if (st == SG_OK) {
        sg_analysis_config cfg;
        sg_analysis_defaults(&cfg, m);
        cfg.delays = DELAYS;
        cfg.command = "examples/analyze";
        st = sg_analyze(run_path, m, stream, classes, &cfg, NULL, err);
    }
    sg_stream_free(stream);
    sg_classes_free(classes);
    sg_model_free(m);
    return st;
}

/* singular_value (class, delay, rank): the entries of rank 0 */
static sg_status print_run(const char *run_path, sg_error *err)
{
    sg_run *run = NULL;
    sg_status st = sg_run_open(&run, run_path, err);
    for (size_t c = 0; st == SG_OK && c < sg_run_classes(run); c++) {
        double sigma[DELAYS];
        size_t start[] = {c, 0, 0}, count[] = {1, DELAYS, 1};
        st = sg_run_read(run, sg_run_group_name(run, 0), "singular_value", start, count, sigma, err);
        if (st == SG_OK)
            printf("%s", sg_run_class_name(run, c));
        for (size_t d = 0; st == SG_OK && d < DELAYS; d++)
            printf("%s%.6g", d ? " " : "\t", sigma[d]);
        if (st == SG_OK)
            printf("\n");
    }
    sg_run_close(run);
    return st;
}

int main(int argc, char **argv)
{
    sg_error err = {""};
    if (argc != 4) {
        fprintf(stderr, "usage: analyze MODEL CORPUS RUN.nc\n");
        return 2;
    }
    sg_status st = analyze(argv[1], argv[2], argv[3], &err);
    if (st == SG_OK)
        st = print_run(argv[3], &err);
    if (st != SG_OK)
        fprintf(stderr, "analyze: %s\n", err.msg);
    return st != SG_OK;
}
