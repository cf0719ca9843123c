/* The s6 supervisor. Below supervisor-dir, `services/<name>` holds the definition and `scan/<name>`
 * is a symbolic link that makes s6-svscan run it. A definition is built aside and renamed into
 * place, so a half-written one never runs; `restart` inside it marks a changed definition whose
 * process has not been told yet. Nothing but the link decides whether a service is wanted. */
#include "controlplane/provision/supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/proc/proc.h"
#include "controlplane/control.h"

#define COMMAND_MS 10000
#define DEFINITION_MAX_BYTES 65536
#define STOP_MS 20000 /* longer than the definition's timeout-kill */
#define TIMEOUT_KILL "10000\n"
#define DEBRIS_AGE_S 300
#define NAMES_MAX 100000

struct paths {
    char *scan;       /* supervisor-dir/scan */
    char *services;   /* supervisor-dir/services */
    char *definition; /* services/<name> */
    char *entry;      /* scan/<name> */
};

static int find_paths(struct control *control, struct arena *a, const char *name,
                      struct paths *ret, struct error *err)
{
    const char *dir = control->settings->supervisor_dir;
    size_t len = strlen(name);

    if (len == 0 || len > 200 || name[0] == '-' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return fail_cause(err, &E_INTERNAL, "'%s' is not a service name", name);
    *ret = (struct paths){
        .scan = arena_printf(a, "%s/scan", dir),
        .services = arena_printf(a, "%s/services", dir),
        .definition = arena_printf(a, "%s/services/%s", dir, name),
        .entry = arena_printf(a, "%s/scan/%s", dir, name),
    };
    return 0;
}

static char *quoted(struct arena *a, const char *s)
{
    _cleanup_(str_done) struct str out;

    str_init(&out, DEFINITION_MAX_BYTES);
    str_putc(&out, '\'');
    for (; *s; s++) {
        if (*s == '\'')
            str_puts(&out, "'\\''");
        else
            str_putc(&out, *s);
    }
    str_putc(&out, '\'');
    return str_copy(&out, a);
}

static char *run_text(struct arena *a, const struct service *service)
{
    return arena_printf(a, "#!/bin/sh\nexec %s --config data/config\n",
                        quoted(a, service->program));
}

/* True when an s6-supervise listens in the definition (what s6-svok tests). */
static bool is_supervised(struct arena *a, const struct paths *p)
{
    _cleanup_(closep) int fd = open(arena_printf(a, "%s/supervise/control", p->definition),
                                    O_WRONLY | O_NONBLOCK | O_CLOEXEC);

    return fd >= 0;
}

static int svscanctl(struct arena *a, const struct paths *p, const char *options,
                     struct error *err)
{
    const char *argv[] = { "s6-svscanctl", options, "--", p->scan, NULL };
    char *output;
    int code;

    if (proc_run(a, argv, COMMAND_MS, &code, &output, err))
        return -1;
    if (code != 0)
        return fail_cause(err, &E_UNAVAILABLE, "s6-svscanctl %s %s: exit %d: %s", options, p->scan,
                          code, output);
    return 0;
}

static int svc(struct arena *a, const struct paths *p, const char *options, struct error *err)
{
    const char *argv[] = { "s6-svc", options, "--", p->definition, NULL };

    return proc_must(a, argv, COMMAND_MS, err);
}

/* Definitions ---------------------------------------------------------------------------------- */

static int write_file(struct arena *a, const char *dir, const char *name, const char *text,
                      mode_t mode, struct error *err)
{
    char *path = arena_printf(a, "%s/%s", dir, name);
    _cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    size_t len = strlen(text), done = 0;

    if (fd < 0)
        return fail_errno(err, "create %s", path);
    while (done < len) {
        ssize_t n = write(fd, text + done, len - done);

        if (n < 0 && errno != EINTR)
            return fail_errno(err, "write %s", path);
        done += n > 0 ? (size_t)n : 0;
    }
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return fail_errno(err, "write %s", path);
    return 0;
}

static int build_aside(struct arena *a, const char *dir, const struct service *service,
                       struct error *err)
{
    char *data = arena_printf(a, "%s/data", dir);

    if (mkdir(dir, 0700) < 0 || mkdir(data, 0700) < 0)
        return fail_errno(err, "make %s", dir);
    if (write_file(a, dir, "run", run_text(a, service), 0700, err) ||
        write_file(a, data, "config", service->config, 0600, err) ||
        write_file(a, dir, "notification-fd", "3\n", 0600, err) ||
        write_file(a, dir, "timeout-kill", TIMEOUT_KILL, 0600, err) ||
        write_file(a, dir, "max-death-tally", "16\n", 0600, err))
        return -1;
    if (file_fsync_dir(data, err))
        return -1;
    return file_fsync_dir(dir, err);
}

static char *aside_path(struct arena *a, const struct paths *p)
{
    return arena_printf(a, "%s/.new-%s", p->services, strrchr(p->definition, '/') + 1);
}

/* 1 defined by us, 0 when somebody else was faster. What an interrupted attempt left is in the way
 * and goes first. */
static int define(struct arena *a, const struct paths *p, const struct service *service,
                  struct error *err)
{
    char *aside = aside_path(a, p);
    int rc = 1;

    if (file_remove_tree(aside, err) || build_aside(a, aside, service, err))
        return -1;
    if (rename(aside, p->definition) < 0) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return fail_errno(err, "rename %s", aside);
        if (file_remove_tree(aside, err))
            return -1;
        rc = 0;
    }
    return file_fsync_dir(p->services, err) ? -1 : rc;
}

/* Replaces a text that differs or is missing. The mark goes first: a crash between the texts and
 * the restart would otherwise leave the old process under the new definition for good. */
static int renew_text(struct arena *a, const struct paths *p, const char *name, const char *text,
                      mode_t mode, struct error *err)
{
    char *path = arena_printf(a, "%s/%s", p->definition, name);
    struct error local;
    char *was;

    if (file_read(a, path, DEFINITION_MAX_BYTES, &was, NULL, &local) == 0) {
        if (text_eq(was, text))
            return 0;
    } else if (local.code != &E_NOT_FOUND) {
        *err = local;
        return -1;
    }
    if (file_replace(arena_printf(a, "%s/restart", p->definition), "", 0, 0600, err))
        return -1;
    return file_replace(path, text, strlen(text), mode, err);
}

static int renew(struct arena *a, const struct paths *p, const struct service *service,
                 struct error *err)
{
    char *mark = arena_printf(a, "%s/restart", p->definition);

    if (file_mkdirs(arena_printf(a, "%s/data", p->definition), 0700, err) ||
        renew_text(a, p, "run", run_text(a, service), 0700, err) ||
        renew_text(a, p, "data/config", service->config, 0600, err) ||
        renew_text(a, p, "notification-fd", "3\n", 0600, err) ||
        renew_text(a, p, "timeout-kill", TIMEOUT_KILL, 0600, err))
        return -1;
    if (!file_exists(mark))
        return 0;
    if (is_supervised(a, p) && svc(a, p, "-ru", err))
        return -1;
    if (unlink(mark) < 0 && errno != ENOENT)
        return fail_errno(err, "unlink %s", mark);
    return 0;
}

static int link_entry(struct arena *a, const struct paths *p, const char *name, struct error *err)
{
    char *target = arena_printf(a, "../services/%s", name);
    char now[512];
    ssize_t n = readlink(p->entry, now, sizeof(now) - 1);

    if (n >= 0) {
        now[n] = '\0';
        if (text_eq(now, target))
            return 0;
        if (unlink(p->entry) < 0 && errno != ENOENT)
            return fail_errno(err, "unlink %s", p->entry);
    }
    if (symlink(target, p->entry) < 0 && errno != EEXIST)
        return fail_errno(err, "link %s", p->entry);
    return file_fsync_dir(p->scan, err);
}

static int s6_ensure(struct control *control, struct arena *a, const struct service *service,
                     struct error *err)
{
    struct paths p;
    int is_new = 0;

    if (find_paths(control, a, service->name, &p, err))
        return -1;
    if (!file_exists(p.definition)) {
        is_new = define(a, &p, service, err);
        if (is_new < 0)
            return wrap(err, "define service");
    }
    if (!is_new && renew(a, &p, service, err))
        return wrap(err, "renew service");
    if (link_entry(a, &p, service->name, err))
        return -1;
    return is_supervised(a, &p) ? 0 : svscanctl(a, &p, "-a", err);
}

/* Health --------------------------------------------------------------------------------------- */

/* 1 ready, 0 not within ms, or s6-supervise not listening yet. */
static int svwait_ready(struct arena *a, const struct paths *p, int64_t ms, struct error *err)
{
    char *limit = arena_printf(a, "%lld", (long long)ms);
    const char *argv[] = { "s6-svwait", "-U", "-t", limit, "--", p->definition, NULL };
    int code;

    if (proc_run(a, argv, ms + COMMAND_MS, &code, NULL, err))
        return -1;
    return code == 0;
}

/* What s6-svstat knows, without waiting: the cheap look at a service that has been up for long. */
static int is_ready_now(struct arena *a, const struct paths *p, struct error *err)
{
    const char *argv[] = { "s6-svstat", "-o", "ready", "--", p->definition, NULL };
    char *output;
    int code;

    if (proc_run(a, argv, COMMAND_MS, &code, &output, err))
        return -1;
    return code == 0 && text_starts(output, "true");
}

static int s6_health(struct control *control, struct arena *a, const char *name, int wait_ms,
                     enum service_health *ret, struct error *err)
{
    int64_t end = clock_mono_ms() + wait_ms, left;
    struct paths p;

    if (find_paths(control, a, name, &p, err))
        return -1;
    if (!file_exists(p.definition) || !file_exists(p.entry)) {
        *ret = SERVICE_ABSENT;
        return 0;
    }
    int is_ready = is_supervised(a, &p) ? is_ready_now(a, &p, err) : 0;
    while (is_ready == 0 && (left = end - clock_mono_ms()) > 0) {
        if (is_supervised(a, &p))
            is_ready = svwait_ready(a, &p, left, err);
        if (is_ready == 0)
            clock_sleep_ms(2);
    }
    *ret = is_ready ? SERVICE_READY : SERVICE_STARTING;
    return is_ready < 0 ? -1 : 0;
}

/* Removal -------------------------------------------------------------------------------------- */

/* Waits until no s6-supervise listens. One that svscan was just starting may show up a moment
 * later, so it must stay away for a few looks. It ends only after its process has. */
static int wait_gone(struct arena *a, const struct paths *p, struct error *err)
{
    int64_t end = clock_mono_ms() + STOP_MS;
    struct error ignored;
    int looks = 0;

    while (looks < 3) {
        if (!is_supervised(a, p))
            looks++;
        else if (looks > 0)
            looks = svc(a, p, "-xd", &ignored) ? looks : 0;
        if (clock_mono_ms() > end)
            return fail_cause(err, &E_TIMEOUT, "%s did not stop within %d ms", p->definition,
                              STOP_MS);
        clock_sleep_ms(5);
    }
    return 0;
}

static int stop(struct arena *a, const struct paths *p, bool was_linked, struct error *err)
{
    bool is_running = is_supervised(a, p);
    struct error told;

    if (!was_linked && !is_running)
        return 0;
    /* -n: s6-svscan ends what has no entry any more, and does not start it again. Without an
     * s6-svscan nothing is started again either, and s6-svc alone stops what still runs. */
    int is_told = svscanctl(a, p, "-an", &told);
    if (is_supervised(a, p) && svc(a, p, "-xd", &told) && is_supervised(a, p) && is_told < 0) {
        *err = told;
        return -1;
    }
    return wait_gone(a, p, err);
}

static int s6_remove(struct control *control, struct arena *a, const char *name, struct error *err)
{
    bool was_linked = true;
    struct paths p;

    if (find_paths(control, a, name, &p, err))
        return -1;
    if (unlink(p.entry) < 0) {
        if (errno != ENOENT)
            return fail_errno(err, "unlink %s", p.entry);
        was_linked = false;
    }
    if (was_linked && file_fsync_dir(p.scan, err))
        return -1;
    if (stop(a, &p, was_linked, err))
        return wrap(err, "stop service");
    if (file_remove_tree(aside_path(a, &p), err))
        return -1;
    return file_remove_tree(p.definition, err);
}

/* Listing -------------------------------------------------------------------------------------- */

struct names {
    struct arena *arena;
    char **items;
    size_t count;
    size_t cap;
};

static void add_name(struct names *names, const char *name)
{
    if (names->count == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 64;
        char **items = arena_array(names->arena, cap, sizeof(*items));

        if (names->count > 0)
            memcpy(items, names->items, names->count * sizeof(*items));
        names->items = items;
        names->cap = cap;
    }
    names->items[names->count++] = arena_strdup(names->arena, name);
}

/* Visits a directory's entries that are old enough: all definitions, or the links to none. */
static int scan_dir(const char *path, int min_age_s, bool is_definitions, struct names *names,
                    struct error *err)
{
    _cleanup_(closedirp) DIR *dir = opendir(path);
    struct dirent *entry;
    struct stat st;

    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "open %s", path);
    while ((entry = readdir(dir)) && names->count < NAMES_MAX) {
        bool is_debris = is_definitions && text_starts(entry->d_name, ".new-");

        if (entry->d_name[0] == '.' && !is_debris)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue; /* gone meanwhile */
        if (!is_definitions && faccessat(dirfd(dir), entry->d_name, F_OK, 0) == 0)
            continue;
        if (clock_wall_s() - st.st_mtime < (is_debris ? DEBRIS_AGE_S : min_age_s))
            continue;
        if (!is_debris)
            add_name(names, entry->d_name);
        else if (file_remove_tree(arena_printf(names->arena, "%s/%s", path, entry->d_name), err))
            return -1;
    }
    return 0;
}

static int s6_list(struct control *control, struct arena *a, int min_age_s, char ***ret_names,
                   size_t *ret_count, struct error *err)
{
    const char *dir = control->settings->supervisor_dir;
    struct names names = { .arena = a };

    if (scan_dir(arena_printf(a, "%s/services", dir), min_age_s, true, &names, err) ||
        scan_dir(arena_printf(a, "%s/scan", dir), min_age_s, false, &names, err))
        return -1;
    *ret_names = names.items;
    *ret_count = names.count;
    return 0;
}

const struct supervisor_driver s6_driver = {
    .name = "s6",
    .ensure = s6_ensure,
    .health = s6_health,
    .remove = s6_remove,
    .list = s6_list,
};

const struct supervisor_driver *supervisor_find(const char *name)
{
    return text_eq(name, s6_driver.name) ? &s6_driver : NULL;
}
