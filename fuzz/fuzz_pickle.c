/* SPDX-License-Identifier: MIT */
/* The pickle interpreter alone: it must come to an end, every value it made must be there to be read, and the
 * same bytes elsewhere in memory make the same values. (There is no writer of pickles; what a model becomes
 * that was read from one is written and read again in fuzz_import_torch_*.c.) */
#include "io/pickle.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const unsigned char *data;
    size_t size, used;
    bool cut_short;
    pickle *p;
    sg_status st;
    sg_error err;
} reading;

static void interpret(reading *r)
{
    r->st = pickle_read(&r->p, r->data, r->size, &r->used, &r->cut_short, "input", &r->err);
    must(r->st == SG_OK || (r->err.msg[0] && !strchr(r->err.msg, '\n')));
}

/* Where a node's text lies in the input; SIZE_MAX: it has none. */
static size_t text_at(const reading *r, uint32_t id, size_t *n)
{
    const char *text = pickle_text(r->p, id, n), *begin = (const char *)r->data;
    if (!text)
        return SIZE_MAX;
    must(text >= begin && text + *n <= begin + r->size);
    return (size_t)(text - begin);
}

static void same_values(const reading *a, const reading *b)
{
    size_t seen = 0;
    must(a->used <= a->size && a->used == b->used);
    must(pickle_root(a->p) && pickle_root(a->p) == pickle_root(b->p));
    for (uint32_t id = 1; pickle_kind_of(a->p, id) != PICKLE_NONE || id < 64; id++) {
        size_t n = 0, m = 0, items = pickle_items(a->p, id);
        double x = pickle_float(a->p, id), y = pickle_float(b->p, id);
        must(pickle_kind_of(a->p, id) == pickle_kind_of(b->p, id));
        must(pickle_int(a->p, id) == pickle_int(b->p, id) && !memcmp(&x, &y, sizeof x));
        must(text_at(a, id, &n) == text_at(b, id, &m) && n == m);
        must(items == pickle_items(b->p, id));
        for (size_t i = 0; i < items && seen < 100000; i++, seen++) {
            must(pickle_item(a->p, id, i) == pickle_item(b->p, id, i));
            (void)pickle_kind_of(a->p, pickle_item(a->p, id, i));
        }
        must(pickle_get(a->p, id, "weight") == pickle_get(b->p, id, "weight"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);
    must(copy != NULL);
    memcpy(copy, data, size);
    reading one = {.data = data, .size = size}, two = {.data = copy, .size = size};
    interpret(&one);
    interpret(&two);
    must(one.st == two.st && one.cut_short == two.cut_short && !strcmp(one.err.msg, two.err.msg));
    if (one.st == SG_OK) {
        same_values(&one, &two);
        pickle_free(one.p);
        pickle_free(two.p);
    }
    free(copy);
    return 0;
}
