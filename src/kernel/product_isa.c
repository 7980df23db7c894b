/* SPDX-License-Identifier: MIT */
/* Compiled once per instruction set with -DKERNEL_ISA=name; see meson.build and product_kernel.h. */
#include "kernel/product_kernel.h"

#include "kernel/elementary.inc.h"

#include <math.h>
#include <string.h>

/* A tile of C is at most ROWS x 2 vectors: accumulators besides two vectors of B and one broadcast factor of
 * A. */
#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 12 };
#elif defined(__AVX2__)
enum { LANES = 8, ROWS = 6 };
#elif defined(__aarch64__)
enum { LANES = 4, ROWS = 12 };
#else
enum { LANES = 4, ROWS = 6 };
#endif
/* DEPTH rows of B go into one sum in registers; B is asked for AHEAD rows before it is used: recurrent
 * weights beyond the second-level cache come twice as fast. */
enum { PASS = 2 * LANES, DEPTH = 704, AHEAD = 80 };

typedef float vec __attribute__((vector_size(LANES * 4), may_alias));
typedef float loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* Rows of A are addressed from every third one, so that few registers hold addresses. */
enum { GROUP = 3, BASES = (ROWS + GROUP - 1) / GROUP };

INLINE void tile(size_t R, bool along_rows, bool wide, size_t cols, size_t k, const float *restrict A,
                 size_t stride, const float *restrict B, float *restrict C, size_t ldc, bool add)
{
    vec acc[ROWS][2];
    const float *base[BASES];
    UNROLL for (size_t i = 0; i < R; i++) acc[i][0] = acc[i][1] = (vec){0};
    UNROLL for (size_t i = 0; i < BASES; i++) base[i] = A + (along_rows ? i * GROUP * stride : i * GROUP);
    for (size_t p = 0; p < k; p++, B += SG_PANEL) {
        vec b0 = *(const vec *)B, b1 = *(const vec *)(B + LANES);
        __builtin_prefetch(B + AHEAD * SG_PANEL, 0, 2);
        __builtin_prefetch(B + AHEAD * SG_PANEL + 16, 0, 2);
        UNROLL for (size_t i = 0; i < R; i++)
        {
            float a = base[i / GROUP][along_rows ? i % GROUP * stride : i % GROUP];
            acc[i][0] += a * b0;
            if (wide)
                acc[i][1] += a * b1;
        }
        UNROLL for (size_t i = 0; i < BASES; i++) base[i] += along_rows ? 1 : stride;
    }
    if (cols >= PASS) {
        UNROLL for (size_t i = 0; i < R; i++)
        {
            loose *c = (loose *)(C + i * ldc);
            loose *d = (loose *)(C + i * ldc + LANES);
            if (add) {
                acc[i][0] += *c;
                acc[i][1] += *d;
            }
            *c = acc[i][0];
            *d = acc[i][1];
        }
        return;
    }
    UNROLL for (size_t i = 0; i < R; i++)
    {
        float row[PASS] __attribute__((aligned(64)));
        *(vec *)row = acc[i][0];
        *(vec *)(row + LANES) = acc[i][1];
        for (size_t j = 0; j < cols; j++)
            C[i * ldc + j] = add ? C[i * ldc + j] + row[j] : row[j];
    }
}

/* One function per number of rows, so that the tile's loops unroll into registers. */
#define TILE(r)                                                                                              \
    static void tile_rows_##r(size_t cols, size_t k, const float *A, size_t stride, const float *B,          \
                              float *C, size_t ldc, bool add)                                                \
    {                                                                                                        \
        if (cols > LANES)                                                                                    \
            tile(r, true, true, cols, k, A, stride, B, C, ldc, add);                                         \
        else                                                                                                 \
            tile(r, true, false, cols, k, A, stride, B, C, ldc, add);                                        \
    }                                                                                                        \
    static void tile_columns_##r(size_t cols, size_t k, const float *A, size_t stride, const float *B,       \
                                 float *C, size_t ldc, bool add)                                             \
    {                                                                                                        \
        if (cols > LANES)                                                                                    \
            tile(r, false, true, cols, k, A, stride, B, C, ldc, add);                                        \
        else                                                                                                 \
            tile(r, false, false, cols, k, A, stride, B, C, ldc, add);                                       \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
#define SIX(kind) kind##_1, kind##_2, kind##_3, kind##_4, kind##_5, kind##_6
#if defined(__AVX512F__) || defined(__aarch64__)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
#define ALL(kind) SIX(kind), kind##_7, kind##_8, kind##_9, kind##_10, kind##_11, kind##_12
#else
#define ALL(kind) SIX(kind)
#endif

typedef void tile_function(size_t cols, size_t k, const float *A, size_t stride, const float *B, float *C,
                           size_t ldc, bool add);
static tile_function *const row_tiles[ROWS] = {ALL(tile_rows)}, *const column_tiles[ROWS] = {
                                                                    ALL(tile_columns)};

/* The i-th of `parts` pieces of n, as equal as can be, where the pieces before took `done`. */
INLINE size_t share(size_t n, size_t done, size_t parts, size_t i)
{
    return (n - done + parts - i - 1) / (parts - i);
}

/* A given by rows: they are read in place. */
static void multiply_rows(size_t m, size_t n, size_t k, const float *A, size_t row, const float *packed,
                          size_t rows_packed, float *C, size_t ldc, bool add)
{
    size_t blocks = (m + ROWS - 1) / ROWS, depths = (k + DEPTH - 1) / DEPTH;
    for (size_t d = 0, p = 0, depth; d < depths; d++, p += depth) {
        depth = share(k, p, depths, d);
        for (size_t j = 0; j < n; j += PASS) {
            const float *B = packed + j / SG_PANEL * SG_PANEL * rows_packed + j % SG_PANEL + p * SG_PANEL;
            for (size_t b = 0, i = 0, r; b < blocks; b++, i += r) {
                r = share(m, i, blocks, b);
                row_tiles[r - 1](n - j, depth, A + i * row + p, row, B, C + i * ldc + j, ldc, add || d);
            }
        }
    }
}

/* A given by columns: a few blocks of its rows at a time are copied side by side, else each element of a
 * block would be on a page of its own. */
static void multiply_columns(size_t m, size_t n, size_t k, const float *A, size_t column, const float *packed,
                             size_t rows_packed, float *C, size_t ldc, bool add)
{
    enum { BLOCKS = 4, SHORT = 256 };
    float copy[BLOCKS * ROWS * SHORT] __attribute__((aligned(64)));
    size_t blocks = (m + ROWS - 1) / ROWS, depths = (k + SHORT - 1) / SHORT, done = 0;
    for (size_t first = 0; first < blocks; first += BLOCKS) {
        size_t count = blocks - first < BLOCKS ? blocks - first : BLOCKS, r[BLOCKS], at[BLOCKS + 1] = {done};
        for (size_t b = 0; b < count; b++) {
            r[b] = share(m, at[b], blocks, first + b);
            at[b + 1] = at[b] + r[b];
        }
        for (size_t d = 0, p = 0, depth; d < depths; d++, p += depth) {
            depth = share(k, p, depths, d);
            for (size_t q = 0; q < depth; q++)
                for (size_t b = 0; b < count; b++) {
                    float *to = copy + b * ROWS * SHORT + q * r[b];
                    const float *from = A + (p + q) * column + at[b];
                    if (r[b] == ROWS)
                        memcpy(to, from, ROWS * sizeof *to); /* a constant length: a few moves, no call */
                    else
                        for (size_t i = 0; i < r[b]; i++)
                            to[i] = from[i];
                }
            for (size_t j = 0; j < n; j += PASS) {
                const float *B = packed + j / SG_PANEL * SG_PANEL * rows_packed + j % SG_PANEL + p * SG_PANEL;
                for (size_t b = 0; b < count; b++)
                    column_tiles[r[b] - 1](n - j, depth, copy + b * ROWS * SHORT, r[b], B,
                                           C + at[b] * ldc + j, ldc, add || d);
            }
        }
        done = at[count];
    }
}

static void multiply(size_t m, size_t n, size_t k, const float *A, size_t row, size_t column,
                     const float *packed, size_t rows_packed, float *C, size_t ldc, bool add)
{
    if (column == 1)
        multiply_rows(m, n, k, A, row, packed, rows_packed, C, ldc, add);
    else
        multiply_columns(m, n, k, A, column, packed, rows_packed, C, ldc, add);
}

static void pack(size_t k, size_t n, const float *source, size_t row, size_t column, float *packed)
{
    for (size_t j = 0; j < n; j += SG_PANEL, packed += k * SG_PANEL) {
        size_t w = n - j < SG_PANEL ? n - j : SG_PANEL;
        if (column == 1 && w == SG_PANEL)
            for (size_t i = 0; i < k; i++)
                memcpy(packed + i * SG_PANEL, source + i * row + j, SG_PANEL * sizeof *packed);
        else if (w == SG_PANEL)
            for (size_t i0 = 0; i0 < k; i0 += 16) /* 16 rows of 32 columns: both sides stay in the cache */
                for (size_t c = 0; c < SG_PANEL; c++) {
                    const float *from = source + (j + c) * column;
                    for (size_t i = i0; i < i0 + 16 && i < k; i++)
                        packed[i * SG_PANEL + c] = from[i];
                }
        else
            for (size_t i = 0; i < k; i++)
                for (size_t c = 0; c < SG_PANEL; c++)
                    packed[i * SG_PANEL + c] = c < w ? source[i * row + (j + c) * column] : 0;
    }
}

static void exp_sum(size_t n, float *restrict x, const float *restrict b, float *max, float *sum)
{
    float most[LANES], part[LANES] = {0}, m = x[0] + b[0], s = 0;
    size_t whole = n / LANES * LANES;
    for (size_t j = 0; j < LANES; j++)
        most[j] = m;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            x[i + j] += b[i + j];
            most[j] = x[i + j] > most[j] ? x[i + j] : most[j];
        }
    for (size_t j = 0; j < LANES; j++)
        m = most[j] > m ? most[j] : m;
    for (size_t i = whole; i < n; i++) {
        x[i] += b[i];
        m = x[i] > m ? x[i] : m;
    }
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            x[i + j] = exp_one(x[i + j] - m);
            part[j] += x[i + j];
        }
    for (size_t i = whole; i < n; i++)
        s += x[i] = exp_one(x[i] - m);
    for (size_t j = 0; j < LANES; j++)
        s += part[j];
    *max = m;
    *sum = s;
}

static void scale_add(size_t n, float a, float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++) {
        x[i] *= a;
        y[i] += x[i];
    }
}

/* ---- cells: the elementwise part of a step, for n units of one sequence (cell.h has the tapes) ---- */

static void lstm_forward(size_t n, float *restrict i, float *restrict f, float *restrict g, float *restrict o,
                         float *restrict q, float *restrict old, const float *restrict c_prev,
                         float *restrict c, float *restrict h)
{
    for (size_t j = 0; j < n; j++) {
        i[j] = sigmoid_one(i[j]);
        f[j] = sigmoid_one(f[j]);
        g[j] = tanh_one(g[j]);
        o[j] = sigmoid_one(o[j]);
        old[j] = c_prev[j];
        c[j] = f[j] * old[j] + i[j] * g[j];
        q[j] = tanh_one(c[j]);
        h[j] = o[j] * q[j];
    }
}

static void lstm_backward(size_t n, float *restrict i, float *restrict f, float *restrict g,
                          float *restrict o, const float *restrict q, const float *restrict old,
                          const float *restrict dh, float *restrict dc)
{
    for (size_t j = 0; j < n; j++) {
        float e = dc[j] + dh[j] * o[j] * (1 - q[j] * q[j]);
        float da_i = e * g[j] * i[j] * (1 - i[j]), da_f = e * old[j] * f[j] * (1 - f[j]);
        float da_g = e * i[j] * (1 - g[j] * g[j]), da_o = dh[j] * q[j] * o[j] * (1 - o[j]);
        dc[j] = e * f[j];
        i[j] = da_i, f[j] = da_f, g[j] = da_g, o[j] = da_o;
    }
}

static void gru_forward(size_t n, float *restrict r, float *restrict z, float *restrict cand,
                        const float *restrict u, float *restrict old, const float *restrict h_prev,
                        float *restrict h)
{
    for (size_t j = 0; j < n; j++) {
        r[j] = sigmoid_one(r[j]);
        z[j] = sigmoid_one(z[j]);
        cand[j] = tanh_one(cand[j] + r[j] * u[j]);
        old[j] = h_prev[j];
        h[j] = (1 - z[j]) * cand[j] + z[j] * old[j];
    }
}

static void gru_backward(size_t n, float *restrict r, float *restrict z, float *restrict cand,
                         float *restrict u, const float *restrict old, const float *restrict dh,
                         float *restrict dh_prev)
{
    for (size_t j = 0; j < n; j++) {
        float da_n = dh[j] * (1 - z[j]) * (1 - cand[j] * cand[j]);
        float da_z = dh[j] * (old[j] - cand[j]) * z[j] * (1 - z[j]), du = da_n * r[j];
        dh_prev[j] += dh[j] * z[j];
        r[j] = da_n * u[j] * r[j] * (1 - r[j]);
        z[j] = da_z, cand[j] = da_n, u[j] = du;
    }
}

static void rnn_forward(bool relu, size_t n, float *restrict a, float *restrict h)
{
    for (size_t j = 0; j < n; j++)
        h[j] = a[j] = relu ? (a[j] < 0 ? 0 : a[j]) : tanh_one(a[j]);
}

static void rnn_backward(bool relu, size_t n, float *restrict a, const float *restrict dh)
{
    for (size_t j = 0; j < n; j++)
        a[j] = relu ? (a[j] > 0 ? dh[j] : 0) : dh[j] * (1 - a[j] * a[j]);
}

/* y = x * mask / (1-p); the mask is a hash of row and column. */
static void drop(size_t n, const float *x, float *y, uint32_t row, uint32_t threshold, float scale)
{
    for (size_t j = 0; j < n; j++) {
        uint32_t h = row ^ ((uint32_t)j * 0x9e3779b9u);
        h = (h ^ (h >> 16)) * 0x7feb352du;
        h = (h ^ (h >> 15)) * 0x846ca68bu;
        h ^= h >> 16;
        y[j] = h >= threshold ? x[j] * scale : 0;
    }
}

static void adam(size_t n, float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
                 float scale, float rate, float root)
{
    for (size_t i = 0; i < n; i++) {
        float x = scale * g[i];
        m[i] = 0.9f * m[i] + 0.1f * x;
        v[i] = 0.999f * v[i] + 0.001f * x * x;
        w[i] -= rate * m[i] / (sqrtf(v[i]) * root + 1e-8f);
    }
}

static void add_to(size_t n, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void axpy(size_t n, float a, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static double square_sum(size_t n, const float *x)
{
    enum { PARTS = 16 };
    double part[PARTS] = {0}, sum = 0;
    size_t whole = n / PARTS * PARTS;
    for (size_t i = 0; i < whole; i += PARTS)
        for (size_t j = 0; j < PARTS; j++)
            part[j] += (double)x[i + j] * (double)x[i + j];
    for (size_t i = whole; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < PARTS; j++)
        sum += part[j];
    return sum;
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

extern const sg_product_kernels JOIN(product_kernels_, KERNEL_ISA);
const sg_product_kernels JOIN(product_kernels_, KERNEL_ISA) = {
    .pack = pack,
    .multiply = multiply,
    .exp_sum = exp_sum,
    .scale_add = scale_add,
    .add = add_to,
    .axpy = axpy,
    .square_sum = square_sum,
    .lstm_forward = lstm_forward,
    .lstm_backward = lstm_backward,
    .gru_forward = gru_forward,
    .gru_backward = gru_backward,
    .rnn_forward = rnn_forward,
    .rnn_backward = rnn_backward,
    .drop = drop,
    .adam = adam,
};
