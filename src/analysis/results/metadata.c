/* SPDX-License-Identifier: MIT */
/* The root of the run file: what was analysed, how, and what later commands need of model and corpus. */
#include "analysis/results/metadata.h"
#include "analysis/settings.h"

#include "base/base_internal.h"
#include "run/missing.h"
#include "stategrad/stats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void metadata_created(char text[32])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;
    time_t now = time(NULL);
    struct tm utc;
    if (epoch && *epoch) {
        long long t = strtoll(epoch, &end, 10);
        if (!*end && t >= 0 && t < 253402300800LL) /* year 10000 */
            now = (time_t)t;
    }
    gmtime_r(&now, &utc);
    if (!strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc))
        text[0] = 0;
}

static sg_status hash_of_identity(const analysis *an, char hex[65], sg_error *err)
{
    sg_status st = SG_OK;
    sg_sha256 *h = NULL;
    char text[IDENTITY_ROOM];
    TRY(sg_sha256_new(&h, err));
    TRY(analysis_identity(an, false, text, err));
    sg_sha256_add(h, text, strlen(text));
    sg_sha256_hex(h, hex);
done:
    sg_sha256_free(h);
    return st;
}

/* A fact of the run; text NULL: the number. THE_SETTING: of the table of settings, in the order of old
 * files. */
typedef struct {
    const char *name, *text;
    uint64_t number;
} fact;
static const char THE_SETTING[] = "";

static sg_status put_attributes(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_analysis_config *c = &an->used;
    const sg_stream_counts *n = sg_stream_info(an->stream);
    char created[32], identity[65];
    TRY(hash_of_identity(an, identity, err));
    metadata_created(created);
    const fact facts[] = {
        {"kind", c->parts ? RUN_KIND_PART : RUN_KIND, 0},
        {"title", "State gradients averaged over a corpus", 0},
        {"model_sha256", an->model_sha256, 0},
        {"corpus_sha256", an->features ? an->features_sha256 : sg_stream_sha256(an->stream), 0},
        {"command", c->command ? c->command : "", 0},
        {"version", sg_version(), 0},
        {"created", created, 0},
        {"state_handling", THE_SETTING, 0},
        {"normalization", THE_SETTING, 0},
        {"covariance", an->features ? "rows" : THE_SETTING, 0},
        {"cell", an->cell, 0},
        {"unit", an->shape && an->shape->unit == SG_UNIT_CHAR ? "char" : "word", 0},
        {"identity_sha256", identity, 0},
        {"part", THE_SETTING, 0},
        {"seed", THE_SETTING, 0},
        {"tokens", NULL, an->T},
        {"unknown_tokens", NULL, n->unknown},
        {"unclassed_tokens", NULL, n->unclassed},
        {"sentences", NULL, n->sentences},
        {"burn_in", THE_SETTING, 0},
        {"blocks", THE_SETTING, 0},
        {"layers", NULL, an->layers},
        {"vocabulary", NULL, an->V},
        {"second_moment_every", THE_SETTING, 0},
        {"long_after", THE_SETTING, 0},
        {"sample", THE_SETTING, 0},
        {"delays", THE_SETTING, 0},
        {"documents", THE_SETTING, 0},
        {"document_count", NULL, an->documents},
        {"block_parts", NULL, an->split},
        {"intervals_hold_for", an->alone ? "this text alone" : "texts made of such documents", 0},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (facts[i].text == THE_SETTING)
            TRY(settings_put(w, c, facts[i].name, err));
        else if (facts[i].text)
            TRY(run_writer_text(w, RUN_ROOT, NULL, facts[i].name, facts[i].text, err));
        else
            TRY(run_writer_integer(w, RUN_ROOT, NULL, facts[i].name, (int64_t)facts[i].number, err));
    TRY(settings_put(w, c, NULL, err));
    const sg_vocab *v = an->vocab;
    if (v) {
        TRY(run_writer_integer(w, RUN_ROOT, NULL, "eos_word", sg_vocab_eos(v), err));
        TRY(run_writer_integer(w, RUN_ROOT, NULL, "unk_word", sg_vocab_unk(v), err));
    }
    if (an->given) {
        TRY(run_writer_text(w, RUN_ROOT, NULL, "gradients", "given by the caller", err));
        TRY(run_writer_text(w, RUN_ROOT, NULL, "lyapunov_none", ANALYSIS_NO_MODEL, err));
    }
    if (an->replace.none[0])
        TRY(run_writer_text(w, RUN_ROOT, NULL, "replace_none", an->replace.none, err));
    if (an->replace.rate > 0)
        TRY(run_writer_real(w, RUN_ROOT, NULL, "replace_kl_rate", an->replace.kl_rate, err));
    if (an->replace.path_rate > 0)
        TRY(run_writer_real(w, RUN_ROOT, NULL, "replace_path_rate", an->replace.path_rate, err));
    if (an->how[0].automatic)
        TRY(run_writer_text(w, RUN_ROOT, NULL, "ridge_reason", "the covariance of the inputs is singular",
                            err));
done:
    return st;
}

/* What setting 'precision' came to. */
static sg_status put_reached(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const precision_reached *x = &an->reached;
    if (!(an->cfg->precision > 0))
        return SG_OK;
    TRY(run_writer_real(w, RUN_ROOT, NULL, "precision_sampling_error", x->sampling, err));
    TRY(run_writer_real(w, RUN_ROOT, NULL, "precision_total_error", x->total, err));
    TRY(run_writer_text(w, RUN_ROOT, NULL, "precision_worst_class", an->class_names[x->class], err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_worst_delay", (int64_t)x->delay, err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_origins", (int64_t)x->origins, err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_rounds", (int64_t)x->rounds, err));
done:
    return st;
}

/* ---- definitions ---- */

static bool has_words(const analysis *an)
{
    return an->V && an->vocab;
}

static size_t quantities(const analysis *an)
{
    return an->replace.rate > 0 ? DECAY_QUANTITIES : DECAY_OF_GRADIENTS;
}

static sg_status define(run_writer *w, const char *const *names, sg_error *err)
{
    sg_status st = SG_OK;
    for (; *names; names++)
        TRY(run_writer_define(w, RUN_ROOT, *names, err));
done:
    return st;
}

/* Classes from memory have none. */
static bool has_specs(const analysis *an)
{
    return an->classes && an->C > 1 && sg_classes_spec(an->classes, 1);
}

static sg_status define_root(run_writer *w, const analysis *an, sg_error *err)
{
    static const char *const of_classes[] = {"class_types", "class_effective_types", "class_top_share",
                                             "class_top_word", NULL},
                             *const of_words[] = {"word", "word_count", "embedding_matrix", NULL},
                             *const of_members[] = {"member_word", "member_class", "member_count", NULL};
    sg_status st = SG_OK;
    reason why = {"", 0};
    char text[1000] = "";
    TRY(run_writer_dim(w, RUN_ROOT, "delay", an->D, err));
    TRY(run_writer_dim(w, RUN_ROOT, "class", an->C, err));
    TRY(run_writer_dim(w, RUN_ROOT, "embedding", an->E, err));
    TRY(run_writer_dim(w, RUN_ROOT, "property", 0, err));
    TRY(run_writer_dim(w, RUN_ROOT, "decay_quantity", quantities(an), err));
    TRY(run_writer_dim(w, RUN_ROOT, "decay_law", DECAY_LAWS, err));
    TRY(run_writer_dim(w, RUN_ROOT, "decay_share", SG_DECAY_SHARES, err));
    TRY(run_writer_define_all(w, RUN_ROOT, err));
    if (has_specs(an))
        TRY(run_writer_define(w, RUN_ROOT, "class_spec", err));
    if (has_words(an))
        TRY(define(w, of_classes, err));
    if (an->vocab && an->embeddings[0]) {
        TRY(run_writer_dim(w, RUN_ROOT, "word", an->V, err));
        TRY(define(w, of_words, err));
        if (an->embeddings[1]) /* for later properties */
            TRY(run_writer_define(w, RUN_ROOT, "untrained_embedding_matrix", err));
    }
    if (an->n_members) {
        TRY(run_writer_dim(w, RUN_ROOT, "member", an->n_members, err));
        TRY(define(w, of_members, err));
    }
    for (size_t p = 0; p < an->P; p++)
        reason_note_plain(&why, an->properties[p].missing);
    reason_append(text, sizeof text, &why);
    if (text[0])
        TRY(run_writer_text(w, RUN_ROOT, "property_vector", "missing_reason", text, err));
    if (an->factor_missing[0][0])
        TRY(run_writer_text(w, RUN_ROOT, "embedding_covariance_factor", "missing_reason",
                            an->factor_missing[0], err));
    TRY(put_attributes(w, an, err));
    TRY(put_reached(w, an, err));
done:
    return st;
}

/* ---- contents, in the order of the definitions ---- */

static sg_status put_classes(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    int64_t *x = sg_calloc(an->C > an->D ? an->C : an->D, sizeof *x);
    if (!x)
        return no_memory(err, "the run file");
    for (size_t d = 0; d < an->D; d++)
        x[d] = (int64_t)d;
    TRY(run_writer_put_i64(w, RUN_ROOT, "delay", NULL, NULL, x, err));
    TRY(run_writer_put_strings(w, RUN_ROOT, "class_name", 0, an->C, an->class_names, err));
    for (size_t c = 0; c < an->C; c++)
        x[c] = (int64_t)(c ? sg_stream_class_tokens(an->stream, an->classes, c) : an->T);
    TRY(run_writer_put_i64(w, RUN_ROOT, "class_tokens", NULL, NULL, x, err));
done:
    sg_free(x);
    return st;
}

/* The words that a class consists of. <unk> is one word to the model. */
typedef struct {
    int64_t types;
    double tokens, squares; /* sum of n_w, of n_w^2 */
    uint64_t most;
    const char *top;
} class_facts;

static void add_word(class_facts *x, uint64_t count, const char *word)
{
    if (!count)
        return;
    x->types++;
    x->tokens += (double)count;
    x->squares += (double)count * (double)count;
    if (count > x->most)
        x->most = count, x->top = word;
}

static void facts_of(const analysis *an, size_t c, class_facts *x)
{
    const sg_vocab *v = an->vocab;
    const sg_class_word *words = NULL;
    uint64_t left = c ? sg_stream_class_tokens(an->stream, an->classes, c) : 0;
    *x = (class_facts){.top = ""};
    for (size_t i = 0; !c && i < an->V; i++)
        add_word(x, an->word_count[i], sg_vocab_word(v, i));
    size_t n = c ? sg_classes_words(an->classes, c, &words) : 0;
    for (size_t i = 0; i < n; i++) {
        add_word(x, words[i].count, sg_vocab_word(v, (size_t)words[i].id));
        left -= words[i].count < left ? words[i].count : left;
    }
    if (sg_vocab_unk(v) >= 0) /* the tokens of no known word */
        add_word(x, left, sg_vocab_word(v, (size_t)sg_vocab_unk(v)));
}

/* Of the properties, in the embedding space of model m. */
static sg_status put_vectors(run_writer *w, const analysis *an, int nc, size_t m, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t E = an->E, start[] = {0, 0}, count[] = {an->P, E};
    double *x = sg_calloc(an->P, E * sizeof *x);
    if (!an->P)
        goto done;
    NEED(x, err, "the run file");
    for (size_t p = 0; p < an->P; p++)
        memcpy(x + p * E, an->properties[p].delta[m], E * sizeof *x);
    TRY(run_writer_put_f64(w, nc, "property_vector", start, count, x, err));
done:
    sg_free(x);
    return st;
}

static sg_status put_properties(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t P = an->P, start[] = {0}, count[] = {P};
    const char **names = sg_calloc(P, sizeof *names);
    int64_t *words = sg_calloc(P, 3 * sizeof *words);
    if (!P)
        goto done;
    NEED(names && words, err, "the run file");
    for (size_t p = 0; p < P; p++) {
        const property *x = &an->properties[p];
        names[p] = x->name;
        words[p] = x->words_a, words[P + p] = x->words_b, words[2 * P + p] = (int64_t)x->pairs;
    }
    TRY(run_writer_put_strings(w, RUN_ROOT, "property_name", 0, P, names, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "property_words_a", start, count, words, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "property_words_b", start, count, words + P, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "property_pairs", start, count, words + 2 * P, err));
    TRY(put_vectors(w, an, RUN_ROOT, 0, err));
done:
    sg_free(names);
    sg_free(words);
    return st;
}

static sg_status put_specs(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const char **specs = NULL;
    if (!has_specs(an))
        return SG_OK;
    NEED(specs = sg_calloc(an->C, sizeof *specs), err, "the run file");
    for (size_t c = 0; c < an->C; c++)
        specs[c] = c ? sg_classes_spec(an->classes, c) : "";
    TRY(run_writer_put_strings(w, RUN_ROOT, "class_spec", 0, an->C, specs, err));
done:
    sg_free(specs);
    return st;
}

static sg_status put_class_words(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    int64_t *types = NULL;
    double *effective = NULL, *share = NULL;
    const char **top = NULL;
    if (!has_words(an))
        return SG_OK;
    NEED((types = sg_calloc(an->C, sizeof *types)) && (effective = sg_calloc(an->C, sizeof *effective)) &&
             (share = sg_calloc(an->C, sizeof *share)) && (top = sg_calloc(an->C, sizeof *top)),
         err, "the run file");
    for (size_t c = 0; c < an->C; c++) {
        class_facts x;
        facts_of(an, c, &x);
        types[c] = x.types;
        effective[c] = x.squares > 0 ? x.tokens * x.tokens / x.squares : 0;
        share[c] = x.tokens > 0 ? (double)x.most / x.tokens : 0;
        top[c] = x.top;
    }
    TRY(run_writer_put_i64(w, RUN_ROOT, "class_types", NULL, NULL, types, err));
    TRY(run_writer_put_f64(w, RUN_ROOT, "class_effective_types", NULL, NULL, effective, err));
    TRY(run_writer_put_f64(w, RUN_ROOT, "class_top_share", NULL, NULL, share, err));
    TRY(run_writer_put_strings(w, RUN_ROOT, "class_top_word", 0, an->C, top, err));
done:
    sg_free(types);
    sg_free(effective);
    sg_free(share);
    sg_free(top);
    return st;
}

static sg_status put_decay(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const char *laws[DECAY_LAWS];
    double shares[SG_DECAY_SHARES];
    for (size_t l = 0; l < DECAY_LAWS; l++)
        laws[l] = sg_decay_law_name((sg_decay_law)l);
    for (size_t s = 0; s < SG_DECAY_SHARES; s++)
        shares[s] = sg_decay_share(s);
    TRY(run_writer_put_strings(w, RUN_ROOT, "decay_quantity", 0, quantities(an), decay_quantity_names, err));
    TRY(run_writer_put_strings(w, RUN_ROOT, "decay_law", 0, DECAY_LAWS, laws, err));
    TRY(run_writer_put_f64(w, RUN_ROOT, "decay_share", NULL, NULL, shares, err));
done:
    return st;
}

static sg_status put_words(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_vocab *v = an->vocab;
    if (!v || !an->embeddings[0])
        return SG_OK;
    for (size_t at = 0; at < an->V; at += RUN_STRINGS) {
        const char *texts[RUN_STRINGS];
        size_t n = an->V - at < RUN_STRINGS ? an->V - at : RUN_STRINGS;
        for (size_t i = 0; i < n; i++)
            texts[i] = sg_vocab_word(v, at + i);
        TRY(run_writer_put_strings(w, RUN_ROOT, "word", at, n, texts, err));
    }
    TRY(run_writer_put_i64(w, RUN_ROOT, "word_count", NULL, NULL, (const int64_t *)an->word_count, err));
    TRY(run_writer_put_f32(w, RUN_ROOT, "embedding_matrix", NULL, NULL, an->embeddings[0], err));
    if (an->embeddings[1])
        TRY(run_writer_put_f32(w, RUN_ROOT, "untrained_embedding_matrix", NULL, NULL, an->embeddings[1],
                               err));
done:
    return st;
}

static sg_status put_members(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const int64_t *x = an->members;
    const size_t n = an->n_members;
    if (!n)
        return SG_OK;
    TRY(run_writer_put_i64(w, RUN_ROOT, "member_word", NULL, NULL, x, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "member_class", NULL, NULL, x + n, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "member_count", NULL, NULL, x + 2 * n, err));
done:
    return st;
}

static sg_status fill_root(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(put_classes(w, an, err));
    TRY(put_properties(w, an, err));
    TRY(run_writer_put_f64(w, RUN_ROOT, "embedding_covariance_factor", NULL, NULL, an->L[0], err));
    TRY(put_decay(w, an, err));
    TRY(put_specs(w, an, err));
    TRY(put_class_words(w, an, err));
    TRY(put_words(w, an, err));
    TRY(put_members(w, an, err));
done:
    return st;
}

/* ---- the groups of an untrained copy: its own factor and property vectors ---- */

static sg_status define_untrained(run_writer *w, const analysis *an, const char *group, int *nc,
                                  sg_error *err)
{
    sg_status st = SG_OK;
    TRY(run_writer_group(w, group, nc, err));
    TRY(run_writer_define(w, *nc, "embedding_covariance_factor", err));
    if (an->factor_missing[1][0])
        TRY(run_writer_text(w, *nc, "embedding_covariance_factor", "missing_reason", an->factor_missing[1],
                            err));
    TRY(run_writer_define(w, *nc, "property_vector", err));
done:
    return st;
}

static sg_status fill_untrained(run_writer *w, const analysis *an, int nc, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(run_writer_put_f64(w, nc, "embedding_covariance_factor", NULL, NULL, an->L[1], err));
    TRY(put_vectors(w, an, nc, 1, err));
done:
    return st;
}

sg_status metadata_write(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    int nc[RUN_MAX_GROUPS];
    TRY(define_root(w, an, err));
    for (size_t g = 0; g < an->n_groups; g++)
        if (an->groups[g].model)
            TRY(define_untrained(w, an, an->groups[g].name, &nc[g], err));
    TRY(fill_root(w, an, err));
    for (size_t g = 0; g < an->n_groups; g++)
        if (an->groups[g].model)
            TRY(fill_untrained(w, an, nc[g], err));
done:
    return st;
}
