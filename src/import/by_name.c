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
    bool raw; /* W_hh is AWD-LSTM's weight_hh_l0_raw */
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

static sg_status layer_for(named_layers *all, const tensor_file *b, const stored_tensor *t,
                           const recurrent_name *r, named_layer **out, sg_error *err)
{
    char prefix[TENSORS_MAX_NAME];
    prefix_of(t->name, prefix);
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
        if (!parse_leaf(leaf_of(t->name), &r) || recipe_ignored(cfg, t))
            continue;
        if (r.reverse)
            return sg_fail(err, SG_EFORMAT,
                           "%s: tensor %s %s belongs to a bidirectional layer: its state reads words "
                           "that come later, so a gradient with respect to past words does not describe it",
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

/* --map rnn.weight_ih_l0=T picks T's stack out of several. */
static void keep_stack_of(named_layers *all, const stored_tensor *t)
{
    char prefix[TENSORS_MAX_NAME];
    size_t kept = 0;
    prefix_of(t->name, prefix);
    for (size_t i = 0; i < all->n; i++)
        if (all->at[i].container == t->container && !strcmp(all->at[i].prefix, prefix))
            all->at[kept++] = all->at[i];
    if (kept)
        all->n = kept;
}

static sg_status choose_stack(named_layers *all, const tensor_file *b, const stored_tensor *mapped,
                              sg_error *err)
{
    char text[600];
    size_t n = 0, stacks = 0;
    if (mapped)
        keep_stack_of(all, mapped);
    qsort(all->at, all->n, sizeof *all->at, by_stack_order);
    if (one_stack(all))
        return SG_OK;
    text[0] = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (!all->at[i].W_ih || (i && !strcmp(all->at[i].prefix, all->at[i - 1].prefix) &&
                                 all->at[i].container == all->at[i - 1].container))
            continue;
        int more = snprintf(text + n, sizeof text - n, "%s%s", stacks++ ? ", " : "", all->at[i].W_ih->name);
        n += more > 0 && (size_t)more < sizeof text - n ? (size_t)more : sizeof text - 1 - n;
    }
    return sg_fail(err, SG_EFORMAT,
                   "%s: %zu recurrent stacks could be the one to read; choose with --map "
                   "rnn.weight_ih_l0=TENSOR, one of %s",
                   b->path, stacks, text);
}

/* ---- shapes of the recurrent layers ---- */

static sg_status missing(const tensor_file *b, const named_layer *l, const char *role, sg_error *err)
{
    const stored_tensor *t = l->W_ih ? l->W_ih : l->W_hh ? l->W_hh : l->b_ih ? l->b_ih : l->b_hh;
    return sg_fail(err, SG_EFORMAT, "%s: beside %s there is no %s", b->path, t ? t->name : l->prefix, role);
}

static recipe_source plain(const stored_tensor *t, unsigned gates)
{
    return (recipe_source){
        .tensor = t, .columns = t && t->rank == 2 ? t->dims[1] : 1, .gate = {0, 1, 2, 3}, .gates = gates};
}

/* A weight of (rows, any) or, when named by --map from another library, of (any, rows). */
static bool orient(recipe_source *s, uint64_t rows, uint64_t columns)
{
    const stored_tensor *t = s->tensor;
    if (t->rank != 2)
        return false;
    if (t->dims[0] == rows && t->dims[1] == columns)
        return true;
    s->layout = LAYOUT_COLUMNS;
    return t->dims[1] == rows && t->dims[0] == columns;
}

static sg_status check_bias(const tensor_file *b, const stored_tensor *t, uint64_t rows, sg_error *err)
{
    char shape[96];
    if (t && (t->rank != 1 || t->dims[0] != rows))
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu), file has %s", b->path, t->name,
                       (unsigned long long)rows, shape_text(t, shape));
    return SG_OK;
}

/* Sizes from W_hh, which is (G H, H), or turned by 90 degrees where another library wrote it. */
static sg_status read_shapes(recipe_layer *out, unsigned *gates, const tensor_file *b, const named_layer *l,
                             sg_error *err)
{
    sg_status st = SG_OK;
    char shape[96];
    const stored_tensor *W = l->W_hh;
    if (!l->W_ih || !W)
        TRY(missing(b, l, l->W_ih ? "weight_hh" : "weight_ih", err));
    if (W->rank != 2 || !W->elements)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (G*H, H), file has %s", b->path, W->name,
                    shape_text(W, shape)));
    bool turned = W->dims[1] > W->dims[0];
    uint64_t H = W->dims[turned ? 0 : 1], rows = W->dims[turned ? 1 : 0], G = rows / H;
    if (rows % H || (G != 1 && G != 3 && G != 4))
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: %s: expected (4H, H) for LSTM, (3H, H) for GRU or (H, H) for RNN, file has %s",
                    b->path, W->name, shape_text(W, shape)));
    *out = (recipe_layer){.H = (size_t)H,
                          .W_ih = plain(l->W_ih, (unsigned)G),
                          .W_hh = plain(W, (unsigned)G),
                          .b_ih = plain(l->b_ih, (unsigned)G),
                          .b_hh = plain(l->b_hh, (unsigned)G)};
    (void)orient(&out->W_hh, rows, H);
    if (l->W_ih->rank != 2 || !l->W_ih->elements)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu, inputs), file has %s", b->path, l->W_ih->name,
                    (unsigned long long)rows, shape_text(l->W_ih, shape)));
    uint64_t in = l->W_ih->dims[turned ? 0 : 1];
    if (!orient(&out->W_ih, rows, in) || (out->W_ih.layout == LAYOUT_COLUMNS) != turned)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu, inputs) beside %s, file has %s", b->path,
                    l->W_ih->name, (unsigned long long)rows, W->name, shape_text(l->W_ih, shape)));
    out->in = (size_t)in;
    TRY(check_bias(b, l->b_ih, rows, err));
    TRY(check_bias(b, l->b_hh, rows, err));
    *gates = (unsigned)G;
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
            p, "the file does not tell the RNN's nonlinearity: tanh is assumed (--cell rnn-relu for relu)");
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

static bool is_used(const recipe *p, const stored_tensor *t)
{
    for (size_t k = 0; k < p->shape.layers; k++) {
        const recipe_layer *l = &p->layers[k];
        if (t == l->W_ih.tensor || t == l->W_hh.tensor || t == l->b_ih.tensor || t == l->b_hh.tensor)
            return true;
    }
    return (p->encoder.tensor && tensors_same_data(t, p->encoder.tensor)) ||
           (p->decoder.tensor && tensors_same_data(t, p->decoder.tensor)) || t == p->decoder_bias.tensor;
}

static bool in_scope(const scope *s, const stored_tensor *t)
{
    recurrent_name r;
    return (!s->container || t->container == s->container) && dtype_is_float(t->dtype) && t->elements > 1 &&
           !parse_leaf(leaf_of(t->name), &r) && !recipe_ignored(s->cfg, t);
}

typedef struct {
    const stored_tensor *best; /* NULL: none */
    const stored_tensor *rival;
    size_t n;
} choice;

/* Matrices of `columns` columns (and `rows` rows, 0: any) that look like `wanted`; the same data counts
 * once. */
static choice matrices(const scope *s, uint64_t rows, uint64_t columns, looks wanted,
                       const stored_tensor *but)
{
    choice c = {0};
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (!in_scope(s, t) || t->rank != 2 || t->dims[1] != columns || (rows && t->dims[0] != rows) ||
            t->dims[0] < 2 || looks_like(t) != wanted || (but && t == but) ||
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
                   "%s: two readings fit: %s could be %s %s or %s %s; choose with --map %s=TENSOR", b->path,
                   role, c->best->name, shape_text(c->best, one), c->rival->name, shape_text(c->rival, two),
                   role);
}

/* An embedding that the lowest layer does not read directly. */
static sg_status refuse_distant_embedding(const scope *s, sg_error *err)
{
    char shape[96];
    const recipe_layer *l = &s->p->layers[0];
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        bool named = (t->layer_class && strcasestr(t->layer_class, "Embedding")) ||
                     strcasestr(t->name, "emb") || strstr(t->name, "encoder.weight");
        if (in_scope(s, t) && t->rank == 2 && named && looks_like(t) == LOOKS_EMBEDDING)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s looks like the embedding but %s reads %zu numbers: "
                "something stands between embedding and recurrence (--ignore %s takes those inputs as "
                "features)",
                s->b->path, t->name, shape_text(t, shape), l->W_ih.tensor->name, l->in, t->name);
    }
    return SG_OK;
}

static sg_status find_encoder(recipe *p, const scope *s, sg_error *err)
{
    sg_status st;
    const stored_tensor *t;
    uint64_t in = p->layers[0].in;
    char shape[96];
    TRY(recipe_mapped(&t, s->b, s->cfg, "encoder.weight", err));
    if (t) {
        if (t->rank != 2 || t->dims[1] != in || t->dims[0] < 2)
            TRY(sg_fail(err, SG_EFORMAT, "%s: encoder.weight: expected (V, %llu) as %s reads it, %s has %s",
                        s->b->path, (unsigned long long)in, p->layers[0].W_ih.tensor->name, t->name,
                        shape_text(t, shape)));
    } else {
        choice c = matrices(s, 0, in, LOOKS_EMBEDDING, NULL);
        if (!c.n) {
            c = matrices(s, 0, in, LOOKS_PLAIN, NULL);
            if (c.n == 1)
                recipe_note(p, "%s is taken for the embedding by its shape %s", c.best->name,
                            shape_text(c.best, shape));
        }
        if (c.n > 1)
            TRY(ambiguous(s->b, "encoder.weight", &c, err));
        if (!c.n)
            TRY(refuse_distant_embedding(s, err));
        t = c.best;
    }
    if (t) {
        p->encoder = plain(t, 0);
        p->shape.vocabulary = (size_t)t->dims[0];
    }
    p->shape.embedding = (size_t)in;
done:
    return st;
}

/* The bias beside the decoder's weight: the same name with "bias" for "weight". */
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
        if (!strcmp(t->name, name) && t->rank == 1 && t->dims[0] == weight->dims[0] && in_scope(s, t))
            return t;
    }
    return NULL;
}

/* Safetensors keep one of two shared tensors: a decoder's bias without its weight means that it is the
 * embedding. */
static const stored_tensor *lone_decoder_bias(const scope *s)
{
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (in_scope(s, t) && t->rank == 1 && t->dims[0] == s->p->shape.vocabulary &&
            !strcmp(leaf_of(t->name), "bias") && looks_like(t) == LOOKS_DECODER)
            return t;
    }
    return NULL;
}

static sg_status find_decoder(recipe *p, const scope *s, bool *mapped, sg_error *err)
{
    sg_status st;
    const stored_tensor *t, *bias;
    uint64_t V = p->shape.vocabulary, H = p->layers[p->shape.layers - 1].H;
    char shape[96];
    TRY(recipe_mapped(&t, s->b, s->cfg, "decoder.weight", err));
    *mapped = t != NULL;
    if (t && (t->rank != 2 || t->dims[0] != V || t->dims[1] != H))
        TRY(sg_fail(err, SG_EFORMAT, "%s: decoder.weight: expected (%llu, %llu), %s has %s", s->b->path,
                    (unsigned long long)V, (unsigned long long)H, t->name, shape_text(t, shape)));
    if (!t) {
        choice c = matrices(s, V, H, LOOKS_DECODER, NULL);
        if (!c.n)
            c = matrices(s, V, H, LOOKS_PLAIN, p->encoder.tensor);
        if (c.n > 1)
            TRY(ambiguous(s->b, "decoder.weight", &c, err));
        t = c.best;
    }
    TRY(recipe_mapped(&bias, s->b, s->cfg, "decoder.bias", err));
    if (!bias && t)
        bias = bias_beside(s, t);
    if (!t && (bias = lone_decoder_bias(s)) && H == p->shape.embedding) {
        recipe_note(p, "%s is there without a weight: the decoder is taken for the embedding (tied)",
                    bias->name);
        t = p->encoder.tensor;
    }
    if (!t)
        return st;
    TRY(check_bias(s->b, bias, V, err));
    p->shape.has_decoder = true;
    p->shape.tied = tensors_same_data(t, p->encoder.tensor);
    p->decoder = plain(t, 0);
    p->decoder_bias = plain(bias, 0);
done:
    return st;
}

/* ---- what is left over ---- */

static const stored_tensor *last_recurrent(const recipe *p)
{
    const stored_tensor *last = NULL;
    for (size_t k = 0; k < p->shape.layers; k++) {
        const stored_tensor *t = p->layers[k].W_hh.tensor;
        last = t > last ? t : last;
    }
    return last;
}

/* Tensors without a role in a net of words. Before the recurrence: stop and ask. Behind it they touch the
 * output only, so the states stand and the decoder does not. */
static sg_status judge_leftovers(recipe *p, const scope *s, bool decoder_mapped, sg_error *err)
{
    const stored_tensor *recurrent = last_recurrent(p);
    char shape[96];
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (!in_scope(s, t) || is_used(p, t))
            continue;
        if (!s->b->in_order || t < recurrent)
            return sg_fail(err, SG_EFORMAT,
                           "%s: tensor %s %s has no role: if it stands between embedding and "
                           "recurrence the model cannot be read; if it does not, say --ignore %s",
                           s->b->path, t->name, shape_text(t, shape), t->name);
        if (!decoder_mapped && !p->no_decoder[0])
            snprintf(p->no_decoder, sizeof p->no_decoder,
                     "tensor %.200s %s stands between the recurrent layers and the "
                     "output, and what it does there is not known",
                     t->name, shape_text(t, shape));
    }
    if (p->no_decoder[0]) {
        p->shape.has_decoder = p->shape.tied = false;
        p->decoder = p->decoder_bias = (recipe_source){0};
    }
    return SG_OK;
}

static sg_status find_words(recipe *p, scope *s, sg_error *err)
{
    sg_status st;
    bool decoder_mapped = false;
    TRY(find_encoder(p, s, err));
    if (!p->encoder.tensor && s->container) {
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
        recipe_note(p, "no embedding: inputs are feature vectors of %zu numbers", p->shape.embedding);
        return st;
    }
    TRY(find_decoder(p, s, &decoder_mapped, err));
    TRY(judge_leftovers(p, s, decoder_mapped, err));
done:
    return st;
}

/* ---- the whole ---- */

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
            const stored_tensor *t;
            snprintf(role, sizeof role, "%s%zu", roles[r], k);
            TRY(recipe_mapped(&t, b, cfg, role, err));
            if (!t)
                continue;
            if (k > all->n || (k == all->n && all->n == MAX_CELLS))
                TRY(sg_fail(err, SG_EINVAL, "--map %s: there is no layer %zu below it", role, k - 1));
            if (k == all->n)
                all->at[all->n++] = (named_layer){.container = t->container};
            const stored_tensor **slot[] = {&all->at[k].W_ih, &all->at[k].W_hh, &all->at[k].b_ih,
                                            &all->at[k].b_hh};
            *slot[r] = t;
        }
done:
    return st;
}

sg_status find_by_name(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    const stored_tensor *first;
    named_layers *all = sg_calloc(1, sizeof *all);
    if (!all)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    TRY(recipe_mapped(&first, b, cfg, "rnn.weight_ih_l0", err));
    TRY(collect_layers(all, b, cfg, err));
    if (all->n)
        TRY(choose_stack(all, b, first, err));
    TRY(apply_maps(all, b, cfg, err));
    if (!all->n)
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: none of its %zu tensors is named weight_ih_l0 or weight_ih: no recurrent layer "
                    "found; name them with --map rnn.weight_ih_l0=TENSOR --map rnn.weight_hh_l0=TENSOR ...",
                    b->path, b->n));
    if (all->n > SG_MAX_LAYERS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %zu recurrent layers, at most %d are read", b->path, all->n,
                    SG_MAX_LAYERS));
    unsigned gates = 0;
    for (size_t k = 0; k < all->n; k++) {
        unsigned own;
        TRY(read_shapes(&p->layers[k], &own, b, &all->at[k], err));
        if (k && own != gates)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: %s has %u gates, the layer below has %u: layers of different cells", b->path,
                        all->at[k].W_hh->name, own, gates));
        gates = own;
    }
    TRY(choose_cell(p, gates, b, &all->at[0], cfg, err));
    TRY(recipe_chain(p, b, all->n, err));
    scope s = {b, cfg, p, all->at[0].container};
    TRY(find_words(p, &s, err));
done:
    sg_free(all);
    return st;
}
