/* SPDX-License-Identifier: MIT */
/* Runs given as operands and as groups of models. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void run_selection_free(run_selection *s)
{
    for (size_t i = 0; s->runs && i < s->n && s->runs[i]; i++)
        sg_run_close(s->runs[i]);
    free(s->paths), free(s->groups), free(s->runs), free(s->names);
}

/* NAME=RUN.nc,RUN.nc,... */
static int add_group(run_selection *s, const char *verb, char *text, const char *given)
{
    char *path = strchr(text, '=');
    size_t before = s->n;
    if (!path || path == text || !path[1])
        return misuse("%s: --group: expected NAME=RUN.nc,RUN.nc,..., found '%s'", verb, given);
    for (*path++ = 0; path; s->n++) {
        char *comma = strchr(path, ',');
        if (comma)
            *comma++ = 0;
        if (!*path)
            return misuse("%s: --group: a file name is missing in '%s'", verb, given);
        s->paths[s->n] = path, s->groups[s->n] = text;
        path = comma;
    }
    for (size_t i = 0; i < before; i++)
        if (s->groups[i] && !strcmp(s->groups[i], text))
            return misuse("%s: --group: '%s' is given twice", verb, text);
    return s->n - before > 1
               ? -1
               : misuse("%s: --group: expected two runs or more, found one in '%s'", verb, given);
}

int select_runs(run_selection *s, const char *verb, const option_list *given, char **operands, size_t n)
{
    size_t most = n, bytes = 1;
    for (size_t i = 0; i < given->n; i++) {
        bytes += strlen(given->items[i]) + 1;
        most++;
        for (const char *c = given->items[i]; (c = strchr(c, ',')); c++)
            most++;
    }
    s->paths = calloc(most + 1, sizeof *s->paths);
    s->groups = calloc(most + 1, sizeof *s->groups);
    s->runs = calloc(most + 1, sizeof *s->runs);
    s->names = malloc(bytes);
    if (!s->paths || !s->groups || !s->runs || !s->names)
        return failure("%s: no memory for %zu runs", verb, most);
    for (; s->n < n; s->n++)
        s->paths[s->n] = operands[s->n];
    char *text = s->names;
    for (size_t i = 0; i < given->n; i++) {
        size_t length = strlen(given->items[i]) + 1;
        memcpy(text, given->items[i], length);
        int code = add_group(s, verb, text, given->items[i]);
        if (code >= 0)
            return code;
        text += length;
    }
    return -1;
}

sg_status open_runs(run_selection *s, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0; st == SG_OK && i < s->n; i++)
        st = sg_run_open(&s->runs[i], s->paths[i], err);
    return st;
}

const char *choose_state(const sg_run *r, const char *state, size_t layer)
{
    for (size_t g = 0; g < sg_run_groups(r); g++) {
        const char *name = sg_run_group_name(r, g), *dot = strchr(name, '.');
        if (strncmp(name, "layer", 5) || !dot || (state && strcmp(dot + 1, state)) ||
            (layer && strtoul(name + 5, NULL, 10) != layer))
            continue;
        return name;
    }
    return NULL;
}

int no_such_state(const char *verb, const sg_run *r, const char *path, const char *state, size_t layer)
{
    char names[400] = "", level[32] = "";
    size_t used = 0;
    for (size_t g = 0; g < sg_run_groups(r) && used < sizeof names; g++)
        if (!strncmp(sg_run_group_name(r, g), "layer", 5))
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                                     sg_run_group_name(r, g));
    if (layer)
        snprintf(level, sizeof level, " --layer %zu", layer);
    return misuse("%s:%s%s%s: %s has %s%s", verb, level, state ? " --state " : "", state ? state : "", path,
                  used ? names : "no states", used < sizeof names ? "" : "...");
}
