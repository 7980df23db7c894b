/* SPDX-License-Identifier: MIT */
/* usage: mpirun -n 2 bench_team - what the processes of an analysis exchange. The time of one message is
 * latency + bytes / bandwidth, fitted to messages of 8 bytes to 2 MiB. Printed with it: the time of the sums
 * that an analysis in the setting of the papers sends to rank 0, by this line and as measured. */
#include <stategrad/analysis.h>

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOKENS = 1200, DELAYS = 50, EMBEDDING = 64, HIDDEN = 256, WORDS = 50, LARGEST = 1 << 21, ROUNDS = 40 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool send_bytes(void *ctx, size_t to, const void *bytes, size_t n)
{
    (void)ctx;
    return MPI_Send(bytes, (int)n, MPI_BYTE, (int)to, 0, MPI_COMM_WORLD) == MPI_SUCCESS;
}

static bool receive_bytes(void *ctx, size_t from, void *bytes, size_t n)
{
    (void)ctx;
    return MPI_Recv(bytes, (int)n, MPI_BYTE, (int)from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE) == MPI_SUCCESS;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- messages ---- */

typedef struct {
    double latency, bandwidth; /* seconds; bytes per second */
} line;

/* Median of half a round trip: n bytes to rank 1, n bytes back. */
static double message(const sg_team *t, char *bytes, size_t n)
{
    double taken[ROUNDS];
    for (size_t k = 0; k < ROUNDS; k++) {
        double began = now();
        bool sent = t->rank ? t->receive(t->ctx, 0, bytes, n) && t->send(t->ctx, 0, bytes, n)
                            : t->send(t->ctx, 1, bytes, n) && t->receive(t->ctx, 1, bytes, n);
        if (!sent)
            exit(1);
        taken[k] = (now() - began) / 2;
    }
    qsort(taken, ROUNDS, sizeof *taken, ascending);
    return taken[ROUNDS / 2];
}

/* Least squares of the relative error: minimises sum over i of ((a + b n_i) / t_i - 1)^2. */
static line fit(const double *n, const double *t, size_t count)
{
    double s11 = 0, s12 = 0, s22 = 0, r1 = 0, r2 = 0;
    for (size_t i = 0; i < count; i++) {
        double x = 1 / t[i], y = n[i] / t[i];
        s11 += x * x, s12 += x * y, s22 += y * y, r1 += x, r2 += y;
    }
    double d = s11 * s22 - s12 * s12;
    return (line){(r1 * s22 - r2 * s12) / d, d / (s11 * r2 - s12 * r1)};
}

static line measure(const sg_team *t)
{
    double n[16], taken[16], worst = 0;
    size_t count = 0;
    char *bytes = calloc(LARGEST, 1);
    if (!bytes)
        exit(1);
    for (size_t size = 8; size <= LARGEST; size *= 8, count++)
        n[count] = (double)size, taken[count] = message(t, bytes, size);
    free(bytes);
    line x = fit(n, taken, count);
    if (t->rank)
        return x;
    printf("%12s %14s %14s\n", "bytes", "seconds", "by the line");
    for (size_t i = 0; i < count; i++) {
        double by_line = x.latency + n[i] / x.bandwidth;
        worst = fmax(worst, fabs(by_line / taken[i] - 1));
        printf("%12.0f %14.3g %14.3g\n", n[i], taken[i], by_line);
    }
    printf("latency %.3g us, bandwidth %.3g GB/s; the line is off by at most %.0f %%\n", 1e6 * x.latency,
           1e-9 * x.bandwidth, 100 * worst);
    return x;
}

/* ---- an analysis, whose messages are counted ---- */

typedef struct {
    const sg_team *real;
    size_t messages;
    double bytes, seconds;
    double longest; /* wait: for the first of the sums, until rank 1 has computed them */
} counted;

static bool counted_send(void *ctx, size_t to, const void *bytes, size_t n)
{
    const counted *x = ctx;
    return x->real->send(x->real->ctx, to, bytes, n);
}

static bool counted_receive(void *ctx, size_t from, void *bytes, size_t n)
{
    counted *x = ctx;
    double began = now();
    bool there = x->real->receive(x->real->ctx, from, bytes, n);
    began = now() - began;
    x->messages++, x->bytes += (double)n, x->seconds += began;
    x->longest = fmax(x->longest, began);
    return there;
}

static sg_status analyze(counted *x, const char *path, sg_error *err)
{
    static int32_t ids[TOKENS];
    static char names[WORDS][8];
    const char *words[WORDS];
    sg_model_shape shape = {.cell = SG_CELL_LSTM, .layers = 1, .embedding = EMBEDDING, .vocabulary = WORDS};
    sg_team team = *x->real;
    sg_analysis_config cfg;
    sg_vocab *vocab = NULL;
    sg_model *m = NULL;
    sg_stream *s = NULL;
    for (int i = 0; i < WORDS; i++)
        words[i] = names[i], snprintf(names[i], sizeof names[i], "w%d", i);
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)(i * i % WORDS);
    shape.hidden[0] = HIDDEN;
    sg_status st = sg_vocab_from_words(&vocab, words, NULL, WORDS, err);
    if (st == SG_OK)
        st = sg_model_new(&m, &shape, vocab, err);
    if (st == SG_OK) {
        sg_model_init_uniform(m, 1.0f / 16, 1);
        st = sg_stream_from_ids(&s, ids, NULL, TOKENS, NULL, vocab, NULL, err);
    }
    if (st == SG_OK) {
        sg_analysis_defaults(&cfg, m);
        team.send = counted_send, team.receive = counted_receive, team.ctx = x;
        cfg.team = &team, cfg.delays = DELAYS, cfg.threads = 1, cfg.replace = 0, cfg.lyapunov = 0;
        st = sg_analyze(path, m, s, NULL, &cfg, NULL, err);
    }
    sg_stream_free(s);
    sg_model_free(m);
    sg_vocab_free(vocab);
    return st;
}

int main(void)
{
    int rank, ranks;
    sg_error err = {""};
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const sg_team team = {(size_t)rank, (size_t)ranks, send_bytes, receive_bytes, NULL};
    if (ranks != 2) {
        fprintf(stderr, "usage: mpirun -n 2 bench_team\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    line x = measure(&team);
    counted c = {.real = &team};
    sg_status st = analyze(&c, "bench_team.nc", &err);
    if (st != SG_OK)
        fprintf(stderr, "bench_team: %s\n", err.msg);
    else if (!rank) {
        remove("bench_team.nc");
        printf("%d tokens, E=%d, H=%d, %d delays: %zu messages of %.1f MB in all from rank 1\n", TOKENS,
               EMBEDDING, HIDDEN, DELAYS, c.messages, 1e-6 * c.bytes);
        printf("by the line %.3f s; measured %.3f s, in which rank 1 also reads its sums from a file\n",
               (double)c.messages * x.latency + c.bytes / x.bandwidth, c.seconds - c.longest);
    }
    MPI_Finalize();
    return st != SG_OK;
}
