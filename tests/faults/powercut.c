/* Preloaded into a data plane: writes down, in a journal outside the watched tree, what happened to
 * names below it and what was made durable. support/powercut.py undoes the rest after a kill, as a
 * disk without power would. One line an event, written before the call that may fail:
 *   C path        a file appears        M path   a folder appears      R old new   a file is
 * renamed U path keep   a file goes; its content stays under the name keep, which is outside the
 * tree S inode size  so much of a file is durable           D path   the names in a folder are */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_ulong kept;

static int is_watched(const char *path)
{
    const char *root = getenv("POWERCUT_ROOT");

    return root && strncmp(path, root, strlen(root)) == 0;
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    char line[3 * PATH_MAX];
    va_list args;
    int was = errno, fd = REAL(open)(getenv("POWERCUT_JOURNAL"),
                                     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (fd < 0 || len < 0 || (size_t)len >= sizeof(line) || write(fd, line, (size_t)len) != len)
        abort();
    (void)close(fd);
    errno = was;
}

/* What stands under a name that is about to go. */
static void keep(const char *path)
{
    char name[PATH_MAX];

    (void)snprintf(name, sizeof(name), "%s.%d.%lu", getenv("POWERCUT_JOURNAL"), (int)getpid(),
                   atomic_fetch_add(&kept, 1));
    if (link(path, name) == 0)
        note("U %s %s\n", path, name);
}

static void path_of_fd(int fd, char ret[PATH_MAX])
{
    char link_name[64];

    (void)snprintf(link_name, sizeof(link_name), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link_name, ret, PATH_MAX - 1);
    ret[n < 0 ? 0 : n] = '\0';
}

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = (mode_t)((flags & O_CREAT) ? va_arg(args, int) : 0);
    va_end(args);
    if ((flags & O_CREAT) && is_watched(path) && access(path, F_OK) != 0)
        note("C %s\n", path);
    return REAL(open)(path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
    if (is_watched(path) && access(path, F_OK) != 0)
        note("M %s\n", path);
    return REAL(mkdir)(path, mode);
}

int rename(const char *from, const char *to)
{
    if (is_watched(to)) {
        keep(to);
        note("R %s %s\n", from, to);
    }
    return REAL(rename)(from, to);
}

int unlink(const char *path)
{
    if (is_watched(path))
        keep(path);
    return REAL(unlink)(path);
}

int unlinkat(int dir, const char *name, int flags)
{
    char folder[PATH_MAX], path[2 * PATH_MAX];

    path_of_fd(dir, folder);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (is_watched(path))
        keep(path);
    return REAL(unlinkat)(dir, name, flags);
}

int fsync(int fd)
{
    char path[PATH_MAX];
    struct stat st;

    path_of_fd(fd, path);
    int is_known = fstat(fd, &st) == 0 && is_watched(path);
    int status = REAL(fsync)(fd);
    if (status != 0 || !is_known)
        return status;
    if (!S_ISDIR(st.st_mode))
        note("S %lu %lld\n", (unsigned long)st.st_ino, (long long)st.st_size);
    else if (!getenv("POWERCUT_FORGETS_FOLDERS"))
        note("D %s\n", path);
    return status;
}
