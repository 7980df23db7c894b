/* SPDX-License-Identifier: MIT */
/* What a run found, on the terminal: a small table, curves in one line each, the law of decay. */
#include "summary.h"

#include "stategrad/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS = 6,
    CURVE = 32,
    MAX_CLASSES = 40,
    NAME_WIDTH = 20,  /* "rank 100001-1000000" */
    LABEL_WIDTH = 28, /* "subject-verb, no attractor" */
    RMS_GAIN = 2      /* among the fitted series */
};
static const char HEADLINE[] = "rms_gain";

/* By delay, the first of (class, delay, rank) or (class, delay) of one class, (D); false: cannot be read */
static bool read_curve(const sg_run *r, const char *group, const char *variable, size_t c, double *x)
{
    size_t start[] = {c, 0, 0}, count[] = {1, sg_run_delays(r), 1}, rank, shape[SG_RUN_MAX_DIMS];
    return sg_run_shape(r, group, variable, &rank, shape) && rank >= 2 && rank <= 3 &&
           sg_run_read(r, group, variable, start, count, x, NULL) == SG_OK;
}

static bool has_group(const sg_run *r, const char *group)
{
    for (size_t g = 0; g < sg_run_groups(r); g++)
        if (!strcmp(sg_run_group_name(r, g), group))
            return true;
    return false;
}

/* The values a line of blocks spans: the largest, and the smallest or a thousandth of the largest. */
typedef struct {
    double low, high;
    bool ascii;
} scale;

static void print_block(int level, bool ascii)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char plain[] = "_.-=+*%#";
    if (ascii)
        putchar(plain[level]);
    else
        fputs(blocks[level], stdout);
}

/* A line of blocks on the log scale; x (D). */
static void print_curve(const double *x, size_t D, const scale *s)
{
    size_t width = D < CURVE ? D : CURVE;
    for (size_t i = 0; i < width; i++) {
        double y = x[width > 1 ? i * (D - 1) / (width - 1) : 0];
        double level = s->high > s->low ? 7 * log(y / s->low) / log(s->high / s->low) : 7;
        if (isfinite(y))
            print_block(level > 0 ? (int)fmin(level + 0.5, 7) : 0, s->ascii);
        else
            putchar('?');
    }
}

static size_t pick_delays(size_t D, size_t *picked)
{
    static const size_t wanted[COLUMNS - 1] = {0, 1, 5, 10, 20};
    size_t n = 0;
    for (size_t i = 0; i < COLUMNS - 1; i++)
        if (wanted[i] < D)
            picked[n++] = wanted[i];
    if (picked[n - 1] != D - 1)
        picked[n++] = D - 1;
    return n;
}

/* At most `most` characters, padded. */
static void print_cut(const char *name, int most)
{
    int width = 0;
    const char *p = name = shown(name);
    for (; *p && width + ((*p & 0xc0) != 0x80) <= most; p++)
        width += (*p & 0xc0) != 0x80;
    printf("%.*s%*s", (int)(p - name), name, most - width, "");
}

static void print_name(const char *name)
{
    print_cut(name, NAME_WIDTH);
}

static double read_one(const sg_run *r, const char *group, const char *variable, size_t c, size_t q, size_t l,
                       bool law)
{
    double x = NAN;
    size_t start[] = {c, q, l}, count[] = {1, 1, 1}, rank, shape[SG_RUN_MAX_DIMS];
    if (!sg_run_shape(r, group, variable, &rank, shape) || (rank != (law ? 3 : 2) && (rank != 1 || q)) ||
        (rank > 1 && shape[1] <= q) || (law && shape[2] <= l) ||
        sg_run_read(r, group, variable, start, count, &x, NULL) != SG_OK)
        return NAN;
    return x;
}

/* "class all, delay 0: REASON (and 3 more)" without its place and its count. */
const char *why_missing(sg_run *r, const char *group, const char *variable, char text[256])
{
    const char *why = sg_run_variable_attribute(r, group, variable, "missing_reason");
    const char *colon = why ? strstr(why, ": ") : NULL;
    snprintf(text, 256, "%s", colon ? colon + 2 : why ? why : "unknown");
    char *count = strstr(text, " (and ");
    if (count)
        *count = 0;
    sg_printable(text);
    return text;
}

/* What one delay is. */
static const char *step_of(const sg_run *r)
{
    const char *unit = sg_run_attribute(r, "unit");
    return unit && !strcmp(unit, "char") ? "character" : "word";
}

/* The law of the rms gain of class "all" as a sentence. */
static void print_decay(sg_run *r, const char *group)
{
    sg_decay d = {.points = sg_run_delays(r) - 1};
    char text[800], why[3][256];
    for (size_t l = 0; l < SG_DECAY_LAWS; l++) {
        sg_decay_fit *f = &d.fit[l];
        f->scale = read_one(r, group, "decay_scale", 0, RMS_GAIN, l, true);
        f->scale_error = read_one(r, group, "decay_scale_error", 0, RMS_GAIN, l, true);
        f->rate = read_one(r, group, "decay_rate", 0, RMS_GAIN, l, true);
        f->rate_error = read_one(r, group, "decay_rate_error", 0, RMS_GAIN, l, true);
        f->shape = read_one(r, group, "decay_shape", 0, RMS_GAIN, l, true);
        f->shape_error = read_one(r, group, "decay_shape_error", 0, RMS_GAIN, l, true);
        f->residual = read_one(r, group, "decay_residual", 0, RMS_GAIN, l, true);
        f->aic = read_one(r, group, "decay_aic", 0, RMS_GAIN, l, true);
        f->misfit_p = read_one(r, group, "decay_misfit_p", 0, RMS_GAIN, l, true);
    }
    d.beta.value = d.fit[SG_DECAY_STRETCHED].shape;
    d.beta.low = read_one(r, group, "decay_shape_low", 0, RMS_GAIN, SG_DECAY_STRETCHED, true);
    d.beta.high = read_one(r, group, "decay_shape_high", 0, RMS_GAIN, SG_DECAY_STRETCHED, true);
    if (!isfinite(d.beta.low))
        d.beta.missing = why_missing(r, group, "decay_shape_low", why[0]);
    if (!isfinite(d.fit[0].scale) && !isfinite(d.fit[1].scale))
        d.missing = why_missing(r, group, "decay_scale", why[1]);
    sg_decay_decide(&d);
    double peak = read_one(r, group, "peak_delay", 0, RMS_GAIN, 0, false);
    d.peak = isfinite(peak) ? (size_t)peak : 0;
    for (size_t s = 0; s < SG_DECAY_SHARES; s++) {
        d.left[s].value = read_one(r, group, "share_delay", 0, RMS_GAIN, s, true);
        d.left[s].low = read_one(r, group, "share_delay_low", 0, RMS_GAIN, s, true);
        d.left[s].high = read_one(r, group, "share_delay_high", 0, RMS_GAIN, s, true);
    }
    if (!isfinite(d.left[0].value))
        d.left[0].missing = why_missing(r, group, "half_life", why[2]);
    sg_decay_sentence(text, sizeof text, "the rms gain", step_of(r), &d);
    printf("  %s: %s.\n", shown(sg_run_class_name(r, 0)), text);
}

/* Class "all" of a (class, delay) variable at delay d; NaN where it is missing. */
static double read_at(const sg_run *r, const char *group, const char *variable, size_t d)
{
    return read_one(r, group, variable, 0, d, 0, false);
}

/* Number of the series in decay_quantity; the number of series where it is none of them. */
static size_t series_of(sg_run *r, const char *name)
{
    size_t rank, shape[SG_RUN_MAX_DIMS] = {0};
    if (!sg_run_shape(r, NULL, "decay_quantity", &rank, shape))
        return 0;
    for (size_t q = 0; q < shape[0]; q++) {
        char *text = NULL;
        bool it =
            sg_run_read_string(r, NULL, "decay_quantity", q, &text, NULL) == SG_OK && !strcmp(text, name);
        sg_string_free(text);
        if (it)
            return q;
    }
    return shape[0];
}

void print_range(double low, double high)
{
    if (isfinite(low) && isfinite(high))
        printf(" (%.3g to %.3g)", low, high);
}

/* What replacing a word does to the state and to the next word: the effect first, then how long it lasts. */
static void print_replacement(sg_run *r, const char *group)
{
    const char *step = step_of(r);
    const char *dot = strrchr(group, '.'), *state = dot && !strcmp(dot, ".cell") ? "cell" : "hidden state";
    const size_t q = series_of(r, "change of state"), D = sg_run_delays(r);
    double change = read_at(r, group, "state_change", 0), kl = read_at(r, group, "output_kl", 0);
    double peak = read_one(r, group, "peak_delay", 0, q, 0, false),
           half = read_one(r, group, "half_life", 0, q, 0, false);
    if (!isfinite(change))
        return;
    printf("  all: replacing a %s by another changes the %s by %.3g", step, state, change);
    print_range(read_at(r, group, "state_change_low", 0), read_at(r, group, "state_change_high", 0));
    fputs(" at delay 0; ", stdout);
    if (isfinite(half)) {
        printf("half of the change at delay %.0f is left %.3g %ss later", peak, half, step);
        print_range(read_one(r, group, "half_life_low", 0, q, 0, false),
                    read_one(r, group, "half_life_high", 0, q, 0, false));
    } else
        printf("at delay %zu it is %.3g", D - 1, read_at(r, group, "state_change", D - 1));
    if (isfinite(kl)) {
        printf("; the prediction of the next %s at delay 0 by %.3g nats of Kullback-Leibler divergence", step,
               kl);
        print_range(read_at(r, group, "output_kl_low", 0), read_at(r, group, "output_kl_high", 0));
    }
    double linear = read_at(r, group, "linear_prediction", 0);
    printf(".\n       The gradient predicts a change of %.3g", linear);
    print_range(read_at(r, group, "linear_prediction_low", 0),
                read_at(r, group, "linear_prediction_high", 0));
    printf(" at delay 0; its squared error is %.3g times the squared change\n       (0: exact; 1: no better "
           "than predicting no change).\n",
           read_at(r, group, "infidelity", 0));
}

/* "0.34 (0.31 to 0.37)" of entry (i, d) of a variable and its bounds; "-": missing. */
static void print_span(const sg_run *r, const char *group, const char *variable, size_t i, size_t d,
                       int width)
{
    static const char *const suffixes[] = {"", "_low", "_high"};
    double x[3];
    char text[64] = "-", name[64];
    for (size_t v = 0; v < 3; v++) {
        snprintf(name, sizeof name, "%s%s", variable, suffixes[v]);
        x[v] = read_one(r, group, name, i, d, 0, false);
    }
    if (isfinite(x[1]))
        snprintf(text, sizeof text, "%.3g (%.3g to %.3g)", x[0], x[1], x[2]);
    else if (isfinite(x[0]))
        snprintf(text, sizeof text, "%.3g", x[0]);
    printf("  %-*s", width, text);
}

/* Delays of the tables of classes: 1 and 10, where they exist. */
static size_t few_delays(size_t D, size_t at[2])
{
    at[0] = D > 1 ? 1 : 0, at[1] = D > 11 ? 10 : D - 1;
    return at[1] > at[0] ? 2 : 1;
}

/* Each class: a word of it replaced by any other word, and by another of the class. */
static void print_replaced_classes(sg_run *r, const char *group)
{
    static const char *const variables[] = {"state_change", "within_state_change"};
    static const char *const heads[] = {"any word", "of its class"};
    size_t order[MAX_CLASSES], C = classes_in_order(r, order, MAX_CLASSES), at[2],
                               n = few_delays(sg_run_delays(r), at);
    if (C < 2 || isnan(read_one(r, group, variables[0], 0, 0, 0, false)))
        return;
    printf(
        "\n%s: change of the state when a word is replaced by any word, and by another of its class (mean; 95 %% "
        "interval)\n  %-*s %9s",
        shown(group), NAME_WIDTH, "class", "replaced");
    for (size_t k = 0; k < 2 * n; k++) {
        char head[48];
        snprintf(head, sizeof head, "%s, delay %zu", heads[k % 2], at[k / 2]);
        printf("  %-*s", k + 1 < 2 * n ? 22 : 0, head);
    }
    putchar('\n');
    for (size_t row = 1; row < C; row++) {
        const size_t c = order[row];
        fputs("  ", stdout);
        print_name(sg_run_class_name(r, c));
        printf(" %9.0f", fmax(0, read_one(r, group, "replaced_pairs", c, 0, 0, false))); /* NaN: none */
        for (size_t k = 0; k < 2 * n; k++)
            print_span(r, group, variables[k % 2], c, at[k / 2], k + 1 < 2 * n ? 22 : 0);
        putchar('\n');
    }
}

/* The mean gradient: how large, and how much the contributions cancel in it. x: room for D */
static void print_mean(const sg_run *r, const char *group, double *x)
{
    size_t D = sg_run_delays(r), last = D - 1;
    if (!read_curve(r, group, "singular_value", 0, x))
        return;
    printf("  %s, mean gradient: sigma_1 %.3g at delay 0, %.3g at delay %zu", shown(sg_run_class_name(r, 0)),
           x[0], x[last], last);
    if (read_curve(r, group, "coherence", 0, x))
        printf(
            "; coherence %.2g and %.2g (1: the same linear map at every position; near 0: contributions cancel)",
            x[0], x[last]);
    puts("");
}

/* "+n -m": at how many delays the ratio lies above and below 1, or the range of random words, with adjusted p
 * < 0.05; "-" where there is no test. */
static void print_counts(const double *ratio, const double *p, size_t D, int width)
{
    size_t above = 0, below = 0, known = 0;
    for (size_t d = 0; d < D; d++) {
        known += isfinite(p[d]) ? 1 : 0;
        above += p[d] < 0.05 && ratio[d] > 0;
        below += p[d] < 0.05 && !(ratio[d] > 0);
    }
    char text[48] = "-";
    if (known)
        snprintf(text, sizeof text, "+%zu -%zu", above, below);
    printf("  %-*s", width, text);
}

/* "1.42 (1.38 to 1.46)", and the p-value of the kind of word. */
static void print_ratio(double ratio, double low, double high, double p)
{
    char text[64] = "-", chance[32] = "-";
    if (isfinite(low))
        snprintf(text, sizeof text, "%.3g (%.3g to %.3g)", ratio, low, high);
    else if (isfinite(ratio))
        snprintf(text, sizeof text, "%.3g", ratio);
    if (isfinite(p))
        snprintf(chance, sizeof chance, p < 0.0005 ? "<.001" : "%.3f", p);
    printf("  %-22s %5s", text, chance);
}

/* Each class relative to all words. x: room for 7 D */
static void print_ratios(sg_run *r, const char *group, double *x)
{
    static const char *const names[] = {"gain_ratio",       "gain_ratio_low",    "gain_ratio_high", "p_types",
                                        "p_types_adjusted", "p_tokens_adjusted", "types_null_high"};
    enum { RATIO, LOW, HIGH, P, TYPES, TOKENS, CHANCE, N };
    size_t order[MAX_CLASSES], C = classes_in_order(r, order, MAX_CLASSES), D = sg_run_delays(r), at[2],
                               columns = few_delays(D, at);
    double *of[N];
    for (size_t i = 0; i < N; i++)
        of[i] = x + i * D;
    if (C < 2 || !read_curve(r, group, "gain_ratio", 1, of[RATIO]))
        return;
    printf(
        "\n%s: gain of each class over that of all words (root mean square, all directions; 95 %% interval)\n  %-*s",
        shown(group), NAME_WIDTH, "class");
    for (size_t k = 0; k < columns; k++) {
        char head[32];
        snprintf(head, sizeof head, "delay %zu", at[k]);
        printf("  %-22s %5s", head, "p");
    }
    puts("  kind of word   set of tokens");
    for (size_t row = 1; row < C; row++) {
        const size_t c = order[row];
        bool there = true;
        for (size_t i = 0; i < N; i++)
            there = there && read_curve(r, group, names[i], c, of[i]);
        if (!there)
            continue;
        fputs("  ", stdout);
        print_name(sg_run_class_name(r, c));
        for (size_t k = 0; k < columns; k++)
            print_ratio(of[RATIO][at[k]], of[LOW][at[k]], of[HIGH][at[k]], of[P][at[k]]);
        for (size_t d = 0; d < D; d++) { /* signs: beyond random words, beyond all words */
            of[LOW][d] = of[RATIO][d] - of[CHANCE][d];
            of[RATIO][d] -= 1;
        }
        print_counts(of[LOW], of[TYPES], D, 13);
        print_counts(of[RATIO], of[TOKENS], D, 0);
        putchar('\n');
    }
    puts(
        "  p and kind of word: compared with random words of similar frequency. p: of this class and delay alone. +n -m: delays at which\n"
        "  the class lies above and below them, p < 0.05 after adjustment for all classes and delays (-: too few words, or no\n"
        "  others of similar frequency). A ratio without an interval: the report states why. set of tokens: compared with\n"
        "  random tokens; nearly every set of words differs from those, so that test does not support claims about a kind of word.");
}

/* Over all classes of the group, trained alone: what an untrained net forgets at once must not flatten the
 * rest. */
static scale scale_of(const sg_run *r, const char *group, const size_t *order, size_t C, double *gain,
                      bool ascii)
{
    scale s = {.low = INFINITY, .ascii = ascii};
    for (size_t row = 0; row < C; row++)
        for (size_t d = 0; read_curve(r, group, HEADLINE, order[row], gain) && d < sg_run_delays(r); d++) {
            s.high = gain[d] > s.high ? gain[d] : s.high;
            s.low = gain[d] > 0 && gain[d] < s.low ? gain[d] : s.low;
        }
    s.low = fmax(s.low, s.high / 1000);
    return s;
}

static void print_row(const char *name, uintmax_t tokens, const double *gain, size_t D, const scale *s)
{
    size_t picked[COLUMNS], n = pick_delays(D, picked);
    fputs("  ", stdout);
    print_name(name);
    printf(" %9ju", tokens);
    for (size_t i = 0; i < n; i++)
        if (isfinite(gain[picked[i]]))
            printf(" %8.3g", gain[picked[i]]);
        else
            printf(" %8s", "-");
    fputs("  ", stdout);
    if (s->high > 0)
        print_curve(gain, D, s);
}

static void print_head(const sg_run *r, const char *group, const scale *s)
{
    const char *normalization = sg_run_attribute(r, "normalization");
    bool whitened = normalization && !strcmp(normalization, "covariance");
    size_t picked[COLUMNS], D = sg_run_delays(r), n = pick_delays(D, picked);
    printf(
        "\n%s: rms gain from a %s to the state, along its strongest direction, by delay (state units per %s of the "
        "embedding)\n  %-*s %9s",
        shown(group), step_of(r), whitened ? "standard deviation" : "unit", NAME_WIDTH, "class", "tokens");
    for (size_t i = 0; i < n; i++)
        printf(" %8zu", picked[i]);
    if (!(s->high > 0)) {
        puts("  no class has a value");
        return;
    }
    printf("  delays 0 to %zu, ", D - 1);
    print_block(0, s->ascii);
    printf(" %.2g to ", s->low);
    print_block(7, s->ascii);
    printf(" %.2g (log)\n", s->high);
}

/* One value of class "all" for property p at delay d; NAN: none */
static double of_property(const sg_run *r, const char *group, const char *variable, size_t p, size_t d)
{
    size_t start[] = {p, 0, d}, count[] = {1, 1, 1}, rank, shape[SG_RUN_MAX_DIMS];
    double x = NAN;
    if (!sg_run_shape(r, group, variable, &rank, shape) || shape[0] <= p ||
        sg_run_read(r, group, variable, start, count, &x, NULL) != SG_OK)
        return NAN;
    return x;
}

/* "gain 0.81 [0.7, 0.9] (random 0.3 to 1.2: within chance)"; false: no interval */
static bool print_beside_chance(const sg_run *r, const char *group, const char *what, const char *name,
                                size_t p, size_t d, bool *outside)
{
    static const char *const suffixes[] = {"", "_low", "_high", "_random_low", "_random_high"};
    double x[5];
    char variable[64];
    for (size_t i = 0; i < 5; i++) {
        snprintf(variable, sizeof variable, "%s%s", name, suffixes[i]);
        x[i] = of_property(r, group, variable, p, d);
    }
    printf("  %s %.3g", what, x[0]);
    if (isfinite(x[1]))
        printf(" [%.3g, %.3g]", x[1], x[2]);
    else
        printf(" [-, -]");
    printf(" (random %.3g to %.3g: %s chance)", x[3], x[4],
           x[0] > x[4]   ? "above"
           : x[0] < x[3] ? "below"
                         : "within");
    *outside |= x[0] < x[1] || x[0] > x[2];
    return isfinite(x[1]);
}

/* The effect of exchanging the words of a pair, and its prediction by gradients. */
static void print_partner(const sg_run *r, const char *group, size_t p)
{
    static const struct {
        const char *text, *variable;
    } lines[] = {
        {"a word replaced by the other of its pair changes the state by", "partner_state_change"},
        {"the gradient at the word predicts", "partner_linear_prediction"},
        {"averaged along the line between the two embeddings it predicts", "partner_path_average"},
        {"relative error of that prediction:", "partner_path_gap"},
    };
    size_t at[2], n = few_delays(sg_run_delays(r), at);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!isfinite(read_one(r, group, lines[i].variable, p, 0, 0, false)))
            return;
        printf("  %s", lines[i].text);
        for (size_t k = 0; k < n; k++) {
            print_span(r, group, lines[i].variable, p, at[k], 0);
            printf(" at delay %zu%s", at[k], k + 1 < n ? "," : "\n");
        }
    }
}

/* How fast the gain along property p falls, if it is above chance where it is largest. */
static void print_half_life(const sg_run *r, const char *group, size_t p)
{
    const double half = of_property(r, group, "property_half_life", p, 0);
    size_t peak = 0;
    double largest = 0;
    for (size_t d = 0; d < sg_run_delays(r); d++) {
        double x = of_property(r, group, "property_gain", p, d);
        if (x > largest)
            largest = x, peak = d;
    }
    if (isfinite(half) && !(largest > of_property(r, group, "property_gain_random_high", p, peak))) {
        printf("  no half-life: the gain along it is not above chance at its peak, delay %zu\n", peak);
    } else if (isfinite(half)) {
        printf("  half of the gain along it is lost %.1f %ss after its peak", half, step_of(r));
        print_range(of_property(r, group, "property_half_life_low", p, 0),
                    of_property(r, group, "property_half_life_high", p, 0));
        putchar('\n');
    }
}

void print_property(sg_run *r, const char *group, size_t p)
{
    static const size_t wanted[] = {0, 1, 5, 10, 20, 49};
    bool withheld = false, missing = false, outside = false;
    char why[256];
    printf(
        "%s in %s, class %s: gain along the property, and relative to sigma_1 [95 %%] (95 %% of random directions)\n",
        shown(sg_run_property_name(r, p)), shown(group), shown(sg_run_class_name(r, 0)));
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && wanted[i] < sg_run_delays(r); i++) {
        printf("  delay %3zu", wanted[i]);
        if (isnan(of_property(r, group, "relative_memory", p, wanted[i]))) {
            missing = true;
            puts("  missing");
            continue;
        }
        bool gain = print_beside_chance(r, group, "gain", "property_gain", p, wanted[i], &outside);
        withheld = !print_beside_chance(r, group, "relative", "relative_memory", p, wanted[i], &outside) ||
                   !gain || withheld;
        puts("");
    }
    print_half_life(r, group, p);
    print_partner(r, group, p);
    if (missing)
        printf("  missing: %s\n", why_missing(r, group, "relative_memory", why));
    if (withheld)
        printf("  no interval: %s\n", why_missing(r, group, "relative_memory_low", why));
    if (outside)
        fputs(OUTSIDE_INTERVAL, stdout);
}

/* The requested properties, with random directions for comparison. */
static void print_properties(sg_run *r, const char *group)
{
    for (size_t p = 0; p < sg_run_properties(r); p++) {
        puts("");
        print_property(r, group, p);
    }
}

/* Where gains end up at long delays, and whether they grow; "chaos": its signature, as analyze found it. */
static void print_exponents(sg_run *r, const char *group)
{
    static const char *const names[] = {"lyapunov_exponent", "lyapunov_exponent_low",
                                        "lyapunov_exponent_high"};
    char text[256];
    double x[3];
    size_t rank, shape[SG_RUN_MAX_DIMS], start = 0, one = 1;
    for (size_t i = 0; i < 3; i++)
        if (!sg_run_shape(r, group, names[i], &rank, shape) || !shape[0] ||
            sg_run_read(r, group, names[i], &start, &one, &x[i], NULL) != SG_OK)
            return;
    if (!isfinite(x[0])) {
        printf("  largest Lyapunov exponent: unknown (%s)\n", why_missing(r, group, names[0], text));
        return;
    }
    printf("  largest Lyapunov exponent: %.3g", x[0]);
    if (isfinite(x[1]))
        printf(" (%.3g to %.3g)", x[1], x[2]);
    fputs(" nats per step: in the long run a small change of the state ", stdout);
    if (x[1] > 0)
        puts("grows");
    else if (x[2] < 0)
        printf("halves in %.3g %ss\n", log(2) / -x[0], step_of(r));
    else
        puts(isfinite(x[1]) ? "may shrink or grow"
                            : "shrinks or grows: without an interval this is undecided");
}

/* Chosen pairs of words: what is left of the earlier at the later one, against other words at the same
 * distances. */
static void print_pairs(const sg_run *r, const char *group)
{
    static const struct {
        const char *variable, *of;
    } ratios[] = {{"pair_gain_ratio_all", "gain"}, {"pair_change_ratio_all", "change of the state"}};
    size_t rank, shape[SG_RUN_MAX_DIMS], D = sg_run_delays(r);
    if (!sg_run_shape(r, NULL, "pair_label", &rank, shape) ||
        !sg_run_shape(r, group, "pair_gain_ratio_all", &rank, shape))
        return;
    printf(
        "\n%s: chosen pairs: effect of the earlier word on the state at the later one, relative to other words of the same kinds at the same "
        "distances (95 %% interval)\n  %-*s  %9s  %8s  %-22s  %s\n",
        shown(group), LABEL_WIDTH, "label", "pairs", "distance", "ratio of gains",
        "ratio of changes when replaced");
    for (size_t l = 0; l < shape[0] && l < MAX_CLASSES; l++) {
        double pairs = 0, distance = 0;
        char *label = NULL;
        for (size_t d = 0; d < D; d++) {
            double n = read_one(r, group, "pair_count", l, d, 0, false);
            pairs += n, distance += n * (double)d;
        }
        if (sg_run_read_string(r, NULL, "pair_label", l, &label, NULL) != SG_OK)
            return;
        fputs("  ", stdout);
        print_cut(label, LABEL_WIDTH);
        printf("  %9.0f", pairs);
        if (pairs > 0)
            printf("  %8.1f", distance / pairs);
        else
            printf("  %8s", "-");
        for (size_t k = 0; k < 2; k++)
            print_span(r, group, ratios[k].variable, l, 0, k ? 0 : 22);
        putchar('\n');
        sg_string_free(label);
    }
    fputs(
        "  Distances are means. 1: the same as for other words of its kind, in no pair, at the same distances.\n",
        stdout);
}

/* gain: room for 7 D */
static void print_group(sg_run *r, const char *group, double *gain, bool ascii)
{
    size_t order[MAX_CLASSES], C = classes_in_order(r, order, MAX_CLASSES), D = sg_run_delays(r);
    scale s = scale_of(r, group, order, C, gain, ascii);
    char untrained[96];
    print_head(r, group, &s);
    for (size_t row = 0; row < C; row++) {
        const size_t c = order[row];
        if (!read_curve(r, group, HEADLINE, c, gain))
            continue;
        print_row(sg_run_class_name(r, c), sg_run_class_tokens(r, c), gain, D, &s);
        putchar('\n');
        snprintf(untrained, sizeof untrained, "untrained.%s", group);
        if (c == 0 && has_group(r, untrained) && read_curve(r, untrained, HEADLINE, c, gain)) {
            print_row("all, untrained", sg_run_class_tokens(r, c), gain, D, &s);
            putchar('\n');
        }
    }
    if (sg_run_classes(r) > C)
        printf("  ... and %zu more classes, see stategrad report\n", sg_run_classes(r) - C);
    print_decay(r, group);
    print_exponents(r, group);
    print_replacement(r, group);
    print_mean(r, group, gain);
    print_ratios(r, group, gain);
    print_replaced_classes(r, group);
    print_properties(r, group);
    print_pairs(r, group);
    print_units(r, group);
}

static double attribute(const sg_run *r, const char *name)
{
    const char *text = sg_run_attribute(r, name);
    return text ? strtod(text, NULL) : NAN;
}

/* What --precision has come to. */
static void print_precision(const sg_run *r)
{
    double sampling = attribute(r, "precision_sampling_error"), total = attribute(r, "precision_total_error");
    size_t last = sg_run_delays(r) < 21 ? sg_run_delays(r) - 1 : 20;
    if (!isfinite(sampling))
        return;
    printf("\n"
           "precision: %.0f of %ju input positions were drawn; sigma_1 at delays 0 to %zu has a standard "
           "error of %.2g %% relative to drawing all (largest for %s at delay %.0f)",
           attribute(r, "precision_origins"), (uintmax_t)sg_run_class_tokens(r, 0), last, 100 * sampling,
           shown(sg_run_attribute(r, "precision_worst_class")), attribute(r, "precision_worst_delay"));
    printf(total > attribute(r, "precision")
               ? "; including the variation between blocks of the corpus, up to %.2g %%\n"
               : "; including the variation between blocks of the corpus, %.2g %%\n",
           100 * total);
}

/* Number c of a variable of the root by class; NAN: none. */
static double of_class(const sg_run *r, const char *variable, size_t c)
{
    double x = NAN;
    size_t one = 1, rank, shape[SG_RUN_MAX_DIMS];
    if (!sg_run_shape(r, NULL, variable, &rank, shape) ||
        sg_run_read(r, NULL, variable, &c, &one, &x, NULL) != SG_OK)
        return NAN;
    return x;
}

/* The words that each class consists of: whether its values can support a statement about a kind of word. */
static void print_classes(sg_run *r)
{
    size_t order[MAX_CLASSES], C = classes_in_order(r, order, MAX_CLASSES);
    if (C < 2 || isnan(of_class(r, "class_types", 0)))
        return;
    printf("\n"
           "classes, and the words they consist of\n"
           "  %-*s %9s %8s %10s  most frequent\n",
           NAME_WIDTH, "class", "tokens", "words", "effective");
    for (size_t row = 0; row < C; row++) {
        const size_t c = order[row];
        char *word = NULL;
        fputs("  ", stdout);
        print_name(sg_run_class_name(r, c));
        printf(" %9ju %8.0f %10.1f  ", (uintmax_t)sg_run_class_tokens(r, c), of_class(r, "class_types", c),
               of_class(r, "class_effective_types", c));
        if (sg_run_read_string(r, NULL, "class_top_word", c, &word, NULL) == SG_OK)
            print_name(word);
        printf(" %5.1f %%\n", 100 * of_class(r, "class_top_share", c));
        sg_string_free(word);
    }
    puts("  (effective: N^2 / sum n^2 over the words; below 8, a few words decide the values of a class)");
}

/* After "N documents": how they were found. */
static const char *documents_of(const char *by)
{
    return !strcmp(by, "blank")     ? " between blank lines"
           : !strcmp(by, "heading") ? ", one for each heading or newdoc"
           : !strcmp(by, "file")    ? ", one for each file"
           : !strcmp(by, "line")    ? ", one for each line"
                                    : "";
}

/* Where blocks end, and so what the intervals hold for. */
static void print_blocks(const sg_run *r)
{
    const char *by = sg_run_attribute(r, "documents"), *scope = sg_run_attribute(r, "intervals_hold_for");
    double documents = attribute(r, "document_count"), blocks = attribute(r, "blocks");
    if (!by || !scope || !isfinite(documents) || !isfinite(blocks))
        return;
    if (!strcmp(by, "none"))
        printf("\nintervals: from %.0f block%s of one document; they hold for %s\n", blocks, PLURAL(blocks),
               shown(scope));
    else
        printf("\nintervals: from %.0f block%s%s; %.0f document%s%s; they hold for %s\n", blocks,
               PLURAL(blocks), strcmp(scope, "this text alone") ? " that end where documents end" : "",
               documents, documents > 1 ? "s" : "", documents_of(by), shown(scope));
}

/* The rms gains come from second moments, which may be of a share of the tokens. */
static void print_moments(const sg_run *r)
{
    double every = attribute(r, "second_moment_every");
    if (every > 1)
        printf(
            "\nrms gains: from the gradients at one in %.0f tokens; sigma_1 and coherence: from all that were drawn\n",
            every);
}

static void print_warm_up(const sg_run *r)
{
    double tokens = attribute(r, "warm_up"), difference = attribute(r, "warm_up_difference");
    if (isfinite(tokens) && isfinite(difference))
        printf(
            "\nstates: begun from zero %.0f token%s before each %s; there they differ from those carried along by at "
            "most %.2g of their largest entry\n",
            tokens, PLURAL(tokens), attribute(r, "block_parts") > 1 ? "quarter of a block" : "block",
            difference);
}

int print_summary(const char *run_path, bool ascii)
{
    sg_error err = {""};
    sg_run *r = NULL;
    sg_status st = sg_run_open(&r, run_path, &err);
    double *gain = st == SG_OK ? calloc(sg_run_delays(r), 7 * sizeof *gain) : NULL;
    if (st == SG_OK)
        print_classes(r);
    if (st == SG_OK && gain)
        for (size_t g = 0; g < sg_run_groups(r); g++)
            if (strncmp(sg_run_group_name(r, g), "untrained.", 10)) /* one line next to the trained one */
                print_group(r, sg_run_group_name(r, g), gain, ascii);
    if (st == SG_OK) {
        print_precision(r);
        print_moments(r);
        print_blocks(r);
        print_warm_up(r);
    }
    if (st == SG_OK)
        printf("\n"
               "%s: see also stategrad report, words and track.\n",
               shown(run_path));
    free(gain);
    sg_run_close(r);
    if (st != SG_OK)
        return fail(st, &err);
    return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}
