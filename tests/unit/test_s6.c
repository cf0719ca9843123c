/* The s6 driver against a real s6-svscan in a temporary directory, with small shell programs as
 * services. */
/* links: portolan_control */
#include "controlplane/provision/supervisor.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "controlplane/control.h"

#include <cmocka.h>

#define NAME "dataplane-11111111-2222-4333-8444-555555555555-eastus"

struct fixture {
    char dir[64];
    struct control_settings settings;
    struct control control;
    struct arena *a;
    struct error err;
    pid_t svscan;
    char *program;       /* gets ready, notes its pid in its working directory */
    char *slow_program;  /* never gets ready */
    char *deaf_program;  /* is deaf to SIGTERM: ends by timeout-kill */
};

static void must(int rc, const struct error *err)
{
    if (rc != 0)
        fail_msg("%s (%s)", err->message, err->cause);
}

static char *write_program(struct fixture *f, const char *name, const char *body)
{
    char *path = arena_printf(f->a, "%s/it's %s", f->dir, name);
    char *text = arena_printf(f->a, "#!/bin/sh\n%s", body);

    must(file_replace(path, text, strlen(text), 0700, &f->err), &f->err);
    return path;
}

static void start_svscan(struct fixture *f)
{
    char *scan = arena_printf(f->a, "%s/scan", f->dir);
    char *control = arena_printf(f->a, "%s/.s6-svscan/control", scan);

    f->svscan = fork();
    assert_true(f->svscan >= 0);
    if (f->svscan == 0) {
        (void)setsid();
        (void)execlp("s6-svscan", "s6-svscan", "-c", "100", "-t", "0", scan, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && !file_exists(control); i++)
        clock_sleep_ms(10);
    assert_true(file_exists(control));
    clock_sleep_ms(50);
}

static void stop_svscan(struct fixture *f)
{
    if (f->svscan <= 0)
        return;
    (void)kill(f->svscan, SIGTERM);
    (void)waitpid(f->svscan, NULL, 0);
    f->svscan = 0;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/portolan-s6-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->a = arena_new();
    f->settings.supervisor_dir = f->dir;
    f->control.settings = &f->settings;
    must(file_mkdirs(arena_printf(f->a, "%s/scan", f->dir), 0700, &f->err), &f->err);
    must(file_mkdirs(arena_printf(f->a, "%s/services", f->dir), 0700, &f->err), &f->err);
    f->program = write_program(f, "quick",
                               "cp \"$2\" seen\necho $$ >pid.new\nmv pid.new pid\n"
                               "echo >&3\nexec 3>&-\nexec sleep 1000\n");
    f->slow_program = write_program(f, "slow", "exec sleep 1000\n");
    f->deaf_program = write_program(f, "deaf",
                                    "trap '' TERM\necho $$ >pid\necho >&3\nexec 3>&-\n"
                                    "exec sleep 1000\n");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    stop_svscan(f);
    must(file_remove_tree(f->dir, &f->err), &f->err);
    arena_free(f->a);
    free(f);
    return 0;
}

static struct service service_of(struct fixture *f, const char *program, const char *config)
{
    (void)f;
    return (struct service){ .name = NAME, .program = program, .config = config };
}

static void ensure(struct fixture *f, const char *program, const char *config)
{
    struct service s = service_of(f, program, config);

    must(s6_driver.ensure(&f->control, f->a, &s, &f->err), &f->err);
}

static enum service_health health(struct fixture *f, int wait_ms)
{
    enum service_health h;

    must(s6_driver.health(&f->control, f->a, NAME, wait_ms, &h, &f->err), &f->err);
    return h;
}

static void remove_service(struct fixture *f)
{
    must(s6_driver.remove(&f->control, f->a, NAME, &f->err), &f->err);
}

static char *in_service(struct fixture *f, const char *name)
{
    return arena_printf(f->a, "%s/services/%s/%s", f->dir, NAME, name);
}

static char *read_text(struct fixture *f, const char *name)
{
    char *text;

    must(file_read(f->a, in_service(f, name), 4096, &text, NULL, &f->err), &f->err);
    return text;
}

static pid_t pid_of(struct fixture *f)
{
    return (pid_t)strtol(read_text(f, "pid"), NULL, 10);
}

static void assert_nothing_left(struct fixture *f)
{
    assert_false(file_exists(in_service(f, "")));
    assert_int_equal(access(arena_printf(f->a, "%s/scan/%s", f->dir, NAME), F_OK), -1);
}

static void test_life(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

    start_svscan(f);
    assert_int_equal(health(f, 0), SERVICE_ABSENT);
    ensure(f, f->program, "a = 1\n");
    assert_int_equal(health(f, 5000), SERVICE_READY);
    assert_string_equal(read_text(f, "seen"), "a = 1\n");
    pid = pid_of(f);

    ensure(f, f->program, "a = 1\n"); /* unchanged: the process is left alone */
    assert_int_equal(health(f, 5000), SERVICE_READY);
    assert_int_equal(pid_of(f), pid);

    remove_service(f);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_nothing_left(f);
    assert_int_equal(health(f, 0), SERVICE_ABSENT);
    remove_service(f); /* absent is success */
}

static void test_kill_is_repaired(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

    start_svscan(f);
    ensure(f, f->program, "a = 1\n");
    assert_int_equal(health(f, 5000), SERVICE_READY);
    pid = pid_of(f);
    assert_int_equal(kill(pid, SIGKILL), 0);
    for (int i = 0; i < 300 && pid_of(f) == pid; i++)
        clock_sleep_ms(10);
    assert_int_not_equal(pid_of(f), pid);
    remove_service(f);
}

static void test_change_restarts(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    pid_t pid;

    start_svscan(f);
    ensure(f, f->program, "a = 1\n");
    assert_int_equal(health(f, 5000), SERVICE_READY);
    pid = pid_of(f);
    assert_int_equal(stat(in_service(f, "data/config"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    ensure(f, f->program, "a = 2\n");
    for (int i = 0; i < 300 && text_eq(read_text(f, "seen"), "a = 1\n"); i++)
        clock_sleep_ms(10);
    assert_string_equal(read_text(f, "seen"), "a = 2\n");
    assert_int_equal(health(f, 5000), SERVICE_READY);
    assert_int_not_equal(pid_of(f), pid);
    assert_false(file_exists(in_service(f, "restart")));
    remove_service(f);
}

/* A control plane that died between writing a changed definition and the restart. */
static void test_interrupted_change(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

    start_svscan(f);
    ensure(f, f->program, "a = 1\n");
    assert_int_equal(health(f, 5000), SERVICE_READY);
    pid = pid_of(f);
    must(file_replace(in_service(f, "restart"), "", 0, 0600, &f->err), &f->err);
    must(file_replace(in_service(f, "data/config"), "a = 3\n", 6, 0600, &f->err), &f->err);

    ensure(f, f->program, "a = 3\n");
    for (int i = 0; i < 300 && pid_of(f) == pid; i++)
        clock_sleep_ms(10);
    assert_string_equal(read_text(f, "seen"), "a = 3\n");
    assert_false(file_exists(in_service(f, "restart")));
    remove_service(f);
}

/* A control plane that died while it built a definition aside. */
static void test_interrupted_definition(void **state)
{
    struct fixture *f = *state;
    char *aside = arena_printf(f->a, "%s/services/.new-%s", f->dir, NAME);

    start_svscan(f);
    must(file_mkdirs(arena_printf(f->a, "%s/data", aside), 0700, &f->err), &f->err);
    ensure(f, f->program, "a = 1\n");
    assert_false(file_exists(aside));
    assert_int_equal(health(f, 5000), SERVICE_READY);
    must(file_mkdirs(arena_printf(f->a, "%s/data", aside), 0700, &f->err), &f->err);
    remove_service(f);
    assert_false(file_exists(aside));
    assert_nothing_left(f);
}

static void test_not_ready(void **state)
{
    struct fixture *f = *state;

    start_svscan(f);
    ensure(f, f->slow_program, "a = 1\n");
    assert_int_equal(health(f, 300), SERVICE_STARTING);
    remove_service(f);
    assert_nothing_left(f);
}

/* remove() returns only when the process is gone, however long it takes to leave. */
static void test_slow_stop(void **state)
{
    struct fixture *f = *state;
    int64_t began;
    pid_t pid;

    start_svscan(f);
    ensure(f, f->deaf_program, "a = 1\n");
    assert_int_equal(health(f, 5000), SERVICE_READY);
    pid = pid_of(f);
    must(file_replace(in_service(f, "timeout-kill"), "1500\n", 5, 0600, &f->err), &f->err);
    began = clock_mono_ms();
    remove_service(f);
    assert_true(clock_mono_ms() - began >= 300);
    assert_int_equal(kill(pid, 0), -1);
    assert_nothing_left(f);
}

static void test_parts_missing(void **state)
{
    struct fixture *f = *state;

    start_svscan(f);
    /* Only a link is left of an earlier removal. */
    assert_int_equal(symlink("../services/" NAME,
                             arena_printf(f->a, "%s/scan/%s", f->dir, NAME)), 0);
    remove_service(f);
    assert_nothing_left(f);
    /* Only a definition. */
    ensure(f, f->program, "a = 1\n");
    assert_int_equal(health(f, 5000), SERVICE_READY);
    pid_t pid = pid_of(f);
    assert_int_equal(unlink(arena_printf(f->a, "%s/scan/%s", f->dir, NAME)), 0);
    remove_service(f);
    assert_int_equal(kill(pid, 0), -1);
    assert_nothing_left(f);
    /* A definition that lost a file is completed. */
    ensure(f, f->program, "a = 1\n");
    assert_int_equal(unlink(in_service(f, "data/config")), 0);
    ensure(f, f->program, "a = 1\n");
    assert_string_equal(read_text(f, "data/config"), "a = 1\n");
    remove_service(f);
}

/* Created and removed at once, before s6-supervise had a chance to start. */
static void test_remove_races_start(void **state)
{
    struct fixture *f = *state;

    start_svscan(f);
    for (int i = 0; i < 10; i++) {
        ensure(f, f->program, "a = 1\n");
        clock_sleep_ms(i);
        remove_service(f);
        assert_nothing_left(f);
    }
    clock_sleep_ms(200);
    assert_nothing_left(f);
}

static void test_no_svscan(void **state)
{
    struct fixture *f = *state;
    struct service s = service_of(f, f->program, "a = 1\n");

    assert_int_equal(s6_driver.ensure(&f->control, f->a, &s, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    assert_int_equal(health(f, 0), SERVICE_STARTING);
    /* It is run as soon as there is one. */
    start_svscan(f);
    ensure(f, f->program, "a = 1\n");
    assert_int_equal(health(f, 5000), SERVICE_READY);
    remove_service(f);
    assert_nothing_left(f);
}

static void test_list(void **state)
{
    struct fixture *f = *state;
    size_t count;
    char **names;

    start_svscan(f);
    ensure(f, f->program, "a = 1\n");
    assert_int_equal(symlink("../services/gone", arena_printf(f->a, "%s/scan/gone", f->dir)), 0);
    must(s6_driver.list(&f->control, f->a, 0, &names, &count, &f->err), &f->err);
    assert_int_equal(count, 2);
    assert_string_equal(names[0], NAME);
    assert_string_equal(names[1], "gone");
    must(s6_driver.list(&f->control, f->a, 3600, &names, &count, &f->err), &f->err);
    assert_int_equal(count, 0);
    remove_service(f);
}

static void test_bad_names(void **state)
{
    static const char *const names[] = { "", "../x", "a/b", "A", "-x", "a b", "." };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct service s = { .name = names[i], .program = f->program, .config = "" };

        assert_int_equal(s6_driver.ensure(&f->control, f->a, &s, &f->err), -1);
        assert_int_equal(s6_driver.remove(&f->control, f->a, names[i], &f->err), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill_is_repaired, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_change_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_interrupted_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_interrupted_definition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_ready, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_remove_races_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_svscan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_names, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
