/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <string.h>

void spell_option(char *text, size_t size, const char *setting)
{
    snprintf(text, size, "--%s", setting);
    for (char *c = text; *c; c++)
        *c = *c == '_' ? '-' : *c;
}

static option_kind kind_of(const sg_setting *s)
{
    switch (s->type) {
    case SG_SETTING_REAL:
        return OPT_REAL;
    case SG_SETTING_INT:
        return strcmp(s->name, "threads") ? OPT_INT : OPT_THREADS;
    case SG_SETTING_U64:
        return OPT_U64;
    default:
        return OPT_SIZE;
    }
}

size_t add_setting_options(setting_options *o, option *table, size_t n, bool advanced)
{
    const sg_setting *s;
    for (size_t i = 0; (s = o->row(i)) && i < MAX_SETTINGS; i++) {
        if (s->advanced != advanced)
            continue;
        const bool flag = !strcmp(s->values, "yes|no"); /* its field is a bool */
        const bool text = s->type == SG_SETTING_WORD || s->type == SG_SETTING_TEXT || strchr(s->values, '|');
        option_kind kind = flag ? OPT_FLAG : text ? OPT_STRING : kind_of(s);
        void *place = text && !flag ? (void *)&o->text_of[i] : (char *)o->cfg + s->offset;
        if (s->type == SG_SETTING_WORD)
            o->text_of[i] = s->fallback;
        spell_option(o->option_of[i], sizeof o->option_of[i], s->name);
        table[n++] = (option){o->option_of[i] + 2,     s->letter, kind,     place,
                              flag ? NULL : s->values, s->help,   s->least, s->most};
    }
    return n;
}

int read_setting_options(const setting_options *o, const char *name)
{
    const sg_setting *s;
    sg_error err;
    /* cfg has the defaults, or a preset: a text that is still the table's own was not given */
    for (size_t i = 0; (s = o->row(i)) && i < MAX_SETTINGS; i++)
        if (o->text_of[i] && o->text_of[i] != s->fallback &&
            o->set(o->cfg, s->name, o->text_of[i], &err) != SG_OK)
            return misuse("%s: %s", name, with_options(err.msg));
    return -1;
}
