/* SPDX-License-Identifier: MIT */
#include "analysis/pass/replacement.h"

#include "analysis/pass/replaced_words.h"
#include "analysis/pass/shared.h"
#include "base/base_internal.h"
#include "base/checkpoint.h"
#include "behaviour/path.h"
#include "cell/cell.h"
#include "gradient/replacement_batch.h"
#include "lm/model_internal.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* A segment: words that are replaced, at least as many as delays so that what follows them is not the larger
 * part; fewer where there would be too many replacements side by side. */
enum { SEGMENT = 256, MOST_COLUMNS = 512, EFFECT_BYTES = 16 << 20, JOBS_PER_THREAD = 2 };

/* Few words are averaged along their lines, so they may cost much: of a net with saturated gates, hundreds of
 * nodes. */
static const path_limits path_to_partner = {.gap = 1e-3, .nodes = 256};

/* The rows of the sums that a column goes to; its place among the job's averages, or NO_PATH. */
typedef struct {
    const size_t *row;
    size_t n, path;
} row_list;
#define NO_PATH SIZE_MAX

/* One segment, all of it in one block of the corpus. */
typedef struct {
    uint64_t begin;  /* position of step 0 */
    size_t n, block; /* steps; the part of a block (blocks.h) */
    size_t n_columns;
    replacement_column *columns;
    sg_step *steps;              /* (room) */
    row_list *to;                /* (columns) */
    float *state, *x, *other;    /* (state size) (room, E) (columns, E) */
    bool *first;                 /* (room) */
    replacement_effect *effects; /* (columns, D, G) */
    double *kl;                  /* (columns, D) */
    size_t n_paths;
    path_effect *averages; /* (columns, G, path delays) */
    float *before;         /* (state size) work */
} job;

struct replacement {
    const analysis *an;
    size_t model;
    uint64_t position, zero; /* of the next step; of the first step since the state was last zero */
    float *state;            /* before that step */
    size_t D, E, G, segment, room, most, state_size;
    size_t at_once; /* columns of one word at most */
    bool kl_at_all;
    bool *kl_at; /* (D) */
    replaced_words *words;
    replaced_word *drawn; /* (at_once) of the word at hand */
    replacement_weights *weights;
    int threads;
    size_t n_jobs;
    replacement_batch **work; /* (threads) */
    size_t path_delays;
    path_work **paths; /* (threads, G); NULL: none is asked for */
    job *jobs;
    replacement_sums *sums;
};

static const float *embedding_of(const replacement *r, size_t word)
{
    return sg_model_find(r->an->models[r->model], "encoder.weight")->data + word * r->E;
}

/* x': borrowed of the model, or a row of features read into `room`. */
static sg_status input_of(const replacement *r, const replaced_word *w, float *room, const float **x,
                          sg_error *err)
{
    if (!r->an->features) {
        *x = embedding_of(r, (size_t)w->other);
        return SG_OK;
    }
    *x = room;
    return rows_read(r->an->features, w->other, 1, room, err);
}

/* ---- making and freeing ---- */

static bool job_new(job *j, const replacement *r)
{
    return (j->columns = sg_calloc(r->most, sizeof *j->columns)) &&
           (j->steps = sg_calloc(r->room, sizeof *j->steps)) && (j->to = sg_calloc(r->most, sizeof *j->to)) &&
           (j->state = sg_calloc(r->state_size, sizeof *j->state)) &&
           (j->x = sg_calloc(r->room, r->E * sizeof *j->x)) &&
           (j->other = sg_calloc(r->an->features ? r->most : 1, r->E * sizeof *j->other)) &&
           (j->first = sg_calloc(r->room, sizeof *j->first)) &&
           (j->effects = sg_calloc(r->most, r->D * r->G * sizeof *j->effects)) &&
           (j->kl = sg_calloc(r->most, r->D * sizeof *j->kl)) &&
           (!r->paths || ((j->averages = sg_calloc(r->most, r->path_delays * r->G * sizeof *j->averages)) &&
                          (j->before = sg_calloc(r->state_size, sizeof *j->before))));
}

static void job_free(job *j)
{
    sg_free(j->columns), sg_free(j->steps), sg_free(j->to), sg_free(j->state), sg_free(j->x);
    sg_free(j->other), sg_free(j->first), sg_free(j->effects), sg_free(j->kl);
    sg_free(j->averages), sg_free(j->before);
}

/* Of one model: its weights, and the workspaces that use them. */
static sg_status use_model(replacement *r, size_t model, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = r->an;
    for (int i = 0; r->work && i < r->threads; i++)
        replacement_batch_free(r->work[i]), r->work[i] = NULL;
    replacement_weights_free(r->weights), r->weights = NULL;
    TRY(replacement_weights_new(&r->weights, an->models[model], r->kl_at_all, err));
    for (int i = 0; i < r->threads; i++)
        TRY(replacement_batch_new(&r->work[i], r->weights, an->states, r->G, r->D, r->kl_at, r->most, err));
    for (size_t i = 0; r->paths && i < (size_t)r->threads * r->G; i++) {
        const sg_accum_state *s = &an->states[i % r->G];
        path_free(r->paths[i]), r->paths[i] = NULL;
        TRY(path_new(&r->paths[i], an->models[model], s->layer - 1, s->kind, r->path_delays, path_to_partner,
                     err));
    }
done:
    return st;
}

static void sizes(replacement *r, const analysis *an)
{
    r->an = an, r->D = an->D, r->E = an->E, r->G = an->n_states;
    r->threads = analysis_threads(an), r->n_jobs = JOBS_PER_THREAD * (size_t)r->threads;
    r->kl_at_all = an->shape->has_decoder && an->replace.kl_rate > 0;
    r->path_delays = an->D < REPLACED_PATH_DELAYS ? an->D : REPLACED_PATH_DELAYS;
    r->segment = an->D > SEGMENT ? an->D : SEGMENT;
    size_t fit = EFFECT_BYTES / (r->D * (r->G * sizeof(replacement_effect) + sizeof(double)));
    r->at_once = replaced_words_most(an);
    r->most = fit > MOST_COLUMNS ? MOST_COLUMNS : fit > 8 ? fit : 8;
    r->most = r->most > r->at_once ? r->most : r->at_once;
    r->room = r->segment + r->D - 1;
    for (size_t l = 0; l < an->shape->layers; l++)
        r->state_size += cell_states(cell_of(an->shape->cell)) * an->shape->hidden[l];
}

size_t replacement_bytes(const analysis *an)
{
    replacement r = {0};
    sizes(&r, an);
    const sg_model_shape *s = an->shape;
    size_t each = r.most *
                  (r.D * (r.G * sizeof(replacement_effect) + sizeof(double)) + sizeof(replacement_column)),
           column = r.E, H = 0;
    for (size_t l = 0; l < s->layers; l++) /* tape, states and tangents */
        column += (cell_of(s->cell)->tape + 4) * s->hidden[l], H = s->hidden[l] > H ? s->hidden[l] : H;
    if (an->replace.path_rate > 0)
        each += r.most * r.path_delays * r.G * sizeof(path_effect);
    each += r.room * (r.E * sizeof(float) + sizeof(sg_step));
    size_t logits = s->vocabulary < (1 << 13) ? 512 * s->vocabulary * sizeof(float) : (size_t)16 << 20;
    return replacement_weights_bytes(s, s->has_decoder) + r.n_jobs * each +
           (size_t)r.threads * (r.most * (column + 3 * H) * sizeof(float) + (s->has_decoder ? logits : 0)) +
           replacement_sums_bytes(an->n_models, an->B * an->split, replacement_rows(an->C, an->P), r.D, r.G);
}

sg_status replacement_new(replacement **out, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    replacement *r = sg_calloc(1, sizeof *r);
    *out = NULL;
    NEED(r, err, "replacement");
    sizes(r, an);
    TRY(replaced_words_new(&r->words, an, err));
    NEED((r->drawn = sg_calloc(r->at_once, sizeof *r->drawn)) &&
             (r->state = sg_calloc(r->state_size, sizeof *r->state)) &&
             (r->kl_at = sg_calloc(r->D, sizeof *r->kl_at)) &&
             (r->work = sg_calloc((size_t)r->threads, sizeof *r->work)) &&
             (r->jobs = sg_calloc(r->n_jobs, sizeof *r->jobs)) &&
             (!(an->replace.path_rate > 0) ||
              (r->paths = sg_calloc((size_t)r->threads * r->G, sizeof(path_work *)))),
         err, "replacement");
    for (size_t d = 0; d < r->D; d++)
        r->kl_at[d] = replacement_kl_delay(d);
    for (size_t i = 0; i < r->n_jobs; i++)
        NEED(job_new(&r->jobs[i], r), err, "replacements of %zu words at %zu delays", r->most, r->D);
    TRY(replacement_sums_new(&r->sums, an->n_models, an->B * an->split, replacement_rows(an->C, an->P), r->D,
                             r->G, err));
    TRY(use_model(r, 0, err));
    *out = r, r = NULL;
done:
    replacement_free(r);
    return st;
}

void replacement_free(replacement *r)
{
    if (!r)
        return;
    for (int i = 0; r->work && i < r->threads; i++)
        replacement_batch_free(r->work[i]);
    for (size_t i = 0; r->paths && i < (size_t)r->threads * r->G; i++)
        path_free(r->paths[i]);
    for (size_t i = 0; r->jobs && i < r->n_jobs; i++)
        job_free(&r->jobs[i]);
    replacement_weights_free(r->weights);
    replacement_sums_free(r->sums);
    replaced_words_free(r->words);
    sg_free(r->drawn), sg_free(r->state), sg_free(r->kl_at);
    sg_free(r->work), sg_free(r->jobs), sg_free(r->paths);
    sg_free(r);
}

replacement_sums *replacement_take(replacement *r)
{
    replacement_sums *s = r->sums;
    r->sums = NULL;
    return s;
}

/* ---- a segment ---- */

/* Steps begin .. begin+n-1 and their inputs. */
static sg_status read_steps(const replacement *r, job *j, uint64_t begin, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = r->an;
    const bool reset = an->cfg->handling == SG_RESET;
    TRY(read_portion(an, begin, n, j->steps, j->x, err));
    const sg_tensor *encoder = an->features ? NULL : sg_model_find(an->models[r->model], "encoder.weight");
    for (size_t i = 0; i < n; i++) {
        j->first[i] = reset && j->steps[i].first;
        if (encoder)
            memcpy(j->x + i * r->E, encoder->data + (size_t)j->steps[i].id * r->E, r->E * sizeof *j->x);
    }
    j->begin = begin, j->n = n, j->n_columns = j->n_paths = 0;
done:
    return st;
}

/* Delays of a word at step i before the stream, its sentence or its window ends. */
static size_t life_of(const replacement *r, const job *j, size_t i)
{
    const sg_analysis_config *cfg = r->an->cfg;
    size_t life = j->n - i < r->D ? j->n - i : r->D;
    for (size_t d = 1; cfg->handling == SG_RESET && d < life; d++)
        if (j->first[i + d])
            return d;
    if (cfg->handling == SG_WINDOW) {
        uint64_t left = cfg->window - (j->begin + i) % cfg->window;
        life = left < life ? (size_t)left : life;
    }
    return life;
}

/* The n replacements drawn for the word at step i, a column each. */
static sg_status add_columns(replacement *r, job *j, size_t i, size_t n, bool with_kl, sg_error *err)
{
    sg_status st = SG_OK;
    replacement_column here = {i, life_of(r, j, i), with_kl, NULL};
    for (size_t k = 0; k < n; k++) {
        const replaced_word *w = &r->drawn[k];
        row_list to = {.path = w->averaged ? j->n_paths++ : NO_PATH};
        to.row = replaced_words_rows(r->words, j->steps[i].set, w, &to.n);
        TRY(input_of(r, w, j->other + (r->an->features ? j->n_columns * r->E : 0), &here.x, err));
        j->columns[j->n_columns] = here;
        j->to[j->n_columns++] = to;
    }
done:
    return st;
}

/* Which of the first n steps are replaced, and by what. Stops where there is no room for a further word:
 * *taken steps are done. */
static sg_status draw_columns(replacement *r, job *j, size_t n, size_t *taken, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = r->an;
    for (*taken = 0; *taken < n && j->n_columns + r->at_once <= r->most; ++*taken) {
        const sg_step *step = &j->steps[*taken];
        const uint64_t s = j->begin + *taken;
        bool with_kl;
        r->zero = j->first[*taken] ? s : r->zero;
        if (s - r->zero < an->cfg->burn_in)
            continue;
        size_t found = replaced_words_draw(r->words, s, step->id, step->set, r->drawn, &with_kl);
        TRY(add_columns(r, j, *taken, found, r->kl_at_all && with_kl, err));
    }
done:
    return st;
}

/* States alone, up to `until`. j is work. */
static sg_status skip(replacement *r, job *j, uint64_t until, sg_error *err)
{
    sg_status st = SG_OK;
    while (r->position < until) {
        size_t n = until - r->position < PORTION ? (size_t)(until - r->position) : PORTION;
        n = n < r->room ? n : r->room;
        TRY(read_steps(r, j, r->position, n, err));
        for (size_t i = 0; i < n; i++)
            r->zero = j->first[i] ? r->position + i : r->zero;
        replacement_batch_advance(r->work[0], r->state, j->x, j->first, n);
        r->position += n;
    }
done:
    return st;
}

/* The state before token t, from where states begin. j is work. */
static sg_status begin_states(replacement *r, job *j, uint64_t t, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(states_begin(r->an, t, j->steps, &r->position, err));
    r->zero = r->position;
    memset(r->state, 0, r->state_size * sizeof *r->state);
    TRY(skip(r, j, t, err));
done:
    return st;
}

/* The next segment, up to `until` and within a block; the state goes on to its end. */
static sg_status plan_job(replacement *r, job *j, uint64_t until, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = r->an;
    size_t b = an->first_row;
    while (analysis_part_start(an, b + 1) <= r->position)
        b++;
    if (an->cfg->warm_up && b > an->first_row && r->position == analysis_part_start(an, b))
        TRY(begin_states(r, j, r->position, err));
    uint64_t end = analysis_part_start(an, b + 1) < until ? analysis_part_start(an, b + 1) : until;
    size_t n = end - r->position < r->segment ? (size_t)(end - r->position) : r->segment;
    uint64_t left = an->T - r->position;
    TRY(read_steps(r, j, r->position, left < n + r->D - 1 ? (size_t)left : n + r->D - 1, err));
    TRY(draw_columns(r, j, n, &n, err));
    j->block = b;
    memcpy(j->state, r->state, r->state_size * sizeof *r->state);
    replacement_batch_advance(r->work[0], r->state, j->x, j->first, n);
    r->position += n;
done:
    return st;
}

/* What a replacement shows, into its rows. */
static void add_column(replacement *r, const job *j, size_t k)
{
    const replacement_column *c = &j->columns[k];
    const bool averaged = j->to[k].path != NO_PATH;
    const replacement_seen seen = {.life = c->life,
                                   .effects = j->effects + k * r->D * r->G,
                                   .kl = c->with_kl ? j->kl + k * r->D : NULL,
                                   .kl_at = r->kl_at,
                                   .averages =
                                       averaged ? j->averages + j->to[k].path * r->G * r->path_delays : NULL,
                                   .path_delays = averaged ? r->path_delays : 0};
    for (size_t i = 0; i < j->to[k].n; i++)
        replacement_sums_add(r->sums, r->model, j->block, j->to[k].row[i], &seen);
}

/* The averages of the job's columns that have one. Columns come in the order of their steps. */
static sg_status average_paths(replacement *r, int thread, job *j, sg_error *err)
{
    sg_status st = SG_OK;
    size_t at = 0, nodes;
    bool reached;
    if (!j->n_paths)
        return SG_OK;
    memcpy(j->before, j->state, r->state_size * sizeof *j->before);
    for (size_t k = 0; k < j->n_columns; k++) {
        const replacement_column *c = &j->columns[k];
        if (j->to[k].path == NO_PATH)
            continue;
        replacement_batch_advance(r->work[thread], j->before, j->x + at * r->E, j->first + at, c->at - at);
        at = c->at;
        if (j->first[at])
            memset(j->before, 0, r->state_size * sizeof *j->before);
        for (size_t g = 0; g < r->G; g++)
            TRY(path_average(r->paths[(size_t)thread * r->G + g], j->before, j->x + at * r->E,
                             c->life < r->path_delays ? c->life : r->path_delays, c->x,
                             j->averages + (j->to[k].path * r->G + g) * r->path_delays, &nodes, &reached,
                             err));
    }
done:
    return st;
}

static sg_status run_job(replacement *r, int thread, job *j, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(replacement_batch_run(r->work[thread], j->state, j->x, j->first, j->n, j->columns, j->n_columns,
                              j->effects, j->kl, err));
    TRY(average_paths(r, thread, j, err));
done:
    return st;
}

static sg_status run_jobs(replacement *r, size_t n, sg_error *err)
{
    sg_status failed = SG_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(r->threads)
    for (size_t i = 0; i < n; i++) {
        sg_error inner = {""};
        sg_status st = run_job(r, omp_get_thread_num(), &r->jobs[i], &inner);
        if (st != SG_OK) {
#pragma omp critical(replacement_failed)
            {
                failed = st;
                if (err)
                    *err = inner;
            }
        }
    }
    for (size_t i = 0; failed == SG_OK && i < n; i++) /* in their order, whichever was done first */
        for (size_t k = 0; k < r->jobs[i].n_columns; k++)
            add_column(r, &r->jobs[i], k);
    return failed;
}

sg_status replacement_run(replacement *r, size_t model, uint64_t until, bool (*go_on)(void *ctx), void *ctx,
                          bool *stopped, sg_error *err)
{
    sg_status st = SG_OK;
    const uint64_t begin = analysis_part_start(r->an, r->an->first_row);
    *stopped = false;
    if (model != r->model) {
        r->model = model, r->position = r->zero = 0;
        memset(r->state, 0, r->state_size * sizeof *r->state);
        TRY(use_model(r, model, err));
    }
    if (r->position < begin)
        TRY(begin_states(r, &r->jobs[0], begin, err));
    while (r->position < until) {
        size_t n = 0;
        while (n < r->n_jobs && r->position < until)
            TRY(plan_job(r, &r->jobs[n++], until, err));
        TRY(run_jobs(r, n, err));
        if (go_on && !go_on(ctx)) {
            *stopped = true;
            break;
        }
    }
done:
    return st;
}

/* ---- checkpoints ---- */

typedef struct {
    uint64_t model, position, zero;
} header;

static size_t sums_doubles(const replacement_sums *s)
{
    return s->models * s->B * s->rows * s->D * replacement_fields(s->G);
}

sg_status replacement_save(const replacement *r, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    const header h = {r->model, r->position, r->zero};
    TRY(checkpoint_put(f, &h, sizeof h, path, err));
    TRY(checkpoint_put(f, r->state, r->state_size * sizeof *r->state, path, err));
    TRY(checkpoint_put(f, r->sums->x, sums_doubles(r->sums) * sizeof *r->sums->x, path, err));
done:
    return st;
}

sg_status replacement_load(replacement *r, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    header h;
    TRY(checkpoint_get(f, &h, sizeof h, path, err));
    if (h.model >= r->an->n_models || h.position > r->an->T || h.zero > h.position)
        TRY(sg_fail(err, SG_EFORMAT, "%s: does not fit this analysis", path));
    TRY(checkpoint_get(f, r->state, r->state_size * sizeof *r->state, path, err));
    TRY(checkpoint_get(f, r->sums->x, sums_doubles(r->sums) * sizeof *r->sums->x, path, err));
    if (h.model != r->model)
        TRY(use_model(r, (size_t)h.model, err));
    r->model = (size_t)h.model, r->position = h.position, r->zero = h.zero;
done:
    return st;
}
