/* Stands in for libFuzzer where it is not linked: runs the target once over each file named, and
 * over each file of each directory named. No file at all is a failure, as a corpus that went
 * missing must be seen. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"

#define INPUT_MAX ((size_t)16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    _cleanup_(fclosep) FILE *file = fopen(path, "rb");
    _cleanup_(freep) uint8_t *data = NULL;
    struct stat st;

    if (!file || fstat(fileno(file), &st) < 0 || (size_t)st.st_size > INPUT_MAX) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    /* Exactly as large as the input, so that reading past it is seen. */
    size_t size = (size_t)st.st_size;
    data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, file) != size) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    return 1;
}

/* Returns the number of files, -1 when one could not be read. */
static int replay(const char *path)
{
    char below[PATH_MAX];
    struct stat st;
    int count = 0;

    if (stat(path, &st) < 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return replay_file(path);
    _cleanup_(closedirp) DIR *dir = opendir(path);
    if (!dir)
        return -1;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        int len = snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        int n = len < 0 || (size_t)len >= sizeof(below) ? -1 : replay(below);
        if (n < 0)
            return -1;
        count += n;
    }
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i]);
        if (n < 0)
            return EXIT_FAILURE;
        count += n;
    }
    (void)printf("%d inputs replayed\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
