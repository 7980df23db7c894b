/* SPDX-License-Identifier: MIT */
/* Tensors without a role: first states, parts of the recurrence, what may stand before it and what stands behind. */
#include "import/by_name.h"

#include "base/base_internal.h"

#include <string.h>
#include <strings.h>

/* Does the name say that states begin with it? */
static bool is_initial_state(const scope *s, const stored_tensor *t)
{
    static const char *const names[] = {
        "h0",        "c0",          "h_0",         "c_0",          "hx",         "cx",
        "init_h",    "init_c",      "h_init",      "c_init",       "init_state", "initial_state",
        "hidden0",   "init_hidden", "initial_h",   "initial_c",    "cell0",      "initial_hidden",
        "state0",    "h0s",         "init_states", "initial_cell", "init_cell",  "hidden_init",
        "cell_init", NULL};
    uint64_t H = s->p->layers[0].H;
    bool named = false;
    for (size_t k = 0; names[k]; k++)
        named |= !strcasecmp(names_leaf(t->name), names[k]);
    return named && H && t->elements % H == 0;
}

sg_status names_check_initial_states(const scope *s, sg_error *err)
{
    char shape[96];
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        bool zero;
        if (!is_initial_state(s, t) || !names_in_scope(s, t) || names_is_used(s->p, t))
            continue;
        sg_status st = recipe_is_zero(&zero, s->b, t, err);
        if (st != SG_OK)
            return st;
        if (!zero)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s: the net starts from a learned state, which is not supported: states begin "
                "at zero",
                s->b->path, t->name, shape_text(t, shape));
    }
    return SG_OK;
}

static bool is_between_shaped(const stored_tensor *t, uint64_t n)
{
    if (names_is_vector(t, n))
        return true;
    return t->rank == 2 && t->dims[0] == n && t->dims[1] == n;
}

/* Is it a bias of a matrix that is judged itself? */
static bool is_bias_of_matrix(const scope *s, const stored_tensor *t)
{
    const char *leaf = names_leaf(t->name);
    size_t n = (size_t)(leaf - t->name);
    if (strcmp(leaf, "bias") != 0)
        return false;
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *w = &s->b->tensors[i];
        if (w->container == t->container && !strncmp(w->name, t->name, n) && !strcmp(w->name + n, "weight"))
            return w->rank == 2;
    }
    return false;
}

/* Could it act on what the lowest layer reads: by its size alone, the file tells no order of use? */
static bool may_stand_before(const scope *s, const stored_tensor *t)
{
    uint64_t E = s->p->shape.embedding;
    if (is_bias_of_matrix(s, t))
        return false;
    if (is_between_shaped(t, E) || (t->rank == 2 && t->dims[1] == E && names_looks_embedding(t)))
        return true;
    for (size_t i = 0; i < s->b->n && t->rank == 2 && t->dims[1] == E; i++) {
        const stored_tensor *next = &s->b->tensors[i];
        if (names_in_scope(s, next) && !names_is_used(s->p, next) && next->rank == 2 && next->dims[0] == E &&
            next->dims[1] == t->dims[0])
            return true;
    }
    for (size_t k = 0; k + 1 < s->p->shape.layers; k++)
        if (is_between_shaped(t, s->p->layers[k].H))
            return true;
    return false;
}

/* The part of the recurrence that a left-over tensor seems to be, as a role; NULL: none. */
static const char *recurrent_by_name(const scope *s, const named_layers *all, const stored_tensor *t,
                                     char role[32])
{
    for (size_t k = 0; k < all->n && k < s->p->shape.layers; k++) {
        const named_layer *l = &all->at[k];
        const stored_tensor *const weights[] = {l->W_ih, l->W_hh};
        uint64_t rows = s->p->layers[k].W_ih.gates * s->p->layers[k].H, gate = s->p->layers[k].H;
        if (!l->mapped)
            continue;
        bool bias = names_is_vector(t, rows) || (l->part[0][0] && names_is_vector(t, gate));
        for (size_t side = 0; side < 2; side++) {
            size_t n = (size_t)(names_leaf(weights[side]->name) - weights[side]->name);
            size_t own = (size_t)(names_leaf(t->name) - t->name);
            bool near = n > 0 && n == own && !strncmp(weights[side]->name, t->name, n);
            bool missing_bias = side ? !l->b_hh : !l->b_ih;
            if (near || (bias && missing_bias)) {
                snprintf(role, 32, "rnn.%s_%s_l%zu", bias ? "bias" : "weight", side ? "hh" : "ih", k);
                return role;
            }
        }
    }
    return NULL;
}

static bool is_after(const scope *s, const stored_tensor *t)
{
    for (size_t i = 0; i < s->cfg->n_maps; i++)
        if (!strncmp(s->cfg->maps[i], "after=", 6) && tensors_find(s->b, s->cfg->maps[i] + 6) == t)
            return true;
    return false;
}

static sg_status judge_one(recipe *p, const scope *s, const named_layers *all, const stored_tensor *t,
                           bool decoder_mapped, sg_error *err)
{
    char shape[96], role[32];
    const char *leaf = names_leaf(t->name);
    bool weight_like =
        !strncmp(leaf, "weight", 6) || !strncmp(leaf, "bias", 4) || !strncmp(leaf, "kernel", 6);
    if (!dtype_is_float(t->dtype)) {
        if (t->dtype != DTYPE_OTHER && !weight_like)
            return SG_OK; /* counts, ids, masks */
        return sg_fail(err, SG_EFORMAT,
                       "%s: tensor %s %s holds %s, expected float16, bfloat16, float32 or float64",
                       s->b->path, t->name, shape_text(t, shape), tensor_type_name(t));
    }
    if (is_initial_state(s, t))
        return SG_OK; /* zero, or it would have been refused */
    if (recurrent_by_name(s, all, t, role))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: tensor %s %s belongs to the recurrent part by its %s and has no role: give it one, as in --map "
            "%s=%s",
            s->b->path, t->name, shape_text(t, shape), strstr(role, "bias") ? "size" : "name", role, t->name);
    if (!is_after(s, t) && may_stand_before(s, t))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: tensor %s %s has no role, and its size fits between embedding and recurrence or between "
            "layers; the file does not record where it is used. Behind the recurrence: --map after=%s; a "
            "linear map: --map input.weight=%s before it, --map output.weight=%s behind it; not used: --ignore %s",
            s->b->path, t->name, shape_text(t, shape), t->name, t->name, t->name, t->name);
    if (!decoder_mapped && !p->no_decoder[0])
        snprintf(
            p->no_decoder, sizeof p->no_decoder,
            "tensor %.200s %s lies between the recurrent layers and the output, and its function is unknown",
            t->name, shape_text(t, shape));
    return SG_OK;
}

sg_status names_judge_leftovers(recipe *p, const scope *s, const named_layers *all, bool decoder_mapped,
                                sg_error *err)
{
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (!names_part_of_net(s, t) || names_is_used(p, t))
            continue;
        sg_status st = judge_one(p, s, all, t, decoder_mapped, err);
        if (st != SG_OK)
            return st;
    }
    if (p->no_decoder[0]) {
        p->shape.has_decoder = p->shape.tied = false;
        p->decoder = p->decoder_bias = (recipe_source){0};
        p->n_after = 0;
    }
    return SG_OK;
}

sg_status names_judge_recurrent(const scope *s, const named_layers *all, sg_error *err)
{
    char shape[96], role[32];
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (names_part_of_net(s, t) && !names_is_used(s->p, t) && recurrent_by_name(s, all, t, role))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s belongs to the recurrent part by its %s and has no role: give it one, as in "
                "--map %s=%s",
                s->b->path, t->name, shape_text(t, shape), strstr(role, "bias") ? "size" : "name", role,
                t->name);
    }
    return SG_OK;
}
