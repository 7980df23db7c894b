/* SPDX-License-Identifier: MIT */
/* train TRAIN VALID MODEL - a small GRU language model from a text with one sentence per line. */
#include <stategrad/train.h>

#include <math.h>
#include <stdio.h>

static sg_status read_vocab(sg_vocab **vocab, const sg_corpus_config *corpus, sg_error *err)
{
    sg_vocab_config cfg = {.size = 0, .unk = true}; /* all words, and <unk> */
    sg_corpus *c = NULL;
    sg_status st = sg_corpus_open(&c, corpus, err);
    if (st == SG_OK)
        st = sg_vocab_build(vocab, c, &cfg, err);
    sg_corpus_close(c);
    return st;
}

static sg_status train(const char *train_path, const char *valid_path, const char *model_path, sg_error *err)
{
    sg_corpus_config corpus = {.paths = &train_path, .n_paths = 1, .eos = true};
    sg_vocab *vocab = NULL;
    sg_stream *text = NULL, *valid = NULL;
    sg_model *m = NULL;
    sg_train_result result;
    sg_status st = read_vocab(&vocab, &corpus, err);
    if (st == SG_OK)
        st = sg_stream_new(&text, &corpus, vocab, NULL, NULL, err);
    corpus.paths = &valid_path;
    if (st == SG_OK)
        st = sg_stream_new(&valid, &corpus, vocab, NULL, NULL, err);
    if (st == SG_OK) {
        sg_model_shape shape = {.cell = SG_CELL_GRU,
                                .layers = 1,
                                .vocabulary = sg_vocab_size(vocab),
                                .embedding = 16,
                                .hidden = {32},
                                .has_decoder = true,
                                .eos = true};
        st = sg_model_new(&m, &shape, vocab, err);
    }
    if (st == SG_OK) {
        sg_train_config cfg;
        sg_train_defaults(&cfg);
        cfg.optimizer = SG_ADAM;
        cfg.lr = 0.005;
        cfg.epochs = 3;
        cfg.steps = 20;
        st = sg_train(&result, m, text, valid, &cfg, NULL, err);
    }
    if (st == SG_OK)
        st = sg_model_write(m, model_path, err);
    if (st == SG_OK)
        printf("validation perplexity %.4f\n", exp(result.best_valid_nats));
    sg_model_free(m);
    sg_stream_free(valid);
    sg_stream_free(text);
    sg_vocab_free(vocab);
    return st;
}

int main(int argc, char **argv)
{
    sg_error err = {""};
    if (argc != 4) {
        fprintf(stderr, "usage: train TRAIN VALID MODEL\n");
        return 2;
    }
    sg_status st = train(argv[1], argv[2], argv[3], &err);
    if (st != SG_OK)
        fprintf(stderr, "train: %s\n", err.msg);
    return st != SG_OK;
}
