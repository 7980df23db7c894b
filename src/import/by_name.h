/* SPDX-License-Identifier: MIT */
/* by_name.h - the parts of finding roles by name and shape.
 *
 *   by_name_layers.c     names -> recurrent layers, their order, --map
 *   by_name_shapes.c     layers -> sizes, gates, orientation, cell
 *   by_name_words.c      embedding, linear maps, one-hot inputs, decoder
 *   by_name_leftovers.c  tensors without a role
 *   by_name.c            the whole */
#ifndef SG_IMPORT_BY_NAME_H
#define SG_IMPORT_BY_NAME_H

#include "import/recipe.h"

enum { MAX_CELLS = 4 * SG_MAX_LAYERS };

/* One recurrent layer, by its names. */
typedef struct {
    char prefix[TENSORS_MAX_NAME]; /* with its dot; "" at the top */
    unsigned container;
    int level;     /* k of _l{k}; 0 for a cell */
    bool numbered; /* had _l{k} */
    const stored_tensor *W_ih, *W_hh, *b_ih, *b_hh;
    const stored_tensor *norm_ih, *norm_hh; /* weight norm: g of v in W_ih, W_hh */
    const stored_tensor *part[4][4];        /* of --map: one tensor per gate of each of the four */
    bool mapped; /* some of them by --map, under names that do not determine the gates */
    bool raw;    /* W_hh is AWD-LSTM's weight_hh_l0_raw */
} named_layer;

typedef struct {
    named_layer at[MAX_CELLS];
    size_t n;
} named_layers;

typedef struct {
    char side[3]; /* "ih", "hh", "hr" */
    bool bias, numbered, reverse, raw;
    char norm; /* 'g' or 'v' of weight norm */
    int level;
} recurrent_name;

/* The search's view of the tensor file: what is used, and which tensors belong to the network that is
 * read. */
typedef struct {
    const tensor_file *b;
    const sg_import_config *cfg;
    const recipe *p;
    unsigned container; /* 0: all */
} scope;

/* Embedding or one-hot inputs, decoder, and tensors without a role, once the layers are known (by_name.c). */
sg_status names_find_words(recipe *p, scope *s, const named_layers *all, sg_error *err);

/* ---- names (by_name_layers.c) ---- */
/* What follows the last dot or slash. */
const char *names_leaf(const char *name);
/* The tensor's place and part; false: its name is not one of torch's recurrent parameters. */
bool names_parse(const char *name, char prefix[TENSORS_MAX_NAME], recurrent_name *r);
/* What an optimizer keeps besides the weights: moments, momenta, averages. */
bool names_optimizer_state(const char *name);
/* A linear layer's weight: the path before "weight", "weight_v" (weight norm) or
 * "parametrizations.weight.original1" (the newer form of it, both *normed); false: it has another name. */
bool names_weight_path(const char *name, size_t *length, bool *normed);
/* Names that differ only in their numbers are of layers of one stack: "rnns.0.", "rnns.1.". */
bool names_same_but_numbers(const char *a, const char *b);
/* All layers by their names, in the order of the file. */
sg_status names_collect_layers(named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                               sg_error *err);
/* Leaves the layers of one stack, lowest first. SG_EFORMAT: there are several. */
sg_status names_choose_stack(recipe *p, named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                             sg_error *err);
/* Layers named by --map, or the mapped tensor in place of the one that the names give. */
sg_status names_apply_maps(named_layers *all, const tensor_file *b, const sg_import_config *cfg,
                           sg_error *err);

/* ---- shapes (by_name_shapes.c) ---- */
/* The tensor as it is stored in the file; gates 0: none. */
recipe_source names_source(const stored_tensor *t, unsigned gates);
/* A row or a column of n numbers is a vector. */
bool names_is_vector(const stored_tensor *t, uint64_t n);
/* A vector of `rows` floating-point numbers; NULL is fine. */
sg_status names_check_bias(const tensor_file *b, const stored_tensor *t, uint64_t rows, sg_error *err);
sg_status names_read_shapes(recipe_layer *out, unsigned *gates, recipe *p, const tensor_file *b,
                            const named_layer *l, const sg_import_config *cfg, sg_error *err);
sg_status names_choose_cell(recipe *p, unsigned gates, const tensor_file *b, const named_layer *first,
                            const sg_import_config *cfg, sg_error *err);

/* ---- words (by_name_words.c) ---- */
bool names_is_used(const recipe *p, const stored_tensor *t);
/* Tensors of the net that is read, recurrent ones aside; in scope: those of floating-point numbers. */
bool names_part_of_net(const scope *s, const stored_tensor *t);
bool names_in_scope(const scope *s, const stored_tensor *t);
bool names_looks_embedding(const stored_tensor *t);
bool names_looks_decoder(const stored_tensor *t);
sg_status names_find_encoder(recipe *p, const scope *s, sg_error *err);
sg_status names_settle_one_hot(recipe *p, const scope *s, sg_error *err);
/* *mapped: --map names it. */
sg_status names_find_decoder(recipe *p, const scope *s, bool *mapped, sg_error *err);

/* ---- what is left over (by_name_leftovers.c) ---- */
/* What a tensor of a cell beside its weights is, by its name ("a peephole"); NULL: unknown. */
const char *names_kind_of_part(const char *name);
/* States begin at zero here: a net with other first states is refused. */
sg_status names_check_initial_states(const scope *s, sg_error *err);
/* Of a net of words: a tensor that may lie before the recurrence is an error. After it tensors affect the
 * output only, so the states remain valid and the decoder does not. */
sg_status names_judge_leftovers(recipe *p, const scope *s, const named_layers *all, bool decoder_mapped,
                                sg_error *err);
/* Of a net of features only what may act within the recurrence is judged. */
sg_status names_judge_recurrent(recipe *p, const scope *s, const named_layers *all, sg_error *err);

#endif
