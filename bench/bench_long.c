/* bench_long - a long window with shared bases beside plain forward accumulation, on a trained model and its text.
 *
 *   bench_long MODEL TEXT [DELAYS [TOKENS [LONG_AFTER [TOLERANCE]]]]
 *
 * Prints the processor seconds of both, their ratio, and the largest difference of a delay's mean gradient, of that
 * delay's largest entry. */
#include "gradient/engine.h"

#include "base/base_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void die(const sg_error *err)
{
    fprintf(stderr, "bench: %s\n", err->msg);
    exit(1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double run(const sg_model *m, const sg_step *steps, size_t n, size_t D, size_t long_after, double tolerance,
                  sg_accum **a)
{
    sg_error err;
    sg_engine *e = NULL;
    const sg_model_shape *s = sg_model_get_shape(m);
    sg_accum_state state = {s->layers, SG_STATE_HIDDEN, s->hidden[s->layers - 1]};
    sg_engine_config cfg = {.delays = D, .states = &state, .n_states = 1, .long_after = long_after,
                            .long_tolerance = tolerance};
    if (sg_engine_new(&e, m, &cfg, &err) != SG_OK || sg_engine_new_accum(e, a, &err) != SG_OK)
        die(&err);
    if (sg_engine_run(e, steps, NULL, D, true, *a, &err) != SG_OK) /* until the window is full */
        die(&err);
    double start = seconds();
    if (sg_engine_run(e, steps + D, NULL, n - D, true, *a, &err) != SG_OK)
        die(&err);
    double t = seconds() - start;
    if (sg_engine_flush(e, *a, &err) != SG_OK)
        die(&err);
    sg_engine_free(e);
    return t;
}

int main(int argc, char **argv)
{
    sg_error err;
    sg_model *m = NULL;
    if (argc < 3 || sg_model_read(&m, argv[1], &err) != SG_OK)
        die(argc < 3 ? &(sg_error){"usage: bench_long MODEL TEXT [DELAYS [TOKENS [LONG_AFTER [TOLERANCE]]]]"} : &err);
    size_t D = argc > 3 ? (size_t)atol(argv[3]) : 1000, n = argc > 4 ? (size_t)atol(argv[4]) : D + 256, got = 0;
    size_t long_after = argc > 5 ? (size_t)atol(argv[5]) : 64;
    double tolerance = argc > 6 ? atof(argv[6]) : 1e-6;
    const sg_vocab *v = sg_model_vocab(m);
    sg_step *steps = sg_calloc(n, sizeof *steps);
    FILE *f = fopen(argv[2], "r");
    char word[256];
    while (f && steps && got < n && fscanf(f, "%255s", word) == 1) {
        char *slash = strrchr(word, '/');
        if (slash && slash != word)
            *slash = 0;
        int32_t id = sg_vocab_id(v, word, strlen(word));
        steps[got++].id = id >= 0 ? id : sg_vocab_unk(v) >= 0 ? sg_vocab_unk(v) : 0;
    }
    if (got < n)
        die(&(sg_error){"the text is too short"});
    sg_accum *plain = NULL, *shared = NULL;
    double fast = run(m, steps, n, D, long_after, tolerance, &shared), slow = run(m, steps, n, D, 0, 0, &plain);
    const sg_accum_state *s = sg_accum_state_of(plain, 0);
    size_t size = s->units * sg_model_get_shape(m)->embedding;
    double *x = sg_calloc(size, sizeof *x), *y = sg_calloc(size, sizeof *y), worst = 0;
    printf("%zu tokens: plain %.2f s, shared bases %.2f s, ratio %.1f\n", n - D, slow, fast, slow / fast);
    for (size_t d = 0; d < D; d++) {
        double most = 0, scale = 0;
        sg_accum_class_sum(plain, 0, NULL, 0, d, x);
        sg_accum_class_sum(shared, 0, NULL, 0, d, y);
        for (size_t i = 0; i < size; i++) {
            most = fmax(most, fabs(x[i] - y[i]));
            scale = fmax(scale, fabs(x[i]));
        }
        worst = fmax(worst, most / scale);
        if ((d & (d - 1)) == 0 || d + 1 == D)
            printf("delay %4zu: largest entry of the sum %.2e, difference %.1e of it\n", d, scale, most / scale);
    }
    printf("worst difference over all delays %.1e\n", worst);
    return 0;
}
