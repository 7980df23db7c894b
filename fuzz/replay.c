/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over files, and the files of folders: what a fuzzer found stays found, with any
 * compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replayed;

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat info;
    if (!f || fstat(fileno(f), &info) != 0) {
        perror(path);
        return 1;
    }
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size ? size : 1); /* exactly as large as the input: reading past it is seen */
    int bad = !data || fread(data, 1, size, f) != size;
    fclose(f);
    if (bad)
        perror(path);
    else {
        LLVMFuzzerTestOneInput(data, size);
        replayed++;
    }
    free(data);
    return bad;
}

static int replay(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return replay_file(path);
    int bad = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char below[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        bad |= replay(below);
    }
    closedir(folder);
    return bad;
}

int main(int argc, char **argv)
{
    int bad = 0;
    for (int i = 1; i < argc; i++)
        bad |= replay(argv[i]);
    printf("%zu inputs replayed\n", replayed);
    return bad || replayed == 0;
}
