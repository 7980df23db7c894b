/* SPDX-License-Identifier: MIT */
/* Embedding, linear maps around the recurrence, one-hot inputs and decoder, by name and shape. */
#include "import/by_name.h"

#include "base/base_internal.h"

#include <string.h>

typedef enum { LOOKS_PLAIN, LOOKS_EMBEDDING, LOOKS_DECODER, LOOKS_OTHER } looks;

static bool contains_any(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(name, *words))
            return true;
    return false;
}

/* The role of a matrix by its name and module class. */
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

static bool is_same(const stored_tensor *t, const stored_tensor *other)
{
    return other && tensors_same_data(t, other);
}

static bool is_in_maps(const recipe_map *maps, size_t n, const stored_tensor *t)
{
    for (size_t k = 0; k < n; k++) {
        const recipe_map *m = &maps[k];
        if (t == m->weight.tensor || t == m->weight.norm || t == m->bias.tensor || t == m->mean.tensor ||
            t == m->variance.tensor)
            return true;
    }
    return false;
}

bool names_is_used(const recipe *p, const stored_tensor *t)
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
    if (is_in_maps(p->layers[0].before, p->layers[0].n_before, t) || is_in_maps(p->after, p->n_after, t))
        return true;
    if (t == p->encoder.norm || t == p->decoder.norm)
        return true;
    return (p->encoder.tensor && tensors_same_data(t, p->encoder.tensor)) ||
           (p->decoder.tensor && tensors_same_data(t, p->decoder.tensor)) || t == p->decoder_bias.tensor;
}

bool names_part_of_net(const scope *s, const stored_tensor *t)
{
    recurrent_name r;
    char prefix[TENSORS_MAX_NAME];
    return (!s->container || t->container == s->container) && t->elements > 1 &&
           !names_parse(t->name, prefix, &r) && !recipe_ignored(s->cfg, t) && !names_optimizer_state(t->name);
}

bool names_in_scope(const scope *s, const stored_tensor *t)
{
    return names_part_of_net(s, t) && dtype_is_float(t->dtype);
}

typedef struct {
    const stored_tensor *best; /* NULL: none */
    const stored_tensor *rival;
    size_t n;
} choice;

/* --map gave it to a role: it is not offered again. (One tensor may be embedding and decoder: then both are
 * mapped.) */
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
        if (!names_in_scope(s, t) || t->rank != 2 || t->dims[1] != columns || (rows && t->dims[0] != rows) ||
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

static sg_status refuse_ambiguous(const tensor_file *b, const char *role, const choice *c, sg_error *err)
{
    char one[96], two[96];
    return sg_fail(
        err, SG_EFORMAT,
        "%s: two interpretations fit: %s could be %s %s or %s %s; choose with setting 'map' %s=TENSOR",
        b->path, role, c->best->name, shape_text(c->best, one), c->rival->name, shape_text(c->rival, two),
        role);
}

/* ---- linear maps around the recurrence ---- */

/* The tensor of the weight's own layer with this name after its path; NULL: none. */
static const stored_tensor *find_in_layer(const scope *s, const stored_tensor *weight, size_t path,
                                          const char *name)
{
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i];
        if (!strncmp(t->name, weight->name, path) && !strcmp(t->name + path, name) &&
            t->container == weight->container && !recipe_ignored(s->cfg, t))
            return t;
    }
    return NULL;
}

/* The bias of a weight, whatever its type and length. */
static const stored_tensor *bias_beside(const scope *s, const stored_tensor *weight)
{
    size_t path;
    bool normed;
    if (!names_weight_path(weight->name, &path, &normed))
        path = (size_t)(names_leaf(weight->name) - weight->name);
    return find_in_layer(s, weight, path, "bias");
}

/* The weight of an embedding or a linear layer, with g of torch's weight norm. SG_EFORMAT: g is not there,
 * one for each row. */
static sg_status weight_source(recipe_source *out, const scope *s, const stored_tensor *t, sg_error *err)
{
    size_t path;
    bool normed;
    *out = names_source(t, 0);
    if (!names_weight_path(t->name, &path, &normed) || !normed)
        return SG_OK;
    const stored_tensor *g = find_in_layer(
        s, t, path, strstr(t->name + path, "original1") ? "parametrizations.weight.original0" : "weight_g");
    if (!g || !dtype_is_float(g->dtype) || !names_is_vector(g, t->dims[0]))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: tensor %s is a weight under weight norm without its g of (%llu, 1): only a norm for each "
            "row is read",
            s->b->path, t->name, (unsigned long long)t->dims[0]);
    out->norm = g;
    return SG_OK;
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
    TRY(names_check_bias(s->b, bias, t->dims[0], err));
    maps[*n] = (recipe_map){
        .rows = (size_t)t->dims[0], .columns = (size_t)columns, .bias = {.tensor = bias, .columns = 1}};
    TRY(weight_source(&maps[*n].weight, s, t, err));
    ++*n;
done:
    return st;
}

/* ---- the embedding ---- */

bool names_looks_embedding(const stored_tensor *t)
{
    bool named = (t->layer_class && strcasestr(t->layer_class, "Embedding")) || strcasestr(t->name, "emb") ||
                 strstr(t->name, "encoder.weight");
    return named && looks_like(t) == LOOKS_EMBEDDING;
}

bool names_looks_decoder(const stored_tensor *t)
{
    return looks_like(t) == LOOKS_DECODER;
}

/* An embedding of another size than the lowest layer reads: with one matrix from the one size to the other it
 * is read through that. */
static sg_status find_distant_embedding(recipe *p, const scope *s, const stored_tensor **out, sg_error *err)
{
    char shape[96], other[96];
    uint64_t in = p->layers[0].in;
    for (size_t i = 0; i < s->b->n; i++) {
        const stored_tensor *t = &s->b->tensors[i], *map = NULL;
        size_t maps = 0;
        if (!names_in_scope(s, t) || t->rank != 2 || t->dims[0] < 2 || !names_looks_embedding(t) ||
            is_placed(s, t))
            continue;
        for (size_t k = 0; k < s->b->n; k++) {
            const stored_tensor *m = &s->b->tensors[k];
            if (names_in_scope(s, m) && m != t && m->rank == 2 && m->dims[0] == in &&
                m->dims[1] == t->dims[1] && !is_placed(s, m)) {
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
                maps ? " (two linear maps fit: setting 'map' input.weight=TENSOR)" : "");
        const stored_tensor *bias = bias_beside(s, map);
        sg_status st = names_check_bias(s->b, bias, in, err);
        if (st != SG_OK)
            return st;
        recipe_note(
            p,
            "%.120s %s is taken for a linear map between embedding and recurrence, without an activation, by its "
            "shape",
            map->name, shape_text(map, other));
        p->layers[0].before[p->layers[0].n_before] = (recipe_map){
            .rows = (size_t)in, .columns = (size_t)t->dims[1], .bias = {.tensor = bias, .columns = 1}};
        *out = t;
        return weight_source(&p->layers[0].before[p->layers[0].n_before++].weight, s, map, err);
    }
    return SG_OK;
}

/* A file may have kept one of two shared tensors, and of a tied net the decoder: safetensors do, other files
 * where the user gives words. */
static const stored_tensor *lone_decoder(const scope *s, uint64_t in)
{
    if (s->b->format != SG_FILE_SAFETENSORS && !s->cfg->vocab)
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
        TRY(take_map(p->layers[0].before, &p->layers[0].n_before, s, "input.weight", "input.bias", columns,
                     err));
        if (p->layers[0].before[0].rows != in)
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

sg_status names_find_encoder(recipe *p, const scope *s, sg_error *err)
{
    sg_status st;
    const stored_tensor *t, *decoder;
    char shape[96];
    p->layers[0].n_before = 0;
    TRY(mapped_encoder(p, s, &t, err));
    uint64_t in = recipe_reads(&p->layers[0]);
    if (!t && !s->cfg->one_hot) {
        choice c = matrices(s, 0, in, LOOKS_EMBEDDING, NULL);
        if (!c.n) {
            c = matrices(s, 0, in, LOOKS_PLAIN, NULL);
            if (c.n == 1)
                recipe_note(p, "%s is assumed to be the embedding because of its shape %s", c.best->name,
                            shape_text(c.best, shape));
        }
        if (c.n > 1)
            TRY(refuse_ambiguous(s->b, "encoder.weight", &c, err));
        t = c.best;
        if (!t && !p->layers[0].n_before)
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
        TRY(weight_source(&p->encoder, s, t, err));
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

/* Without an embedding the inputs are words where the user states it, gives a vocabulary of that size, or the
 * file holds one with a decoder of that height. */
sg_status names_settle_one_hot(recipe *p, const scope *s, sg_error *err)
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
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s reads %zu number: inputs that are not one-hot vectors",
                        s->b->path, p->layers[0].W_ih.tensor->name, in));
        p->one_hot = true;
        p->shape.vocabulary = in;
        recipe_note(
            p,
            "no embedding: the inputs are read as one-hot vectors of %zu words; gradients are with respect to these",
            in);
    } else {
        recipe_note(p, "no embedding: inputs are feature vectors of %zu numbers", in);
        choice tied = matrices(s, 0, in, LOOKS_DECODER, NULL);
        if (!decoder && tied.n == 1 && tied.best->dims[0] > in &&
            in == s->p->layers[s->p->shape.layers - 1].H)
            recipe_note(
                p, "if its embedding was tied to %.150s and left out: setting 'map' encoder.weight=%.150s",
                tied.best->name, tied.best->name);
        if (decoder)
            recipe_note(
                p,
                "they are as many as %.150s has rows: if they are one-hot vectors of words, use setting 'one_hot'",
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
        if (names_in_scope(s, t) && names_is_vector(t, s->p->shape.vocabulary) &&
            !strcmp(names_leaf(t->name), "bias") && looks_like(t) == LOOKS_DECODER)
            return t;
    }
    return NULL;
}

sg_status names_find_decoder(recipe *p, const scope *s, bool *mapped, sg_error *err)
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
                        turned
                            ? "h W, its columns are words"
                            : "W h, its rows are words (it is square: setting 'transposed' for the other)");
    } else {
        choice c = matrices(s, V, H, LOOKS_DECODER, NULL);
        if (!c.n)
            c = matrices(s, V, H, LOOKS_PLAIN, p->encoder.tensor);
        if (c.n > 1)
            TRY(refuse_ambiguous(s->b, "decoder.weight", &c, err));
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
    TRY(names_check_bias(s->b, bias, V, err));
    p->shape.has_decoder = true;
    p->shape.tied =
        p->encoder.tensor && tensors_same_data(t, p->encoder.tensor) && !p->n_after && !p->layers[0].n_before;
    TRY(weight_source(&p->decoder, s, t, err));
    if (turned)
        p->decoder.layout = LAYOUT_COLUMNS;
    p->decoder_bias = (recipe_source){.tensor = bias, .columns = 1};
done:
    return st;
}
