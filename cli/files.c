/* SPDX-License-Identifier: MIT */
/* What is read is never written to. */
#include "cli.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool put(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    (void)fwrite(text, 1, n, stdout);
    return true;
}

const sg_writer standard_output = {.write = put};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The folder that a path names a file in. */
static bool folder_of(const char *path, struct stat *info)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return stat(".", info) == 0;
    char above[PATH_MAX];
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    if (n >= sizeof above)
        return false;
    memcpy(above, path, n);
    above[n] = 0;
    return stat(above, info) == 0;
}

static bool lies_in(const char *path, const struct stat *folder)
{
    struct stat info;
    return folder_of(path, &info) && same_file(&info, folder);
}

/* Two spellings of one name, of a file that need not be there. */
static bool same_place(const char *a, const char *b)
{
    struct stat folder_a, folder_b;
    const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
    return !strcmp(slash_a ? slash_a + 1 : a, slash_b ? slash_b + 1 : b) && folder_of(a, &folder_a) &&
           folder_of(b, &folder_b) && same_file(&folder_a, &folder_b);
}

int refuse_stdout(const char *output)
{
    if (output && !strcmp(output, "-"))
        return misuse(
            "-: standard output takes text (JSON, CSV, pages); this output needs the name of a file");
    return -1;
}

int refuse_overwriting(const char *output, const char *const *inputs, size_t n)
{
    struct stat out, in;
    if (!output || !strcmp(output, "-")) /* standard output overwrites nothing */
        return -1;
    bool exists = stat(output, &out) == 0;
    for (size_t i = 0; i < n; i++) {
        if (!inputs[i])
            continue;
        bool same = !strcmp(output, inputs[i]) || same_place(output, inputs[i]);
        if (exists && stat(inputs[i], &in) == 0)
            same |= same_file(&out, &in) || (S_ISDIR(in.st_mode) && lies_in(output, &in));
        if (same)
            return misuse("%s: this output is also '%s' of the same command; choose another name", output,
                          inputs[i]);
    }
    return -1;
}

int refuse_overwriting_parts(const char *output, const option_list *texts)
{
    static const char separators[] = ":=,-";
    char part[PATH_MAX];
    if (!output)
        return -1;
    for (size_t i = 0; i < texts->n; i++) {
        const char *text = texts->items[i], *end = text + strlen(text);
        for (const char *a = text; a < end; a++)
            for (const char *b = a + 1; strchr(separators, *a) && b < end; b++) {
                const char *name = part;
                size_t n = (size_t)(b - a);
                if ((b + 1 < end && !strchr(separators, b[1])) || n >= sizeof part)
                    continue;
                memcpy(part, a + 1, n);
                part[n] = 0;
                int code = refuse_overwriting(output, &name, 1);
                if (code >= 0)
                    return code;
            }
    }
    return -1;
}

int refuse_side_files(const char *checkpoint, const char *const *files, size_t n, const option_list *texts)
{
    static const char *const suffixes[] = {".previous", ".lock", ".blocks0", ".blocks1"};
    char path[PATH_MAX];
    for (size_t i = 0; checkpoint && i < sizeof suffixes / sizeof *suffixes; i++) {
        if (snprintf(path, sizeof path, "%s%s", checkpoint, suffixes[i]) >= (int)sizeof path)
            return misuse("%.100s...: too long a name", checkpoint);
        int code = refuse_overwriting(path, files, n);
        if (code < 0 && texts)
            code = refuse_overwriting_parts(path, texts);
        if (code >= 0)
            return code;
    }
    return -1;
}
