/* SPDX-License-Identifier: MIT */
#include "naive_gradient.h"

#include "cell/cell.h"
#include "lm/model_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    cell_plain w;
    double *h, *c, *h_old, *c_old, *kept;
    double *J;      /* (2H, 2H + N): rows d h_t, d c_t; columns by h_{t-1}, c_{t-1}, x_t */
    double *da;     /* (G H) */
    double *U, *C;  /* (max_steps, H, E) */
    double *column; /* (2H + N) */
} layer;

struct naive {
    const cell_type *cell;
    size_t L, E, steps, max;
    layer layer[SG_MAX_LAYERS];
};

static void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

naive *naive_new(const sg_model *m, size_t max_steps)
{
    const sg_model_shape *s = sg_model_get_shape(m);
    const sg_parameters p = model_parameters(m, model_block(m));
    naive *n = need(1, sizeof *n);
    n->cell = cell_of(s->cell), n->L = s->layers, n->E = s->embedding, n->max = max_steps;
    for (size_t l = 0; l < n->L; l++) {
        layer *y = &n->layer[l];
        const sg_layer_parameters *q = &p.layer[l];
        size_t H = s->hidden[l], N = model_inputs(m, l);
        y->w = (cell_plain){H, N, q->W_ih, q->W_hh, q->b_ih, q->b_hh};
        double **const vectors[] = {&y->h, &y->c, &y->h_old, &y->c_old};
        for (size_t i = 0; i < 4; i++)
            *vectors[i] = need(H, sizeof(double));
        y->kept = need(CELL_KEPT * H, sizeof(double)), y->da = need(n->cell->gates * H, sizeof(double));
        y->J = need(2 * H * (2 * H + N), sizeof(double)), y->column = need(2 * H + N, sizeof(double));
        y->U = need(max_steps * H * n->E, sizeof(double)), y->C = need(max_steps * H * n->E, sizeof(double));
    }
    return n;
}

void naive_free(naive *n)
{
    for (size_t l = 0; l < n->L; l++) {
        layer *y = &n->layer[l];
        double *const all[] = {y->h, y->c, y->h_old, y->c_old, y->kept, y->J, y->da, y->U, y->C, y->column};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
    }
    free(n);
}

/* A step of a layer and its Jacobian. */
static void step(const naive *n, layer *y, const double *x)
{
    size_t H = y->w.H, N = y->w.N, columns = 2 * H + N;
    memcpy(y->h_old, y->h, H * sizeof *y->h);
    memcpy(y->c_old, y->c, H * sizeof *y->c);
    n->cell->plain_step(&y->w, x, y->h_old, y->c_old, y->kept, y->h, y->c);
    memset(y->J, 0, 2 * H * columns * sizeof *y->J);
    for (size_t i = 0; i < cell_states(n->cell) * H; i++) {
        double *dh = y->J + i * columns, *dc = dh + H, *dx = dc + H;
        (i < H ? dh : dc)[i % H] = 1;
        n->cell->plain_reverse(&y->w, y->kept, y->h_old, y->c_old, dh, dc, y->da);
        for (size_t row = 0; row < n->cell->gates * H; row++)
            for (size_t k = 0; k < N; k++)
                dx[k] += y->da[row] * (double)y->w.W_ih[row * N + k];
    }
}

/* Column e of an origin's U, C <- J (U, C, X); X: the layer below's U, or (NULL) the unit vector `one`, N:
 * none. */
static void carry(const naive *n, layer *y, double *U, double *C, const double *X, size_t one)
{
    size_t H = y->w.H, N = y->w.N, states = cell_states(n->cell), E = n->E;
    double *h = y->column, *c = h + H, *x = c + H;
    for (size_t j = 0; j < H; j++)
        h[j] = U[j * E], c[j] = C[j * E];
    for (size_t k = 0; X && k < N; k++)
        x[k] = X[k * E];
    for (size_t i = 0; i < states * H; i++) {
        const double *row = y->J + i * (2 * H + N);
        double sum = !X && one < N ? row[2 * H + one] : 0;
        for (size_t k = 0; k < states * H; k++)
            sum += row[k] * h[k];
        for (size_t k = 0; X && k < N; k++)
            sum += row[2 * H + k] * x[k];
        *(i < H ? &U[i * E] : &C[(i - H) * E]) = sum;
    }
}

void naive_step(naive *n, const double *x, bool zero)
{
    size_t E = n->E, t = n->steps++;
    if (t >= n->max)
        abort();
    for (size_t l = 0; l < n->L; l++) {
        layer *y = &n->layer[l], *below = l ? y - 1 : NULL;
        size_t size = y->w.H * E;
        if (zero) {
            memset(y->h, 0, y->w.H * sizeof *y->h);
            memset(y->c, 0, y->w.H * sizeof *y->c);
            memset(y->U, 0, t * size * sizeof *y->U);
            memset(y->C, 0, t * size * sizeof *y->C);
        }
        step(n, y, below ? below->h : x);
        for (size_t s = 0; s <= t; s++)
            for (size_t e = 0; e < E; e++)
                carry(n, y, y->U + s * size + e, y->C + s * size + e,
                      below ? below->U + s * below->w.H * E + e : NULL, s == t ? e : y->w.N);
    }
}

const double *naive_get(const naive *n, size_t l, sg_state_kind kind, size_t s)
{
    const layer *y = &n->layer[l - 1];
    return (kind == SG_STATE_CELL ? y->C : y->U) + s * y->w.H * n->E;
}

const double *naive_state(const naive *n, size_t l, sg_state_kind kind)
{
    return kind == SG_STATE_CELL ? n->layer[l - 1].c : n->layer[l - 1].h;
}
