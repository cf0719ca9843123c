/* common/proc: exit codes, output, deadlines, what children inherit, stop and readiness. */
/* links: portolan_proc */
#include "common/proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

#define ARGV(...)   ((const char *const[]){ __VA_ARGS__, NULL })
#define SHELL(text) ARGV("sh", "-c", text)

static void test_exit_and_output(void **state)
{
    static const struct {
        const char *script;
        int status;
        const char *output;
    } cases[] = {
        { "exit 0", 0, "" },
        { "exit 7", 7, "" },
        { "echo out; echo err >&2; echo out", 0, "out\nerr\nout\n" },
        { "kill -9 $$", 128 + 9, "" },
        { "kill -TERM $$", 128 + 15, "" },
        { "cat; echo end", 0, "end\n" },
        { "printf 'no newline'", 0, "no newline" },
        { "exec 1>&- 2>&-; exit 3", 3, "" },
    };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;
    char *output;
    int status;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(proc_run(a, SHELL(cases[i].script), 5000, &status, &output, &err), 0);
        assert_int_equal(status, cases[i].status);
        assert_string_equal(output, cases[i].output);
    }
    assert_int_equal(proc_run(a, ARGV("true"), 5000, &status, NULL, &err), 0);
}

static void test_arguments_are_not_interpreted(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;
    char *output;
    int status;

    (void)state;
    assert_int_equal(
        proc_run(a, ARGV("printf", "%s|", "$(id)", "a b", "", "'"), 5000, &status, &output, &err),
        0);
    assert_string_equal(output, "$(id)|a b||'|");
}

static void test_output_is_cut(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;
    char *output;
    int status;

    (void)state;
    assert_int_equal(proc_run(a, SHELL("head -c 3000000 /dev/zero | tr '\\0' x; exit 4"), 20000,
                              &status, &output, &err),
                     0);
    assert_int_equal(status, 4);
    assert_int_equal(strlen(output), 64 << 10);
}

static void test_missing_program(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;
    int status;

    (void)state;
    assert_int_equal(proc_run(a, ARGV("no-such-program-here"), 5000, &status, NULL, &err), -1);
    assert_ptr_equal(err.code, &E_INTERNAL);
    assert_non_null(strstr(err.cause, "no-such-program-here"));
}

static void test_must(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;

    (void)state;
    assert_int_equal(proc_must(a, ARGV("true"), 5000, &err), 0);
    assert_int_equal(proc_must(a, SHELL("echo it is broken; exit 2"), 5000, &err), -1);
    assert_non_null(strstr(err.cause, "sh ended with 2: it is broken"));
    assert_null(strstr(err.message, "broken"));
    /* Of a long output the end is kept: that is where programs say why. */
    assert_int_equal(proc_must(a, SHELL("seq 10000; echo the reason; exit 1"), 5000, &err), -1);
    assert_non_null(strstr(err.cause, "the reason"));
}

/* The whole group is killed, and neither the zombie nor the grandchild is left. */
static void test_deadline(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    char path[] = "/tmp/portolan-proc-XXXXXX";
    int fd = mkstemp(path), status, pid = 0;
    int64_t began = clock_mono_ms();
    const char *script =
        arena_printf(a, "trap '' TERM INT; sleep 60 & echo $! > %s; wait; sleep 60", path);
    struct error err;
    FILE *f;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(proc_run(a, SHELL(script), 500, &status, NULL, &err), -1);
    assert_ptr_equal(err.code, &E_TIMEOUT);
    assert_true(clock_mono_ms() - began < 4000);
    f = fdopen(fd, "r");
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    assert_true(pid > 1);
    fclose(f);
    /* Someone else reaps the grandchild. */
    for (int i = 0; i < 200; i++) {
        char stat[64] = "", name[64];

        (void)snprintf(name, sizeof(name), "/proc/%d/stat", pid);
        f = fopen(name, "r");
        if (f) {
            assert_non_null(fgets(stat, sizeof(stat), f));
            fclose(f);
        }
        if (!f || strstr(stat, ") Z "))
            pid = 0;
        if (!pid)
            break;
        clock_sleep_ms(10);
    }
    assert_int_equal(pid, 0);
    unlink(path);
}

/* A daemon that keeps the pipe open does not keep the caller. */
static void test_left_behind_child(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    int64_t began = clock_mono_ms();
    struct error err;
    char *output;
    int status;

    (void)state;
    assert_int_equal(proc_run(a, SHELL("sleep 3 & echo started"), 10000, &status, &output, &err),
                     0);
    assert_string_equal(output, "started\n");
    assert_true(clock_mono_ms() - began < 2500);
}

static void test_children_inherit_nothing(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    int fd = open("/dev/null", O_RDONLY); /* not close-on-exec */
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    struct error err;
    sigset_t mask;
    char *output;
    int status;

    (void)state;
    assert_true(fd > 2);
    assert_int_equal(sigaction(SIGPIPE, &ignore, &before), 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &mask, NULL), 0);
    assert_int_equal(proc_run(a,
                              SHELL("ls /proc/$$/fd; grep ^SigBlk /proc/self/status;"
                                    "kill -PIPE $$"),
                              5000, &status, &output, &err),
                     0);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &mask, NULL), 0);
    assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
    close(fd);
    assert_string_equal(output, "0\n1\n2\nSigBlk:\t0000000000000000\n");
    assert_int_equal(status, 128 + SIGPIPE);
}

static void *run_many(void *ctx)
{
    intptr_t number = (intptr_t)ctx, bad = 0;

    for (int i = 0; i < 20; i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        const char *want = arena_printf(a, "%ld.%d", (long)number, i);
        struct error err;
        char *output;
        int status;

        if (proc_run(a, ARGV("printf", "%s", want), 10000, &status, &output, &err) || status ||
            strcmp(output, want) != 0)
            bad++;
    }
    return (void *)bad;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    void *bad;

    (void)state;
    for (intptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, (void *)i), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
}

static void test_stop_fd(void **state)
{
    static const int signals[] = { SIGTERM, SIGINT };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct pollfd p = { .events = POLLIN };
        int closed[2];

        assert_int_equal(proc_stop_fd(&p.fd, &err), 0);
        assert_true(fcntl(p.fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(poll(&p, 1, 0), 0);
        assert_int_equal(pipe(closed), 0);
        close(closed[0]);
        assert_int_equal(write(closed[1], "x", 1), -1); /* SIGPIPE would end us */
        assert_int_equal(errno, EPIPE);
        close(closed[1]);
        assert_int_equal(kill(getpid(), signals[i]), 0);
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_int_equal(poll(&p, 1, 0), 1); /* stays readable for every waiter */
        char buffer[256];

        assert_true(read(p.fd, buffer, sizeof(buffer)) > 0);
        close(p.fd);
    }
}

static void test_notify_ready(void **state)
{
    char got[8];
    int fds[2];

    (void)state;
    proc_notify_ready(-1);
    assert_int_equal(pipe(fds), 0);
    proc_notify_ready(fds[1]);
    assert_int_equal(read(fds[0], got, sizeof(got)), 1);
    assert_int_equal(got[0], '\n');
    assert_int_equal(read(fds[0], got, sizeof(got)), 0);
    close(fds[0]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_and_output),
        cmocka_unit_test(test_arguments_are_not_interpreted),
        cmocka_unit_test(test_output_is_cut),
        cmocka_unit_test(test_missing_program),
        cmocka_unit_test(test_must),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_left_behind_child),
        cmocka_unit_test(test_children_inherit_nothing),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_stop_fd),
        cmocka_unit_test(test_notify_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
