/* SPDX-License-Identifier: MIT */
/* What is read is never written to. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

bool to_stdout(const char *output)
{
    return output && !strcmp(output, "-");
}

int refuse_stdout(const char *output)
{
    if (to_stdout(output))
        return misuse(
            "-: standard output takes text (JSON, CSV, pages); this output needs the name of a file");
    return -1;
}

int refuse_unreadable(const char *what, const char *input, bool folders)
{
    struct stat info;
    if (!input)
        return -1;
    const int why = stat(input, &info) != 0 || access(input, R_OK) != 0 ? errno
                    : S_ISDIR(info.st_mode) && !folders                 ? EISDIR
                                                                        : 0;
    return why ? failure("%s: %s: %s", what, shown(input), strerror(why)) : -1;
}

int refuse_unwritable(const char *output)
{
    char target[PATH_MAX];
    sg_error err = {""};
    sg_status st =
        output && strcmp(output, "-") ? sg_output_check(output, target, sizeof target, &err) : SG_OK;
    return st == SG_OK ? -1 : fail(st, &err);
}

/* Where links lead in the end, there or not; the name itself where that cannot be determined. */
static const char *end_of_links(const char *path, char target[PATH_MAX])
{
    sg_output_check(path, target, PATH_MAX, NULL);
    return *target ? target : path;
}

/* That of the inputs which is the same file as the output; NULL: none. */
static const char *overwritten(const char *output, const char *const *inputs, size_t n)
{
    struct stat out, in;
    char end[PATH_MAX], other[PATH_MAX];
    if (!output || !strcmp(output, "-")) /* standard output overwrites nothing */
        return NULL;
    bool exists = stat(output, &out) == 0;
    const char *written = end_of_links(output, end);
    for (size_t i = 0; i < n; i++) {
        if (!inputs[i])
            continue;
        bool same = !strcmp(output, inputs[i]) || same_place(written, end_of_links(inputs[i], other));
        if (exists && stat(inputs[i], &in) == 0)
            same |= same_file(&out, &in) || (S_ISDIR(in.st_mode) && lies_in(output, &in));
        if (same)
            return inputs[i];
    }
    return NULL;
}

int refuse_overwriting(const char *output, const char *const *inputs, size_t n)
{
    const char *same = overwritten(output, inputs, n);
    if (!same)
        return -1;
    return misuse("%s: this output is also '%s' of the same command; choose another name", output, same);
}

/* That of the files named within the texts which is the same file as the output, copied to part; NULL:
 * none. */
static const char *overwritten_part(const char *output, const option_list *texts, char part[PATH_MAX])
{
    static const char separators[] = ":=,-*\"";
    if (!output)
        return NULL;
    for (size_t i = 0; i < texts->n; i++) {
        const char *text = texts->items[i], *end = text + strlen(text);
        for (const char *a = text; a < end; a++)
            for (const char *b = a + 1; strchr(separators, *a) && b < end; b++) {
                const char *name = part;
                size_t n = (size_t)(b - a);
                if ((b + 1 < end && !strchr(separators, b[1])) || n >= PATH_MAX)
                    continue;
                memcpy(part, a + 1, n);
                part[n] = 0;
                if (overwritten(output, &name, 1))
                    return part;
            }
    }
    return NULL;
}

int refuse_overwriting_parts(const char *output, const option_list *texts)
{
    char part[PATH_MAX];
    const char *same = overwritten_part(output, texts, part);
    return same ? refuse_overwriting(output, &same, 1) : -1;
}

int refuse_side_files(const char *checkpoint, const char *const *files, size_t n, const option_list *texts)
{
    static const char *const suffixes[] = {".previous", ".lock", ".blocks0", ".blocks1"};
    char path[PATH_MAX], end[PATH_MAX], part[PATH_MAX];
    for (size_t i = 0; checkpoint && i < sizeof suffixes / sizeof *suffixes; i++) {
        if (snprintf(path, sizeof path, "%s%s", end_of_links(checkpoint, end), suffixes[i]) >=
            (int)sizeof path)
            return misuse("%.100s...: too long a name", checkpoint);
        const char *same = overwritten(path, files, n);
        if (!same && texts)
            same = overwritten_part(path, texts, part);
        if (same)
            return misuse(
                "--checkpoint %s: '%s' of the same command is one of the files that accompany it; choose another "
                "name",
                checkpoint, same);
    }
    return -1;
}
