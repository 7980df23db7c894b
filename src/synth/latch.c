/* SPDX-License-Identifier: MIT */
/* A corpus and the LSTM that is its best predictor, both made by hand: one bit is remembered for ever, and no
 * gradient shows it.
 *
 *   corpus   a line is "SWITCH word word ...". SWITCH is "on" or "off". Later words are "echo_on" or
 *            "echo_off", whichever agrees with the last SWITCH (1 in 10), else fillers. The line ends after
 *            each word with probability 1/(2k).
 *   input    x = (sign, switch, eos, a, b)   sign +1 "on", -1 "off", else 0;  switch, eos: 1 or 0;  a, b:
 *            noise
 *   unit 0   i = sigmoid(40 switch - 20)   f = 1 - i   g = tanh(9 sign):   c = +-1 until the next SWITCH
 *   unit 1   i = 1, f = 0, g = tanh(20 eos):   c = 1 right after a line's end, else 0
 *
 * g is saturated: d c_t / d x_s = 9 (1 - tanh(9)^2) = 5e-7 at every delay, while "off" for "on" moves c_t by
 * 2. */
#include "synth/synth_internal.h"

#include "stategrad/lm.h"

#include <math.h>
#include <stdio.h>

enum { FILLERS = 8, INPUTS = 5, UNITS = 2, GATES = 4, FIXED = 6, WORDS = FIXED + FILLERS };
enum { EOS, UNK, ON, OFF, ECHO_ON, ECHO_OFF }; /* ids; fillers follow */
enum { SIGN, SWITCH, END, NOISE };             /* inputs */
enum { INPUT_GATE, FORGET_GATE, CELL_GATE, OUTPUT_GATE };
static const char *const fixed_words[FIXED] = {"<eos>", "<unk>", "on", "off", "echo_on", "echo_off"};
static const double echo_share = 0.1;

static double line_end(size_t k)
{
    return 0.5 / (double)k;
}

void latch_sentence(synth_writer *w)
{
    const double p_end = line_end(w->k), goes_on = 1 - p_end;
    char word[32];
    bool on = sg_rng_below(&w->rng, 2);
    synth_put(w, 0.5, on ? "on" : "off", on ? "ON" : "OFF");
    while (sg_rng_uniform(&w->rng) >= p_end) {
        if (sg_rng_uniform(&w->rng) < echo_share) {
            synth_put(w, goes_on * echo_share, on ? "echo_on" : "echo_off", "ECHO");
        } else {
            snprintf(word, sizeof word, "filler%d", (int)sg_rng_below(&w->rng, FILLERS));
            synth_put(w, goes_on * (1 - echo_share) / FILLERS, word, "FILL");
        }
    }
    synth_end(w, p_end);
}

void latch_words(FILE *f)
{
    fprintf(f, "switch: on off\non: on\noff: off\necho: echo_on echo_off\nfiller:");
    for (int i = 0; i < FILLERS; i++)
        fprintf(f, " filler%d", i);
    fputc('\n', f);
}

static void set_embeddings(float *x, uint64_t seed) /* (WORDS, INPUTS), zero */
{
    sg_rng r;
    sg_rng_seed(&r, seed, 5);
    x[ON * INPUTS + SIGN] = 1;
    x[OFF * INPUTS + SIGN] = -1;
    x[ON * INPUTS + SWITCH] = x[OFF * INPUTS + SWITCH] = 1;
    x[EOS * INPUTS + END] = 1;
    for (size_t w = 0; w < WORDS; w++)
        for (size_t e = NOISE; e < INPUTS; e++)
            x[w * INPUTS + e] = (float)sg_rng_normal(&r);
}

/* Rows i, f, g, o of UNITS each. */
static void set_cell(float *W_ih, float *b_ih)
{
    const float open = 20;
    float *i = b_ih + INPUT_GATE * UNITS, *f = b_ih + FORGET_GATE * UNITS, *o = b_ih + OUTPUT_GATE * UNITS;
    W_ih[(INPUT_GATE * UNITS + 0) * INPUTS + SWITCH] = 2 * open, i[0] = -open;
    W_ih[(FORGET_GATE * UNITS + 0) * INPUTS + SWITCH] = -2 * open, f[0] = open;
    W_ih[(CELL_GATE * UNITS + 0) * INPUTS + SIGN] = 9;
    W_ih[(CELL_GATE * UNITS + 1) * INPUTS + END] = open;
    i[1] = open, f[1] = -open;
    o[0] = o[1] = open;
}

/* logits = log p of the next word, which depends on h_0 = +-tanh(1) (the last SWITCH) and on h_1 = tanh(1)
 * after a line's end, else 0: bias + u h_0 + v h_1. */
static void set_decoder(float *W, float *b, size_t k)
{
    const double h = tanh(1), never = -20, p_end = line_end(k), goes_on = 1 - p_end;
    const double log_echo = log(goes_on * echo_share), log_filler = log(goes_on * (1 - echo_share) / FILLERS);
    for (size_t w = 0; w < WORDS; w++) {
        bool is_switch = w == ON || w == OFF, is_echo = w == ECHO_ON || w == ECHO_OFF;
        double inside = w == EOS                ? log(p_end)
                        : w == UNK || is_switch ? never
                        : is_echo               ? log_echo
                                                : log_filler;
        double u = is_echo ? (log_echo - never) / (2 * h) : 0;
        W[w * UNITS + 0] = (float)(w == ECHO_OFF ? -u : u);
        W[w * UNITS + 1] = (float)((is_switch ? log(0.5) - never : never) / h);
        b[w] = (float)(inside - u * h);
    }
}

sg_status latch_model(const char *path, const sg_synth_config *cfg, size_t k, sg_error *err)
{
    sg_status st = SG_OK;
    sg_vocab *vocab = NULL;
    sg_model *m = NULL;
    char fillers[FILLERS][32];
    const char *words[WORDS];
    sg_model_shape shape = {.cell = SG_CELL_LSTM,
                            .layers = 1,
                            .vocabulary = WORDS,
                            .embedding = INPUTS,
                            .hidden = {UNITS},
                            .has_decoder = true,
                            .unit = SG_UNIT_WORD,
                            .eos = true};
    for (size_t w = 0; w < WORDS; w++) {
        if (w >= FIXED)
            snprintf(fillers[w - FIXED], sizeof fillers[0], "filler%zu", w - FIXED);
        words[w] = w < FIXED ? fixed_words[w] : fillers[w - FIXED];
    }
    TRY(sg_vocab_from_words(&vocab, words, NULL, WORDS, err));
    TRY(sg_model_new(&m, &shape, vocab, err));
    set_embeddings(sg_model_find(m, "encoder.weight")->data, cfg->seed);
    set_cell(sg_model_find(m, "rnn.weight_ih_l0")->data, sg_model_find(m, "rnn.bias_ih_l0")->data);
    set_decoder(sg_model_find(m, "decoder.weight")->data, sg_model_find(m, "decoder.bias")->data, k);
    TRY(sg_model_set_meta(m, "made_by", "stategrad synth --kind latch", err));
    TRY(sg_model_write(m, path, err));
done:
    sg_model_free(m);
    sg_vocab_free(vocab);
    return st;
}
