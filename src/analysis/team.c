/* SPDX-License-Identifier: MIT */
#include "analysis/team.h"
#include "analysis/pass/self_gain.h"
#include "analysis/pass/shared.h"

#include "base/base_internal.h"
#include "cell/cell.h"

#include <glob.h>
#include <math.h>
#include <string.h>

static sg_status stopped(sg_error *err)
{
    return sg_fail(err, SG_ECANCELLED, "stopped");
}

/* ---- agreement ---- */

typedef struct {
    int32_t st;
    char msg[sizeof((sg_error *)0)->msg], facts[IDENTITY_ROOM];
} report;

/* The first line in which a and b differ, its name and both values into the message. */
static void name_difference(report *verdict, size_t rank, const char *a, const char *b)
{
    while (*a && *b) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n"), name = strcspn(a, "=\n");
        if (n != m || memcmp(a, b, n)) {
            const char *found = strchr(b, '=') ? strchr(b, '=') + 1 : b;
            snprintf(verdict->msg, sizeof verdict->msg,
                     "the processes differ: %.*s is %.*s in rank 0, %.*s in rank %zu", (int)name, a,
                     (int)(n > name ? n - name - 1 : 0), a + name + 1, (int)strcspn(found, "\n"), found,
                     rank);
            return;
        }
        a += n + (a[n] != 0), b += m + (b[m] != 0);
    }
    snprintf(verdict->msg, sizeof verdict->msg, "the processes differ: ranks 0 and %zu", rank);
}

static sg_status agree_on_reports(const sg_team *t, report *own, sg_error *err)
{
    sg_status st = SG_OK;
    report verdict = *own, other;
    for (size_t r = 1; r < t->ranks; r++) {
        if (!t->receive(t->ctx, r, &other, sizeof other))
            return stopped(err);
        other.msg[sizeof other.msg - 1] = other.facts[sizeof other.facts - 1] = 0;
        if (verdict.st != SG_OK)
            continue;
        if (other.st != SG_OK)
            snprintf(verdict.msg, sizeof verdict.msg, "rank %zu: %.900s", r, other.msg),
                verdict.st = other.st;
        else if (strcmp(own->facts, other.facts) != 0)
            name_difference(&verdict, r, own->facts, other.facts), verdict.st = SG_EINVAL;
    }
    for (size_t r = 1; r < t->ranks; r++)
        if (!t->send(t->ctx, r, &verdict, sizeof verdict))
            return stopped(err);
    *own = verdict;
    return st;
}

sg_status sg_team_agree(const sg_team *t, const char *facts, sg_status st, sg_error *err)
{
    report r = {.st = (int32_t)st};
    if (!t || t->ranks < 2)
        return st;
    snprintf(r.facts, sizeof r.facts, "%s", facts);
    if (st != SG_OK && err)
        snprintf(r.msg, sizeof r.msg, "%s", err->msg);
    if (!t->rank) {
        sg_status judged = agree_on_reports(t, &r, err);
        if (judged != SG_OK)
            return judged;
    } else if (!t->send(t->ctx, 0, &r, sizeof r) || !t->receive(t->ctx, 0, &r, sizeof r))
        return stopped(err);
    return r.st == SG_OK ? SG_OK : sg_fail(err, (sg_status)r.st, "%s", r.msg);
}

/* ---- division ---- */

/* Rows from `first` on that cost at most `limit`; costs in gradients of one token. */
static size_t fill(const analysis *an, size_t first, double limit, double per_state)
{
    const size_t rows = an->B * an->split;
    const double begin = (double)analysis_part_start(an, first);
    size_t end = first;
    while (end < rows &&
           (double)analysis_part_start(an, end + 1) - begin + per_state * begin <= limit * (1 + 1e-12))
        end++;
    return end;
}

double team_state_cost(const sg_model_shape *s)
{
    enum {
        SLOWER = 20,
        PASSES = 3
    }; /* products of a vector, on one thread; gradients, replacement, exponents */
    double products = 0;
    for (size_t l = 0; l < s->layers; l++)
        products += 2.0 * (double)sg_cell_gates(s->cell) * (double)s->hidden[l] *
                    (double)((l ? s->hidden[l - 1] : s->embedding) + s->hidden[l]);
    return SLOWER * PASSES * products;
}

double team_token_cost(const analysis *an)
{
    const sg_engine_config engine = analysis_engine(an);
    double gradients = 0;
    engine_cost(&gradients, NULL, an->shape, &engine);
    return gradients + (an->cfg->units ? self_gain_cost(an) : 0);
}

void team_share(const analysis *an, size_t rank, size_t ranks, size_t *first, size_t *end)
{
    const size_t rows = an->B * an->split;
    const double per_state =
        states_need_all(an) ? team_state_cost(an->shape) / fmax(team_token_cost(an), 1) : 0;
    double low = 0, high;
    high = (double)an->T * (1 + per_state);
    for (int i = 0; i < 60; i++) {
        double limit = (low + high) / 2;
        size_t at = 0;
        for (size_t r = 0; r < ranks; r++)
            at = fill(an, at, limit, per_state);
        *(at == rows ? &high : &low) = limit;
    }
    *end = 0;
    for (size_t r = 0; r <= rank; r++)
        *first = *end, *end = fill(an, *first, high, per_state);
}

sg_status team_check(const sg_analysis_config *cfg, sg_error *err)
{
    if (cfg->precision > 0)
        return sg_fail(
            err, SG_EINVAL,
            "setting 'precision' works in one process only: no process knows when all have enough; "
            "setting 'sample' works in several");
    if (cfg->parts)
        return sg_fail(err, SG_EINVAL,
                       "setting 'part' works in one process only: several divide the corpus by themselves");
    return SG_OK;
}

sg_status team_checkpoint(char **out, const sg_team *t, const char *checkpoint, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t size = strlen(checkpoint) + 64;
    char *pattern = NULL;
    glob_t found = {0};
    NEED((*out = sg_calloc(size, 1)) && (pattern = sg_calloc(2 * size, 1)), err, "the name of %s",
         checkpoint);
    snprintf(*out, size, "%s.%zuof%zu", checkpoint, t->rank + 1, t->ranks);
    char *p = pattern;
    for (const char *c = checkpoint; *c; c++) {
        if (strchr("*?[\\", *c))
            *p++ = '\\';
        *p++ = *c;
    }
    memcpy(p, ".*of*", 6);
    glob(pattern, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *number = found.gl_pathv[i] + strlen(checkpoint) + 1;
        size_t a, b;
        int length = 0;
        if (sscanf(number, "%zuof%zu%n", &a, &b, &length) == 2 && !number[length] && b != t->ranks)
            TRY(sg_fail(err, SG_EINVAL,
                        "%s: was written by one of %zu processes, and there are %zu now: start as many, or "
                        "remove %s.*of%zu*",
                        found.gl_pathv[i], b, t->ranks, checkpoint, b));
    }
done:
    globfree(&found);
    sg_free(pattern);
    return st;
}

/* ---- streams ---- */

enum { CHUNK = 1 << 20 };

struct team_stream {
    const sg_team *team;
    size_t peer, n, at; /* bytes in the buffer, those already taken from it */
    char buffer[CHUNK];
};

sg_status team_stream_new(team_stream **out, const sg_team *t, size_t peer, sg_error *err)
{
    team_stream *s = sg_calloc(1, sizeof *s);
    if (!(*out = s))
        return no_memory(err, "the sums of rank %zu", peer);
    s->team = t, s->peer = peer;
    return SG_OK;
}

void team_stream_free(team_stream *s)
{
    sg_free(s);
}

sg_status team_flush(team_stream *s, sg_error *err)
{
    const uint64_t n = s->n;
    s->n = 0;
    if (n && (!s->team->send(s->team->ctx, s->peer, &n, sizeof n) ||
              !s->team->send(s->team->ctx, s->peer, s->buffer, n)))
        return stopped(err);
    return SG_OK;
}

sg_status team_put(team_stream *s, const void *bytes, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    for (const char *from = bytes; n;) {
        size_t part = n < CHUNK - s->n ? n : CHUNK - s->n;
        memcpy(s->buffer + s->n, from, part);
        s->n += part, from += part, n -= part;
        if (s->n == CHUNK)
            TRY(team_flush(s, err));
    }
done:
    return st;
}

static sg_status fetch(team_stream *s, sg_error *err)
{
    uint64_t n;
    if (!s->team->receive(s->team->ctx, s->peer, &n, sizeof n))
        return stopped(err);
    if (!n || n > CHUNK)
        return sg_fail(err, SG_EFORMAT, "rank %zu: sent %ju bytes, expected 1 to %d", s->peer, (uintmax_t)n,
                       (int)CHUNK);
    if (!s->team->receive(s->team->ctx, s->peer, s->buffer, n))
        return stopped(err);
    s->n = n, s->at = 0;
    return SG_OK;
}

sg_status team_get(team_stream *s, void *bytes, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    for (char *to = bytes; n;) {
        if (s->at == s->n)
            TRY(fetch(s, err));
        size_t part = n < s->n - s->at ? n : s->n - s->at;
        memcpy(to, s->buffer + s->at, part);
        s->at += part, to += part, n -= part;
    }
done:
    return st;
}
