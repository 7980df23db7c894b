/* SPDX-License-Identifier: MIT */
#include "analysis/blocks.h"
#include "analysis/pass/shared.h"

#include "base/base_internal.h"
#include "stategrad/stats.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK = 4096,
    MIN_DOCUMENTS = SG_STATS_MIN_BLOCKS,
    SPLIT = 4,
    COMPARED_BLOCKS = 20,
    LINES_OF_DOCUMENT = 3
};
/* What comparing may cost: products relative to those of the pass, or in all; bytes of scratch. */
static const double SHARE_OF_PASS = 0.1, FEW_PRODUCTS = 2e11, MOST_SCRATCH = 4294967296.0;

/* ---- documents ---- */

/* Headings, then files, then blank lines: the first that there are, however few. Where texts have headings,
 * blank lines separate their paragraphs; so they do where there are few lines between them. */
static sg_documents find_documents(const sg_stream *s)
{
    if (sg_stream_documents(s, SG_DOCUMENTS_HEADING) > 1)
        return SG_DOCUMENTS_HEADING;
    if (sg_stream_documents(s, SG_DOCUMENTS_FILE) > 1)
        return SG_DOCUMENTS_FILE;
    uint64_t n = sg_stream_documents(s, SG_DOCUMENTS_BLANK);
    return n > 1 && sg_stream_info(s)->sentences >= LINES_OF_DOCUMENT * n ? SG_DOCUMENTS_BLANK
                                                                          : SG_DOCUMENTS_NONE;
}

/* ---- parts of blocks ---- */

static bool parts_are_affordable(const analysis *an)
{
    double E = (double)an->E, extra = 0, scratch = 0, flops = 0;
    size_t bytes = 0;
    for (size_t g = 0; g < an->n_groups; g++) {
        double H = (double)an->groups[g].units, items = (double)(an->C * an->D * an->B);
        extra += (SPLIT - 1) * items * (4 * H * E * E + 120 * E * E * E);
        scratch += SPLIT * items * (H * E + E * E / 2) * (double)sizeof(float);
    }
    sg_engine_config engine = analysis_engine(an);
    if (an->shape)
        engine_cost(&flops, &bytes, an->shape, &engine);
    flops *= (double)an->T * (double)an->n_models;
    return scratch <= MOST_SCRATCH && extra <= fmax(FEW_PRODUCTS, SHARE_OF_PASS * flops);
}

void blocks_choose(analysis *an)
{
    const sg_analysis_config *cfg = an->cfg;
    sg_documents by = cfg->documents == SG_DOCUMENTS_AUTO ? find_documents(an->stream) : cfg->documents;
    an->documents = sg_stream_documents(an->stream, by);
    an->alone = an->documents < MIN_DOCUMENTS;
    an->B = cfg->blocks < an->T ? cfg->blocks : (size_t)an->T;
    if (!an->alone && an->documents < an->B)
        an->B = (size_t)an->documents;
    an->used.documents = by;
    an->used.blocks = an->B;
    bool enough = an->alone ? an->T / (SPLIT * an->B) > 0 : an->documents >= 2 * an->B;
    bool wanted = cfg->documents != SG_DOCUMENTS_NONE && an->B >= COMPARED_BLOCKS && !(cfg->precision > 0);
    an->split = wanted && enough && parts_are_affordable(an) ? SPLIT : 1;
}

sg_status blocks_of_part(analysis *an, sg_error *err)
{
    const sg_analysis_config *cfg = an->cfg;
    an->first_row = 0;
    an->end_row = an->B * an->split;
    if (!cfg->parts)
        return SG_OK;
    an->first_row = an->B * (cfg->part - 1) / cfg->parts * an->split;
    an->end_row = an->B * cfg->part / cfg->parts * an->split;
    if (an->first_row == an->end_row)
        return sg_fail(err, SG_EINVAL, "setting 'part' %zu/%zu: more parts than the %zu blocks", cfg->part,
                       cfg->parts, an->B);
    return SG_OK;
}

/* ---- places ---- */

static uint64_t even_cut(uint64_t T, size_t i, size_t n) /* T i / n without overflow */
{
    uint64_t whole = T / n, rest = T % n;
    return whole * i + rest * i / n;
}

uint64_t analysis_part_start(const analysis *an, size_t f)
{
    return an->starts ? an->starts[f] : even_cut(an->T, f, an->B * an->split);
}

uint64_t analysis_block_start(const analysis *an, size_t b)
{
    return analysis_part_start(an, b * an->split);
}

/* The places where documents begin, one after the other. */
typedef struct {
    uint64_t *starts;
    size_t n;        /* entries wanted, the first is 0 */
    size_t filled;   /* entries that are known */
    bool first_seen; /* what precedes the first beginning belongs to the first document */
    uint64_t before; /* the beginning seen last */
    bool all;        /* every beginning is an entry */
} places;

/* A document begins at t (or the text ends there): targets up to t get the nearest beginning. */
static void place(places *p, uint64_t t, uint64_t T)
{
    if (p->all && p->filled < p->n && t < T)
        p->starts[p->filled++] = t;
    while (!p->all && p->filled < p->n && even_cut(T, p->filled, p->n) <= t) {
        uint64_t target = even_cut(T, p->filled, p->n);
        p->starts[p->filled++] = target - p->before < t - target ? p->before : t;
    }
    p->before = t;
}

/* Blocks without tokens are none. */
static void drop_empty(analysis *an)
{
    size_t kept = 0, split = an->split;
    for (size_t b = 0; b < an->B; b++) {
        if (an->starts[b * split] == an->starts[(b + 1) * split])
            continue;
        memmove(an->starts + kept * split, an->starts + b * split, split * sizeof *an->starts);
        kept++;
    }
    an->starts[kept * split] = an->T;
    an->B = kept;
}

sg_status blocks_place(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    sg_step *steps = NULL;
    if (an->alone)
        return SG_OK; /* even blocks */
    size_t n = an->B * an->split;
    NEED((steps = sg_calloc(CHUNK, sizeof *steps)) && (an->starts = sg_calloc(n + 1, sizeof *an->starts)),
         err, "%zu blocks", n);
    places p = {.starts = an->starts, .n = n, .filled = 1, .all = an->documents == n};
    for (uint64_t t = 0; t < an->T; t += CHUNK) {
        size_t m = an->T - t < CHUNK ? (size_t)(an->T - t) : CHUNK;
        TRY(sg_stream_read(an->stream, t, m, steps, err));
        for (size_t i = 0; i < m; i++)
            if (sg_step_begins(&steps[i], an->used.documents)) {
                if (p.first_seen)
                    place(&p, t + i, an->T);
                p.first_seen = true;
            }
    }
    place(&p, an->T, an->T);
    while (p.filled <= n)
        p.starts[p.filled++] = an->T;
    drop_empty(an);
    an->used.blocks = an->B;
    TRY(blocks_of_part(an, err));
done:
    sg_free(steps);
    return st;
}
