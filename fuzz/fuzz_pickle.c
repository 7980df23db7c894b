/* The pickle interpreter alone: it must come to an end, and every value it made must be there to be read. */
#include "import/pickle.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pickle *p;
    size_t used = 0, seen = 0;
    bool cut_short;
    sg_error err = {""};
    if (pickle_read(&p, data, size, &used, &cut_short, "input", &err) != SG_OK)
        return 0;
    if (used > size || !pickle_root(p))
        abort();
    for (uint32_t id = 1; pickle_kind_of(p, id) != PICKLE_NONE || id < 64; id++) {
        size_t n;
        const char *text = pickle_text(p, id, &n);
        if (text && (text < (const char *)data || text + n > (const char *)data + size))
            abort();
        for (size_t i = 0; i < pickle_items(p, id) && seen < 100000; i++, seen++)
            (void)pickle_kind_of(p, pickle_item(p, id, i));
        (void)pickle_get(p, id, "weight");
    }
    pickle_free(p);
    return 0;
}
