/* SPDX-License-Identifier: MIT */
/* own_cell RUN.nc - the analysis of a cell that the library does not know,
 *
 *   u_t = tanh(W x_t + U h_{t-1})      h_t = a h_{t-1} + (1 - a) u_t
 *
 * by its own Jacobian. With q = (1 - a) (1 - u_t^2):
 *
 *   G[t,0] = diag(q) W      G[t,d] = (a I + diag(q) U) G[t-1,d-1]
 *
 * Prints sigma_1 by class and delay. */
#include <stategrad/accumulator.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { V = 10, E = 3, H = 4, D = 6, T = 2000 };

typedef struct {
    float a, embedding[V][E], W[H][E], U[H][H];
    float h[H], G[D][H][E]; /* of the last step */
} cell;

static void fill(size_t n, float *x, float scale, float phase)
{
    for (size_t i = 0; i < n; i++)
        x[i] = scale * sinf(2.3f * (float)i + phase);
}

static void step(cell *c, size_t word)
{
    float u[H], q[H], J[H][H], next[D][H][E] = {0};
    for (size_t i = 0; i < H; i++) {
        u[i] = 0;
        for (size_t e = 0; e < E; e++)
            u[i] += c->W[i][e] * c->embedding[word][e];
        for (size_t k = 0; k < H; k++)
            u[i] += c->U[i][k] * c->h[k];
        u[i] = tanhf(u[i]);
        q[i] = (1 - c->a) * (1 - u[i] * u[i]);
        for (size_t k = 0; k < H; k++)
            J[i][k] = (i == k ? c->a : 0) + q[i] * c->U[i][k];
    }
    for (size_t i = 0; i < H; i++) {
        c->h[i] = c->a * c->h[i] + (1 - c->a) * u[i];
        for (size_t e = 0; e < E; e++)
            next[0][i][e] = q[i] * c->W[i][e];
        for (size_t d = 1; d < D; d++)
            for (size_t k = 0; k < H; k++)
                for (size_t e = 0; e < E; e++)
                    next[d][i][e] += J[i][k] * c->G[d - 1][k][e];
    }
    memcpy(c->G, next, sizeof next);
}

/* singular_value (class, delay, rank): the entries of the first rank */
static sg_status print_run(const sg_run *run, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t k = 0; st == SG_OK && k < sg_run_classes(run); k++) {
        double sigma[D];
        st = sg_run_read(run, "layer1.leaky", "singular_value", (size_t[]){k, 0, 0}, (size_t[]){1, D, 1},
                         sigma, err);
        for (size_t d = 0; st == SG_OK && d < D; d++)
            printf("%s%c%.6g", d ? "" : sg_run_class_name(run, k), d ? ' ' : '\t', sigma[d]);
        printf("\n");
    }
    return st;
}

static sg_status analyze(cell *c, const int32_t *ids, const sg_vocab *vocab, const sg_stream *text,
                         const sg_classes *classes, const char *path, sg_error *err)
{
    const sg_accumulator_state state = {"layer1.leaky", H};
    const sg_accumulator_config cfg = {.struct_size = sizeof cfg,
                                       .states = &state,
                                       .n_states = 1,
                                       .embedding = E,
                                       .vocab = vocab,
                                       .embeddings = c->embedding[0],
                                       .model = "leaky tanh"};
    sg_analysis_config settings;
    sg_accumulator *sums;
    sg_run *run = NULL;
    sg_analysis_defaults(&settings, NULL);
    settings.delays = D;
    settings.command = "examples/own_cell";
    sg_status st = sg_accumulator_new(&sums, path, &cfg, text, classes, &settings, NULL, err);
    for (uint64_t t = 0; st == SG_OK && t < T; t++) {
        const float *G = c->G[0][0];
        step(c, (size_t)ids[t]);
        st = sg_accumulator_add_steps(sums, &t, 1, &G, err);
    }
    if (st == SG_OK)
        st = sg_accumulator_finish(sums, &run, err);
    sg_accumulator_free(sums);
    if (st == SG_OK)
        st = print_run(run, err);
    sg_run_close(run);
    return st;
}

int main(int argc, char **argv)
{
    static const char *const words[V] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"},
                             *names[] = {"vowel"};
    static int32_t ids[T];
    static bool vowel[T];
    static cell c = {.a = 0.8f};
    sg_vocab *vocab = NULL;
    sg_classes *classes = NULL;
    sg_stream *text = NULL;
    sg_error err = {""};
    uint32_t random = 1;
    if (argc != 2) {
        fprintf(stderr, "usage: own_cell RUN.nc\n");
        return 2;
    }
    fill(V * E, c.embedding[0], 1, 0);
    fill(H * E, c.W[0], 0.9f, 1);
    fill(H * H, c.U[0], 0.7f, 2);
    for (size_t t = 0; t < T; t++) {
        random = random * 1103515245 + 12345;
        ids[t] = (int32_t)(random >> 16) % V;
        vowel[t] = strchr("aei", words[ids[t]][0]) != NULL;
    }
    sg_status st = sg_vocab_from_words(&vocab, words, NULL, V, &err);
    if (st == SG_OK)
        st = sg_classes_from_names(&classes, names, 1, vocab, &err);
    if (st == SG_OK)
        st = sg_stream_from_ids(&text, ids, NULL, T, vowel, vocab, classes, &err);
    if (st == SG_OK)
        st = analyze(&c, ids, vocab, text, classes, argv[1], &err);
    if (st != SG_OK)
        fprintf(stderr, "own_cell: %s\n", err.msg);
    sg_stream_free(text);
    sg_classes_free(classes);
    sg_vocab_free(vocab);
    return st != SG_OK;
}
