/* SPDX-License-Identifier: MIT */
/* Tensors without a role: first states, parts of the recurrence, what may lie before it and what lies after
 * it. */
#include "import/by_name.h"

#include "base/base_internal.h"

#include <string.h>
#include <strings.h>

static bool is_after(const scope *s, const stored_tensor *t)
{
    for (size_t i = 0; i < s->cfg->n_maps; i++)
        if (!strncmp(s->cfg->maps[i], "after=", 6) && tensors_find(s->b, s->cfg->maps[i] + 6) == t)
            return true;
    return false;
}

/* ---- first states ---- */

/* Is the word of n letters in this list, without digits after it ("h0", "hx1")? */
static bool is_word(const char *word, size_t n, const char *const *list)
{
    for (; *list; list++)
        if (strlen(*list) <= n && !strncasecmp(word, *list, strlen(*list)) &&
            strspn(word + strlen(*list), "0123456789") >= n - strlen(*list))
            return true;
    return false;
}

/* Is it an initial state, by its name? A word of its path decides (hidden_init.weight, h0), two of them
 * (start_state), or its last part alone (hidden_0), if it is made of nothing else. */
static bool named_initial(const char *name)
{
    static const char *const telling[] = {"init",  "initial", "inith", "initc", "h0", "c0",
                                          "hinit", "cinit",   "hx",    "cx",    NULL};
    static const char *const beginning[] = {"start", "begin", "learned", "learnt", "trainable", NULL};
    static const char *const states[] = {"hidden", "state", "states", "cell", "h", "c", NULL};
    const char *leaf = names_leaf(name);
    bool begins = false, holds = false, nothing_else = true, numbered = false;
    for (const char *c = name; *c; c += *c != 0) {
        size_t n = strcspn(c, "._/:");
        bool digits = n && strspn(c, "0123456789") >= n, state = is_word(c, n, states);
        if (is_word(c, n, telling))
            return true;
        begins |= is_word(c, n, beginning);
        holds |= state;
        if (c >= leaf) {
            nothing_else &= state || digits;
            numbered |= digits || n > 1;
        }
        c += n;
    }
    return holds && (begins || (nothing_else && numbered));
}

/* (n, 1, H): n layers of a batch of one; (n, H) of a parameter that is no layer's weight. */
static bool shaped_initial(const scope *s, const stored_tensor *t)
{
    const char *leaf = names_leaf(t->name);
    bool weight = !strncmp(leaf, "weight", 6) || !strncmp(leaf, "bias", 4) || !strncmp(leaf, "kernel", 6);
    for (size_t k = 0; k < s->p->shape.layers; k++) {
        uint64_t H = s->p->layers[k].H;
        if (t->rank == 3 && t->dims[1] == 1 && t->dims[2] == H)
            return true;
        if (t->rank == 2 && !weight && t->dims[0] == s->p->shape.layers && t->dims[1] == H)
            return true;
    }
    return false;
}

static bool is_initial_state(const scope *s, const stored_tensor *t)
{
    uint64_t H = s->p->layers[0].H;
    bool named = named_initial(t->name) && H && t->elements % H == 0;
    return (named || shaped_initial(s, t)) && !is_after(s, t) && !names_looks_embedding(t);
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
        if (zero)
            continue;
        if (!named_initial(t->name))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s has the shape of a first state, and states begin at zero here: a learned one is not "
                "supported (if it acts after the recurrence: setting 'map' after=%s)",
                s->b->path, t->name, shape_text(t, shape), t->name);
        return sg_fail(
            err, SG_EFORMAT,
            "%s: tensor %s %s: by its name the net starts from a learned state, which is not supported: states begin "
            "at zero (if it acts after the recurrence: setting 'map' after=%s)",
            s->b->path, t->name, shape_text(t, shape), t->name);
    }
    return SG_OK;
}

/* ---- before, within and after the recurrence ---- */

static bool is_between_shaped(const stored_tensor *t, uint64_t n)
{
    bool one_output = t->rank == 2 && t->dims[0] == 1 && !strcmp(names_leaf(t->name), "weight");
    if (names_is_vector(t, n) && !one_output)
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

static bool may_stand_between(const scope *s, const stored_tensor *t)
{
    if (is_bias_of_matrix(s, t))
        return false;
    for (size_t k = 0; k + 1 < s->p->shape.layers; k++)
        if (is_between_shaped(t, s->p->layers[k].H))
            return true;
    return false;
}

/* Could it act on what the lowest layer reads: by its size alone, the file records no order of use? */
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
    return may_stand_between(s, t);
}

/* Does the tensor lie in the module of the layer, or next to its weights where these are in none? */
static bool lies_in_layer(const named_layer *l, const stored_tensor *t)
{
    size_t n = strlen(l->prefix);
    if (t->container != l->container)
        return false;
    return n ? !strncmp(l->prefix, t->name, n) : !strpbrk(t->name, "./");
}

/* One of the layer's mapped tensors has this name but for its numbers: the same part of another layer. */
static bool is_of_another_layer(const named_layer *l, const stored_tensor *t)
{
    const stored_tensor *const whole[] = {l->W_ih, l->W_hh, l->b_ih, l->b_hh};
    for (size_t r = 0; r < 4; r++)
        for (size_t k = 0; k < 4; k++) {
            const stored_tensor *m = l->part[r][0] ? l->part[r][k] : k ? NULL : whole[r];
            if (m && m->rank == t->rank && names_same_but_numbers(m->name, t->name))
                return true;
        }
    return false;
}

/* The weights of a layer that nobody mapped, beside mapped ones, by their size (G H, H) or (H, G H). */
static bool is_layer_sized(const named_layer *l, uint64_t rows, uint64_t gate, const stored_tensor *t)
{
    bool sized = t->rank == 2 &&
                 ((t->dims[0] == rows && t->dims[1] == gate) || (t->dims[0] == gate && t->dims[1] == rows));
    return l->mapped && rows > gate && sized && !names_looks_decoder(t);
}

/* A number for each word, and the decoder has no bias yet. */
static bool may_be_decoder_bias(const scope *s, const stored_tensor *t)
{
    return names_is_vector(t, s->p->shape.vocabulary) && !s->p->decoder_bias.tensor;
}

/* The part of the recurrence that a left-over tensor seems to be, as a role; *by: why. NULL: none. */
static const char *part_of_recurrence(const scope *s, const named_layers *all, const stored_tensor *t,
                                      char role[32], const char **by)
{
    for (size_t k = 0; k < all->n && k < s->p->shape.layers && !is_after(s, t); k++) {
        const named_layer *l = &all->at[k];
        const stored_tensor *const weights[] = {l->W_ih, l->W_hh};
        uint64_t rows = s->p->layers[k].W_ih.gates * s->p->layers[k].H, gate = s->p->layers[k].H;
        bool sized = names_is_vector(t, rows) && (l->mapped || rows > gate);
        bool bias = sized || (l->part[0][0] && names_is_vector(t, gate));
        const bool in_layer = lies_in_layer(l, t) && (l->prefix[0] || !may_be_decoder_bias(s, t));
        if (!l->mapped && (sized || in_layer)) {
            snprintf(role, 32, "rnn.bias_%s_l%zu", l->b_ih ? "hh" : "ih", k);
            *by = in_layer ? "name" : "size";
            return role;
        }
        bool numbered = l->mapped && is_of_another_layer(l, t);
        if (numbered || is_layer_sized(l, rows, gate, t)) {
            snprintf(role, 32, "rnn.weight_ih_l%zu", s->p->shape.layers);
            *by = numbered ? "name, which differs from a mapped one in its number alone," : "size";
            return role;
        }
        for (size_t side = 0; side < 2 && l->mapped; side++) {
            size_t n = (size_t)(names_leaf(weights[side]->name) - weights[side]->name);
            size_t own = (size_t)(names_leaf(t->name) - t->name);
            bool near = n > 0 && n == own && !strncmp(weights[side]->name, t->name, n);
            bool missing_bias = side ? !l->b_hh : !l->b_ih;
            if (near || (bias && missing_bias)) {
                snprintf(role, 32, "rnn.%s_%s_l%zu", bias ? "bias" : "weight", side ? "hh" : "ih", k);
                *by = bias ? "size" : "name";
                return role;
            }
        }
    }
    return NULL;
}

const char *names_kind_of_part(const char *name)
{
    static const struct {
        const char *word, *kind;
    } kinds[] = {{"layernorm", "a normalisation within the cell"},
                 {"layer_norm", "a normalisation within the cell"},
                 {"norm", "a normalisation within the cell"},
                 {"bn_", "a normalisation within the cell"},
                 {"ln_", "a normalisation within the cell"},
                 {".ln", "a normalisation within the cell"},
                 {"peep", "a peephole"},
                 {"weight_ci", "a peephole"},
                 {"weight_cf", "a peephole"},
                 {"weight_co", "a peephole"},
                 {"w_ci", "a peephole"},
                 {"w_cf", "a peephole"},
                 {"w_co", "a peephole"},
                 {"_diag", "a peephole"},
                 {"projection", "a projection of the hidden state"},
                 {"/gamma", "a normalisation within the cell"},
                 {"/beta", "a normalisation within the cell"}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (strcasestr(name, kinds[k].word))
            return kinds[k].kind;
    return NULL;
}

/* Vectors of layers that are no first state: of normalisations and attention. */
static bool named_otherwise(const char *name)
{
    static const char *const leaves[] = {"weight", "bias",    "kernel", "gamma", "beta",  "running", "moving",
                                         "mean",   "var",     "std",    "scale", "shift", "alpha",   "a_2",
                                         "b_2",    "_packed", "g",      "b",     NULL};
    static const char *const words[] = {"attn", "attention", "norm", "context", "query", "loss", NULL};
    const char *leaf = names_leaf(name);
    for (size_t i = 0; leaves[i]; i++) {
        size_t n = strlen(leaves[i]);
        if (!strncmp(leaf, leaves[i], n) && (n > 1 || !leaf[n]))
            return true;
    }
    for (size_t i = 0; words[i]; i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

/* A vector of H numbers that is not called a weight or bias: each first state of a batch may be it. */
static sg_status refuse_vector(const scope *s, const stored_tensor *t, sg_error *err)
{
    char shape[96];
    bool sized = false, zero;
    for (size_t k = 0; k < s->p->shape.layers; k++)
        sized |= t->rank == 1 && t->dims[0] == s->p->layers[k].H;
    if (!sized || named_otherwise(t->name) || is_after(s, t) || !dtype_is_float(t->dtype))
        return SG_OK;
    sg_status st = recipe_is_zero(&zero, s->b, t, err);
    if (st != SG_OK || zero)
        return st;
    return sg_fail(
        err, SG_EFORMAT,
        "%s: tensor %s %s has no role, and may be a first state by its size: states begin at zero here, a learned one "
        "is not supported (if it acts after the recurrence: setting 'map' after=%s)",
        s->b->path, t->name, shape_text(t, shape), t->name);
}

/* A part of the recurrence without a role would change the states. */
static sg_status refuse_part(const scope *s, const named_layers *all, const stored_tensor *t, sg_error *err)
{
    char shape[96], role[32];
    const char *by = "", *kind = names_kind_of_part(t->name);
    if (!part_of_recurrence(s, all, t, role, &by))
        return refuse_vector(s, t, err);
    if (kind)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: tensor %s %s belongs to the recurrent part by its %s: it seems to be %s, which is not "
            "supported (if it acts after the recurrence: setting 'map' after=%s)",
            s->b->path, t->name, shape_text(t, shape), by, kind, t->name);
    return sg_fail(
        err, SG_EFORMAT,
        "%s: tensor %s %s belongs to the recurrent part by its %s and has no role: give it one, as in setting 'map' "
        "%s=%s (after the recurrence: setting 'map' after=%s)",
        s->b->path, t->name, shape_text(t, shape), by, role, t->name, t->name);
}

/* A tensor that the file's names and sizes cannot place: what it may be, and the setting that names it. */
static sg_status refuse_unplaced(const scope *s, const stored_tensor *t, sg_error *err)
{
    char shape[96], roles[3 * TENSORS_MAX_NAME + 96] = "";
    const char *kind = names_kind_of_part(t->name);
    if (may_be_decoder_bias(s, t))
        snprintf(roles, sizeof roles, "; the decoder's bias: setting 'map' decoder.bias=%s", t->name);
    else if (t->rank == 2)
        snprintf(
            roles, sizeof roles,
            "; a linear map: setting 'map' input.weight=%s before it, setting 'map' output.weight=%s after it",
            t->name, t->name);
    else if (kind && strstr(kind, "normalisation"))
        snprintf(roles, sizeof roles, "; before it or between layers a normalisation is not supported");
    return sg_fail(
        err, SG_EFORMAT,
        "%s: tensor %s %s has no role, and its size fits between embedding and recurrence or between "
        "layers; the file does not record where it is used. After the recurrence: setting 'map' after=%s%s; not used: "
        "setting 'ignore' %s",
        s->b->path, t->name, shape_text(t, shape), t->name, roles, t->name);
}

/* Of torch's AdaptiveLogSoftmaxWithLoss: PREFIXhead.weight, PREFIXtail.0.0.weight. */
static bool is_adaptive_softmax(const scope *s, const stored_tensor *t)
{
    const char *at = strstr(t->name, "head.");
    char name[TENSORS_MAX_NAME + 16];
    if (!at)
        at = strstr(t->name, "tail.");
    if (!at)
        return false;
    snprintf(name, sizeof name, "%.*stail.0.1.weight", (int)(at - t->name), t->name);
    return tensors_find(s->b, name) != NULL;
}

/* Does no other tensor have one of its sizes? Then it is no part of the net: losses, counts. */
static bool fits_nothing(const scope *s, const stored_tensor *t)
{
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *other = &s->b->tensors[i];
        for (unsigned k = 0; k < other->rank && other != t; k++)
            for (unsigned m = 0; m < t->rank; m++)
                if (t->dims[m] == 1 || other->dims[k] == t->dims[m])
                    return false;
    }
    return t->rank > 0;
}

/* Why a tensor above the recurrence leaves the net without a decoder. */
static void explain_no_decoder(recipe *p, const scope *s, const stored_tensor *t)
{
    char shape[96], hint[TENSORS_MAX_NAME + 160] = "";
    const char *why = "has no known role and may act between the recurrent layers and the output";
    size_t V = p->shape.vocabulary, H = p->layers[p->shape.layers - 1].H;
    if (is_adaptive_softmax(s, t))
        why = "belongs to an adaptive softmax, which is not supported";
    else if (strstr(t->name, "_packed_params"))
        why = "belongs to a quantized layer, whose packed weights are not read: save the model before "
              "quantize_dynamic";
    else if (s->cfg->forward_only && t->rank == 2 && t->dims[1] == 2 * H)
        why = "reads both directions, of which one is left out";
    else if (t->rank == 2 && t->dims[0] % H == 0 && t->dims[1] % H && t->dims[1] != V)
        why = "has no known role: it may act between the recurrent layers and the output, or compute a first "
              "state, which is zero here";
    else if (may_be_decoder_bias(s, t))
        snprintf(hint, sizeof hint, "; if it is the decoder's bias: setting 'map' decoder.bias=%.180s",
                 t->name);
    else if (t->rank == 2 && t->dims[0] == H && t->dims[1] == V && !p->shape.has_decoder)
        snprintf(hint, sizeof hint, "; if it is the decoder, h W: setting 'map' decoder.weight=%.180s",
                 t->name);
    else if (t->rank == 2 && names_looks_decoder(t) && !p->shape.has_decoder && t->dims[1] != H)
        snprintf(hint, sizeof hint, "; a decoder of these words and units would be (%zu, %zu)", V, H);
    else if (t->rank == 2 && t->dims[1] == H && !p->n_after)
        snprintf(hint, sizeof hint,
                 "; if it is a linear map without an activation: setting 'map' output.weight=%.180s",
                 t->name);
    snprintf(p->no_decoder, sizeof p->no_decoder, "tensor %.180s %s %s%.140s", t->name, shape_text(t, shape),
             why, hint);
}

/* Weights of a type that is not read are never passed over; counts, ids and masks are. */
static sg_status check_type(const scope *s, const stored_tensor *t, sg_error *err)
{
    char shape[96];
    const char *leaf = names_leaf(t->name);
    bool weight_like =
        !strncmp(leaf, "weight", 6) || !strncmp(leaf, "bias", 4) || !strncmp(leaf, "kernel", 6);
    if (dtype_is_float(t->dtype) || (t->dtype != DTYPE_OTHER && !weight_like))
        return SG_OK;
    return sg_fail(err, SG_EFORMAT,
                   "%s: tensor %s %s holds %s, expected float16, bfloat16, float32 or float64", s->b->path,
                   t->name, shape_text(t, shape), tensor_type_name(t));
}

static sg_status judge_one(recipe *p, const scope *s, const named_layers *all, const stored_tensor *t,
                           bool decoder_mapped, sg_error *err)
{
    char shape[96];
    sg_status st = check_type(s, t, err);
    if (st != SG_OK || !dtype_is_float(t->dtype))
        return st;
    if (is_initial_state(s, t))
        return SG_OK; /* zero, or it would have been refused */
    st = refuse_part(s, all, t, err);
    if (st != SG_OK)
        return st;
    if (!is_after(s, t) && may_stand_before(s, t) && !is_adaptive_softmax(s, t))
        return refuse_unplaced(s, t, err);
    if (!is_after(s, t) && fits_nothing(s, t))
        recipe_note(p, "%.150s %s is taken for no part of the net: no other tensor has its size", t->name,
                    shape_text(t, shape));
    else if (!decoder_mapped && !p->no_decoder[0])
        explain_no_decoder(p, s, t);
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

sg_status names_judge_recurrent(recipe *p, const scope *s, const named_layers *all, sg_error *err)
{
    char shape[96];
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (!names_part_of_net(s, t) || names_is_used(p, t) || is_after(s, t))
            continue;
        sg_status st = check_type(s, t, err);
        if (st == SG_OK)
            st = refuse_part(s, all, t, err);
        if (st != SG_OK)
            return st;
        if (dtype_is_float(t->dtype) && !is_initial_state(s, t) && may_stand_between(s, t))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s has no role, and its size fits between layers; the file does not record where it is "
                "used. After the recurrence: setting 'map' after=%s",
                s->b->path, t->name, shape_text(t, shape), t->name);
        if (dtype_is_float(t->dtype) && t->rank == 2 && t->dims[0] == p->layers[0].in)
            recipe_note(p, "%.150s %s may act before the recurrence: the features are then what it gives",
                        t->name, shape_text(t, shape));
    }
    return SG_OK;
}
