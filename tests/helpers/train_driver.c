/* SPDX-License-Identifier: MIT */
/* What tests/against/pytorch_lm.py compares with PyTorch: models, loss and gradient of a window, curves of
 * SGD.
 *
 *   train_driver new CELL LAYERS V E H TIED OUT     a random model
 *   train_driver gradient MODEL IDS T B OUT         loss on stdout, the gradient as a model file
 *   train_driver curve MODEL IDS T B LR CLIP        the loss of each window, with one step of SGD after each
 * IDS: int32, rows (t, sequence): T+1 rows for gradient, a multiple of T, and one, for curve. */
#include "base/base_internal.h"
#include "train/bptt.h"
#include "train/optimizer.h"

#include <stdlib.h>
#include <string.h>

static int die(const sg_error *err)
{
    fprintf(stderr, "%s\n", err->msg);
    return 1;
}

static int make(char **argv)
{
    sg_error err;
    sg_model *m;
    sg_vocab *v;
    sg_model_shape s = {.layers = (size_t)atoi(argv[3]),
                        .vocabulary = (size_t)atoi(argv[4]),
                        .embedding = (size_t)atoi(argv[5]),
                        .tied = atoi(argv[7]),
                        .has_decoder = true,
                        .eos = true};
    if (!sg_cell_from_name(&s.cell, argv[2]))
        return 2;
    for (size_t k = 0; k < s.layers; k++)
        s.hidden[k] = (size_t)atoi(argv[6]);
    char(*text)[16] = calloc(s.vocabulary, sizeof *text);
    const char **words = calloc(s.vocabulary, sizeof *words);
    for (size_t i = 0; i < s.vocabulary; i++) {
        snprintf(text[i], sizeof *text, i == 0 ? "<unk>" : i == 1 ? "<eos>" : "w%zu", i);
        words[i] = text[i];
    }
    if (sg_vocab_from_words(&v, words, NULL, s.vocabulary, &err) || sg_model_new(&m, &s, v, &err))
        return die(&err);
    sg_model_init_uniform(m, 0.3f, 7);
    float *bias = model_parameters(m, model_block(m)).decoder_bias;
    for (size_t i = 0; i < s.vocabulary; i++)
        bias[i] = 0.01f * (float)(i % 17);
    int code = sg_model_write(m, argv[8], &err) ? die(&err) : 0;
    sg_model_free(m);
    sg_vocab_free(v);
    free(text);
    free(words);
    return code;
}

static int with_ids(int argc, char **argv)
{
    sg_error err;
    sg_model *m;
    sg_bptt *b;
    sg_stepper *s;
    char *ids;
    size_t bytes, T = (size_t)atoi(argv[4]), B = (size_t)atoi(argv[5]), n_words;
    if (sg_model_read(&m, argv[2], &err) || sg_read_file(&ids, &bytes, argv[3], 1u << 30, &err) ||
        bptt_new(&b, m, T, B, 2, &err) || stepper_new(&s, m, SG_SGD, false, 2, &err))
        return die(&err);
    size_t rows = bytes / sizeof(int32_t) / B - 1;
    float *gradient = sg_calloc(model_block_size(m), sizeof *gradient);
    int code = 0;
    for (size_t t = 0; t < rows; t += T) {
        double loss = bptt_window(b, rows - t < T ? rows - t : T, (int32_t *)ids + t * B, 0, 1, gradient);
        printf("%.9g\n", loss);
        if (!strcmp(argv[1], "gradient"))
            break;
        const int32_t *words = bptt_words(b, &n_words);
        double norm = stepper_norm(s, gradient, words, n_words), clip = atof(argv[7]);
        stepper_apply(s, gradient, words, n_words, atof(argv[6]), norm > clip ? clip / (norm + 1e-6) : 1);
    }
    if (argc == 7) {
        memcpy(model_block(m), gradient, model_block_size(m) * sizeof *gradient);
        code = sg_model_write(m, argv[6], &err) ? die(&err) : 0;
    }
    sg_free(gradient);
    sg_free(ids);
    stepper_free(s);
    bptt_free(b);
    sg_model_free(m);
    return code;
}

int main(int argc, char **argv)
{
    if (argc == 9 && !strcmp(argv[1], "new"))
        return make(argv);
    if ((argc == 7 && !strcmp(argv[1], "gradient")) || (argc == 8 && !strcmp(argv[1], "curve")))
        return with_ids(argc, argv);
    return 2;
}
