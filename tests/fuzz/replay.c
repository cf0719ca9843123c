/* Runs a fuzz target over the files named on the command line, and over the files in directories
 * named there: the committed corpus as a plain test, with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    _cleanup_(fclosep) FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0) {
        perror(path);
        return -1;
    }
    size_t size = (size_t)st.st_size;
    _cleanup_(freep) uint8_t *data = malloc(size ? size : 1); /* exact, for AddressSanitizer */
    if (!data || fread(data, 1, size, f) != size) {
        perror(path);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    return 1;
}

/* The number of inputs replayed, or -1. */
static int replay(const char *path)
{
    _cleanup_(closedirp) DIR *dir = opendir(path);
    if (!dir)
        return replay_file(path);
    int count = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (e->d_name[0] == '.')
            continue;
        char name[4096];
        if (snprintf(name, sizeof(name), "%s/%s", path, e->d_name) >= (int)sizeof(name) ||
            replay_file(name) < 0)
            return -1;
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = replay(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs replayed\n", total);
    return total > 0 ? 0 : 1; /* an empty corpus is a mistake, not a success */
}
