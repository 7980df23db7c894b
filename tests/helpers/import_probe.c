/* SPDX-License-Identifier: MIT */
/* What the library makes of a foreign model, for tests/import_*.py to compare: loads it, runs it over inputs,
 * writes states, state gradients and scores as float32.
 *
 *   import_probe MODEL IDS|FEATURES D OUT [ROLE=TENSOR | --forget-bias X | --cell C | --output N]...
 *
 * Inputs: a file of int32 ids, or of float32 features (a model without embedding). Out, in this order: for
 * each layer h_t of every step, and c_t (LSTM); for each layer d h_T / d x_{T-d}, d = 0 .. D-1; scores of the
 * last step. */
#include "stategrad/gradient.h"
#include "stategrad/import.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(sg_status st, const sg_error *err)
{
    if (st == SG_OK)
        return;
    fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

static void put(FILE *f, const float *x, size_t n)
{
    if (fwrite(x, sizeof *x, n, f) != n)
        exit(2);
}

static void put_scores(FILE *f, const sg_model *m, const float *h)
{
    const sg_model_shape *s = sg_model_get_shape(m);
    const sg_tensor *W = sg_model_find(m, s->tied ? "encoder.weight" : "decoder.weight");
    const sg_tensor *b = sg_model_find(m, "decoder.bias");
    for (size_t v = 0; v < W->rows; v++) {
        double sum = b ? b->data[v] : 0;
        for (size_t k = 0; k < W->cols; k++) {
            double x = h[k];
            x = s->output == SG_OUTPUT_RELU ? fmax(x, 0) : s->output == SG_OUTPUT_TANH ? tanh(x) : x;
            sum += W->data[v * W->cols + k] * x;
        }
        float score = (float)sum;
        put(f, &score, 1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    sg_import_config cfg;
    const char *maps[64];
    sg_import_defaults(&cfg);
    cfg.maps = maps;
    cfg.numbered_vocabulary = true;
    for (int i = 5; i < argc; i++) {
        if (!strcmp(argv[i], "--forget-bias"))
            cfg.forget_bias = atof(argv[++i]);
        else if (!strcmp(argv[i], "--gate-order"))
            cfg.gate_order = argv[++i];
        else if (!strcmp(argv[i], "--recurrent-activation"))
            cfg.recurrent_activation = argv[++i];
        else if (!strcmp(argv[i], "--transposed"))
            cfg.transposed = true;
        else if (!strcmp(argv[i], "--one-hot"))
            cfg.one_hot = true;
        else if (!strcmp(argv[i], "--forward-only"))
            cfg.forward_only = true;
        else if (!strcmp(argv[i], "--output"))
            cfg.output = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--cell")) {
            sg_cell c;
            if (!sg_cell_from_name(&c, argv[++i]))
                return 2;
            cfg.cell = (int)c;
        } else
            maps[cfg.n_maps++] = argv[i];
    }
    sg_error err = {""};
    sg_model *m;
    must(sg_model_load(&m, argv[1], &cfg, NULL, &err), &err);
    const sg_model_shape *s = sg_model_get_shape(m);
    size_t D = (size_t)atoi(argv[3]), E = s->embedding, T = 0;
    static unsigned char input[1 << 20];
    FILE *in = fopen(argv[2], "rb"), *out = fopen(argv[4], "wb");
    if (!in || !out)
        return 2;
    size_t bytes = fread(input, 1, sizeof input, in), width = s->vocabulary ? 4 : 4 * E;
    fclose(in);
    T = bytes / width;
    sg_gradient *g;
    must(sg_gradient_new(&g, m, D, &err), &err);
    float *states[2][SG_MAX_LAYERS] = {{0}};
    for (size_t l = 0; l < s->layers; l++)
        for (int k = 0; k < 2; k++)
            states[k][l] = calloc(T * s->hidden[l], sizeof(float));
    for (size_t t = 0; t < T; t++) {
        int32_t id = 0;
        memcpy(&id, input + 4 * t, 4);
        must(sg_gradient_step(g, s->vocabulary ? id : 0, s->vocabulary ? NULL : (float *)input + t * E, &err),
             &err);
        for (size_t l = 0; l < s->layers; l++) {
            size_t n = s->hidden[l];
            memcpy(states[0][l] + t * n, sg_gradient_state(g, l + 1, SG_STATE_HIDDEN), n * sizeof(float));
            if (sg_cell_states(s->cell) & SG_STATE_CELL)
                memcpy(states[1][l] + t * n, sg_gradient_state(g, l + 1, SG_STATE_CELL), n * sizeof(float));
        }
    }
    for (size_t l = 0; l < s->layers; l++)
        for (int k = 0; k < (sg_cell_states(s->cell) & SG_STATE_CELL ? 2 : 1); k++)
            put(out, states[k][l], T * s->hidden[l]);
    for (size_t l = 0; l < s->layers; l++)
        for (size_t d = 0; d < D; d++) {
            float *G = calloc(s->hidden[l] * E, sizeof *G);
            sg_gradient_get(g, l + 1, SG_STATE_HIDDEN, d, G);
            put(out, G, s->hidden[l] * E);
            free(G);
        }
    if (s->has_decoder)
        put_scores(out, m, sg_gradient_state(g, s->layers, SG_STATE_HIDDEN));
    for (size_t l = 0; l < s->layers; l++)
        for (int k = 0; k < 2; k++)
            free(states[k][l]);
    sg_gradient_free(g);
    sg_model_free(m);
    return fclose(out) ? 2 : 0;
}
