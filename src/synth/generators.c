/* SPDX-License-Identifier: MIT */
/* The kinds of synthetic corpus: their grammar, and what it makes true. */
#include "synth/synth_internal.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

enum { NAME = 32, MAX_DISTANCE = 100 };

/* ---- (a) copy ----
 * A position k after a source is its echo. Any other is free: the end of the line (1 in 25, not at its
 * start), else a source (1 in 4) or a filler. There are as many of each that all 40 words are equally
 * frequent but the echoes. */
enum { SOURCES = 8, FILLERS = 24 };
static const double line_end = 0.04, source_share = 0.25;

static void copy_sentence(synth_writer *w)
{
    int sources[MAX_DISTANCE]; /* ring: the source at each of the last k positions, -1: none */
    char word[NAME];
    assert(w->k);
    for (size_t i = 0; i < w->k; i++)
        sources[i] = -1;
    for (size_t position = 0;; position++) {
        int *slot = &sources[position % w->k];
        double goes_on = position ? 1 - line_end : 1;
        if (*slot >= 0) {
            snprintf(word, sizeof word, "echo%d", *slot);
            synth_put(w, 1, word, "ECHO");
            *slot = -1;
        } else if (position && sg_rng_uniform(&w->rng) < line_end) {
            synth_end(w, line_end);
            return;
        } else if (sg_rng_uniform(&w->rng) < source_share) {
            *slot = (int)sg_rng_below(&w->rng, SOURCES);
            snprintf(word, sizeof word, "source%d", *slot);
            synth_put(w, goes_on * source_share / SOURCES, word, "SRC");
        } else {
            snprintf(word, sizeof word, "filler%d", (int)sg_rng_below(&w->rng, FILLERS));
            synth_put(w, goes_on * (1 - source_share) / FILLERS, word, "FILL");
        }
    }
}

static void list_numbered(FILE *f, const char *name, const char *stem, int from, int to)
{
    fprintf(f, "%s:", name);
    for (int i = from; i < to; i++)
        fprintf(f, " %s%d", stem, i);
    fputc('\n', f);
}

static void copy_words(FILE *f)
{
    list_numbered(f, "source", "source", 0, SOURCES);
    list_numbered(f, "source_a", "source", 0, SOURCES / 2);
    list_numbered(f, "source_b", "source", SOURCES / 2, SOURCES);
    list_numbered(f, "filler", "filler", 0, FILLERS);
    list_numbered(f, "filler_a", "filler", 0, FILLERS / 2);
    list_numbered(f, "filler_b", "filler", FILLERS / 2, FILLERS);
    list_numbered(f, "echo", "echo", 0, SOURCES);
}

/* ---- (b) agreement ----
 * "the NOUN ADVERB{1..n} VERB ADVERB{1..n}", both numbers of adverbs uniform, the verb in the noun's
 * number. */
static const char *const nouns[] = {"cat",    "dog", "bird",  "horse", "teacher",
                                    "doctor", "car", "river", "song",  "king"};
static const char *const verbs[] = {"run", "sleep", "wait", "move", "change", "stop", "appear", "turn"};
static const char *const adverbs[] = {"often",  "never", "today", "slowly", "really", "quickly",
                                      "always", "again", "here",  "there",  "soon",   "badly"};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void agreement_adverbs(synth_writer *w, double *p_stop)
{
    size_t n = 1 + (size_t)sg_rng_below(&w->rng, w->k);
    double left = (double)w->k, p_on = 1;
    for (size_t i = 0; i < n; i++, left -= 1) {
        /* after i adverbs one more follows with probability 1 - 1/(n_max - i + 1); the first always does */
        p_on = i ? left / (left + 1) : 1;
        synth_put(w, p_on / (double)COUNT(adverbs), adverbs[sg_rng_below(&w->rng, COUNT(adverbs))], "RB");
    }
    *p_stop = 1 / (left + 1);
}

static void agreement_sentence(synth_writer *w)
{
    char word[NAME];
    double p_stop;
    bool plural = sg_rng_below(&w->rng, 2);
    synth_put(w, 1, "the", "DT");
    snprintf(word, sizeof word, "%s%s", nouns[sg_rng_below(&w->rng, COUNT(nouns))], plural ? "s" : "");
    synth_put(w, 0.5 / (double)COUNT(nouns), word, plural ? "NNS" : "NN");
    agreement_adverbs(w, &p_stop);
    snprintf(word, sizeof word, "%s%s", verbs[sg_rng_below(&w->rng, COUNT(verbs))], plural ? "" : "s");
    synth_put(w, p_stop / (double)COUNT(verbs), word, plural ? "VBP" : "VBZ");
    agreement_adverbs(w, &p_stop);
    synth_end(w, p_stop);
}

static void agreement_words(FILE *f)
{
    static const char *const names[] = {"singular", "plural", "living", "thing"};
    for (int list = 0; list < 4; list++) {
        fprintf(f, "%s:", names[list]);
        for (size_t i = 0; i < COUNT(nouns); i++) {
            bool living = i < 6 || i == 9;
            if (list == 0 || (list == 2 && living) || (list == 3 && !living))
                fprintf(f, " %s", nouns[i]);
            if (list == 1 || (list == 2 && living) || (list == 3 && !living))
                fprintf(f, " %ss", nouns[i]);
        }
        fputc('\n', f);
    }
}

/* ---- (c) variance ----
 * Three classes of words, each in halves a and b. k tokens after such a word comes an echo that reveals its
 * class and, with probability `right`, its half. wide and narrow are alike in all but the size of the half in
 * the embedding; weak is as small as narrow and reveals less. */
enum { HALF = 4, FEATURES = 3, PLAIN = 26, DIMENSIONS = 10 };
static const struct {
    const char *name, *tag;
    double right, size;
} features[FEATURES] = {
    {"wide", "WIDE", 0.9, 2.0}, {"narrow", "NARROW", 0.9, 0.25}, {"weak", "WEAK", 0.75, 0.25}};
static const double feature_share = 0.16; /* of each class, of the free positions */

static void variance_sentence(synth_writer *w)
{
    int ring[MAX_DISTANCE]; /* 2 * class + half; -1: none */
    char word[NAME];
    assert(w->k);
    for (size_t i = 0; i < w->k; i++)
        ring[i] = -1;
    for (size_t position = 0;; position++) {
        int *slot = &ring[position % w->k];
        double goes_on = position ? 1 - line_end : 1;
        if (*slot >= 0) {
            int c = *slot / 2, half = *slot % 2;
            bool right = sg_rng_uniform(&w->rng) < features[c].right;
            snprintf(word, sizeof word, "%s_was_%c", features[c].name, (half ^ !right) ? 'b' : 'a');
            synth_put(w, right ? features[c].right : 1 - features[c].right, word, "ECHO");
            *slot = -1;
        } else if (position && sg_rng_uniform(&w->rng) < line_end) {
            synth_end(w, line_end);
            return;
        } else if (sg_rng_uniform(&w->rng) < FEATURES * feature_share) {
            int c = (int)sg_rng_below(&w->rng, FEATURES), i = (int)sg_rng_below(&w->rng, 2 * HALF),
                half = i / HALF;
            *slot = 2 * c + half;
            snprintf(word, sizeof word, "%s_%c%d", features[c].name, half ? 'b' : 'a', i % HALF);
            synth_put(w, goes_on * feature_share / (2 * HALF), word, features[c].tag);
        } else {
            snprintf(word, sizeof word, "filler%d", (int)sg_rng_below(&w->rng, PLAIN));
            synth_put(w, goes_on * (1 - FEATURES * feature_share) / PLAIN, word, "FILL");
        }
    }
}

static void variance_words(FILE *f)
{
    char list[NAME];
    for (int c = 0; c < FEATURES; c++)
        for (int half = 0; half < 2; half++) {
            snprintf(list, sizeof list, "%s_%c", features[c].name, half ? 'b' : 'a');
            list_numbered(f, list, list, 0, HALF);
        }
}

/* Dimension c holds class c's half, +size or -size; 3 .. 9 are noise of standard deviation 0.5, the same for
 * word i of either half, so that the difference of the halves' means is exactly 2 size in dimension c. */
static void put_embedding(FILE *f, const char *word, int dimension, double value, const double *noise)
{
    fputs(word, f);
    for (int e = 0; e < DIMENSIONS; e++) {
        double x = e == dimension ? value : e < FEATURES ? 0 : noise[e];
        long long millionths = llround(fabs(x) * 1e6); /* printf's %f would take the locale's decimal comma */
        fprintf(f, " %s%lld.%06lld", x < 0 ? "-" : "", millionths / 1000000, millionths % 1000000);
    }
    fputc('\n', f);
}

static void draw_noise(sg_rng *r, double *noise)
{
    for (int e = 0; e < DIMENSIONS; e++)
        noise[e] = 0.5 * sg_rng_normal(r);
}

static void variance_embeddings(FILE *f, uint64_t seed)
{
    sg_rng r;
    char word[NAME];
    double noise[DIMENSIONS];
    sg_rng_seed(&r, seed, 4);
    fprintf(f, "%d %d\n", FEATURES * 2 * HALF + PLAIN + FEATURES * 2 + 2, DIMENSIONS);
    for (int c = 0; c < FEATURES; c++)
        for (int i = 0; i < HALF; i++) {
            draw_noise(&r, noise);
            for (int half = 0; half < 2; half++) {
                snprintf(word, sizeof word, "%s_%c%d", features[c].name, half ? 'b' : 'a', i);
                put_embedding(f, word, c, half ? -features[c].size : features[c].size, noise);
            }
        }
    for (int i = 0; i < PLAIN; i++) {
        snprintf(word, sizeof word, "filler%d", i);
        draw_noise(&r, noise);
        put_embedding(f, word, -1, 0, noise);
    }
    for (int c = 0; c < FEATURES; c++)
        for (int half = 0; half < 2; half++) {
            snprintf(word, sizeof word, "%s_was_%c", features[c].name, half ? 'b' : 'a');
            draw_noise(&r, noise);
            put_embedding(f, word, -1, 0, noise);
        }
    draw_noise(&r, noise);
    put_embedding(f, "<eos>", -1, 0, noise);
    draw_noise(&r, noise);
    put_embedding(f, "<unk>", -1, 0, noise);
}

/* ---- (d) independent ---- */
enum { WORDS = 40 };
static const double long_line_end = 0.02;

static void independent_sentence(synth_writer *w)
{
    char word[NAME];
    for (bool first = true; first || sg_rng_uniform(&w->rng) >= long_line_end; first = false) {
        int i = (int)sg_rng_below(&w->rng, WORDS);
        snprintf(word, sizeof word, "%c%d", i % 2 ? 'b' : 'a', i / 2);
        synth_put(w, (first ? 1 : 1 - long_line_end) / WORDS, word, i % 2 ? "B" : "A");
    }
    synth_end(w, long_line_end);
}

static void independent_words(FILE *f)
{
    list_numbered(f, "a", "a", 0, WORDS / 2);
    list_numbered(f, "b", "b", 0, WORDS / 2);
}

/* ---- the table ---- */

const synth_kind synth_kinds[SG_SYNTH_KINDS] = {
    [SG_SYNTH_COPY] =
        {"copy", "a word comes back as its echo k tokens later; only that word matters", 4, copy_sentence,
         copy_words, NULL, NULL,
         "Tags: SRC (source0 .. source7), ECHO, FILL. A token k = %zu positions after a SRC word is\n"
         "that word's echo, always; every other token is drawn by itself (a SRC word 1 in 4, else a\n"
         "FILL word; the line ends 1 in 25, and what is pending then is dropped). All SRC and FILL\n"
         "words are equally frequent. So the state that predicts the echo is the one k-1 tokens after\n"
         "the SRC word:\n"
         "  - SRC words are needed at delays 0 .. k-1, most visibly (hidden state) at delay k-1, and\n"
         "    not at k and later;\n"
         "  - FILL words are never needed, nor is which ECHO it was;\n"
         "  - the property source_a - source_b is needed up to delay k-1, filler_a - filler_b is not.\n",
         "stategrad train train.txt --format tagged --valid valid.txt --embedding-size 16 \\\n"
         "  --hidden-size 48 --lr 0.01 --lr-decay 1 --dropout 0 --steps 25 --batch 20 --epochs 8 \\\n"
         "  -o model.safetensors\n"
         "stategrad analyze model.safetensors test.txt --format tagged --classes tags \\\n"
         "  --classes words:words.txt --property source=source_a-source_b \\\n"
         "  --property filler=filler_a-filler_b --state hidden --delays 12 -o run.nc\n"},
    [SG_SYNTH_AGREEMENT] =
        {"agreement", "the number of a noun decides its verb after 1 .. n adverbs", 4, agreement_sentence,
         agreement_words, NULL, NULL,
         "Sentences are \"the NOUN ADVERB.. VERB ADVERB..\", each run of adverbs 1 .. n = %zu long,\n"
         "every length equally likely; tags DT, NN, NNS, RB, VBZ, VBP. The verb agrees with the noun\n"
         "in number, always; nothing else depends on anything. The verb stands 2 .. n+1 tokens after\n"
         "the noun, so the states that need the number are those at delay 0 and 1 (always) and d = 2\n"
         ".. n (in n-d+1 of n sentences); from delay n+1 on none does.\n"
         "  - the property number = NNS - NN of the classes NN and NNS is needed up to delay n, and\n"
         "    dropped after it (see its gain, relative memory times sigma_1: both fall where all is\n"
         "    forgotten);\n"
         "  - the property life = living - thing of the same nouns is needed nowhere.\n",
         "stategrad train train.txt --format tagged --valid valid.txt --embedding-size 16 \\\n"
         "  --hidden-size 32 --lr 0.01 --lr-decay 1 --dropout 0 --steps 25 --batch 20 --epochs 6 \\\n"
         "  -o model.safetensors\n"
         "stategrad analyze model.safetensors test.txt --format tagged --classes tags \\\n"
         "  --classes words:words.txt --property number=NNS-NN --property life=living-thing \\\n"
         "  --state hidden --delays 12 -o run.nc\n"},
    [SG_SYNTH_VARIANCE] =
        {"variance", "features of equal use, but of unequal variance in the embeddings", 3, variance_sentence,
         variance_words, variance_embeddings, NULL,
         "Tags: WIDE, NARROW, WEAK, ECHO, FILL. The words of WIDE, NARROW and WEAK come in halves a\n"
         "and b. A token k = %zu positions after such a word is an echo that names its class, and its\n"
         "half: the right one with probability 0.9 (WIDE, NARROW) or 0.75 (WEAK). Every other token is\n"
         "drawn by itself. All these words are equally frequent. Use embeddings.txt as it is (frozen):\n"
         "there the half is one dimension of its own, +-2 for WIDE, +-0.25 for NARROW and WEAK,\n"
         "uncorrelated with all others.\n"
         "  - the halves of WIDE and NARROW are needed equally, at delays 0 .. k-1 (log odds 2.2 in\n"
         "    the prediction), that of WEAK half as much (1.1): the gain of the properties wide and\n"
         "    narrow must lie above that of weak;\n"
         "  - with --normalize covariance it does: wide and narrow, both well above weak. (That they\n"
         "    come out as equals can be expected to a factor of two or three only: a mean of slopes is\n"
         "    not the use itself, and a feature of finite size saturates. One training alone may even\n"
         "    put narrow close to weak: average a few --seed.)\n"
         "  - with --normalize none the gradient is 8 times larger where the embedding is 8 times\n"
         "    smaller: narrow, then weak, then wide. The least used is ranked above one of the most\n"
         "    used: wrong.\n",
         "stategrad train train.txt --format tagged --valid valid.txt --embeddings embeddings.txt \\\n"
         "  --freeze-embeddings --embedding-size 10 --hidden-size 32 --lr 0.01 \\\n"
         "  --lr-decay 1 --dropout 0 --steps 25 --batch 20 --epochs 5 -o model.safetensors\n"
         "for n in covariance none; do stategrad analyze model.safetensors test.txt --format tagged \\\n"
         "  --classes tags --classes words:words.txt --property wide=wide_a-wide_b \\\n"
         "  --property narrow=narrow_a-narrow_b --property weak=weak_a-weak_b --normalize $n \\\n"
         "  --state hidden --delays 12 -o run-$n.nc; done\n"},
    [SG_SYNTH_INDEPENDENT] =
        {"independent", "words are drawn independently: no memory is needed", 1, independent_sentence,
         independent_words, NULL, NULL,
         "40 equally likely words, half of them tagged A (a0 .. a19), half B (b0 .. b19), each drawn\n"
         "by itself; after every word the line ends 1 in 50 (no line is empty: after <eos> a word\n"
         "follows, the only dependence there is).\n"
         "  - no model predicts better than the entropy below; there is nothing to remember at any\n"
         "    delay;\n"
         "  - the classes A and B do not differ: differences and the property ab are null, p-values\n"
         "    are uniform.\n",
         "stategrad train train.txt --format tagged --valid valid.txt --embedding-size 16 \\\n"
         "  --hidden-size 32 --lr 0.003 --dropout 0 --steps 25 --batch 20 \\\n"
         "  --epochs 2 -o model.safetensors\n"
         "stategrad analyze model.safetensors test.txt --format tagged --classes tags \\\n"
         "  --property ab=A-B --state hidden --delays 12 -o run.nc\n"},
    [SG_SYNTH_LATCH] =
        {"latch", "one bit is kept for ever, and no gradient shows it; with the model that does so", 100,
         latch_sentence, latch_words, NULL, latch_model,
         "A line is \"SWITCH word word ...\". SWITCH is \"on\" or \"off\", with equal probability (tags ON, OFF). Each\n"
         "later word is, 1 in 10, the echo of the SWITCH (echo_on or echo_off, tag ECHO), else one of 8\n"
         "fillers (FILL). The line ends after each word with probability 1/(2k), k = %zu.\n"
         "model.safetensors is an LSTM made by hand that predicts as well as anything can. Its first unit\n"
         "holds +1 after \"on\" and -1 after \"off\" until the next SWITCH, with saturated gates:\n"
         "  - \"off\" in the place of \"on\" moves the cell by 2, at every later delay of the line;\n"
         "  - the gradient with respect to the SWITCH is about 5e-7 at every delay: a small change of a\n"
         "    saturated input does nothing. Gradients measure sensitivity, not memory.\n",
         "stategrad eval model.safetensors test.txt --format tagged\n"
         "stategrad analyze model.safetensors test.txt --format tagged --classes words:words.txt \\\n"
         "  --property bit=on-off --state-handling reset --delays 20 -o run.nc\n"},
};
