/* SPDX-License-Identifier: MIT */
/* stategrad pairs - minimal pairs: accuracy by condition, and which words decide. */
#include "cli.h"

#include "stategrad/pairs.h"
#include "stategrad/report.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

typedef struct {
    const char *csv, *items, *words, *page;
    int format, score, split, style;
    bool json, quiet;
    sg_pairs_config cfg;
} request;

/* ---- text ---- */

static void put_name(const char *name, int width)
{
    int room = width;
    name = shown(name);
    for (const char *c = name; *c; c++)
        room -= ((unsigned char)*c & 0xc0) != 0x80; /* characters, not bytes */
    printf("  %s%*s", name, room > 0 ? room : 0, "");
}

static int name_width(const sg_pairs *p)
{
    size_t widest = 9;
    const sg_pairs_condition *c;
    for (size_t i = 0; (c = sg_pairs_get_condition(p, i)); i++)
        widest = strlen(c->name) > widest ? strlen(c->name) : widest;
    return widest > 60 ? 60 : (int)widest;
}

/* "0.51 to 1.2"; without an interval: "-" */
static void put_interval(double scale, int digits, double low, double high, int width)
{
    char text[64] = "-";
    if (isfinite(low) && isfinite(high))
        snprintf(text, sizeof text, "%.*f to %.*f", digits, scale * low, digits, scale * high);
    printf("  %-*s", width, text);
}

static void put_mean(double x, int width)
{
    if (isfinite(x))
        printf(" %*.3f", width, x);
    else
        printf(" %*s", width, "-");
}

static void print_conditions(const sg_pairs *p, int width)
{
    const sg_pairs_condition *c;
    printf("\n");
    put_name("condition", width);
    printf(" %7s %9s  %-14s %7s %5s %9s  %-18s %8s\n", "pairs", "accuracy", "95 %", "right", "ties", "D",
           "95 %", "left out");
    for (size_t i = 0; (c = sg_pairs_get_condition(p, i)); i++) {
        put_name(c->name, width);
        printf(" %7" PRIu64, c->pairs);
        if (c->pairs)
            printf(" %7.1f %%", 100 * c->accuracy);
        else
            printf(" %9s", "-");
        put_interval(100, 1, c->accuracy_low, c->accuracy_high, 14);
        printf(" %7" PRIu64 " %5" PRIu64, c->right, c->ties);
        put_mean(c->difference, 9);
        put_interval(1, 3, c->difference_low, c->difference_high, 18);
        printf(" %8" PRIu64 "\n", c->left_out);
    }
}

static void print_roles(const sg_pairs *p, int width, size_t path)
{
    const sg_pairs_role *r, *first = sg_pairs_get_role(p, 0, 0);
    if (!first)
        return;
    printf("\nWhich words D comes from: gradient of D times input, %s, mean over pairs\n\n",
           path ? "averaged from zero inputs" : "to first order");
    put_name("condition", width);
    printf("  %-14s %7s %9s  %-18s", "role", "pairs", "nats", "95 %");
    if (sg_pairs_get_role(p, 0, 1))
        printf(" %9s  %-18s", "difference", "95 %");
    printf("\n");
    for (size_t c = 0; sg_pairs_get_condition(p, c); c++)
        for (size_t i = 0; (r = sg_pairs_get_role(p, c, i)); i++) {
            put_name(i ? "" : sg_pairs_get_condition(p, c)->name, width);
            put_name(r->name, 14);
            printf(" %7" PRIu64, r->pairs);
            put_mean(r->attribution, 9);
            put_interval(1, 3, r->low, r->high, 18);
            if (i) {
                put_mean(r->first_minus, 10);
                put_interval(1, 3, r->first_minus_low, r->first_minus_high, 18);
            }
            printf("\n");
        }
    if (sg_pairs_get_role(p, 0, 1))
        printf("difference: %s minus this role, in pairs that have both\n", shown(first->name));
}

static void print_text(const sg_pairs *p, const request *q)
{
    const sg_pairs_summary *s = sg_pairs_get_summary(p);
    const sg_pairs_condition *all = sg_pairs_get_condition(p, 0);
    const int width = name_width(p);
    printf("%zu pair%s. D = log p(good) - log p(bad), in nats, %s\n", sg_pairs_count(p),
           PLURAL(sg_pairs_count(p)),
           s->by_word  ? "of the first word that differs"
           : s->begins ? "of all words and the end of the sentence"
                       : "of all words but the first");
    printf("%" PRIu64 " of %" PRIu64 " words unknown (%.2f %%)", s->unknown_words, s->words,
           100 * (double)s->unknown_words / (double)s->words);
    printf("; left out: %" PRIu64 " pair%s whose words that differ are all unknown\n", all->left_out,
           PLURAL(all->left_out));
    if (all->one_unknown)
        printf("%" PRIu64
               " pair%s scored in which a word that differs is unknown in one sentence or in part\n",
               all->one_unknown, all->one_unknown == 1 ? " is" : "s are");
    print_conditions(p, width);
    printf(
        "right: D > 0; a tie (D = 0) is half right. Intervals: 95 %%, Wilson and Student; pairs are taken as "
        "independent\n");
    print_roles(p, width, q->cfg.path);
    if (isfinite(s->gap))
        printf(
            "path averages: the attributions sum to D minus D of zero inputs, up to %.2g %% of it; largest gap of a "
            "pair %.2g nats%s\n",
            100 * s->gap, s->largest_gap, s->gap > 0.01 ? "; more points reduce it" : "");
}

/* ---- the command ---- */

/* The other one of FILE.text and FILE.gold; NULL: it is neither. */
static const char *companion(const char *file, char *path, size_t size)
{
    const size_t n = strlen(file);
    const bool text = n > 5 && !strcmp(file + n - 5, ".text"), gold = n > 5 && !strcmp(file + n - 5, ".gold");
    if ((!text && !gold) ||
        snprintf(path, size, "%.*s%s", (int)(n - 5), file, text ? ".gold" : ".text") >= (int)size)
        return NULL;
    return path;
}

static int tables_on_stdout(const request *q)
{
    return to_stdout(q->csv) + to_stdout(q->items) + to_stdout(q->words);
}

/* Every output can be written, overwrites nothing, and one at most is standard output. */
static int check_outputs(const request *q, const char *model, const char *file)
{
    char path[PATH_MAX];
    const char *const all[] = {model,    file,   companion(file, path, sizeof path), q->csv, q->items,
                               q->words, q->page};
    const size_t first = 3;
    int code = -1;
    if (q->json + tables_on_stdout(q) + to_stdout(q->page) > 1)
        return misuse(
            "pairs: --json, --csv -, --items -, --words - and -o -: one of them only on standard output");
    for (size_t i = first; code < 0 && i < sizeof all / sizeof *all; i++) {
        code = refuse_unwritable(all[i]);
        if (code < 0)
            code = refuse_overwriting(all[i], all, i);
    }
    return code;
}

static sg_status write_tables(const sg_pairs *p, const request *q, sg_error *err)
{
    const char *const paths[] = {q->csv, q->items, q->words};
    sg_status st = SG_OK;
    for (size_t i = 0; st == SG_OK && i < sizeof paths / sizeof *paths; i++)
        if (paths[i])
            st = sg_pairs_write_csv(p, (sg_pairs_table)i, paths[i], (sg_csv_style)q->style, err);
    return st;
}

static int score(const request *q, const sg_import_config *import, const char *model, const char *file)
{
    sg_error err = {""};
    sg_model *m = NULL;
    sg_pairs *p = NULL;
    progress_line line;
    sg_monitor monitor = progress_monitor(&line, q->quiet);
    sg_status st = sg_model_load(&m, model, import, &monitor, &err);
    if (st == SG_OK)
        st = sg_pairs_new(&p, m, file, &q->cfg, &monitor, &err);
    progress_done(&line);
    if (st == SG_OK)
        st = write_tables(p, q, &err);
    if (st == SG_OK && q->page)
        st = sg_pairs_page(q->page, p, model, file, &err);
    if (st == SG_OK && q->json)
        st = sg_pairs_json(&standard_output, p, &err);
    else if (st == SG_OK && !tables_on_stdout(q) && !to_stdout(q->page))
        print_text(p, q);
    if (st == SG_OK)
        remark_on_predictions(m, NULL);
    sg_pairs_free(p);
    sg_model_free(m);
    return st == SG_OK ? EXIT_DONE : fail(st, &err);
}

static int run(int argc, char **argv)
{
    request q = {.style = SG_CSV_PLAIN, .cfg = {.struct_size = sizeof q.cfg}};
    model_options model = {0};
    sg_import_config import;
    const option table[] = {
        {"format", 0, OPT_CHOICE, &q.format, "auto|tsv|blimp|linzen",
         "format of the file; auto: by extension, first character and header", 0, 0},
        {"score", 0, OPT_CHOICE, &q.score, "auto|sentence|word",
         "sentence: all words; word: the first that differs; auto: word for linzen", 0, 0},
        {"split", 0, OPT_CHOICE, &q.split, "auto|spaces|punctuation",
         "punctuation: punctuation marks, n't and 's are words of their own; auto: punctuation for blimp, else spaces",
         0, 0},
        {"lowercase", 0, OPT_FLAG, &q.cfg.lowercase, NULL, "read words in lower case", 0, 0},
        {"no-eos", 0, OPT_FLAG, &q.cfg.no_eos, NULL,
         "no <eos> before and after a sentence (default: as the model was trained)", 0, 0},
        {"condition", 0, OPT_STRING, &q.cfg.condition, "NAME",
         "column or key that holds the condition (default: condition, UID or attractors)", 0, 0},
        {"attribution", 0, OPT_FLAG, &q.cfg.attribution, NULL,
         "attribute D to words although no roles are given (implied by --words and --path)", 0, 0},
        {"path", 0, OPT_SIZE, &q.cfg.path, "N",
         "average the gradient over N points between zero inputs and the sentence", 1, 4096},
        {"output", 'o', OPT_STRING, &q.page, "FILE",
         "also write a page: charts, tables, single pairs with the attribution of each word; -: on standard output, in place of the text",
         0, 0},
        {"csv", 0, OPT_STRING, &q.csv, "FILE",
         "also write the table of conditions; -: on standard output, in place of the text", 0, 0},
        {"items", 0, OPT_STRING, &q.items, "FILE", "also write a table with a row per pair", 0, 0},
        {"words", 0, OPT_STRING, &q.words, "FILE", "also write a table with a row per word: its attribution",
         0, 0},
        {"csv-style", 0, OPT_CHOICE, &q.style, CSV_STYLES, CSV_STYLE_HELP, 0, 0},
        {"json", 0, OPT_FLAG, &q.json, NULL, "one JSON object on standard output", 0, 0},
        {"threads", 't', OPT_THREADS, &q.cfg.threads, "N", "number of threads (default: all cores)", 0, 1024},
        QUIET_OPTION(q.quiet),
        MODEL_OPTIONS(model),
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_pairs, table, &argc, argv, 2, 2);
    if (code < 0)
        code = import_config_from(&import, &model);
    if (code < 0)
        code = check_outputs(&q, argv[0], argv[1]);
    q.cfg.format = (sg_pairs_format)q.format, q.cfg.score = (sg_pairs_score)q.score;
    q.cfg.split = (sg_pairs_split)q.split;
    q.cfg.attribution = q.cfg.attribution || q.words;
    if (code < 0)
        code = score(&q, &import, argv[0], argv[1]);
    model_options_free(&model);
    return code;
}

const command cmd_pairs = {
    .name = "pairs",
    .operands = "MODEL FILE",
    .summary = "minimal pairs: accuracy by condition, and which words decide",
    .about =
        "For each pair of an acceptable (good) and an unacceptable (bad) sentence: D = log p(good) - log p(bad), in nats. By condition: the share of "
        "pairs with D > 0 (ties count half) and the mean of D, with 95 % intervals. Where the file gives words their "
        "roles (subject, attractor, verb), D is attributed to them: the gradient of D with respect to the word's "
        "embedding, times the embedding. Pairs whose words that differ are all unknown to the model are left out.\n\n"
        "FILE has a pair per line: TSV (good, bad, condition; or a header with the columns good, bad, condition and "
        "role:NAME, which holds positions in the good sentence, the first word being 1); JSON lines as BLiMP has them "
        "(sentence_good, sentence_bad, UID; roles: {\"subject\": 2}); FILE.text with FILE.gold in the same folder (position from 0, "
        "right form, wrong form, number of attractors), or a TSV with the columns sentence, position (from 1), right, "
        "wrong, attractors.",
    .examples = "stategrad pairs model.safetensors agreement.tsv\n"
                "stategrad pairs model.safetensors blimp.jsonl --lowercase --items items.csv\n"
                "stategrad pairs model.safetensors agreement.tsv --path 32 --words words.csv\n"
                "stategrad pairs model.safetensors agreement.tsv --attribution -o pairs.html",
    .run = run,
};
