/* SPDX-License-Identifier: MIT */
/* Recurrent layers by the names of their tensors: torch's weight_ih_l0, weight_hh_l0, ... (weight_ih in a
 * cell), which of several stacks is the model, and what --map puts in their place. */
#include "import/by_name.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

const char *names_leaf(const char *name)
{
    const char *leaf = name;
    for (const char *c = name; *c; c++)
        if (*c == '.' || *c == '/')
            leaf = c + 1;
    return leaf;
}

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
    size_t n = (size_t)(names_leaf(name) - name);
    memcpy(prefix, name, n);
    prefix[n] = 0;
    if (n > 7 && !strcmp(prefix + n - 8, ".module."))
        prefix[n - 7] = 0;
}

/* The tensor's place and part, by its name. torch's parametrized weight norm keeps
 * PREFIX.parametrizations.weight_hh_l0.original0 (g) and original1 (v). */
bool names_parse(const char *name, char prefix[TENSORS_MAX_NAME], recurrent_name *r)
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
    return parse_leaf(names_leaf(name), r);
}

bool names_weight_path(const char *name, size_t *length, bool *normed)
{
    static const char *const ends[] = {"weight", "weight_v", "parametrizations.weight.original1"};
    size_t n = strlen(name);
    for (size_t k = 0; k < 3; k++) {
        size_t m = strlen(ends[k]);
        if (n < m || strcmp(name + n - m, ends[k]) != 0 || (n > m && name[n - m - 1] != '.'))
            continue;
        *length = n - m;
        *normed = k > 0;
        return true;
    }
    return false;
}

/* torch's optimizers keep "state.7.exp_avg": behind "state." a number, then what is no layer's parameter. */
static bool is_state_of_parameter(const char *number, const char *leaf)
{
    size_t n = strspn(number, "0123456789");
    return n && number + n + 1 == leaf && strncmp(leaf, "weight", 6) != 0 && strncmp(leaf, "bias", 4) != 0;
}

bool names_optimizer_state(const char *name)
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
    const char *leaf = names_leaf(name);
    for (size_t i = 0; leaves[i]; i++)
        if (!strcmp(leaf, leaves[i]))
            return true;
    for (const char *c = name; c < leaf;) {
        size_t n = strcspn(c, "./");
        if (n == 5 && !strncmp(c, "state", 5) && is_state_of_parameter(c + 6, leaf))
            return true;
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
    (void)names_parse(t->name, prefix, &unused);
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

/* PREFIX_orig together with PREFIX_mask or PREFIX_u: the weight is computed from them in each run. */
static sg_status refuse_computed_weights(const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    static const char *const kinds[][2] = {
        {"_mask", "pruned (torch.nn.utils.prune): its weight is this times its mask; call prune.remove "
                  "before saving"},
        {"_u",
         "under spectral normalisation: its weight is this over its norm; call remove_spectral_norm before "
         "saving"}};
    char name[TENSORS_MAX_NAME + 8];
    for (size_t i = 0; i < b->n; i++) {
        const stored_tensor *t = &b->tensors[i];
        size_t n = strlen(t->name);
        if (n < 5 || strcmp(t->name + n - 5, "_orig") != 0 || recipe_ignored(cfg, t))
            continue;
        for (size_t k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "%.*s%s", (int)(n - 5), t->name, kinds[k][0]);
            if (tensors_find(b, name))
                return sg_fail(err, SG_EFORMAT, "%s: tensor %s is %s", b->path, t->name, kinds[k][1]);
        }
    }
    return SG_OK;
}

sg_status names_collect_layers(named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                               sg_error *err)
{
    char shape[96];
    sg_status st = refuse_computed_weights(b, cfg, err);
    if (st != SG_OK)
        return st;
    for (size_t i = 0; i < b->n; i++) {
        const stored_tensor *t = &b->tensors[i];
        recurrent_name r;
        named_layer *l = NULL;
        char prefix[TENSORS_MAX_NAME];
        if (!names_parse(t->name, prefix, &r) || recipe_ignored(cfg, t) || names_optimizer_state(t->name))
            continue;
        if (cfg->forward_only && (r.reverse || r.level > 0))
            continue;
        if (r.reverse)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s belongs to a bidirectional layer: its state reads words that come later, so a gradient with "
                "respect to past words does not describe it (setting 'forward_only' reads the forward direction of the first layer)",
                b->path, t->name, shape_text(t, shape));
        if (!strcmp(r.side, "hr"))
            return sg_fail(err, SG_EFORMAT,
                           "%s: tensor %s %s is a projection of the hidden state (proj_size), which "
                           "is not supported",
                           b->path, t->name, shape_text(t, shape));
        st = layer_for(all, b, t, &r, &l, err);
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

bool names_same_but_numbers(const char *a, const char *b)
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

/* Prefixes whose numbers are not path components of their own ("lstm1.", not "rnns.1."): attributes that
 * somebody numbered by hand, which may be layers of one stack or side by side. */
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
                "them use setting 'map' rnn.weight_ih_l0=%.120s, for two layers also setting 'map' rnn.weight_ih_l1=%.120s",
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
             (!names_same_but_numbers(all->at[i].prefix, all->at[0].prefix) ||
              all->at[i].level != all->at[0].level)))
            return false;
    return true;
}

static named_layer *find_layer(named_layers *all, const stored_tensor *t)
{
    char prefix[TENSORS_MAX_NAME];
    recurrent_name r;
    bool named = names_parse(t->name, prefix, &r);
    for (size_t i = 0; i < all->n; i++)
        if (named && all->at[i].container == t->container && all->at[i].level == r.level &&
            !strcmp(all->at[i].prefix, prefix))
            return &all->at[i];
    return NULL;
}

/* --map rnn.weight_ih_l0=T picks T's stack out of several, or the layers one by one when there is a map for
 * each. *chosen: some. A mapped tensor whose name is none of torch's begins a stack of its own: all others
 * go. */
static sg_status keep_mapped(named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                             bool *chosen, sg_error *err)
{
    sg_status st = SG_OK;
    const stored_tensor *parts[4];
    named_layers *kept = sg_calloc(1, sizeof *kept);
    size_t n = 0;
    *chosen = false;
    if (!kept)
        return no_memory(err, "%s", b->path);
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

sg_status names_choose_stack(recipe *p, named_layers *all, const tensor_file *b, const sg_import_config *cfg,
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
        "%s: %zu recurrent stacks could be the model; choose with setting 'map' rnn.weight_ih_l0=TENSOR, one of %s",
        b->path, stacks, text);
}

/* ---- roles named by --map ---- */

static bool has_torch_name(const stored_tensor *t)
{
    char prefix[TENSORS_MAX_NAME];
    recurrent_name r;
    return names_parse(t->name, prefix, &r);
}

sg_status names_apply_maps(named_layers *all, const tensor_file *b, const sg_import_config *cfg,
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
                TRY(sg_fail(err, SG_EINVAL, "setting 'map' %s: there is no layer %zu below it", role, k - 1));
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
