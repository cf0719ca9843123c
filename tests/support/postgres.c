/* Starts and stops the private cluster. PostgreSQL refuses to run as root, so root becomes the
 * user postgres in the child. */
#include "tests/support/postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"

#define ARGS_MAX     64
#define START_MAX_MS 30000
#define CHILDREN_MAX 256

struct test_postgres {
    char dir[64];
    char bin[128];
    char conninfo[256];
    const char *const *settings;
    struct passwd *user; /* NULL: stay who we are */
    pid_t pid;           /* 0: not running */
    pid_t owner;         /* the process that stops it */
};

static struct test_postgres *running; /* one per program is enough: for atexit */

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "test postgres: %s: %s\n", what, strerror(errno));
    abort();
}

static pid_t spawn(const struct test_postgres *p, char **argv)
{
    char path[256];
    pid_t pid;

    (void)snprintf(path, sizeof(path), "%s/%s", p->bin, argv[0]);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    if (p->user && (setgroups(0, NULL) || setgid(p->user->pw_gid) || setuid(p->user->pw_uid)))
        _exit(126);
    /* A test that aborts must not leave its server behind. */
    (void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
    (void)setpgid(0, 0);
    if (chdir(p->dir))
        _exit(126);
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);

    if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    argv[0] = path; /* where these programs look for each other */
    execv(path, argv);
    _exit(127);
}

static void find_binaries(struct test_postgres *p)
{
    glob_t found;

    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) || found.gl_pathc == 0)
        die("PostgreSQL is not installed");
    (void)snprintf(p->bin, sizeof(p->bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
    *strrchr(p->bin, '/') = '\0';
    globfree(&found);
}

static void init(struct test_postgres *p)
{
    char data[96];
    char *argv[] = { "initdb", "-D", data,   "-U",         "portolan",          "-A", "trust",
                     "-N",     "-E", "UTF8", "--locale=C", "--no-instructions", NULL };
    int status;

    (void)snprintf(data, sizeof(data), "%s/data", p->dir);
    if (waitpid(spawn(p, argv), &status, 0) < 0 || status != 0)
        die("initdb failed");
}

/* The eighth line of postmaster.pid says "ready". */
static bool is_ready(const struct test_postgres *p)
{
    _cleanup_(fclosep) FILE *f = NULL;
    char path[96], line[256];
    int number = 0;

    (void)snprintf(path, sizeof(path), "%s/data/postmaster.pid", p->dir);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (++number == 8)
            return strncmp(line, "ready", 5) == 0;
    }
    return false;
}

void test_postgres_start(struct test_postgres *p)
{
    char *argv[ARGS_MAX] = { "postgres", "-D", "data", "-k", p->dir, "-h", "", "-F" };
    int64_t deadline = clock_mono_ms() + START_MAX_MS;
    size_t n = 8;
    char path[96];

    for (size_t i = 0; p->settings && p->settings[i] && n + 3 < ARGS_MAX; i++) {
        argv[n++] = "-c";
        argv[n++] = (char *)(uintptr_t)p->settings[i];
    }
    (void)snprintf(path, sizeof(path), "%s/data/postmaster.pid", p->dir);
    (void)unlink(path);
    p->pid = spawn(p, argv);
    while (!is_ready(p)) {
        if (waitpid(p->pid, NULL, WNOHANG) != 0 || clock_mono_ms() > deadline)
            die("the server did not start");
        clock_sleep_ms(20);
    }
}

static void end(struct test_postgres *p, int signal_number)
{
    if (!p->pid)
        return;
    if (kill(p->pid, signal_number) || waitpid(p->pid, NULL, 0) < 0)
        die("stop");
    p->pid = 0;
}

void test_postgres_stop(struct test_postgres *p)
{
    end(p, SIGINT);
}

void test_postgres_kill(struct test_postgres *p)
{
    end(p, SIGQUIT);
}

/* Sessions are children of the postmaster in groups of their own. */
static void signal_all(const struct test_postgres *p, int signal_number)
{
    char path[64];
    _cleanup_(fclosep) FILE *f = NULL;
    int child;

    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", p->pid, p->pid);
    f = fopen(path, "re");
    if (!f)
        die("children");
    if (kill(p->pid, signal_number))
        die("kill");
    while (fscanf(f, "%d", &child) == 1)
        (void)kill(child, signal_number);
}

void test_postgres_freeze(struct test_postgres *p)
{
    signal_all(p, SIGSTOP);
}

void test_postgres_thaw(struct test_postgres *p)
{
    signal_all(p, SIGCONT);
}

static void stop_at_exit(void)
{
    if (running && running->owner == getpid())
        test_postgres_free(running);
}

struct test_postgres *test_postgres_new(const char *const *settings)
{
    struct test_postgres *p = calloc(1, sizeof(*p));

    if (!p)
        die("memory");
    p->settings = settings;
    p->owner = getpid();
    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/portolan-pg-XXXXXX");
    if (!mkdtemp(p->dir))
        die("temporary directory");
    if (geteuid() == 0) {
        p->user = getpwnam("postgres");
        if (!p->user || chown(p->dir, p->user->pw_uid, p->user->pw_gid))
            die("user postgres");
    }
    find_binaries(p);
    init(p);
    running = p;
    (void)atexit(stop_at_exit);
    test_postgres_start(p);
    return p;
}

void test_postgres_free(struct test_postgres *p)
{
    struct error err;

    if (!p)
        return;
    running = NULL;
    end(p, SIGQUIT);
    if (file_remove_tree(p->dir, &err))
        (void)fprintf(stderr, "test postgres: %s\n", err.cause);
    free(p);
}

const char *test_postgres_conninfo(struct test_postgres *p, const char *dbname)
{
    (void)snprintf(p->conninfo, sizeof(p->conninfo), "host=%s user=portolan dbname=%s", p->dir,
                   dbname);
    return p->conninfo;
}
