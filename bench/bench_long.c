/* SPDX-License-Identifier: MIT */
/* bench_long - a long window with shared bases beside plain forward accumulation.
 *
 *   bench_long [--json FILE] [--model MODEL --text TEXT] [--delays D] [--tokens N] [--after A] [--tolerance
 *   X]
 *              [--threads T] [--both] [--alone] [--alpha X]
 *
 * Without a model: an LSTM of the paper's size (E = 64, H = 256) made up so that it remembers about as
 * trained ones do: the time constants of its units fall off by a power law, the share of those above x tokens
 * is x^-1.5 (--alpha). Prints tokens a second of both ways behind a full window (--alone: of the shared bases
 * only), the largest difference of any delay's sum, of that sum's largest entry, and what the engine itself
 * estimates. */
#include "gradient/backend.h"

#include "base/base_internal.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    const char *json, *model, *text;
    size_t delays, tokens, after;
    double tolerance, alpha;
    int threads;
    bool both, alone;
} settings;

typedef struct {
    double wall, processor;
    size_t shared, directions;
    sg_accum *sums;
} result;

static void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static result run(const sg_model *m, const sg_step *steps, const float *features, const settings *x,
                  size_t after)
{
    sg_error err;
    sg_engine *e = NULL;
    result r = {0};
    const sg_model_shape *s = sg_model_get_shape(m);
    size_t H = s->hidden[s->layers - 1], n = x->delays, E = s->embedding;
    sg_accum_state states[] = {{s->layers, SG_STATE_HIDDEN, H}, {s->layers, SG_STATE_CELL, H}};
    sg_engine_config cfg = {.delays = n,
                            .states = states,
                            .n_states = x->both ? 2 : 1,
                            .long_after = after,
                            .long_tolerance = x->tolerance,
                            .threads = x->threads};
    if (engine_new(&e, m, &cfg, &err) != SG_OK || engine_new_accum(e, &r.sums, &err) != SG_OK)
        die(err.msg);
    if (engine_run(e, steps, features, n, true, r.sums, &err) != SG_OK) /* until the window is full */
        die(err.msg);
    double wall = seconds(CLOCK_MONOTONIC), processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (engine_run(e, steps + n, features ? features + n * E : NULL, x->tokens, true, r.sums, &err) != SG_OK)
        die(err.msg);
    r.wall = seconds(CLOCK_MONOTONIC) - wall, r.processor = seconds(CLOCK_PROCESS_CPUTIME_ID) - processor;
    if (engine_flush(e, r.sums, &err) != SG_OK)
        die(err.msg);
    r.shared = engine_shared(e, &r.directions);
    engine_free(e);
    return r;
}

/* An LSTM without embedding, its inputs are features. */
static sg_model *made_up(double alpha)
{
    enum { H = 256 };
    sg_error err;
    sg_model *m = NULL;
    sg_model_shape shape = {.cell = SG_CELL_LSTM, .layers = 1, .embedding = 64, .hidden = {H}};
    if (sg_model_new(&m, &shape, NULL, &err) != SG_OK)
        die(err.msg);
    sg_model_init_uniform(m, 0.08f, 1);
    float *bias = sg_model_find(m, "rnn.bias_ih_l0")->data;
    for (int i = 0; i < H; i++) {
        double keep = exp(-pow((i + 1.0) / H, 1 / alpha)); /* a token */
        bias[H + i] = (float)log(keep / (1 - keep));
    }
    return m;
}

static sg_step *read_text(const sg_model *m, const char *path, size_t n)
{
    const sg_vocab *v = sg_model_vocab(m);
    sg_step *steps = sg_calloc(n, sizeof *steps);
    size_t got = 0;
    FILE *f = fopen(path, "r");
    char word[256];
    while (v && f && steps && got < n && fscanf(f, "%255s", word) == 1) {
        int32_t id = sg_vocab_id(v, word, strlen(word));
        char *slash = strrchr(word, '/');
        if (id < 0 && slash && slash != word) /* word/tag */
            id = sg_vocab_id(v, word, (size_t)(slash - word));
        steps[got++].id = id >= 0 ? id : sg_vocab_unk(v) >= 0 ? sg_vocab_unk(v) : 0;
    }
    if (got < n)
        die("the text is too short, or the model has no words");
    fclose(f);
    return steps;
}

/* Of the largest entry of each delay's sum: the largest difference over all delays; of the Frobenius norm:
 * the estimate. */
static double compare(const sg_accum *a, const sg_accum *b, size_t D, size_t size, size_t state, bool show,
                      double *estimate)
{
    double *x = sg_calloc(size, sizeof *x), *y = sg_calloc(size, sizeof *y), worst = 0;
    *estimate = 0;
    for (size_t d = 0; x && y && d < D; d++) {
        double most = 0, scale = 0, norm = 0, missed = 0;
        double pairs = accum_class_sum(a, state, NULL, 0, d, x);
        accum_class_sum(b, state, NULL, 0, d, y);
        for (size_t i = 0; i < size; i++) {
            most = fmax(most, fabs(x[i] - y[i])), scale = fmax(scale, fabs(x[i]));
            norm += x[i] * x[i];
        }
        uint64_t of = accum_missed(b, state, d, &missed);
        double error = of ? missed / (double)of / (sqrt(norm) / pairs) : 0;
        if (scale / pairs < 1e-30) { /* float32 has lost its digits, plainly or not */
            if (show)
                printf("delay %4zu and beyond: below 1e-30\n", d);
            break;
        }
        *estimate = fmax(*estimate, error), worst = fmax(worst, most / scale);
        if (show && ((d & (d - 1)) == 0 || d + 1 == D))
            printf("delay %4zu: largest entry of the mean %.2e, difference %.1e of it, estimated %.1e\n", d,
                   scale / pairs, most / scale, error);
    }
    sg_free(x);
    sg_free(y);
    return worst;
}

static settings read_arguments(int argc, char **argv)
{
    settings x = {.delays = 1000, .tokens = 128, .after = 64, .tolerance = 1e-6, .alpha = 1.5};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(name, "--both") || !strcmp(name, "--alone")) {
            *(name[2] == 'b' ? &x.both : &x.alone) = true;
            continue;
        }
        if (!value)
            die("an option needs a value; see the head of bench_long.c");
        i++;
        if (!strcmp(name, "--json"))
            x.json = value;
        else if (!strcmp(name, "--model"))
            x.model = value;
        else if (!strcmp(name, "--text"))
            x.text = value;
        else if (!strcmp(name, "--delays"))
            x.delays = strtoul(value, NULL, 10);
        else if (!strcmp(name, "--tokens"))
            x.tokens = strtoul(value, NULL, 10);
        else if (!strcmp(name, "--after"))
            x.after = strtoul(value, NULL, 10);
        else if (!strcmp(name, "--tolerance"))
            x.tolerance = strtod(value, NULL);
        else if (!strcmp(name, "--alpha"))
            x.alpha = strtod(value, NULL);
        else if (!strcmp(name, "--threads"))
            x.threads = (int)strtol(value, NULL, 10);
        else
            die("an unknown option; see the head of bench_long.c");
    }
    if (!x.model != !x.text || !x.delays || !x.tokens)
        die("--model and --text go together; delays and tokens are at least 1");
    return x;
}

int main(int argc, char **argv)
{
    sg_error err;
    settings x = read_arguments(argc, argv);
    sg_model *m = NULL;
    size_t n = x.delays + x.tokens;
    if (!x.model)
        m = made_up(x.alpha);
    else if (sg_model_read(&m, x.model, &err) != SG_OK)
        die(err.msg);
    const sg_model_shape *s = sg_model_get_shape(m);
    size_t H = s->hidden[s->layers - 1];
    x.both = x.both && s->cell == SG_CELL_LSTM;
    sg_step *steps = x.model ? read_text(m, x.text, n) : sg_calloc(n, sizeof *steps);
    float *features = x.model ? NULL : sg_calloc(n * s->embedding, sizeof *features);
    sg_rng rng;
    sg_rng_seed(&rng, 1, 1);
    for (size_t i = 0; features && i < n * s->embedding; i++)
        features[i] = (float)sg_rng_normal(&rng);
    result fast = run(m, steps, features, &x, x.after);
    if (x.alone) {
        printf("%.1f tokens/s, %.1f a second of processor time\n", (double)x.tokens / fast.wall,
               (double)x.tokens / fast.processor);
        return 0;
    }
    result slow = run(m, steps, features, &x, 0);
    double estimate, worst = compare(slow.sums, fast.sums, x.delays, H * s->embedding, 0, true, &estimate),
                     other = 0;
    if (x.both)
        worst = fmax(worst, compare(slow.sums, fast.sums, x.delays, H * s->embedding, 1, false, &other));
    estimate = fmax(estimate, other);
    double tokens = (double)x.tokens,
           mean = fast.shared ? 64.0 * (double)fast.directions / (double)fast.shared : 0;
    int threads = x.threads ? x.threads : omp_get_max_threads();
    printf(
        "%s, D = %zu, %d threads: %.1f tokens/s, plain %.1f, ratio %.1f (processor time: %.1f); %.1f directions for 64 "
        "origins; worst difference %.1e, estimated %.1e\n",
        x.model ? x.model : "made-up LSTM", x.delays, threads, tokens / fast.wall, tokens / slow.wall,
        slow.wall / fast.wall, slow.processor / fast.processor, mean, worst, estimate);
    FILE *f = x.json ? fopen(x.json, "w") : NULL;
    if (x.json && !f)
        die("the JSON file cannot be written");
    if (f)
        fprintf(
            f,
            "{\"benchmark\": \"long window\", \"model\": \"%s\", \"embedding\": %zu, \"hidden\": %zu, \"layers\": %zu, "
            "\"delays\": %zu, \"long_after\": %zu, \"tolerance\": %g, \"threads\": %d, \"tokens_per_second\": %.4g, "
            "\"plain_tokens_per_second\": %.4g, \"ratio\": %.4g, \"ratio_processor_time\": %.4g, \"directions_per_64\": "
            "%.4g, \"worst_difference\": %.3g, \"estimated_difference\": %.3g}\n",
            x.model ? "trained" : "made up", s->embedding, H, s->layers, x.delays, x.after, x.tolerance,
            threads, tokens / fast.wall, tokens / slow.wall, slow.wall / fast.wall,
            slow.processor / fast.processor, mean, worst, estimate);
    if (f && fclose(f))
        die("the JSON file cannot be written");
    accum_free(fast.sums);
    accum_free(slow.sums);
    sg_free(steps);
    sg_free(features);
    sg_model_free(m);
    return 0;
}
