/* SPDX-License-Identifier: MIT */
/* What `stategrad info` prints of a model file: its tensors, and the reading that import would make. */
#include "import/find.h"
#include "import/vocabulary.h"

#include "base/base_internal.h"
#include "base/text_out.h"
#include "corpus/corpus_internal.h"
#include "lm/model_internal.h"

#include <jansson.h>
#include <string.h>

static const char *const activations[] = {"linear", "relu", "tanh"};

/* The roles of a recipe in the order of our model file. */
typedef struct {
    char role[32];
    const recipe_source *source;
} role_entry;

static size_t list_roles(const recipe *p, role_entry out[4 * SG_MAX_LAYERS + 3])
{
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    size_t n = 0;
    if (p->encoder.tensor)
        out[n++] = (role_entry){"encoder.weight", &p->encoder};
    for (size_t k = 0; k < p->shape.layers; k++) {
        const recipe_layer *l = &p->layers[k];
        const recipe_source *const sources[] = {&l->W_ih, &l->W_hh, &l->b_ih, &l->b_hh};
        for (size_t r = 0; r < 4; r++)
            if (sources[r]->tensor) {
                snprintf(out[n].role, sizeof out[n].role, "rnn.%s_l%zu", names[r], k);
                out[n++].source = sources[r];
            }
    }
    if (p->decoder.tensor)
        out[n++] = (role_entry){"decoder.weight", &p->decoder};
    if (p->decoder_bias.tensor)
        out[n++] = (role_entry){"decoder.bias", &p->decoder_bias};
    return n;
}

/* ---- text ---- */

/* Names come from the file. */
static void print_name(FILE *to, const char *name)
{
    text_put(to, name, SIZE_MAX, 0);
}

static void print_reading(FILE *to, const recipe *p, const sg_vocab *vocab, const sg_error *why_no_words)
{
    const sg_model_shape *s = &p->shape;
    role_entry roles[4 * SG_MAX_LAYERS + 3];
    fprintf(to, "reading: %s, %zu layer%s of ", sg_cell_name(s->cell), s->layers, s->layers == 1 ? "" : "s");
    for (size_t k = 0; k < s->layers; k++)
        fprintf(to, "%s%zu", k ? ", " : "", s->hidden[k]);
    fprintf(to, " unit%s, ", s->layers == 1 && s->hidden[0] == 1 ? "" : "s");
    if (s->vocabulary)
        fprintf(to, "%zu word%s in %zu dimension%s\n", s->vocabulary, s->vocabulary == 1 ? "" : "s",
                s->embedding, s->embedding == 1 ? "" : "s");
    else
        fprintf(to, "inputs of %zu feature%s\n", s->embedding, s->embedding == 1 ? "" : "s");
    fprintf(to, "  %s\n", sg_cell_formula(s->cell));
    size_t n = list_roles(p, roles);
    for (size_t i = 0; i < n; i++) {
        fprintf(to, "  %-20s = ", roles[i].role);
        print_name(to, roles[i].source->tensor->name);
        fputc('\n', to);
    }
    if (s->has_decoder)
        fprintf(to, "  decoder: %s%s\n", s->tied ? "tied to the embedding, " : "",
                s->output == SG_OUTPUT_LINEAR ? "linear"
                : s->output == SG_OUTPUT_RELU ? "after a ReLU"
                                              : "after tanh");
    else {
        fputs("  no decoder: states only", to);
        fputs(p->no_decoder[0] ? ": " : "", to);
        print_name(to, p->no_decoder);
        fputc('\n', to);
    }
    if (vocab) {
        size_t words = sg_vocab_size(vocab);
        const bool ends = s->eos && sg_vocab_eos(vocab) >= 0;
        fprintf(to, "  vocabulary: %zu %s%s%s", words, s->unit == SG_UNIT_CHAR ? "character" : "word",
                words == 1 ? "" : "s", s->eos ? ", lines end in " : "");
        print_name(to, ends ? sg_vocab_word(vocab, (size_t)sg_vocab_eos(vocab)) : s->eos ? "<eos>" : "");
        fputs(p->vocabulary_from[0] ? ", from " : "", to);
        print_name(to, p->vocabulary_from);
        fputc('\n', to);
    } else if (s->vocabulary)
        fprintf(to, "  vocabulary: %s\n", why_no_words->msg);
    for (size_t i = 0; i < p->n_notes; i++) {
        fputs("  note: ", to);
        print_name(to, p->notes[i]);
        fputc('\n', to);
    }
}

static void print_text(FILE *to, const tensor_file *b, const recipe *p, const sg_error *why,
                       const sg_vocab *vocab, const sg_error *why_no_words)
{
    print_name(to, b->path);
    fprintf(to, ": %s, %llu bytes, %zu tensor%s\n", sg_file_format_name(b->format),
            (unsigned long long)b->file_size, b->n, b->n == 1 ? "" : "s");
    for (size_t i = 0; i < b->n; i++) {
        char shape[96];
        const stored_tensor *t = &b->tensors[i];
        fprintf(to, "  %-9s %-16s ", tensor_type_name(t), shape_text(t, shape));
        print_name(to, t->name);
        if (t->layer_class) {
            fputs("  (", to);
            print_name(to, t->layer_class);
            fputc(')', to);
        }
        fputc('\n', to);
    }
    if (p)
        print_reading(to, p, vocab, why_no_words);
    else
        fprintf(to, "reading: none: %s\n", why->msg);
}

/* ---- JSON ---- */

/* Names that are not UTF-8 are printed with ? in place of invalid bytes, never dropped. */
static json_t *text_json(const char *s)
{
    json_t *j = json_string(s);
    char safe[TENSORS_MAX_NAME];
    if (j)
        return j;
    size_t n = 0;
    for (; s[n] && n + 1 < sizeof safe; n++)
        safe[n] = (unsigned char)s[n] < 0x80 ? s[n] : '?';
    safe[n] = 0;
    return json_string(safe);
}

static json_t *tensors_json(const tensor_file *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->n; i++) {
        const stored_tensor *t = &b->tensors[i];
        json_t *dims = json_array();
        for (unsigned k = 0; k < t->rank; k++)
            json_array_append_new(dims, json_integer((json_int_t)t->dims[k]));
        json_t *o = json_pack("{s:o, s:o, s:s}", "name", text_json(t->name), "shape", dims, "dtype",
                              tensor_type_name(t));
        if (t->layer_class)
            json_object_set_new(o, "class", text_json(t->layer_class));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *reading_json(const recipe *p, const sg_vocab *vocab, const sg_error *why_no_words)
{
    const sg_model_shape *s = &p->shape;
    role_entry roles[4 * SG_MAX_LAYERS + 3];
    json_t *hidden = json_array(), *map = json_object(), *notes = json_array();
    for (size_t k = 0; k < s->layers; k++)
        json_array_append_new(hidden, json_integer((json_int_t)s->hidden[k]));
    size_t n = list_roles(p, roles);
    for (size_t i = 0; i < n; i++)
        json_object_set_new(map, roles[i].role, text_json(roles[i].source->tensor->name));
    for (size_t i = 0; i < p->n_notes; i++)
        json_array_append_new(notes, text_json(p->notes[i]));
    json_t *o =
        json_pack("{s:s, s:I, s:o, s:I, s:I, s:b, s:b, s:s, s:o, s:o}", "cell", sg_cell_name(s->cell),
                  "layers", (json_int_t)s->layers, "hidden", hidden, "embedding", (json_int_t)s->embedding,
                  "vocabulary", (json_int_t)s->vocabulary, "decoder", s->has_decoder, "tied", s->tied,
                  "output_activation", activations[s->output], "roles", map, "notes", notes);
    if (p->no_decoder[0])
        json_object_set_new(o, "no_decoder", text_json(p->no_decoder));
    if (vocab)
        json_object_set_new(o, "eos", json_boolean(s->eos));
    if (p->vocabulary_from[0])
        json_object_set_new(o, "vocabulary_from", text_json(p->vocabulary_from));
    if (vocab)
        json_object_set_new(o, "unit", json_string(s->unit == SG_UNIT_CHAR ? "char" : "word"));
    else if (s->vocabulary)
        json_object_set_new(o, "no_vocabulary", text_json(why_no_words->msg));
    return o;
}

static sg_status print_json(FILE *to, const tensor_file *b, const recipe *p, const sg_error *why,
                            const sg_vocab *vocab, const sg_error *why_no_words, sg_error *err)
{
    json_t *o =
        json_pack("{s:o, s:s, s:I, s:o}", "file", text_json(b->path), "kind", sg_file_format_name(b->format),
                  "bytes", (json_int_t)b->file_size, "tensors", tensors_json(b));
    if (!o)
        return no_memory(err, "%s", b->path);
    if (p)
        json_object_set_new(o, "reading", reading_json(p, vocab, why_no_words));
    else
        json_object_set_new(o, "no_reading", text_json(why->msg));
    int bad = json_dumpf(o, to, JSON_COMPACT);
    json_decref(o);
    fputc('\n', to);
    return bad ? sg_fail(err, SG_EIO, "cannot be written") : SG_OK;
}

/* Our own model file records what it is; nothing is assumed. */
static void read_own(recipe *p, const sg_model *m)
{
    const char *no_decoder = sg_model_meta(m, "no_decoder");
    p->shape = *sg_model_get_shape(m);
    p->n_notes = 0;
    if (!p->shape.has_decoder)
        p->decoder = p->decoder_bias = (recipe_source){0};
    snprintf(p->no_decoder, sizeof p->no_decoder, "%s",
             no_decoder && !p->shape.has_decoder ? no_decoder : "");
}

sg_status sg_import_describe(const sg_writer *to, const char *path, const sg_import_config *cfg, bool json,
                             sg_error *err)
{
    sg_status st, found;
    sg_import_config automatic;
    sg_error why = {0}, why_no_words = {0};
    tensor_file *b = NULL;
    sg_vocab *vocab = NULL;
    FILE *f = NULL;
    sg_model *ours = NULL; /* a stategrad model has its words inside */
    sg_import_defaults(&automatic);
    cfg = cfg ? config_take(&automatic, sizeof automatic, cfg) : &automatic;
    recipe *p = sg_calloc(1, sizeof *p);
    if (!p)
        return no_memory(err, "%s", path);
    TRY(tensors_open(&b, path, err));
    TRY(tensors_add_named_arrays(b, cfg, err));
    found = recipe_find(p, b, cfg, &why);
    if (b->format == SG_FILE_MODEL) {
        if (sg_model_read(&ours, path, &why_no_words) == SG_OK && !cfg->n_maps) {
            if (found != SG_OK) /* a kind that no other library has: there are no roles to assign */
                *p = (recipe){0};
            found = SG_OK;
            read_own(p, ours);
        }
    } else if (found == SG_OK)
        (void)vocabulary_find(&vocab, p, b, cfg, &why_no_words);
    else if (found != SG_EFORMAT) {
        st = sg_fail(err, found, "%s", why.msg);
        goto done;
    }
    if (ours) {
        TRY(model_choose_words(ours, cfg->unk, cfg->eos, err));
        p->shape.eos = sg_model_get_shape(ours)->eos;
    } else if (vocab)
        TRY(vocab_choose(vocab, cfg->unk, cfg->eos, p->shape.unit, &p->shape.eos, err));
    TRY(writer_open(&f, to, err));
    const recipe *reading = found == SG_OK ? p : NULL;
    const sg_vocab *words = ours ? sg_model_vocab(ours) : vocab;
    if (json)
        TRY(print_json(f, b, reading, &why, words, &why_no_words, err));
    else
        print_text(f, b, reading, &why, words, &why_no_words);
    st = writer_close(f, err);
    f = NULL;
done:
    (void)writer_close(f, NULL);
    sg_model_free(ours);
    sg_vocab_free(vocab);
    sg_free(p);
    tensors_free(b);
    return st;
}
