/* SPDX-License-Identifier: MIT */
/* The reading of a Keras network: the chain Embedding -> recurrent layers -> Dense, through layers that
 * change nothing.
 *
 * Kernels are (inputs, G*H) with gates i,f,c,o (LSTM) or z,r,h (GRU); CuDNN layers have a bias of 2*G*H
 * numbers in one row and kernels in their own layout (recipe.h). GRU with a bias of (2, 3H) multiplies before
 * it resets. */
#include "import/cell_functions.h"
#include "import/keras.h"
#include "import/recipe.h"

#include "base/base_internal.h"

#include <string.h>

static bool is_listed(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(name, *list))
            return true;
    return false;
}

/* What a layer is to us. */
typedef enum {
    ROLE_PASS,
    ROLE_EMBEDDING,
    ROLE_RECURRENT,
    ROLE_DENSE,
    ROLE_NORM,
    ROLE_ACTIVATION,
    ROLE_OTHER
} role;

static role role_of(const tensor_file *b, const keras_layer *l)
{
    static const char *const pass[] = {"InputLayer",
                                       "Dropout",
                                       "SpatialDropout1D",
                                       "GaussianNoise",
                                       "GaussianDropout",
                                       "AlphaDropout",
                                       "Masking",
                                       "ActivityRegularization",
                                       NULL};
    static const char *const recurrent[] = {"LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU", NULL};
    if (l->class_name[0]) {
        if (is_listed(l->class_name, recurrent))
            return ROLE_RECURRENT;
        if (is_listed(l->class_name, pass))
            return ROLE_PASS;
        if (!strcmp(l->class_name, "Embedding"))
            return ROLE_EMBEDDING;
        if (!strcmp(l->class_name, "Dense") || !strcmp(l->class_name, "TimeDistributedDense"))
            return ROLE_DENSE;
        if (!strcmp(l->class_name, "BatchNormalization"))
            return ROLE_NORM;
        return !strcmp(l->class_name, "Activation") || !strcmp(l->class_name, "ReLU") ||
                       !strcmp(l->class_name, "Softmax")
                   ? ROLE_ACTIVATION
                   : ROLE_OTHER;
    }
    if (keras_weight(b, l, "recurrent_kernel") || keras1_weight(b, l, "_U") || keras1_weight(b, l, "_U_i") ||
        keras1_weight(b, l, "_U_z"))
        return ROLE_RECURRENT;
    if (keras1_weight(b, l, "_W") && l->n == 1 && !strncmp(l->name, "embedding", 9))
        return ROLE_EMBEDDING;
    if (keras1_weight(b, l, "_W"))
        return ROLE_DENSE;
    if (keras_weight(b, l, "embeddings"))
        return ROLE_EMBEDDING;
    if (keras_weight(b, l, "kernel"))
        return ROLE_DENSE;
    return l->n ? ROLE_OTHER : ROLE_PASS;
}

/* A setting that is a name ("tanh"), or in newer files an object: a function's name is its config, else it is
 * a layer of a class. NULL: the setting is not there; null is no function. */
static const char *setting(const keras_layer *l, const char *key)
{
    const json_t *v = json_object_get(l->config, key), *name = json_object_get(v, "config");
    if (json_is_object(v))
        v = json_is_string(name) ? name : json_object_get(v, "class_name");
    else if (json_is_null(v))
        return "linear";
    return json_is_string(v) ? json_string_value(v) : v ? "of an unknown kind" : NULL;
}

static bool is_set(const keras_layer *l, const char *key)
{
    return json_is_true(json_object_get(l->config, key));
}

static sg_status shape_error(const tensor_file *b, const stored_tensor *t, uint64_t rows, uint64_t columns,
                             sg_error *err)
{
    char shape[96];
    return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu, %llu), file has %s", b->path, t->name,
                   (unsigned long long)rows, (unsigned long long)columns, shape_text(t, shape));
}

/* ---- one recurrent layer ---- */

static sg_status check_settings(const tensor_file *b, const keras_layer *l, const stored_tensor *kernel,
                                const sg_import_config *cfg, sg_error *err)
{
    if (!strcmp(l->wrapper, "Bidirectional") && !cfg->forward_only)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: layer %s (tensor %s) is bidirectional: its state reads words that come later, so "
            "a gradient with respect to past words does not describe it (setting 'forward_only' reads the forward "
            "direction of the first layer)",
            b->path, l->name, kernel->name);
    if (is_set(l, "go_backwards"))
        return sg_fail(err, SG_EFORMAT, "%s: layer %s (tensor %s) reads its input backwards", b->path,
                       l->name, kernel->name);
    return SG_OK;
}

/* A variable of the layer that the cell does not have would change its states; so would a bias that is not
 * there. */
static sg_status check_variables(const tensor_file *b, const keras_layer *l, const stored_tensor *kernel,
                                 sg_error *err)
{
    static const char *const known[] = {"kernel", "recurrent_kernel", "bias"};
    char shape[96];
    if (is_set(l, "use_bias") && !keras_weight(b, l, "bias"))
        return sg_fail(err, SG_EFORMAT,
                       "%s: layer %s (tensor %s) has no bias, but its configuration has use_bias", b->path,
                       l->name, kernel->name);
    for (size_t i = l->first; i < l->first + l->n && strcmp(l->wrapper, "Bidirectional") != 0; i++) {
        bool used = false;
        for (size_t k = 0; k < 3; k++)
            used |= keras_weight(b, l, known[k]) == &b->tensors[i];
        if (!used)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: layer %s: tensor %s %s is a further variable of its cell, which is not that of an "
                "LSTM, GRU or SimpleRNN",
                b->path, l->name, b->tensors[i].name, shape_text(&b->tensors[i], shape));
    }
    return SG_OK;
}

/* *cell with the functions that the layer or the user names. */
static sg_status read_functions(sg_cell *cell, const tensor_file *b, const keras_layer *l,
                                const stored_tensor *kernel, const sg_import_config *cfg, sg_error *err)
{
    const char *states = setting(l, "activation"), *gates = setting(l, "recurrent_activation");
    if (keras_net_of(b)->hard_gates && !l->config && !cfg->recurrent_activation && sg_cell_gates(*cell) > 1)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: layer %s (tensor %s): weights of Keras before 2.3 without configuration do not record the activation "
            "of the gates, whose default was hard_sigmoid: use setting 'recurrent_activation' hard_sigmoid, or sigmoid",
            b->path, l->name, kernel->name);
    if (!gates)
        gates = setting(l, "inner_activation"); /* Keras 1 */
    if (cfg->recurrent_activation)
        gates = cfg->recurrent_activation;
    else if (gates && !strcmp(gates, "hard_sigmoid") && keras_net_of(b)->third)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: layer %s (tensor %s): the hard_sigmoid of Keras 3, a / 6 + 1/2 between 0 and 1, is "
            "not supported (setting 'recurrent_activation' hard_sigmoid reads it as that of Keras 2, 0.2 a + "
            "1/2, with other states)",
            b->path, l->name, kernel->name);
    if (!cell_with_functions(cell, gates, states))
        return sg_fail(err, SG_EFORMAT,
                       "%s: layer %s (tensor %s): activation %.40s with recurrent_activation %.40s is not "
                       "supported in a %s, expected %s",
                       b->path, l->name, kernel->name, states ? states : "tanh", gates ? gates : "sigmoid",
                       l->class_name[0] ? l->class_name : "layer of this shape", cell_functions_known(*cell));
    return SG_OK;
}

/* The bias shows which of Keras's implementations wrote the layer: (G H) one bias; (2, G H) two, product
 * before reset; (2 G H) CuDNN. Sets the two biases of out; *cudnn: the kernels' layout. */
static sg_status read_bias(recipe_layer *out, const tensor_file *b, const stored_tensor *bias, uint64_t rows,
                           bool *cudnn, bool *two, sg_error *err)
{
    *cudnn = *two = false;
    if (!bias)
        return SG_OK;
    out->b_ih = out->W_ih;
    out->b_ih.tensor = bias;
    out->b_ih.layout = LAYOUT_ROWS;
    out->b_ih.columns = 1; /* the biases of a (2, G H) table lie one after the other */
    if (bias->rank == 1 && bias->dims[0] == rows)
        return SG_OK;
    *cudnn = bias->rank == 1 && bias->dims[0] == 2 * rows;
    *two = *cudnn || (bias->rank == 2 && bias->dims[0] == 2 && bias->dims[1] == rows);
    if (!*two)
        return shape_error(b, bias, 2, rows, err);
    out->b_hh = out->b_ih;
    out->b_hh.row0 = rows;
    return SG_OK;
}

/* Keras 1 keeps W, U and b of each gate, and the activation only in its configuration. */
static sg_status read_keras1(recipe_layer *out, sg_cell *cell, const tensor_file *b, const keras_layer *l,
                             const sg_import_config *cfg, sg_error *err)
{
    static const char *const lstm = "ifco", *const gru = "rzh"; /* in the order of our gates */
    sg_status st;
    char shape[96], end[8];
    const char *gates = keras1_weight(b, l, "_U_i") ? lstm : keras1_weight(b, l, "_U_z") ? gru : "";
    size_t G = gates[0] ? strlen(gates) : 1;
    recipe_source *const sources[] = {&out->W_ih, &out->W_hh, &out->b_ih};
    *out = (recipe_layer){0};
    for (size_t r = 0; r < 3; r++)
        for (size_t k = 0; k < G; k++) {
            snprintf(end, sizeof end, gates[0] ? "_%c_%c" : "_%c", "WUb"[r], gates[k]);
            const stored_tensor *t = keras1_weight(b, l, end);
            if (!t)
                TRY(sg_fail(err, SG_EFORMAT, "%s: layer %s has no tensor %s%s", b->path, l->name, l->name,
                            end));
            if (t->rank != (r < 2 ? 2u : 1u) || !t->elements ||
                t->dims[t->rank - 1] != (k + r ? out->H : t->dims[t->rank - 1]) ||
                (r == 1 && t->dims[0] != out->H) || (!r && k && t->dims[0] != out->in))
                TRY(sg_fail(err, SG_EFORMAT, "%s: %s: a shape of %s does not fit its layer", b->path, t->name,
                            shape_text(t, shape)));
            if (!r && !k)
                *out = (recipe_layer){.H = (size_t)t->dims[1], .in = (size_t)t->dims[0]};
            if (!k)
                *sources[r] = (recipe_source){.tensor = t,
                                              .layout = r < 2 ? LAYOUT_COLUMNS : LAYOUT_ROWS,
                                              .columns = r < 2 ? out->H : 1,
                                              .gate = {0, 1, 2, 3},
                                              .gates = (unsigned)G};
            if (G > 1)
                sources[r]->part[k] = t;
        }
    TRY(check_settings(b, l, out->W_hh.tensor, cfg, err));
    if (G > 1 && !l->config && !cfg->recurrent_activation)
        TRY(sg_fail(
            err, SG_EFORMAT,
            "%s: layer %s (tensor %s): a file of Keras 1 without configuration does not record the activation "
            "of its gates, whose default was hard_sigmoid: use setting 'recurrent_activation' hard_sigmoid, or sigmoid",
            b->path, l->name, out->W_hh.tensor->name));
    *cell = G == 4 ? SG_CELL_LSTM : G == 3 ? SG_CELL_GRU_RESET_FIRST : SG_CELL_TANH;
    TRY(read_functions(cell, b, l, out->W_hh.tensor, cfg, err));
    if (G == 1 && (int)SG_CELL_RELU == cfg->cell)
        *cell = SG_CELL_RELU;
done:
    return st;
}

static sg_status read_recurrent(recipe_layer *out, sg_cell *cell, recipe *p, const tensor_file *b,
                                const keras_layer *l, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    char shape[96];
    bool cudnn, two;
    const stored_tensor *kernel = keras_weight(b, l, "kernel"), *U = keras_weight(b, l, "recurrent_kernel");
    if (!kernel && !U &&
        (keras1_weight(b, l, "_U") || keras1_weight(b, l, "_U_i") || keras1_weight(b, l, "_U_z")))
        return read_keras1(out, cell, b, l, cfg, err);
    if (!kernel || !U)
        return sg_fail(err, SG_EFORMAT, "%s: layer %s has no %s", b->path, l->name,
                       kernel ? "recurrent_kernel" : "kernel");
    TRY(check_settings(b, l, kernel, cfg, err));
    TRY(check_variables(b, l, kernel, err));
    if (U->rank != 2 || !U->elements || U->dims[1] % U->dims[0])
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (H, G*H), file has %s", b->path, U->name,
                    shape_text(U, shape)));
    uint64_t H = U->dims[0], rows = U->dims[1], G = rows / H;
    if (G != 1 && G != 3 && G != 4)
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: %s: expected (H, 4H) for LSTM, (H, 3H) for GRU, (H, H) for SimpleRNN, file has %s",
                    b->path, U->name, shape_text(U, shape)));
    if (kernel->rank != 2 || !kernel->elements || kernel->dims[1] != rows)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (inputs, %llu), file has %s", b->path, kernel->name,
                    (unsigned long long)rows, shape_text(kernel, shape)));
    recipe_source s = {.tensor = kernel, .layout = LAYOUT_COLUMNS, .columns = rows, .gates = (unsigned)G};
    memcpy(s.gate, G == 3 ? (uint8_t[4]){1, 0, 2, 3} : (uint8_t[4]){0, 1, 2, 3}, 4);
    *out = (recipe_layer){.H = (size_t)H, .in = (size_t)kernel->dims[0], .W_ih = s, .W_hh = s};
    out->W_hh.tensor = U;
    TRY(read_bias(out, b, keras_weight(b, l, "bias"), rows, &cudnn, &two, err));
    cudnn |= !strncmp(l->class_name, "CuDNN", 5);
    if (cudnn) {
        out->W_ih.layout = LAYOUT_CUDNN_INPUT;
        out->W_hh.layout = LAYOUT_CUDNN_RECURRENT;
    }
    *cell = G == 4 ? SG_CELL_LSTM : SG_CELL_TANH;
    if (G == 3) {
        const json_t *after = json_object_get(l->config, "reset_after");
        bool known = two || cudnn || json_is_boolean(after) || keras_weight(b, l, "bias");
        if (!known && cfg->cell == SG_AUTO)
            recipe_note(p,
                        "layer %s has neither bias nor configuration: reset_after=True is assumed "
                        "(setting 'cell' gru-reset-first for the other)",
                        l->name);
        *cell = two || cudnn || (json_is_boolean(after) ? json_is_true(after) : !keras_weight(b, l, "bias"))
                    ? SG_CELL_GRU
                    : SG_CELL_GRU_RESET_FIRST;
    }
    if (cfg->cell == SG_AUTO && !(cudnn && !l->config)) /* CuDNN has no other functions */
        TRY(read_functions(cell, b, l, kernel, cfg, err));
    else if (cfg->cell != SG_AUTO) {
        if (sg_cell_gates((sg_cell)cfg->cell) != G)
            TRY(sg_fail(err, SG_EFORMAT, "%s: setting 'cell' %s has %zu gates, %s has %llu", b->path,
                        sg_cell_name((sg_cell)cfg->cell), sg_cell_gates((sg_cell)cfg->cell), U->name,
                        (unsigned long long)G));
        *cell = (sg_cell)cfg->cell;
    }
done:
    return st;
}

/* ---- the chain ---- */

static const char *tensor_of(const tensor_file *b, const keras_layer *l)
{
    return l->n ? b->tensors[l->first].name : "no tensors";
}

/* Down from a layer through layers that pass their input on; *end is the first that does not, -1: the
 * input. */
static sg_status walk_down(const tensor_file *b, const keras_net *net, int from, int *end, sg_error *err)
{
    for (size_t steps = 0; steps <= net->n; steps++) {
        const keras_layer *l = &net->layers[from];
        if (l->n_inbound > 1)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: layer %s (%s) has %zu input layers: only a single chain between embedding and recurrence is "
                "supported",
                b->path, l->name, tensor_of(b, l), l->n_inbound);
        *end = l->n_inbound ? l->inbound[0] : -1;
        if (*end < 0 || role_of(b, &net->layers[*end]) != ROLE_PASS)
            return SG_OK;
        from = *end;
    }
    return sg_fail(err, SG_EFORMAT, "%s: its layers form a cycle", b->path);
}

/* Is there an embedding somewhere below? Then what lies above it matters. */
static const keras_layer *embedding_below(const tensor_file *b, const keras_net *net, int from, size_t depth)
{
    const keras_layer *l = &net->layers[from], *found = NULL;
    if (role_of(b, l) == ROLE_EMBEDDING)
        return l;
    for (size_t i = 0; i < l->n_inbound && i < KERAS_MAX_INBOUND && !found && depth < 64; i++)
        found = embedding_below(b, net, l->inbound[i], depth + 1);
    return found;
}

/* A Dense layer without an activation, as a map of `columns` inputs (0: any); false: it is none. */
static bool linear_map(recipe_map *m, const tensor_file *b, const keras_layer *l, size_t columns)
{
    const stored_tensor *kernel = keras_weight(b, l, "kernel"), *bias = keras_weight(b, l, "bias");
    const char *activation = setting(l, "activation");
    if (!kernel) {
        kernel = keras1_weight(b, l, "_W");
        bias = keras1_weight(b, l, "_b");
    }
    if (!kernel || kernel->rank != 2 || (columns && kernel->dims[0] != columns) || !activation ||
        strcmp(activation, "linear") != 0 || (bias && (bias->rank != 1 || bias->dims[0] != kernel->dims[1])))
        return false;
    *m = (recipe_map){.rows = (size_t)kernel->dims[1],
                      .columns = (size_t)kernel->dims[0],
                      .weight = {.tensor = kernel, .layout = LAYOUT_COLUMNS, .columns = kernel->dims[1]},
                      .bias = {.tensor = bias, .columns = 1}};
    return true;
}

/* BatchNormalization as it acts in evaluation: gamma, beta, moving mean and variance, in this order. */
static bool normalisation(recipe_map *m, const tensor_file *b, const keras_layer *l, size_t width)
{
    recipe_source *const sources[] = {&m->weight, &m->bias, &m->mean, &m->variance};
    const json_t *epsilon = json_object_get(l->config, "epsilon");
    *m = (recipe_map){.rows = width,
                      .columns = width,
                      .normalisation = true,
                      .epsilon = json_is_number(epsilon) ? json_number_value(epsilon) : 1e-3};
    bool there[4] = {!json_is_false(json_object_get(l->config, "scale")),
                     !json_is_false(json_object_get(l->config, "center")), true, true};
    size_t at = l->first;
    for (size_t k = 0; k < 4; k++) {
        if (!there[k])
            continue;
        const stored_tensor *t = at < l->first + l->n ? &b->tensors[at++] : NULL;
        if (!t || t->rank != 1 || t->dims[0] != width)
            return false;
        *sources[k] = (recipe_source){.tensor = t, .columns = 1};
    }
    return at == l->first + l->n;
}

static bool is_map(const tensor_file *b, const keras_layer *l)
{
    recipe_map unused;
    return role_of(b, l) == ROLE_NORM || (role_of(b, l) == ROLE_DENSE && linear_map(&unused, b, l, 0));
}

/* Down from a recurrent layer through layers that pass their input on, and through linear maps; *end: as
 * walk_down. */
static sg_status walk_below_maps(const tensor_file *b, const keras_net *net, int from, int *end,
                                 sg_error *err)
{
    sg_status st;
    TRY(walk_down(b, net, from, end, err));
    for (size_t n = 0; n < RECIPE_MAPS && *end >= 0 && is_map(b, &net->layers[*end]); n++)
        TRY(walk_down(b, net, *end, end, err));
done:
    return st;
}

/* The linear maps between a recurrent layer and the embedding or recurrent layer below it, in the order of
 * their use. n_before 0: there are none. *below is where the walk ends. */
static sg_status read_maps_before(recipe_layer *l, const tensor_file *b, const keras_net *net, int from,
                                  int *below, sg_error *err)
{
    sg_status st;
    recipe_map maps[RECIPE_MAPS];
    size_t n = 0, width = l->in;
    int at;
    TRY(walk_down(b, net, from, below, err));
    for (at = *below; at >= 0 && n < RECIPE_MAPS && is_map(b, &net->layers[at]); n++) {
        const keras_layer *map = &net->layers[at];
        if (role_of(b, map) == ROLE_NORM ? !normalisation(&maps[n], b, map, width)
                                         : !linear_map(&maps[n], b, map, 0) || maps[n].rows != width)
            return SG_OK;
        width = maps[n].columns;
        TRY(walk_down(b, net, at, &at, err));
    }
    role end = at < 0 ? ROLE_OTHER : role_of(b, &net->layers[at]);
    if (!n || (end != ROLE_EMBEDDING && end != ROLE_RECURRENT))
        return SG_OK;
    for (size_t k = 0; k < n; k++)
        l->before[k] = maps[n - 1 - k];
    l->n_before = n;
    *below = at;
done:
    return st;
}

/* Maps that find_stack passed through must fit in their sizes. */
static sg_status read_maps_between(recipe_layer *l, const tensor_file *b, const keras_net *net, int from,
                                   int expected, sg_error *err)
{
    int below;
    sg_status st = read_maps_before(l, b, net, from, &below, err);
    if (st == SG_OK && below != expected)
        return sg_fail(err, SG_EFORMAT,
                       "%s: layer %s %s (%s) does not fit between the recurrent layers %s and %s", b->path,
                       net->layers[below].name, net->layers[below].class_name,
                       tensor_of(b, &net->layers[below]), net->layers[expected].name, net->layers[from].name);
    return st;
}

static sg_status find_bottom(recipe *p, const tensor_file *b, const keras_net *net, int first, size_t n,
                             const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    int below;
    char shape[96];
    TRY(read_maps_before(&p->layers[0], b, net, first, &below, err));
    TRY(recipe_chain(p, b, n, err));
    size_t in = p->shape.embedding;
    const keras_layer *l = below >= 0 ? &net->layers[below] : NULL, *embedding;
    if (l && role_of(b, l) == ROLE_EMBEDDING) {
        const stored_tensor *t = keras_weight(b, l, "embeddings");
        if (!t)
            t = keras1_weight(b, l, "_W");
        if (!t || t->rank != 2 || t->dims[1] != in || t->dims[0] < 2)
            TRY(sg_fail(err, SG_EFORMAT, "%s: layer %s: expected embeddings of (V, %zu), file has %s %s",
                        b->path, l->name, in, t ? t->name : "none", t ? shape_text(t, shape) : ""));
        if (is_set(l, "mask_zero"))
            recipe_note(
                p,
                "layer %s masks word 0, which leaves the state unchanged in Keras; here it is read like any other word",
                l->name);
        p->encoder = (recipe_source){.tensor = t, .columns = t->dims[1]};
        p->shape.vocabulary = (size_t)t->dims[0];
    } else if (l && (embedding = embedding_below(b, net, below, 0)))
        TRY(sg_fail(err, SG_EFORMAT, "%s: layer %s%s%s (%s) lies between embedding %s and recurrence",
                    b->path, l->name, l->class_name[0] ? " " : "", l->class_name, tensor_of(b, l),
                    embedding->name));
    else if ((cfg->one_hot || cfg->vocab) && in >= 2) {
        recipe_note(
            p,
            "no embedding: the inputs are read as one-hot vectors of %zu words; gradients are with respect to these",
            in);
        p->one_hot = true;
        p->shape.vocabulary = in;
    } else
        recipe_note(p, "no embedding: inputs are feature vectors of %zu numbers%s%s", p->layers[0].in,
                    l ? ", what layer " : "", l ? l->name : "");
done:
    return st;
}

static void no_decoder(recipe *p, const tensor_file *b, const keras_layer *l, const char *why)
{
    snprintf(p->no_decoder, sizeof p->no_decoder, "layer %.90s%s%.40s (%s%.120s) %.100s", l->name,
             l->class_name[0] ? " " : "", l->class_name, l->n ? "tensor " : "", tensor_of(b, l), why);
}

/* The one layer that reads `from`; -1: none, -2: several. */
static int reader_of(const keras_net *net, int from)
{
    int found = -1;
    for (size_t i = 0; i < net->n; i++)
        for (size_t k = 0; k < net->layers[i].n_inbound && k < KERAS_MAX_INBOUND; k++)
            if (net->layers[i].inbound[k] == from)
                found = found == -1 ? (int)i : -2;
    return found;
}

static void read_activation(recipe *p, const tensor_file *b, const keras_layer *l)
{
    const char *name = !strcmp(l->class_name, "ReLU") ? "relu" : setting(l, "activation");
    bool first = p->shape.output == SG_OUTPUT_LINEAR;
    if (name && !strcmp(name, "relu") && first)
        p->shape.output = SG_OUTPUT_RELU;
    else if (name && !strcmp(name, "tanh") && first)
        p->shape.output = SG_OUTPUT_TANH;
    else if (!name || strcmp(name, "linear") != 0)
        no_decoder(p, b, l, "lies between the recurrent layers and the output");
}

/* The decoder, or a linear map on the way to it. */
static void read_dense(recipe *p, const tensor_file *b, const keras_layer *l)
{
    const stored_tensor *kernel = keras_weight(b, l, "kernel"), *bias = keras_weight(b, l, "bias");
    size_t V = p->shape.vocabulary;
    size_t H = p->n_after ? p->after[p->n_after - 1].rows : p->layers[p->shape.layers - 1].H;
    const char *activation = setting(l, "activation");
    char shape[96], why[160];
    if (!kernel) {
        kernel = keras1_weight(b, l, "_W");
        bias = keras1_weight(b, l, "_b");
    }
    bool decodes = kernel && kernel->rank == 2 && kernel->dims[0] == H && kernel->dims[1] == V &&
                   (!bias || (bias->rank == 1 && bias->dims[0] == V));
    if (!decodes && p->shape.output == SG_OUTPUT_LINEAR && p->n_after < RECIPE_MAPS &&
        linear_map(&p->after[p->n_after], b, l, H)) {
        p->n_after++;
        return;
    }
    if (!decodes) {
        snprintf(why, sizeof why, "has a kernel of %s, a decoder would have (%zu, %zu)",
                 kernel ? shape_text(kernel, shape) : "no shape", H, V);
        no_decoder(p, b, l, why);
        return;
    }
    if (activation && strcmp(activation, "softmax") != 0 && strcmp(activation, "linear") != 0) {
        snprintf(why, sizeof why, "has activation %.40s, expected softmax or linear", activation);
        no_decoder(p, b, l, why);
        return;
    }
    p->shape.has_decoder = true;
    p->decoder = (recipe_source){.tensor = kernel, .layout = LAYOUT_COLUMNS, .columns = kernel->dims[1]};
    p->decoder_bias = (recipe_source){.tensor = bias, .columns = 1};
}

/* From the top recurrent layer up to the decoder, if a plain one is there. */
static void find_top(recipe *p, const tensor_file *b, const keras_net *net, int last)
{
    if (!p->shape.vocabulary)
        return;
    for (size_t steps = 0; steps <= net->n; steps++) {
        int next = reader_of(net, last);
        if (next == -1)
            return;
        const keras_layer *l = &net->layers[next == -2 ? last : next];
        if (next == -2 || l->n_inbound > 1) {
            no_decoder(p, b, l,
                       next == -2 ? "feeds several layers, not a decoder alone" : "mixes several layers");
            return;
        }
        switch (role_of(b, l)) {
        case ROLE_PASS:
            break;
        case ROLE_ACTIVATION:
            if (p->n_after)
                no_decoder(p, b, l, "lies between two linear maps after the recurrent layers");
            else
                read_activation(p, b, l);
            break;
        case ROLE_DENSE:
            read_dense(p, b, l);
            if (p->shape.has_decoder)
                return;
            break;
        case ROLE_NORM: {
            size_t width = p->n_after ? p->after[p->n_after - 1].rows : p->layers[p->shape.layers - 1].H;
            if (p->shape.output != SG_OUTPUT_LINEAR || p->n_after == RECIPE_MAPS ||
                !normalisation(&p->after[p->n_after], b, l, width))
                no_decoder(p, b, l, "lies between the recurrent layers and the output");
            else
                p->n_after++;
            break;
        }
        default:
            no_decoder(p, b, l, "lies between the recurrent layers and the output");
        }
        if (p->no_decoder[0])
            return;
        last = next;
    }
}

/* No layer is recurrent: what there is instead. */
static sg_status none_recurrent(const tensor_file *b, const keras_net *net, sg_error *err)
{
    static const char *const models[] = {"Sequential", "Functional", "Model", NULL};
    char text[300] = "";
    for (size_t i = 0; i < net->n; i++) {
        const keras_layer *l = &net->layers[i];
        size_t used = strlen(text);
        if (is_listed(l->class_name, models))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: layer %s is a model of its own (%s) within the model, whose layers are not read: "
                "save that model alone, or build one of its layers",
                b->path, l->name, l->class_name);
        if (!strcmp(l->class_name, "StackedRNN"))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: layer %s is an RNN of StackedRNNCells: several cells in one layer are not read "
                "(one layer for each cell is)",
                b->path, l->name);
        snprintf(text + used, sizeof text - used, "%s%.60s", used ? ", " : "",
                 l->class_name[0] ? l->class_name : l->name);
    }
    return sg_fail(err, SG_EFORMAT, "%s: no layer is an LSTM, GRU or SimpleRNN; its layers are %s", b->path,
                   text[0] ? text : "none");
}

/* The recurrent layers from the lowest up: each reads the one before. */
static sg_status find_stack(int out[SG_MAX_LAYERS], size_t *n, const tensor_file *b, const keras_net *net,
                            sg_error *err)
{
    sg_status st = SG_OK;
    *n = 0;
    for (size_t i = 0; i < net->n; i++) {
        int below;
        if (role_of(b, &net->layers[i]) != ROLE_RECURRENT)
            continue;
        if (*n == SG_MAX_LAYERS)
            TRY(sg_fail(err, SG_EFORMAT, "%s: more than %d recurrent layers", b->path, SG_MAX_LAYERS));
        TRY(walk_below_maps(b, net, (int)i, &below, err));
        if (!*n && below >= 0 && role_of(b, &net->layers[below]) == ROLE_RECURRENT)
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: layer %s (%s) reads the recurrent layer %s, which does not precede it: a cycle, or "
                "layers out of order",
                b->path, net->layers[i].name, tensor_of(b, &net->layers[i]), net->layers[below].name));
        if (*n && below != out[*n - 1])
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: layer %s (%s) reads %s%s%s (%s), not the recurrent layer %s (%s) alone: they do not form one stack",
                b->path, net->layers[i].name, tensor_of(b, &net->layers[i]),
                below >= 0 ? net->layers[below].name : "the input", below >= 0 ? " " : "",
                below >= 0 ? net->layers[below].class_name : "",
                below >= 0 ? tensor_of(b, &net->layers[below]) : "no tensor", net->layers[out[*n - 1]].name,
                tensor_of(b, &net->layers[out[*n - 1]])));
        out[(*n)++] = (int)i;
    }
    if (!*n)
        TRY(none_recurrent(b, net, err));
done:
    return st;
}

/* Layers above a bidirectional one read both directions: of the forward one it is the top. *both: there is
 * one. */
static sg_status cut_at_bidirectional(bool *both, const int stack[], size_t *n, const tensor_file *b,
                                      const keras_net *net, const sg_import_config *cfg, sg_error *err)
{
    size_t first = 0;
    while (first < *n && strcmp(net->layers[stack[first]].wrapper, "Bidirectional") != 0)
        first++;
    *both = cfg->forward_only && first < *n;
    for (size_t k = 0; k < *n && *both && !net->config; k++)
        if (strcmp(net->layers[stack[k]].wrapper, "Bidirectional") != 0)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: a weights file does not record which of the layers %s and %s (%s) is the first: import "
                "the whole model (.keras)",
                b->path, net->layers[stack[first]].name, net->layers[stack[k]].name,
                tensor_of(b, &net->layers[stack[k]]));
    if (*both)
        *n = first + 1;
    return SG_OK;
}

sg_status find_keras(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    const keras_net *net = keras_net_of(b);
    int stack[SG_MAX_LAYERS] = {0};
    size_t n;
    bool both;
    if (cfg->n_maps)
        TRY(sg_fail(err, SG_EINVAL, "%s: a Keras file is read by its layers; setting 'map' does not apply",
                    b->path));
    TRY(find_stack(stack, &n, b, net, err));
    TRY(cut_at_bidirectional(&both, stack, &n, b, net, cfg, err));
    for (size_t k = 0; k < n; k++) {
        sg_cell cell = SG_CELL_LSTM;
        if (net->layers[stack[k]].masked)
            recipe_note(p, "layer %s leaves out the words that a mask names; here it reads every word",
                        net->layers[stack[k]].name);
        TRY(read_recurrent(&p->layers[k], &cell, p, b, &net->layers[stack[k]], cfg, err));
        if (k && cell != p->shape.cell)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: layer %s is a %s, the one below a %s: layers of different cells", b->path,
                        net->layers[stack[k]].name, sg_cell_name(cell), sg_cell_name(p->shape.cell)));
        p->shape.cell = cell;
    }
    if (!net->config && strncmp(sg_cell_name(p->shape.cell), "rnn", 3))
        recipe_note(p, "weights without a configuration: assumed: states by tanh, gates by %s%s",
                    cfg->recurrent_activation ? cfg->recurrent_activation : "sigmoid",
                    cfg->recurrent_activation ? "" : " (setting 'recurrent_activation' for the other)");
    else if (!net->config && cfg->cell == SG_AUTO)
        recipe_note(p, "weights without a configuration: tanh is assumed (setting 'cell' rnn-relu for relu)");
    if (!net->config && n > 1)
        recipe_note(p,
                    "weights without a configuration: that %.100s reads %.100s is assumed from their order",
                    net->layers[stack[1]].name, net->layers[stack[0]].name);
    for (size_t k = 1; k < n; k++)
        TRY(read_maps_between(&p->layers[k], b, net, stack[k], stack[k - 1], err));
    TRY(find_bottom(p, b, net, stack[0], n, cfg, err));
    if (both)
        no_decoder(p, b, &net->layers[stack[n - 1]], "is bidirectional: only its forward direction was read");
    else
        find_top(p, b, net, stack[n - 1]);
    if (!p->shape.has_decoder)
        p->n_after = 0;
done:
    return st;
}
