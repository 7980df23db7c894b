/* SPDX-License-Identifier: MIT */
/* Roles by name and shape: tensor files whose tensors have PyTorch's names (state_dicts, modules, safetensors).
 *
 * The recurrent layers carry fixed names (weight_ih_l0, ...; weight_ih in a cell). What stands before them is
 * the stack. The embedding must have as many columns as the lowest layer reads, the decoder as many as the
 * top layer has units and one row a word; names and module classes decide between tensors of one shape.
 * Anything that is left over and might stand between embedding and recurrence is a reason to stop and ask,
 * never to guess. */
#include "import/recipe.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_CELLS = 4 * SG_MAX_LAYERS };

/* One recurrent layer as the names tell it. */
typedef struct {
    char prefix[TENSORS_MAX_NAME]; /* with its dot; "" at the top */
    unsigned container;
    int level;     /* k of _l{k}; 0 for a cell */
    bool numbered; /* had _l{k} */
    const stored_tensor *W_ih, *W_hh, *b_ih, *b_hh;
    const stored_tensor *norm_ih, *norm_hh; /* weight norm: g of v in W_ih, W_hh */
    const stored_tensor *part[4][4];        /* of --map: one tensor per gate of each of the four */
    bool mapped; /* some of them by --map, under names that say nothing of the gates */
    bool raw;    /* W_hh is AWD-LSTM's weight_hh_l0_raw */
} named_layer;

typedef struct {
    named_layer at[MAX_CELLS];
    size_t n;
} named_layers;

static const char *leaf_of(const char *name)
{
    const char *leaf = name;
    for (const char *c = name; *c; c++)
        if (*c == '.' || *c == '/')
            leaf = c + 1;
    return leaf;
}

typedef struct {
    char side[3]; /* "ih", "hh", "hr" */
    bool bias, numbered, reverse, raw;
    char norm; /* 'g' or 'v' of weight norm */
    int level;
} recurrent_name;

/* weight_ih_l0, bias_hh_l12_reverse, weight_hh_l0_raw, weight_ih ... */
static bool parse_leaf(const char *leaf, recurrent_name *r)
{
    *r = (recurrent_name){0};
    if (!strncmp(leaf, "weight_", 7))
        leaf += 7;
    else if (!strncmp(leaf, "bias_", 5)) {
        leaf += 5;
        r->bias = true;
    } else
        return false;
    if (strncmp(leaf, "ih", 2) != 0 && strncmp(leaf, "hh", 2) != 0 && strncmp(leaf, "hr", 2) != 0)
        return false;
    memcpy(r->side, leaf, 2);
    leaf += 2;
    if (leaf[0] == '_' && leaf[1] == 'l' && leaf[2] >= '0' && leaf[2] <= '9') {
        char *end;
        long level = strtol(leaf + 2, &end, 10);
        if (level > 1000)
            return false;
        r->numbered = true;
        r->level = (int)level;
        leaf = end;
    }
    if (!strncmp(leaf, "_reverse", 8)) {
        r->reverse = true;
        leaf += 8;
    }
    if (!strcmp(leaf, "_raw")) {
        r->raw = true;
        leaf += 4;
    } else if (!r->bias && (!strcmp(leaf, "_g") || !strcmp(leaf, "_v"))) {
        r->norm = leaf[1];
        leaf += 2;
    }
    return !*leaf;
}

/* The path before the leaf; AWD-LSTM wraps its layers in ".module". */
static void prefix_of(const char *name, char prefix[TENSORS_MAX_NAME])
{
    size_t n = (size_t)(leaf_of(name) - name);
    memcpy(prefix, name, n);
    prefix[n] = 0;
    if (n > 7 && !strcmp(prefix + n - 8, ".module."))
        prefix[n - 7] = 0;
}

/* The tensor's place and part as its name tells them. torch's parametrized weight norm keeps
 * PREFIX.parametrizations.weight_hh_l0.original0 (g) and original1 (v). */
static bool parse_name(const char *name, char prefix[TENSORS_MAX_NAME], recurrent_name *r)
{
    char leaf[64];
    const char *at = strstr(name, "parametrizations.weight_");
    size_t n = at && (at == name || at[-1] == '.') ? strcspn(at + 17, ".") : 0;
    if (n && n < 40 && (!strcmp(at + 17 + n, ".original0") || !strcmp(at + 17 + n, ".original1"))) {
        snprintf(leaf, sizeof leaf, "%.*s_%c", (int)n, at + 17, at[17 + n + 9] == '0' ? 'g' : 'v');
        memcpy(prefix, name, (size_t)(at - name));
        prefix[at - name] = 0;
        return parse_leaf(leaf, r);
    }
    prefix_of(name, prefix);
    return parse_leaf(leaf_of(name), r);
}

/* What an optimizer keeps beside the weights: moments, momenta, averages. */
static bool is_optimizer_state(const char *name)
{
    static const char *const paths[] = {"optimizer",   "optimizer_state",      "optimizer_states",  "optim",
                                        "optim_state", "optimizer_state_dict", "optimizers",        "opt",
                                        "optim_dict",  "optim_state_dict",     "optimizer_weights", NULL};
    static const char *const leaves[] = {
        "exp_avg",    "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer",
        "square_avg", "acc_delta",  "grad_avg",       "Adam",
        "Adam_1",     "Momentum",   "RMSProp",        "RMSProp_1",
        "Adagrad",    "Adadelta",   "Adadelta_1",     "ExponentialMovingAverage",
        NULL};
    const char *leaf = leaf_of(name);
    for (size_t i = 0; leaves[i]; i++)
        if (!strcmp(leaf, leaves[i]))
            return true;
    for (const char *c = name; c < leaf;) {
        size_t n = strcspn(c, "./");
        for (size_t i = 0; paths[i]; i++)
            if (strlen(paths[i]) == n && !strncmp(c, paths[i], n))
                return true;
        c += n + 1;
    }
    return false;
}

static sg_status layer_for(named_layers *all, const tensor_file *b, const stored_tensor *t,
                           const recurrent_name *r, named_layer **out, sg_error *err)
{
    char prefix[TENSORS_MAX_NAME];
    recurrent_name unused;
    (void)parse_name(t->name, prefix, &unused);
    for (size_t i = 0; i < all->n; i++)
        if (all->at[i].level == r->level && all->at[i].container == t->container &&
            !strcmp(all->at[i].prefix, prefix)) {
            *out = &all->at[i];
            return SG_OK;
        }
    if (all->n == MAX_CELLS)
        return sg_fail(err, SG_EFORMAT, "%s: more than %d recurrent layers", b->path, MAX_CELLS);
    *out = &all->at[all->n++];
    **out = (named_layer){.container = t->container, .level = r->level, .numbered = r->numbered};
    memcpy((*out)->prefix, prefix, sizeof prefix);
    return SG_OK;
}

static sg_status collect_layers(named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                                sg_error *err)
{
    char shape[96];
    for (size_t i = 0; i < b->n; i++) {
        const stored_tensor *t = &b->tensors[i];
        recurrent_name r;
        named_layer *l = NULL;
        char prefix[TENSORS_MAX_NAME];
        if (!parse_name(t->name, prefix, &r) || recipe_ignored(cfg, t) || is_optimizer_state(t->name))
            continue;
        if (cfg->forward_only && (r.reverse || r.level > 0))
            continue;
        if (r.reverse)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s belongs to a bidirectional layer: its state reads words that come later, so a gradient with "
                "respect to past words does not describe it (--forward-only reads the forward direction of the first layer)",
                b->path, t->name, shape_text(t, shape));
        if (!strcmp(r.side, "hr"))
            return sg_fail(err, SG_EFORMAT,
                           "%s: tensor %s %s is a projection of the hidden state (proj_size), which "
                           "is not supported",
                           b->path, t->name, shape_text(t, shape));
        sg_status st = layer_for(all, b, t, &r, &l, err);
        if (st != SG_OK)
            return st;
        const stored_tensor **slot =
            r.bias ? (r.side[0] == 'i' ? &l->b_ih : &l->b_hh) : (r.side[0] == 'i' ? &l->W_ih : &l->W_hh);
        if (r.norm == 'g')
            slot = r.side[0] == 'i' ? &l->norm_ih : &l->norm_hh;
        if (*slot && slot == &l->W_hh && l->raw)
            continue; /* the parameter is known; this is its copy with dropped-out weights */
        *slot = t;
        l->raw |= r.raw;
    }
    return SG_OK;
}

/* Prefixes that differ only in their numbers are layers of one stack: "rnns.0.", "rnns.1."; *number is the
 * last one. */
static bool same_but_numbers(const char *a, const char *b)
{
    while (*a && *b) {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            a += strspn(a, "0123456789");
            b += strspn(b, "0123456789");
        } else if (*a++ != *b++)
            return false;
    }
    return *a == *b;
}

static long last_number(const char *s)
{
    long number = -1;
    for (; *s; s++)
        if (*s >= '0' && *s <= '9') {
            char *end;
            number = strtol(s, &end, 10);
            s = end - 1;
        }
    return number;
}

static int by_stack_order(const void *a, const void *b)
{
    const named_layer *x = a, *y = b;
    if (x->container != y->container)
        return x->container < y->container ? -1 : 1;
    if (!strcmp(x->prefix, y->prefix))
        return x->level - y->level;
    long m = last_number(x->prefix), n = last_number(y->prefix);
    return m != n ? (m < n ? -1 : 1) : strcmp(x->prefix, y->prefix);
}

/* Prefixes whose numbers are not path components of their own ("lstm1.", not "rnns.1."): attributes that somebody
 * numbered by hand, which may be layers of one stack or stand side by side. */
static bool numbered_by_hand(const char *prefix)
{
    for (const char *c = prefix; *c; c++)
        if (*c >= '0' && *c <= '9' && c > prefix && c[-1] != '.' && c[-1] != '/' &&
            !(c[-1] >= '0' && c[-1] <= '9'))
            return true;
    return false;
}

static size_t size_of_side(const stored_tensor *t)
{
    return t && t->rank == 2 ? (size_t)t->dims[1] : 0;
}

/* lstm1 and lstm2 of one shape: two layers, or two nets? */
static sg_status ask_whether_stacked(recipe *p, const named_layers *all, const tensor_file *b, sg_error *err)
{
    for (size_t i = 1; i < all->n; i++) {
        const named_layer *low = &all->at[i - 1], *high = &all->at[i];
        if (!strcmp(low->prefix, high->prefix) || !numbered_by_hand(high->prefix) || !low->W_ih ||
            !high->W_ih)
            continue;
        if (size_of_side(high->W_ih) == size_of_side(low->W_ih))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: %s and %s read inputs of one size: two layers of a stack, or nets side by side? For one of "
                "them say --map rnn.weight_ih_l0=%.120s, for two layers also --map rnn.weight_ih_l1=%.120s",
                b->path, low->W_ih->name, high->W_ih->name, low->W_ih->name, high->W_ih->name);
        recipe_note(p, "%.120s is taken for the layer above %.120s, by their sizes", high->W_ih->name,
                    low->W_ih->name);
    }
    return SG_OK;
}

static bool one_stack(const named_layers *all)
{
    for (size_t i = 1; i < all->n; i++)
        if (all->at[i].container != all->at[0].container ||
            (strcmp(all->at[i].prefix, all->at[0].prefix) != 0 &&
             (!same_but_numbers(all->at[i].prefix, all->at[0].prefix) ||
              all->at[i].level != all->at[0].level)))
            return false;
    return true;
}

static named_layer *find_layer(named_layers *all, const stored_tensor *t)
{
    char prefix[TENSORS_MAX_NAME];
    recurrent_name r;
    bool named = parse_name(t->name, prefix, &r);
    for (size_t i = 0; i < all->n; i++)
        if (named && all->at[i].container == t->container && all->at[i].level == r.level &&
            !strcmp(all->at[i].prefix, prefix))
            return &all->at[i];
    return NULL;
}

/* --map rnn.weight_ih_l0=T picks T's stack out of several, or the layers one by one when there is a map for each.
 * *chosen: some. A mapped tensor whose name is none of torch's begins a stack of its own: all others go. */
static sg_status keep_mapped(named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                             bool *chosen, sg_error *err)
{
    sg_status st = SG_OK;
    const stored_tensor *parts[4];
    named_layers *kept = sg_calloc(1, sizeof *kept);
    size_t n = 0;
    *chosen = false;
    if (!kept)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    for (size_t k = 0; k < SG_MAX_LAYERS; k++) {
        char role[32];
        snprintf(role, sizeof role, "rnn.weight_ih_l%zu", k);
        TRY(recipe_mapped_parts(parts, &n, b, cfg, role, err));
        if (!n)
            break;
        const named_layer *l = n == 1 ? find_layer(all, parts[0]) : NULL;
        *chosen = true;
        if (l)
            kept->at[kept->n++] = *l;
        else {
            kept->n = 0;
            break;
        }
    }
    if (*chosen && kept->n == 1) { /* the whole stack of one module */
        const named_layer first = kept->at[0];
        kept->n = 0;
        for (size_t i = 0; i < all->n; i++)
            if (all->at[i].container == first.container && !strcmp(all->at[i].prefix, first.prefix) &&
                all->at[i].level >= first.level)
                kept->at[kept->n++] = all->at[i];
        qsort(kept->at, kept->n, sizeof *kept->at, by_stack_order);
    }
    if (*chosen)
        *all = *kept;
done:
    sg_free(kept);
    return st;
}

static sg_status choose_stack(recipe *p, named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                              sg_error *err)
{
    char text[600];
    size_t n = 0, stacks = 0;
    bool chosen;
    sg_status st = keep_mapped(all, b, cfg, &chosen, err);
    if (st != SG_OK || chosen)
        return st;
    qsort(all->at, all->n, sizeof *all->at, by_stack_order);
    if (one_stack(all))
        return ask_whether_stacked(p, all, b, err);
    text[0] = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (!all->at[i].W_ih || (i && !strcmp(all->at[i].prefix, all->at[i - 1].prefix) &&
                                 all->at[i].container == all->at[i - 1].container))
            continue;
        int more = snprintf(text + n, sizeof text - n, "%s%s", stacks++ ? ", " : "", all->at[i].W_ih->name);
        n += more > 0 && (size_t)more < sizeof text - n ? (size_t)more : sizeof text - 1 - n;
    }
    return sg_fail(
        err, SG_EFORMAT,
        "%s: %zu recurrent stacks could be the model; choose with --map rnn.weight_ih_l0=TENSOR, one of %s",
        b->path, stacks, text);
}

/* ---- shapes of the recurrent layers ---- */

static sg_status missing(const tensor_file *b, const named_layer *l, const char *role, sg_error *err)
{
    const stored_tensor *t = l->W_ih ? l->W_ih : l->W_hh ? l->W_hh : l->b_ih ? l->b_ih : l->b_hh;
    return sg_fail(err, SG_EFORMAT, "%s: has %s, but no %s", b->path, t ? t->name : l->prefix, role);
}

static recipe_source plain(const stored_tensor *t, unsigned gates)
{
    return (recipe_source){
        .tensor = t, .columns = t && t->rank == 2 ? t->dims[1] : 1, .gate = {0, 1, 2, 3}, .gates = gates};
}

/* A row or a column of n numbers is a vector. */
static bool is_vector(const stored_tensor *t, uint64_t n)
{
    uint64_t longest = 1;
    for (unsigned k = 0; k < t->rank; k++)
        longest = t->dims[k] > longest ? t->dims[k] : longest;
    return t->elements == n && longest == n && t->rank >= 1;
}

static sg_status check_bias(const tensor_file *b, const stored_tensor *t, uint64_t rows, sg_error *err)
{
    char shape[96];
    if (t && !is_vector(t, rows))
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu), file has %s", b->path, t->name,
                       (unsigned long long)rows, shape_text(t, shape));
    if (t && !dtype_is_float(t->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: %s %s holds %s, expected float16, bfloat16, float32 or float64",
                       b->path, t->name, shape_text(t, shape), tensor_type_name(t));
    return SG_OK;
}

/* One layer's sizes. */
typedef struct {
    uint64_t H, in, G; /* G gates */
    bool turned;       /* weights are (inputs, G*H): x W */
    bool guessed;      /* squares only: either would fit */
} layer_sizes;

/* The sides of a weight, or of each of its gates' tensors. */
static sg_status sides(const tensor_file *b, const named_layer *l, size_t which, const stored_tensor *t,
                       uint64_t *rows, uint64_t *columns, uint64_t *parts, sg_error *err)
{
    char shape[96];
    if (t->rank != 2 || !t->elements)
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected %s, file has %s", b->path, t->name,
                       which ? "(G*H, H)" : "(G*H, inputs)", shape_text(t, shape));
    if (!dtype_is_float(t->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: %s %s holds %s, expected float16, bfloat16, float32 or float64",
                       b->path, t->name, shape_text(t, shape), tensor_type_name(t));
    *rows = t->dims[0];
    *columns = t->dims[1];
    *parts = 1;
    for (size_t k = 1; k < 4 && l->part[which][0] && l->part[which][k]; k++, (*parts)++) {
        const stored_tensor *other = l->part[which][k];
        if (other->rank != 2 || other->dims[0] != *rows || other->dims[1] != *columns)
            return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu, %llu) as %s, file has %s", b->path,
                           other->name, (unsigned long long)*rows, (unsigned long long)*columns, t->name,
                           shape_text(other, shape));
    }
    return SG_OK;
}

static sg_status find_sizes(layer_sizes *s, const tensor_file *b, const named_layer *l,
                            const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    char shape[96];
    uint64_t rows, columns, parts, in_rows, in_columns, in_parts;
    *s = (layer_sizes){0};
    TRY(sides(b, l, 1, l->W_hh, &rows, &columns, &parts, err));
    TRY(sides(b, l, 0, l->W_ih, &in_rows, &in_columns, &in_parts, err));
    s->turned = columns > rows;
    s->H = s->turned ? rows : columns;
    s->G = (s->turned ? columns : rows) / s->H;
    if ((s->turned ? columns : rows) % s->H || (parts > 1 && s->G != 1) ||
        (parts == 1 && s->G != 1 && s->G != 3 && s->G != 4) || parts == 2)
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: %s: expected (4H, H) for LSTM, (3H, H) for GRU or (H, H) for RNN, file has %s",
                    b->path, l->W_hh->name, shape_text(l->W_hh, shape)));
    uint64_t wide = s->G * s->H;  /* of one tensor */
    if (s->G == 1 && l->mapped) { /* squares: the inputs' matrix tells, if it is none itself */
        s->turned = in_rows != wide && in_columns == wide;
        s->guessed = in_rows == in_columns;
        if (s->guessed)
            s->turned = cfg->transposed;
    }
    if (l->mapped && cfg->transposed && !s->turned)
        TRY(sg_fail(err, SG_EFORMAT, "%s: --transposed: expected %s of (inputs, %llu), file has %s", b->path,
                    l->W_ih->name, (unsigned long long)wide, shape_text(l->W_ih, shape)));
    if ((s->turned ? in_columns : in_rows) != wide || in_parts != parts)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu, inputs) to match %s, file has %s", b->path,
                    l->W_ih->name, (unsigned long long)wide, l->W_hh->name, shape_text(l->W_ih, shape)));
    s->in = s->turned ? in_rows : in_columns;
    s->G *= parts;
done:
    return st;
}

static void set_source(recipe_source *out, const named_layer *l, size_t which, const stored_tensor *t,
                       const layer_sizes *s, const uint8_t gate[4])
{
    *out = plain(t, (unsigned)s->G);
    memcpy(out->gate, gate, 4);
    if (l->part[which][0])
        memcpy(out->part, l->part[which], sizeof out->part);
    if (which >= 2)
        out->columns = 1;
    else if (s->turned)
        out->layout = LAYOUT_COLUMNS;
}

/* Sizes from W_hh, which is (G H, H), or turned by 90 degrees where another library wrote it. */
static sg_status read_shapes(recipe_layer *out, unsigned *gates, recipe *p, const tensor_file *b,
                             const named_layer *l, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    layer_sizes s;
    uint8_t gate[4];
    if (!l->W_ih || !l->W_hh)
        TRY(missing(b, l, l->W_ih ? "weight_hh" : "weight_ih", err));
    TRY(find_sizes(&s, b, l, cfg, err));
    TRY(recipe_gate_order(gate, cfg, (unsigned)s.G, s.G == 4 ? "ifgo" : "rzn", err));
    *out = (recipe_layer){.H = (size_t)s.H, .in = (size_t)s.in};
    set_source(&out->W_ih, l, 0, l->W_ih, &s, gate);
    set_source(&out->W_hh, l, 1, l->W_hh, &s, gate);
    set_source(&out->b_ih, l, 2, l->b_ih, &s, gate);
    set_source(&out->b_hh, l, 3, l->b_hh, &s, gate);
    out->W_ih.norm = l->norm_ih;
    out->W_hh.norm = l->norm_hh;
    TRY(check_bias(b, l->norm_ih, s.G * s.H, err));
    TRY(check_bias(b, l->norm_hh, s.G * s.H, err));
    for (size_t k = 0; k < 4; k++) {
        TRY(check_bias(b,
                       l->part[2][0] ? l->part[2][k]
                       : k           ? NULL
                                     : l->b_ih,
                       l->part[2][0] ? s.H : s.G * s.H, err));
        TRY(check_bias(b,
                       l->part[3][0] ? l->part[3][k]
                       : k           ? NULL
                                     : l->b_hh,
                       l->part[3][0] ? s.H : s.G * s.H, err));
    }
    if (l->mapped)
        recipe_note(p, "%.150s: assumed: %s%s%s%s%s", l->W_ih->name,
                    s.turned ? "x W, its columns are units" : "W x, its rows are units",
                    s.guessed ? " (it is square: --transposed for the other)" : "",
                    s.G > 1 ? ", gates in the order " : "",
                    s.G == 1          ? ""
                    : cfg->gate_order ? cfg->gate_order
                    : s.G == 4        ? "i,f,g,o"
                                      : "r,z,n",
                    s.G > 1 && !cfg->gate_order ? " (--gate-order for another)" : "");
    *gates = (unsigned)s.G;
done:
    return st;
}

static sg_status choose_cell(recipe *p, unsigned gates, const tensor_file *b, const named_layer *first,
                             const sg_import_config *cfg, sg_error *err)
{
    static const sg_cell by_gates[] = {[1] = SG_CELL_TANH, [3] = SG_CELL_GRU, [4] = SG_CELL_LSTM};
    sg_cell c = by_gates[gates];
    char key[TENSORS_MAX_NAME + 16];
    snprintf(key, sizeof key, "%smode", first->prefix);
    const char *mode = tensors_attribute(b, key);
    snprintf(key, sizeof key, "%snonlinearity", first->prefix);
    const char *how = tensors_attribute(b, key);
    if (gates == 1 && ((mode && !strcmp(mode, "RNN_RELU")) || (how && !strcmp(how, "relu"))))
        c = SG_CELL_RELU;
    else if (gates == 1 && cfg->cell == SG_AUTO && !mode && !how)
        recipe_note(
            p, "the file does not record the RNN's nonlinearity: tanh is assumed (--cell rnn-relu for relu)");
    if (cfg->cell != SG_AUTO) {
        c = (sg_cell)cfg->cell;
        if (sg_cell_gates(c) != gates)
            return sg_fail(err, SG_EFORMAT, "%s: --cell %s has %zu gates, %s has rows for %u", b->path,
                           sg_cell_name(c), sg_cell_gates(c), first->W_hh->name, gates);
    }
    p->shape.cell = c;
    return SG_OK;
}

/* ---- embedding and decoder ---- */

typedef enum { LOOKS_PLAIN, LOOKS_EMBEDDING, LOOKS_DECODER, LOOKS_OTHER } looks;

static bool contains_any(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(name, *words))
            return true;
    return false;
}

/* What name and module class say a matrix is. */
static looks looks_like(const stored_tensor *t)
{
    static const char *const other[] = {"attn",  "attention", "norm", "conv",
                                        "query", "highway",   "gate", NULL};
    static const char *const embedding[] = {"emb", "encoder", "wte", "lookup", "word_vec", "wordvec", NULL};
    static const char *const decoder[] = {"decoder",   "fc",      "linear", "out", "proj", "head",
                                          "dense",     "softmax", "logit",  "h2o", "pred", "final",
                                          "generator", "classif", "vocab",  NULL};
    if (t->layer_class && strcasestr(t->layer_class, "Embedding"))
        return LOOKS_EMBEDDING;
    if (contains_any(t->name, other))
        return LOOKS_OTHER;
    if (contains_any(t->name, embedding))
        return LOOKS_EMBEDDING;
    if (contains_any(t->name, decoder) || (t->layer_class && !strcmp(t->layer_class, "Linear")))
        return LOOKS_DECODER;
    return LOOKS_PLAIN;
}

/* The search's view of the tensor file: what is used, and which tensors belong to the network that is read. */
typedef struct {
    const tensor_file *b;
    const sg_import_config *cfg;
    const recipe *p;
    unsigned container; /* 0: all */
} scope;

static bool is_same(const stored_tensor *t, const stored_tensor *other)
{
    return other && tensors_same_data(t, other);
}

static bool is_used(const recipe *p, const stored_tensor *t)
{
    for (size_t k = 0; k < p->shape.layers; k++) {
        const recipe_layer *l = &p->layers[k];
        const recipe_source *const sources[] = {&l->W_ih, &l->W_hh, &l->b_ih, &l->b_hh};
        for (size_t r = 0; r < 4; r++) {
            if (is_same(t, sources[r]->tensor) || is_same(t, sources[r]->norm))
                return true;
            for (size_t i = 0; i < 4; i++)
                if (is_same(t, sources[r]->part[i]))
                    return true;
        }
    }
    for (size_t k = 0; k < p->n_before; k++)
        if (t == p->before[k].weight.tensor || t == p->before[k].bias.tensor)
            return true;
    for (size_t k = 0; k < p->n_after; k++)
        if (t == p->after[k].weight.tensor || t == p->after[k].bias.tensor)
            return true;
    return (p->encoder.tensor && tensors_same_data(t, p->encoder.tensor)) ||
           (p->decoder.tensor && tensors_same_data(t, p->decoder.tensor)) || t == p->decoder_bias.tensor;
}

/* Tensors of the net that is read, recurrent ones aside. */
static bool part_of_net(const scope *s, const stored_tensor *t)
{
    recurrent_name r;
    char prefix[TENSORS_MAX_NAME];
    return (!s->container || t->container == s->container) && t->elements > 1 &&
           !parse_name(t->name, prefix, &r) && !recipe_ignored(s->cfg, t) && !is_optimizer_state(t->name);
}

static bool in_scope(const scope *s, const stored_tensor *t)
{
    return part_of_net(s, t) && dtype_is_float(t->dtype);
}

typedef struct {
    const stored_tensor *best; /* NULL: none */
    const stored_tensor *rival;
    size_t n;
} choice;

/* --map gave it to a role: it is not offered again. (One tensor may be embedding and decoder: then both are mapped.) */
static bool is_placed(const scope *s, const stored_tensor *t)
{
    const stored_tensor *encoder = s->p->encoder.tensor;
    if (encoder && tensors_same_data(t, encoder) && t != encoder)
        return false; /* tied: the decoder's name for the same numbers */
    return recipe_is_mapped(s->b, s->cfg, t, NULL);
}

/* Matrices of `columns` columns (and `rows` rows, 0: any) that look like `wanted`; the same data counts
 * once. */
static choice matrices(const scope *s, uint64_t rows, uint64_t columns, looks wanted,
                       const stored_tensor *but)
{
    choice c = {0};
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (!in_scope(s, t) || t->rank != 2 || t->dims[1] != columns || (rows && t->dims[0] != rows) ||
            t->dims[0] < 2 || looks_like(t) != wanted || (but && t == but) || is_placed(s, t) ||
            (c.best && tensors_same_data(t, c.best)))
            continue;
        if (!c.best)
            c.best = t;
        else
            c.rival = t;
        c.n++;
    }
    return c;
}

static sg_status ambiguous(const tensor_file *b, const char *role, const choice *c, sg_error *err)
{
    char one[96], two[96];
    return sg_fail(err, SG_EFORMAT,
                   "%s: two interpretations fit: %s could be %s %s or %s %s; choose with --map %s=TENSOR",
                   b->path, role, c->best->name, shape_text(c->best, one), c->rival->name,
                   shape_text(c->rival, two), role);
}

/* ---- linear maps beside the recurrence ---- */

/* The bias beside a weight: the same name with "bias" for "weight", whatever its type and length. */
static const stored_tensor *bias_beside(const scope *s, const stored_tensor *weight)
{
    char name[TENSORS_MAX_NAME];
    size_t n = (size_t)(leaf_of(weight->name) - weight->name);
    if (n + 5 > TENSORS_MAX_NAME)
        return NULL;
    memcpy(name, weight->name, n);
    memcpy(name + n, "bias", 5);
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (!strcmp(t->name, name) && t->container == weight->container && !recipe_ignored(s->cfg, t))
            return t;
    }
    return NULL;
}

/* A linear map of (rows, columns) that --map names (by `role` and `bias_role`), appended to maps. */
static sg_status take_map(recipe_map *maps, size_t *n, const scope *s, const char *role,
                          const char *bias_role, uint64_t columns, sg_error *err)
{
    sg_status st;
    char shape[96];
    const stored_tensor *t, *bias;
    TRY(recipe_mapped(&t, s->b, s->cfg, role, err));
    TRY(recipe_mapped(&bias, s->b, s->cfg, bias_role, err));
    if (!t)
        return st;
    if (t->rank != 2 || t->dims[1] != columns)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (outputs, %llu), %s has %s", s->b->path, role,
                    (unsigned long long)columns, t->name, shape_text(t, shape)));
    if (!bias)
        bias = bias_beside(s, t);
    TRY(check_bias(s->b, bias, t->dims[0], err));
    maps[(*n)++] = (recipe_map){.rows = (size_t)t->dims[0],
                                .columns = (size_t)columns,
                                .weight = plain(t, 0),
                                .bias = {.tensor = bias, .columns = 1}};
done:
    return st;
}

/* ---- the embedding ---- */

static bool looks_embedding(const stored_tensor *t)
{
    bool named = (t->layer_class && strcasestr(t->layer_class, "Embedding")) || strcasestr(t->name, "emb") ||
                 strstr(t->name, "encoder.weight");
    return named && looks_like(t) == LOOKS_EMBEDDING;
}

/* An embedding of another size than the lowest layer reads: with one matrix from the one size to the other it is read
 * through that. */
static sg_status find_distant_embedding(recipe *p, const scope *s, const stored_tensor **out, sg_error *err)
{
    char shape[96], other[96];
    uint64_t in = p->layers[0].in;
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i], *map = NULL;
        size_t maps = 0;
        if (!in_scope(s, t) || t->rank != 2 || t->dims[0] < 2 || !looks_embedding(t) || is_placed(s, t))
            continue;
        for (size_t k = 0; k < s->b->n; k++) {
            const stored_tensor *m = &s->b->tensors[k];
            if (in_scope(s, m) && m != t && m->rank == 2 && m->dims[0] == in && m->dims[1] == t->dims[1] &&
                !is_placed(s, m)) {
                map = m;
                maps++;
            }
        }
        if (maps != 1)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s looks like the embedding, but %s reads %zu numbers: the layer between embedding "
                "and recurrence is unknown%s",
                s->b->path, t->name, shape_text(t, shape), p->layers[0].W_ih.tensor->name, p->layers[0].in,
                maps ? " (two linear maps fit: --map input.weight=TENSOR)" : "");
        const stored_tensor *bias = bias_beside(s, map);
        sg_status st = check_bias(s->b, bias, in, err);
        if (st != SG_OK)
            return st;
        recipe_note(
            p,
            "%.120s %s is taken for a linear map between embedding and recurrence, without an activation, by its "
            "shape",
            map->name, shape_text(map, other));
        p->before[p->n_before++] = (recipe_map){.rows = (size_t)in,
                                                .columns = (size_t)t->dims[1],
                                                .weight = plain(map, 0),
                                                .bias = {.tensor = bias, .columns = 1}};
        *out = t;
        return SG_OK;
    }
    return SG_OK;
}

/* Safetensors keep one of two shared tensors. Of a tied net they may have kept the decoder. */
static const stored_tensor *lone_decoder(const scope *s, uint64_t in)
{
    if (s->b->format != SG_FILE_SAFETENSORS)
        return NULL;
    choice c = matrices(s, 0, in, LOOKS_DECODER, NULL);
    uint64_t H = s->p->layers[s->p->shape.layers - 1].H;
    return c.n == 1 && H == in && c.best->dims[0] > in ? c.best : NULL;
}

static sg_status mapped_encoder(recipe *p, const scope *s, const stored_tensor **out, sg_error *err)
{
    sg_status st;
    char shape[96];
    uint64_t in = p->layers[0].in;
    const stored_tensor *t, *map;
    TRY(recipe_mapped(&t, s->b, s->cfg, "encoder.weight", err));
    TRY(recipe_mapped(&map, s->b, s->cfg, "input.weight", err));
    *out = t;
    if (!t && !map)
        return st;
    if (map) {
        uint64_t columns = t && t->rank == 2 ? t->dims[1] : map->rank == 2 ? map->dims[1] : 0;
        TRY(take_map(p->before, &p->n_before, s, "input.weight", "input.bias", columns, err));
        if (p->before[0].rows != in)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: input.weight: expected (%llu, inputs) as %s reads it, %s has %s", s->b->path,
                        (unsigned long long)in, p->layers[0].W_ih.tensor->name, map->name,
                        shape_text(map, shape)));
        in = columns;
    }
    if (t && (t->rank != 2 || t->dims[1] != in || t->dims[0] < 2))
        TRY(sg_fail(err, SG_EFORMAT, "%s: encoder.weight: expected (V, %llu) as %s reads it, %s has %s",
                    s->b->path, (unsigned long long)in, p->layers[0].W_ih.tensor->name, t->name,
                    shape_text(t, shape)));
done:
    return st;
}

static sg_status find_encoder(recipe *p, const scope *s, sg_error *err)
{
    sg_status st;
    const stored_tensor *t, *decoder;
    char shape[96];
    p->n_before = 0;
    TRY(mapped_encoder(p, s, &t, err));
    uint64_t in = p->n_before ? p->before[0].columns : p->layers[0].in;
    if (!t && !s->cfg->one_hot) {
        choice c = matrices(s, 0, in, LOOKS_EMBEDDING, NULL);
        if (!c.n) {
            c = matrices(s, 0, in, LOOKS_PLAIN, NULL);
            if (c.n == 1)
                recipe_note(p, "%s is assumed to be the embedding because of its shape %s", c.best->name,
                            shape_text(c.best, shape));
        }
        if (c.n > 1)
            TRY(ambiguous(s->b, "encoder.weight", &c, err));
        t = c.best;
        if (!t && !p->n_before)
            TRY(find_distant_embedding(p, s, &t, err));
        if (t)
            in = t->dims[1];
        else if ((decoder = lone_decoder(s, in))) {
            recipe_note(p, "%.150s is there without an embedding: the embedding is taken for it (tied)",
                        decoder->name);
            t = decoder;
        }
    }
    if (t) {
        p->encoder = plain(t, 0);
        p->shape.vocabulary = (size_t)t->dims[0];
    }
    p->shape.embedding = (size_t)in;
done:
    return st;
}

/* ---- one-hot inputs ---- */

/* Inputs as wide as the decoder is high; NULL: there is no such decoder. */
static const stored_tensor *decoder_as_high_as_inputs(const scope *s)
{
    uint64_t in = s->p->shape.embedding, H = s->p->layers[s->p->shape.layers - 1].H;
    choice c = matrices(s, in, H, LOOKS_DECODER, NULL);
    if (!c.n)
        c = matrices(s, in, H, LOOKS_PLAIN, NULL);
    return c.n == 1 ? c.best : NULL;
}

/* Without an embedding the inputs are words where the user says so, gives a vocabulary of that size, or the file holds
 * one beside a decoder of that height. */
static sg_status settle_one_hot(recipe *p, const scope *s, sg_error *err)
{
    sg_status st = SG_OK;
    word_list words = {0};
    char name[TENSORS_MAX_NAME];
    const stored_tensor *decoder = decoder_as_high_as_inputs(s);
    size_t in = p->shape.embedding;
    bool words_inside = false;
    if (s->b->vocabulary && decoder && !s->cfg->one_hot && !s->cfg->vocab) {
        TRY(s->b->vocabulary((tensor_file *)(uintptr_t)s->b, in, &words, name, err));
        words_inside = words.n == in;
    }
    if (s->cfg->one_hot || s->cfg->vocab || words_inside) {
        if (in < 2)
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s reads %zu number: inputs that are no one-hot vectors",
                        s->b->path, p->layers[0].W_ih.tensor->name, in));
        p->one_hot = true;
        p->shape.vocabulary = in;
        recipe_note(
            p,
            "no embedding: the inputs are read as one-hot vectors of %zu words; gradients are with respect to these",
            in);
    } else {
        recipe_note(p, "no embedding: inputs are feature vectors of %zu numbers", in);
        if (decoder)
            recipe_note(
                p, "they are as many as %.150s has rows: if they are one-hot vectors of words say --one-hot",
                decoder->name);
    }
done:
    word_list_free(&words);
    return st;
}

/* ---- the decoder ---- */

/* A decoder's bias without its weight means that the weight is the embedding. */
static const stored_tensor *lone_decoder_bias(const scope *s)
{
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (in_scope(s, t) && is_vector(t, s->p->shape.vocabulary) && !strcmp(leaf_of(t->name), "bias") &&
            looks_like(t) == LOOKS_DECODER)
            return t;
    }
    return NULL;
}

/* PREFIX.weight_g beside PREFIX.weight_v: torch's weight norm of a linear layer. */
static const stored_tensor *norm_beside(const scope *s, const stored_tensor *v)
{
    size_t n = strlen(v->name);
    if (n < 9 || strcmp(v->name + n - 9, ".weight_v") != 0)
        return NULL;
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (in_scope(s, t) && strlen(t->name) == n && !strncmp(t->name, v->name, n - 1) &&
            t->name[n - 1] == 'g' && is_vector(t, v->dims[0]))
            return t;
    }
    return NULL;
}

static sg_status find_decoder(recipe *p, const scope *s, bool *mapped, sg_error *err)
{
    sg_status st;
    const stored_tensor *t, *bias;
    uint64_t V = p->shape.vocabulary, H = p->layers[p->shape.layers - 1].H;
    bool turned = false;
    char shape[96];
    p->n_after = 0;
    TRY(take_map(p->after, &p->n_after, s, "output.weight", "output.bias", H, err));
    if (p->n_after)
        H = p->after[0].rows;
    TRY(recipe_mapped(&t, s->b, s->cfg, "decoder.weight", err));
    *mapped = t != NULL;
    if (t) {
        turned = t->rank == 2 && t->dims[0] == H && t->dims[1] == V && (H != V || s->cfg->transposed);
        if (t->rank != 2 || (!turned && (t->dims[0] != V || t->dims[1] != H)))
            TRY(sg_fail(err, SG_EFORMAT, "%s: decoder.weight: expected (%llu, %llu), %s has %s", s->b->path,
                        (unsigned long long)V, (unsigned long long)H, t->name, shape_text(t, shape)));
        if (turned || H == V)
            recipe_note(p, "%.150s: assumed: %s", t->name,
                        turned ? "h W, its columns are words"
                               : "W h, its rows are words (it is square: --transposed for the other)");
    } else {
        choice c = matrices(s, V, H, LOOKS_DECODER, NULL);
        if (!c.n)
            c = matrices(s, V, H, LOOKS_PLAIN, p->encoder.tensor);
        if (c.n > 1)
            TRY(ambiguous(s->b, "decoder.weight", &c, err));
        t = c.best;
    }
    if (!t && p->encoder.tensor && looks_like(p->encoder.tensor) == LOOKS_DECODER && H == p->shape.embedding)
        t = p->encoder.tensor; /* the one of two tied tensors that the file kept */
    TRY(recipe_mapped(&bias, s->b, s->cfg, "decoder.bias", err));
    if (!bias && t)
        bias = bias_beside(s, t);
    if (!t && !p->one_hot && (bias = lone_decoder_bias(s)) && H == p->shape.embedding) {
        recipe_note(p, "%s has no weight: the decoder is assumed to be the embedding (tied)", bias->name);
        t = p->encoder.tensor;
    }
    if (!t)
        return st;
    TRY(check_bias(s->b, bias, V, err));
    p->shape.has_decoder = true;
    p->shape.tied =
        p->encoder.tensor && tensors_same_data(t, p->encoder.tensor) && !p->n_after && !p->n_before;
    p->decoder = plain(t, 0);
    p->decoder.norm = norm_beside(s, t);
    if (turned)
        p->decoder.layout = LAYOUT_COLUMNS;
    p->decoder_bias = (recipe_source){.tensor = bias, .columns = 1};
done:
    return st;
}

/* ---- what is left over ---- */

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
        named |= !strcasecmp(leaf_of(t->name), names[k]);
    return named && H && t->elements % H == 0;
}

/* States begin at zero here: a net with other first states is refused. */
static sg_status check_initial_states(const scope *s, sg_error *err)
{
    char shape[96];
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        bool zero;
        if (!is_initial_state(s, t) || !in_scope(s, t) || is_used(s->p, t))
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
    if (is_vector(t, n))
        return true;
    return t->rank == 2 && t->dims[0] == n && t->dims[1] == n;
}

/* Is it a bias of a matrix that is judged itself? */
static bool is_bias_of_matrix(const scope *s, const stored_tensor *t)
{
    const char *leaf = leaf_of(t->name);
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
    if (is_between_shaped(t, E) || (t->rank == 2 && t->dims[1] == E && looks_embedding(t)))
        return true;
    for (size_t i = 0; i < s->b->n && t->rank == 2 && t->dims[1] == E; i++) {
        const stored_tensor *next = &s->b->tensors[i];
        if (in_scope(s, next) && !is_used(s->p, next) && next->rank == 2 && next->dims[0] == E &&
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
        bool bias = is_vector(t, rows) || (l->part[0][0] && is_vector(t, gate));
        for (size_t side = 0; side < 2; side++) {
            size_t n = (size_t)(leaf_of(weights[side]->name) - weights[side]->name);
            size_t own = (size_t)(leaf_of(t->name) - t->name);
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
    const char *leaf = leaf_of(t->name);
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

/* Tensors without a role in a net of words. What may stand before the recurrence is asked about. Behind it they touch
 * the output only, so the states stand and the decoder does not. */
static sg_status judge_leftovers(recipe *p, const scope *s, const named_layers *all, bool decoder_mapped,
                                 sg_error *err)
{
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (!part_of_net(s, t) || is_used(p, t))
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

/* Of a net of features only what --map gave the recurrence is judged. */
static sg_status judge_recurrent_leftovers(const scope *s, const named_layers *all, sg_error *err)
{
    char shape[96], role[32];
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (part_of_net(s, t) && !is_used(s->p, t) && recurrent_by_name(s, all, t, role))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s belongs to the recurrent part by its %s and has no role: give it one, as in "
                "--map %s=%s",
                s->b->path, t->name, shape_text(t, shape), strstr(role, "bias") ? "size" : "name", role,
                t->name);
    }
    return SG_OK;
}

static sg_status find_words(recipe *p, scope *s, const named_layers *all, sg_error *err)
{
    sg_status st;
    bool decoder_mapped = false;
    TRY(check_initial_states(s, err));
    TRY(find_encoder(p, s, err));
    if (!p->encoder.tensor && s->container && !s->cfg->one_hot) {
        /* parts saved as dicts of their own: {"encoder": ..., "rnn": ..., "decoder": ...} */
        unsigned container = s->container;
        bool alone = true;
        for (size_t i = 0; i < s->b->n && alone; i++)
            alone = !in_scope(s, &s->b->tensors[i]);
        if (alone) {
            s->container = 0;
            TRY(find_encoder(p, s, err));
            s->container = p->encoder.tensor ? 0 : container;
        }
    }
    if (!p->encoder.tensor) {
        TRY(settle_one_hot(p, s, err));
        if (!p->one_hot) {
            TRY(judge_recurrent_leftovers(s, all, err));
            return st;
        }
    }
    TRY(find_decoder(p, s, &decoder_mapped, err));
    TRY(judge_leftovers(p, s, all, decoder_mapped, err));
done:
    return st;
}

/* ---- the whole ---- */

static bool has_torch_name(const stored_tensor *t)
{
    char prefix[TENSORS_MAX_NAME];
    recurrent_name r;
    return parse_name(t->name, prefix, &r);
}

/* Layers named by --map, or the mapped tensor in place of the one that the names give. */
static sg_status apply_maps(named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                            sg_error *err)
{
    static const char *const roles[] = {"rnn.weight_ih_l", "rnn.weight_hh_l", "rnn.bias_ih_l",
                                        "rnn.bias_hh_l"};
    sg_status st = SG_OK;
    for (size_t k = 0; k < SG_MAX_LAYERS; k++)
        for (size_t r = 0; r < 4; r++) {
            char role[32];
            const stored_tensor *parts[4];
            size_t n;
            snprintf(role, sizeof role, "%s%zu", roles[r], k);
            TRY(recipe_mapped_parts(parts, &n, b, cfg, role, err));
            if (!n)
                continue;
            if (k > all->n || (k == all->n && all->n == MAX_CELLS))
                TRY(sg_fail(err, SG_EINVAL, "--map %s: there is no layer %zu below it", role, k - 1));
            if (k == all->n)
                all->at[all->n++] = (named_layer){.container = parts[0]->container};
            const stored_tensor **slot[] = {&all->at[k].W_ih, &all->at[k].W_hh, &all->at[k].b_ih,
                                            &all->at[k].b_hh};
            *slot[r] = parts[0];
            for (size_t i = 0; i < n && n > 1; i++)
                all->at[k].part[r][i] = parts[i];
            all->at[k].mapped |= !has_torch_name(parts[0]);
        }
done:
    return st;
}

/* No layer was found by name: what the file is instead, where that can be told. */
static sg_status none_found(const tensor_file *b, sg_error *err)
{
    for (size_t i = 0; i < b->n; i++)
        if (strstr(b->tensors[i].name, "_packed_params") || strstr(b->tensors[i].name, "_all_weight_values"))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: %s: a dynamically quantized model: its weights are packed in 8-bit integers, which are not "
                "read; save the model before quantize_dynamic",
                b->path, b->tensors[i].name);
    if (tensors_attribute(b, "quantized"))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %s: a dynamically quantized model: its weights are packed in 8-bit integers, which are not "
            "read; save the model before quantize_dynamic",
            b->path, tensors_attribute(b, "quantized"));
    if (b->format == SG_FILE_TF_INDEX)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: a TensorFlow checkpoint of %zu tensors without a graph: name its cells with --map "
            "rnn.kernel_l0=TENSOR --map rnn.bias_l0=TENSOR (kernels [inputs + H, 4H]; --forget-bias 1), or "
            "rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0 with --gate-order",
            b->path, b->n);
    return sg_fail(err, SG_EFORMAT,
                   "%s: none of its %zu tensors is named weight_ih_l0 or weight_ih: no recurrent layer "
                   "found; name them with --map rnn.weight_ih_l0=TENSOR --map rnn.weight_hh_l0=TENSOR ...",
                   b->path, b->n);
}

sg_status find_by_name(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    named_layers *all = sg_calloc(1, sizeof *all);
    if (!all)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    TRY(collect_layers(all, b, cfg, err));
    if (all->n)
        TRY(choose_stack(p, all, b, cfg, err));
    TRY(apply_maps(all, b, cfg, err));
    if (!all->n)
        TRY(none_found(b, err));
    if (all->n > SG_MAX_LAYERS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %zu recurrent layers, at most %d are read", b->path, all->n,
                    SG_MAX_LAYERS));
    unsigned gates = 0;
    for (size_t k = 0; k < all->n; k++) {
        unsigned own;
        TRY(read_shapes(&p->layers[k], &own, p, b, &all->at[k], cfg, err));
        if (k && own != gates)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: %s has %u gates, the layer below has %u: layers of different cells", b->path,
                        all->at[k].W_hh->name, own, gates));
        gates = own;
    }
    TRY(choose_cell(p, gates, b, &all->at[0], cfg, err));
    TRY(recipe_chain(p, b, all->n, err));
    scope s = {b, cfg, p, all->at[0].container};
    TRY(find_words(p, &s, all, err));
done:
    sg_free(all);
    return st;
}
