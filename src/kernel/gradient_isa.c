/* SPDX-License-Identifier: MIT */
/* Compiled once per instruction set with -DKERNEL_ISA=name; see meson.build and gradient_kernel.h. */
#include "kernel/gradient_kernel.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A tile is ROWS x 2 vectors: as many accumulators as the register file holds besides two vectors of the
 * strip and one broadcast factor. CHAINS: FMAs in flight that the peak is measured with, at least pipes times
 * latency (2 x 4 to 2 x 5 on x86-64, up to 4 x 4 on AArch64). */
#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 14, CHAINS = 12 };
#elif defined(__AVX2__)
enum { LANES = 8, ROWS = 6, CHAINS = 12 };
#elif defined(__aarch64__)
enum { LANES = 4, ROWS = 14, CHAINS = 16 };
#else
enum { LANES = 4, ROWS = 6, CHAINS = 12 };
#endif
enum { PASS = 2 * LANES }; /* columns at a time */

typedef float vec __attribute__((vector_size(LANES * 4), may_alias));
typedef float loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#if defined(__aarch64__)
#define VECTOR_REGISTER(x) "+w"(x)
#elif defined(__AVX512F__)
#define VECTOR_REGISTER(x) "+v"(x)
#elif defined(__SSE2__)
#define VECTOR_REGISTER(x) "+x"(x)
#else
#define VECTOR_REGISTER(x) "+m"(x)
#endif
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE vec load(const float *p)
{
    return *(const vec *)p;
}

INLINE void store(float *p, vec v)
{
    *(vec *)p = v;
}

/* Lines that are asked for while the product runs, a few at a time: of the matrix that is needed next, and of
 * the tile's own rows, which the update will touch. All rows at once would wait for each other: they come
 * from the third-level cache. */
typedef struct {
    const float *at, *end;
    const float *row[3]; /* of C and sums, each once or more; none NULL */
    size_t rows, row_at; /* floats of each; how far */
} ahead;

enum {
    PREFETCH_EVERY = 4, /* k between two lines of what comes next */
    PREFETCH_NEAR = 32  /* k that the tile's own lines are asked for in advance */
};

/* acc (W x 2 vectors) += tile[K][W]^T strip[K][PASS of SG_STRIP]. W is a constant where this is inlined. */
INLINE void product(size_t W, size_t K, const float *restrict a, const float *restrict b,
                    vec (*restrict acc)[2], ahead *next)
{
    const float *at = next->at, *end = next->end, *r0 = next->row[0], *r1 = next->row[1], *r2 = next->row[2];
    size_t k = 0, row = next->row_at, rows = next->rows;
    for (; k + PREFETCH_EVERY <= K; k += PREFETCH_EVERY) {
        if (at < end) {
            __builtin_prefetch(at, 0, 2);
            at += 16;
        }
        if (row < rows) {
            __builtin_prefetch(r0 + row, 1, 3);
            __builtin_prefetch(r1 + row, 1, 3);
            __builtin_prefetch(r2 + row, 1, 3);
            row += 16;
        }
        UNROLL for (size_t u = 0; u < PREFETCH_EVERY; u++, a += W, b += SG_STRIP)
        {
            vec b0 = load(b), b1 = load(b + LANES);
            __builtin_prefetch(a + PREFETCH_NEAR * W, 0, 3);
            UNROLL for (size_t r = 0; r < W; r++)
            {
                acc[r][0] += a[r] * b0;
                acc[r][1] += a[r] * b1;
            }
        }
    }
    for (; k < K; k++, a += W, b += SG_STRIP) {
        vec b0 = load(b), b1 = load(b + LANES);
        UNROLL for (size_t r = 0; r < W; r++)
        {
            acc[r][0] += a[r] * b0;
            acc[r][1] += a[r] * b1;
        }
    }
    next->at = at, next->row_at = row;
}

/* From here on the product asks for these rows too; q and r may be NULL. */
INLINE void fetch(ahead *next, size_t floats, const float *p, const float *q, const float *r)
{
    next->row[0] = p, next->row[1] = q ? q : p, next->row[2] = r ? r : p;
    next->rows = floats, next->row_at = 0;
}

/* sum += acc, r rows */
INLINE void add_rows(size_t r, vec (*restrict acc)[2], float *restrict sum)
{
    UNROLL for (size_t i = 0; i < r; i++)
    {
        UNROLL for (size_t v = 0; v < 2; v++)
        {
            float *y = sum + i * SG_STRIP + v * LANES;
            store(y, load(y) + acc[i][v]);
        }
    }
}

INLINE void pair_tile(size_t r, const sg_step_matrix *m, size_t row0, const sg_strip_job *job, size_t col,
                      ahead *next)
{
    size_t W = 2 * r, at = row0 * SG_STRIP + col;
    const float *a = m->packed + row0 * 2 * (m->K1 + m->K2), *f = m->diagonal + row0, *q = f + m->H;
    float *restrict C = job->C + at, *restrict out = job->next + at;
    float *sum_C = job->sum_C ? job->sum_C + at : NULL, *sum_U = job->sum_U ? job->sum_U + at : NULL;
    vec acc[ROWS][2];
    UNROLL for (size_t i = 0; i < W; i++) acc[i][0] = acc[i][1] = (vec){0};
    fetch(next, col ? 0 : r * SG_STRIP, C, sum_C, sum_U);
    if (!job->enters)
        product(W, m->K1, a, job->U + col, acc, next);
    if (m->K2)
        product(W, m->K2, a + m->K1 * W, job->X + col, acc, next);
    UNROLL for (size_t i = 0; i < r; i++)
    {
        UNROLL for (size_t v = 0; v < 2; v++)
        {
            size_t o = i * SG_STRIP + v * LANES;
            acc[i][v] += f[i] * load(C + o);
            acc[r + i][v] += q[i] * acc[i][v];
            store(C + o, acc[i][v]);
            store(out + o, acc[r + i][v]);
        }
    }
    if (sum_C)
        add_rows(r, acc, sum_C);
    if (sum_U)
        add_rows(r, acc + r, sum_U);
}

INLINE void single_tile(size_t r, const sg_step_matrix *m, size_t row0, const sg_strip_job *job, size_t col,
                        ahead *next)
{
    size_t at = row0 * SG_STRIP + col;
    const float *a = m->packed + row0 * (m->K1 + m->K2), *d = m->diagonal + row0;
    float *restrict out = job->next + at, *sum = job->sum_U ? job->sum_U + at : NULL;
    vec acc[ROWS][2];
    UNROLL for (size_t i = 0; i < r; i++) acc[i][0] = acc[i][1] = (vec){0};
    fetch(next, col ? 0 : r * SG_STRIP, out, sum, sum);
    if (!job->enters)
        product(r, m->K1, a, job->U + col, acc, next);
    if (m->K2)
        product(r, m->K2, a + m->K1 * r, job->X + col, acc, next);
    UNROLL for (size_t i = 0; i < r; i++)
    {
        UNROLL for (size_t v = 0; v < 2; v++)
        {
            size_t o = i * SG_STRIP + v * LANES;
            if (!job->enters)
                acc[i][v] += d[i] * load(job->U + at + o);
            store(out + o, acc[i][v]);
        }
    }
    if (sum)
        add_rows(r, acc, sum);
}

/* One function per number of rows, so that the tile's loops unroll into registers. */
#define TILE(kind, r)                                                                                        \
    static void kind##_##r(const sg_step_matrix *m, size_t row0, const sg_strip_job *job, ahead *next)       \
    {                                                                                                        \
        for (size_t col = 0; col < SG_STRIP; col += PASS)                                                    \
            kind##_tile(r, m, row0, job, col, next);                                                         \
    }
TILE(pair, 1)
TILE(pair, 2)
TILE(pair, 3)
TILE(single, 1)
TILE(single, 2)
TILE(single, 3)
TILE(single, 4)
TILE(single, 5)
TILE(single, 6)
typedef void tile_function(const sg_step_matrix *m, size_t row0, const sg_strip_job *job, ahead *next);
#if defined(__AVX512F__) || defined(__aarch64__)
TILE(pair, 4)
TILE(pair, 5)
TILE(pair, 6)
TILE(pair, 7)
TILE(single, 7)
TILE(single, 8)
TILE(single, 9)
TILE(single, 10)
TILE(single, 11)
TILE(single, 12)
TILE(single, 13)
TILE(single, 14)
static tile_function *const pair_tiles[] = {0, pair_1, pair_2, pair_3, pair_4, pair_5, pair_6, pair_7};
static tile_function *const single_tiles[] = {0,         single_1,  single_2,  single_3,  single_4,
                                              single_5,  single_6,  single_7,  single_8,  single_9,
                                              single_10, single_11, single_12, single_13, single_14};
#else
static tile_function *const pair_tiles[] = {0, pair_1, pair_2, pair_3};
static tile_function *const single_tiles[] = {0, single_1, single_2, single_3, single_4, single_5, single_6};
#endif

/* Tiles in runs that fit the second-level cache together with the strips: a run is read from memory once, for
 * all jobs, and the next one is asked for meanwhile, a part of it with each job. */
enum { RUN_FLOATS = 32 * 1024 };

static void step(tile_function *const *tiles, size_t P, const sg_step_matrix *m, size_t n,
                 const sg_strip_job *jobs)
{
    size_t count = tile_count(m->H, P, ROWS), K = m->K1 + m->K2;
    size_t most = K ? RUN_FLOATS / (ROWS * K) : count, run = most ? most : 1;
    for (size_t i0 = 0; i0 < count; i0 += run) {
        size_t i1 = i0 + run < count ? i0 + run : count, i2 = i1 + run < count ? i1 + run : count;
        const float *coming = m->ahead ? m->ahead : m->packed; /* nothing ahead: no floats of it */
        size_t floats = m->ahead_floats < RUN_FLOATS ? m->ahead_floats : RUN_FLOATS;
        if (i1 < count) {
            coming = m->packed + tile_first(m->H, count, i1) * P * K;
            floats = (tile_first(m->H, count, i2) - tile_first(m->H, count, i1)) * P * K;
        }
        size_t part = (floats / 16 + n - 1) / n * 16;
        for (size_t j = 0; j < n; j++) {
            ahead next = {coming + j * part,
                          coming + ((j + 1) * part < floats ? (j + 1) * part : floats),
                          {NULL},
                          0,
                          0};
            for (size_t i = i0; i < i1; i++) {
                size_t row0 = tile_first(m->H, count, i), end = tile_first(m->H, count, i + 1);
                tiles[end - row0](m, row0, &jobs[j], &next);
            }
        }
    }
}

static void step_pair(const sg_step_matrix *m, size_t n, const sg_strip_job *jobs)
{
    step(pair_tiles, 2, m, n, jobs);
}

static void step_single(const sg_step_matrix *m, size_t n, const sg_strip_job *jobs)
{
    step(single_tiles, 1, m, n, jobs);
}

/* Row k of the sum of planes: V vectors cover W and run over into row k + 1, where planes are multiplied by
 * 0. */
INLINE void fold_row(size_t V, size_t k, size_t n_planes, const float *const *planes, const size_t *widths,
                     const vec (*c)[16 / LANES], float *out)
{
    UNROLL for (size_t v = 0; v < V; v++)
    {
        vec x = c[0][v] * *(const loose *)(planes[0] + k * widths[0] + v * LANES);
        if (n_planes > 1)
            x += c[1][v] * *(const loose *)(planes[1] + k * widths[1] + v * LANES);
        if (n_planes > 2)
            x += c[2][v] * *(const loose *)(planes[2] + k * widths[2] + v * LANES);
        *(loose *)(out + v * LANES) = x;
    }
}

INLINE void fold_rows(size_t V, size_t K, size_t W, size_t n_planes, const float *const *planes,
                      const size_t *widths, const float *coef, float *out)
{
    vec c[3][16 / LANES];
    memcpy(c, coef, n_planes * 16 * sizeof *coef);
    const float *const p[3] = {planes[0], planes[n_planes / 2], planes[n_planes - 1]};
    const size_t w[3] = {widths[0], widths[n_planes / 2], widths[n_planes - 1]};
    size_t k = 0;
    for (; k * W + V * LANES <= K * W; k++) /* what runs over is written again by the next row */
        fold_row(V, k, n_planes, p, w, c, out + k * W);
    for (; k < K; k++) { /* nothing may run over: past the end another thread is at work */
        _Alignas(64) float row[16];
        fold_row(V, k, n_planes, p, w, c, row);
        memcpy(out + k * W, row, W * sizeof *row);
    }
}

static void fold(size_t K, size_t W, size_t n_planes, const float *const *planes, const size_t *widths,
                 const float *coef, float *out)
{
    enum { MOST = 16 / LANES };
    bool narrow = W <= LANES;
    if (n_planes == 2)
        narrow ? fold_rows(1, K, W, 2, planes, widths, coef, out)
               : fold_rows(MOST, K, W, 2, planes, widths, coef, out);
    else if (n_planes == 1)
        narrow ? fold_rows(1, K, W, 1, planes, widths, coef, out)
               : fold_rows(MOST, K, W, 1, planes, widths, coef, out);
    else
        narrow ? fold_rows(1, K, W, 3, planes, widths, coef, out)
               : fold_rows(MOST, K, W, 3, planes, widths, coef, out);
}

/* R (r rows, v vectors) += p (H; r of SG_STRIP)^T q (H; v vectors of SG_STRIP) */
INLINE void moment_tile(size_t r, size_t v, size_t H, const float *restrict p, const float *restrict q,
                        float *R)
{
    vec acc[16][2];
    UNROLL for (size_t i = 0; i < r; i++) acc[i][0] = acc[i][1] = (vec){0};
    for (size_t k = 0; k < H; k++, p += SG_STRIP, q += SG_STRIP) {
        vec q0 = load(q), q1 = v > 1 ? load(q + LANES) : q0;
        UNROLL for (size_t i = 0; i < r; i++)
        {
            acc[i][0] += p[i] * q0;
            if (v > 1)
                acc[i][1] += p[i] * q1;
        }
    }
    UNROLL for (size_t i = 0; i < r; i++)
    {
        store(R + i * SG_STRIP, load(R + i * SG_STRIP) + acc[i][0]);
        if (v > 1)
            store(R + i * SG_STRIP + LANES, load(R + i * SG_STRIP + LANES) + acc[i][1]);
    }
}

static void moment(size_t H, const float *P, const float *Q, float *R)
{
#if defined(__AVX512F__)
    if (P == Q) { /* symmetric: what lies below the diagonal is left out, 16 x 16 at a time */
        moment_tile(11, 2, H, P, Q, R);
        moment_tile(5, 2, H, P + 11, Q, R + 11 * SG_STRIP);
        moment_tile(16, 1, H, P + 16, Q + 16, R + 16 * SG_STRIP + 16);
        return;
    }
    moment_tile(11, 2, H, P, Q, R);
    moment_tile(11, 2, H, P + 11, Q, R + 11 * SG_STRIP);
    moment_tile(10, 2, H, P + 22, Q, R + 22 * SG_STRIP);
#else
    for (size_t i = 0; i < SG_STRIP; i += 4)
        for (size_t col = P == Q ? i / PASS * PASS : 0; col < SG_STRIP; col += PASS)
            moment_tile(4, 2, H, P + i, Q + col, R + i * SG_STRIP + col);
#endif
}

static bool flush(size_t n, float *x, double *y)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] += (double)x[i];
        bad |= !(fabsf(x[i]) <= FLT_MAX);
        x[i] = 0;
    }
    return !bad;
}

static double measure_peak(size_t loops, float *sink)
{
    vec acc[CHAINS], a = (vec){0} + 0.999f + *sink, b = (vec){0} + 1e-3f;
    UNROLL for (size_t i = 0; i < CHAINS; i++) acc[i] = (vec){0} + (float)i;
    for (size_t l = 0; l < loops; l++) {
        UNROLL for (size_t i = 0; i < CHAINS; i++)
        {
            acc[i] = acc[i] * a + b;
            __asm__ volatile("" : VECTOR_REGISTER(acc[i]));
        }
    }
    vec total = {0};
    UNROLL for (size_t i = 0; i < CHAINS; i++) total += acc[i];
    *sink += total[0] * 1e-30f;
    return 2.0 * CHAINS * LANES * (double)loops;
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

extern const sg_gradient_kernels JOIN(gradient_kernels_, KERNEL_ISA);
const sg_gradient_kernels JOIN(gradient_kernels_, KERNEL_ISA) = {
    .rows = ROWS,
    .step_pair = step_pair,
    .step_single = step_single,
    .fold = fold,
    .moment = moment,
    .flush = flush,
    .peak = measure_peak,
};
