/* SPDX-License-Identifier: MIT */
/* sentence MODEL WORD... - the gain from each word of a sentence to the model's state after the last word. */
#include <stategrad/import.h>
#include <stategrad/gradient.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Frobenius norm of n numbers */
static double norm(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* Reads the words; then |G[t,d]|, t the last word, for every delay d. */
static sg_status gains(const sg_model *m, char **words, size_t n, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    const sg_vocab *vocab = sg_model_vocab(m);
    size_t top = shape->layers, size = shape->hidden[top - 1] * shape->embedding;
    sg_state_kind state = sg_cell_default_state(shape->cell);
    sg_gradient *g = NULL;
    float *G = calloc(size, sizeof *G); /* H x E */
    sg_status st = G ? sg_gradient_new(&g, m, n, err) : SG_ENOMEM;
    for (size_t t = 0; st == SG_OK && t < n; t++) {
        int32_t id = sg_vocab_id(vocab, words[t], strlen(words[t]));
        st = sg_gradient_step(g, id < 0 ? sg_vocab_unk(vocab) : id, NULL, err);
    }
    for (size_t t = 0; st == SG_OK && t < n; t++) {
        sg_gradient_get(g, top, state, n - 1 - t, G);
        printf("%-12s %.6g\n", words[t], norm(G, size));
    }
    sg_gradient_free(g);
    free(G);
    return st;
}

int main(int argc, char **argv)
{
    sg_error err = {""};
    sg_model *m = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: sentence MODEL WORD...\n");
        return 2;
    }
    sg_status st = sg_model_load(&m, argv[1], NULL, NULL, &err);
    if (st == SG_OK && !sg_model_vocab(m))
        snprintf(err.msg, sizeof err.msg, "%s reads feature vectors, not words", argv[1]), st = SG_EINVAL;
    if (st == SG_OK)
        st = gains(m, argv + 2, (size_t)argc - 2, &err);
    if (st != SG_OK)
        fprintf(stderr, "sentence: %s\n", err.msg);
    sg_model_free(m);
    return st != SG_OK;
}
