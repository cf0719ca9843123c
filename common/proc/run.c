/* Runs one program to its end. The child leads a process group of its own, so that the deadline
 * ends what it started as well; it gets no descriptor but /dev/null and the output pipe, default
 * signal handling and an empty signal mask. */
#include "common/proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"

#define OUTPUT_MAX (64u << 10)
/* How much of the end of a failed program's output goes into the cause. */
#define CAUSE_TAIL 800

extern char **environ;

struct child {
    pid_t pid;
    int pidfd;
    int out; /* read end of the output pipe; -1 after end of file */
    char *output;
    size_t len;
};

static int set_actions(posix_spawn_file_actions_t *actions, int out)
{
    int rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);

    rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, out, 1);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, out, 2);
    return rc ? rc : posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

static int set_attributes(posix_spawnattr_t *attr)
{
    sigset_t all, none;
    int rc;

    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGKILL);
    (void)sigdelset(&all, SIGSTOP);
    (void)sigemptyset(&none);
    rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                            POSIX_SPAWN_SETSIGMASK);
    rc = rc ? rc : posix_spawnattr_setpgroup(attr, 0);
    rc = rc ? rc : posix_spawnattr_setsigdefault(attr, &all);
    return rc ? rc : posix_spawnattr_setsigmask(attr, &none);
}

/* An errno value. */
static int spawn(const char *const argv[], int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc)
        return rc;
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        rc = set_actions(&actions, out);
        rc = rc ? rc : set_attributes(&attr);
        rc = rc ? rc
                : posix_spawnp(ret_pid, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv,
                               environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int start(struct child *c, const char *const argv[], struct error *err)
{
    _cleanup_(closep) int in = -1, out = -1;
    int pipe_fds[2], rc;

    if (pipe2(pipe_fds, O_CLOEXEC))
        return fail_errno(err, "run %s: pipe", argv[0]);
    in = pipe_fds[0];
    out = pipe_fds[1];
    /* Only our end: the child's output must block, not fail. */
    if (fcntl(in, F_SETFL, O_NONBLOCK))
        return fail_errno(err, "run %s: pipe", argv[0]);
    rc = spawn(argv, out, &c->pid);
    if (rc) {
        errno = rc;
        return fail_errno(err, "run %s", argv[0]);
    }
    c->out = take_fd(&in);
    return 0;
}

/* Takes what has come; what is over the cap is read and dropped, so the child never blocks. */
static void drain(struct child *c)
{
    char scrap[4096];

    while (c->out >= 0) {
        bool is_full = c->len == OUTPUT_MAX;
        ssize_t n = is_full ? read(c->out, scrap, sizeof(scrap))
                            : read(c->out, c->output + c->len, OUTPUT_MAX - c->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            (void)close(c->out);
            c->out = -1;
            return;
        }
        if (!is_full)
            c->len += (size_t)n;
    }
}

/* 1 the child ended, 0 its time is over, -1 failed. */
static int watch(struct child *c, int64_t deadline_ms, struct error *err)
{
    for (;;) {
        struct pollfd fds[] = { { .fd = c->pidfd, .events = POLLIN },
                                { .fd = c->out, .events = POLLIN } };
        int64_t left = deadline_ms - clock_mono_ms();

        if (left <= 0)
            return 0;
        if (poll(fds, 2, left > INT32_MAX ? INT32_MAX : (int)left) < 0 && errno != EINTR)
            return fail_errno(err, "poll");
        drain(c);
        if (fds[0].revents)
            return 1;
    }
}

static int reap(const struct child *c, const char *name, int *ret_exit, struct error *err)
{
    int status;

    while (waitpid(c->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return fail_errno(err, "wait for %s", name);
    }
    *ret_exit = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return 0;
}

int proc_run(struct arena *a, const char *const argv[], int64_t timeout_ms, int *ret_exit,
             char **ret_output, struct error *err)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    struct child c = { .pidfd = -1, .out = -1 };
    struct error ignored;
    int watched, status;

    c.output = arena_alloc(a, OUTPUT_MAX + 1);
    if (start(&c, argv, err))
        return -1;
    /* Not reaped yet, so the number is still this child's. */
    c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
    watched = c.pidfd < 0 ? fail_errno(err, "pidfd_open") : watch(&c, deadline, err);
    if (watched == 1)
        drain(&c);
    else
        (void)kill(-c.pid, SIGKILL);
    closep(&c.out);
    closep(&c.pidfd);
    if (watched != 1) {
        (void)reap(&c, argv[0], &status, &ignored);
        return watched < 0 ? wrap(err, "run %s", argv[0])
                           : fail_cause(err, &E_TIMEOUT, "%s ran longer than %lld ms", argv[0],
                                        (long long)timeout_ms);
    }
    if (reap(&c, argv[0], ret_exit, err))
        return -1;
    if (ret_output)
        *ret_output = c.output;
    return 0;
}

int proc_must(struct arena *a, const char *const argv[], int64_t timeout_ms, struct error *err)
{
    char *output;
    size_t len;
    int status;

    if (proc_run(a, argv, timeout_ms, &status, &output, err))
        return -1;
    if (status == 0)
        return 0;
    len = strlen(output);
    return fail_cause(err, &E_INTERNAL, "%s ended with %d: %s", argv[0], status,
                      len > CAUSE_TAIL ? output + len - CAUSE_TAIL : output);
}
