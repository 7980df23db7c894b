/* SPDX-License-Identifier: MIT */
/* bench_train - tokens per second of training, one JSON object a setting.
 *
 *   bench_train [THREADS [SECONDS [SETTING]]]
 *
 * Times what an epoch is made of: window (forward, loss, backward), gradient norm, step of SGD, on random
 * words, with dropout 0.5. flops counts products only: 3 * 2 * (V H_L + sum of 4 H (N + H)) a token, forward
 * and twice back. */
#include "base/base_internal.h"
#include "train/bptt.h"
#include "train/optimizer.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    size_t V, E, H, L, T, B;
} setting;

static const setting settings[] = {{"paper", 10000, 64, 256, 1, 50, 20},
                                   {"650x2", 10000, 650, 650, 2, 50, 20}};

static sg_model *make(const setting *s)
{
    sg_model *m = NULL;
    sg_vocab *v = NULL;
    sg_model_shape shape = {
        .cell = SG_CELL_LSTM, .layers = s->L, .vocabulary = s->V, .embedding = s->E, .has_decoder = true};
    for (size_t k = 0; k < s->L; k++)
        shape.hidden[k] = s->H;
    char(*text)[24] = calloc(s->V, sizeof *text);
    const char **words = calloc(s->V, sizeof *words);
    for (size_t i = 0; text && words && i < s->V; i++) {
        snprintf(text[i], sizeof *text, "w%zu", i);
        words[i] = text[i];
    }
    if (words && sg_vocab_from_words(&v, words, NULL, s->V, NULL) == SG_OK)
        (void)sg_model_new(&m, &shape, v, NULL);
    if (m)
        sg_model_init_uniform(m, 0.05f, 1);
    sg_vocab_free(v);
    free(text);
    free(words);
    return m;
}

static int time_one(const setting *s, int threads, double seconds)
{
    sg_bptt *b = NULL;
    sg_stepper *o = NULL;
    sg_model *m = make(s);
    size_t rows = s->T * s->B, n_words, windows = 0;
    if (!m || bptt_new(&b, m, s->T, s->B, threads, NULL) || stepper_new(&o, m, SG_SGD, false, threads, NULL))
        return 1;
    float *gradient = sg_calloc(model_block_size(m), sizeof *gradient);
    int32_t *ids = sg_calloc(rows + s->B, sizeof *ids);
    sg_rng r;
    sg_rng_seed(&r, 1, 0);
    for (size_t i = 0; i < rows + s->B; i++)
        ids[i] = (int32_t)sg_rng_below(&r, s->V);
    double begun = sg_clock(), best = 1e30, total = 0, loss = 0;
    while (windows < 3 || sg_clock() - begun < seconds) {
        double at = sg_clock();
        loss = bptt_window(b, s->T, ids, 0.5, windows, gradient);
        const int32_t *words = bptt_words(b, &n_words);
        double norm = stepper_norm(o, gradient, words, n_words);
        stepper_apply(o, gradient, words, n_words, 0.1, norm > 5 ? 5 / norm : 1);
        at = sg_clock() - at;
        if (windows++) { /* the first one warms up */
            best = at < best ? at : best;
            total += at;
        }
    }
    double flops = (double)s->V * (double)s->H;
    for (size_t k = 0; k < s->L; k++)
        flops += 4.0 * (double)s->H * (double)(s->H + (k ? s->H : s->E));
    double rate = (double)rows * (double)(windows - 1) / total;
    printf("{\"bench\": \"train\", \"setting\": \"%s\", \"threads\": %d, \"tokens_per_second\": %.0f, "
           "\"best_window_tokens_per_second\": %.0f, \"gflops\": %.1f, \"loss\": %.4f}\n",
           s->name, threads, rate, (double)rows / best, 6 * flops * rate / 1e9, loss);
    sg_free(gradient);
    sg_free(ids);
    bptt_free(b);
    stepper_free(o);
    sg_model_free(m);
    return 0;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 0, failed = 0;
    double seconds = argc > 2 ? atof(argv[2]) : 5;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (argc < 4 || !strcmp(argv[3], settings[i].name))
            failed |= time_one(&settings[i], threads > 0 ? threads : omp_get_max_threads(), seconds);
    return failed;
}
