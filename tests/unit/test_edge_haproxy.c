/* The HAProxy driver: editing map files, and a real HAProxy that answers by what it was told. */
/* links: portolan_control */
#include "controlplane/provision/edge.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "controlplane/control.h"

#include <cmocka.h>

struct fixture {
    char dir[64];
    struct control_settings settings;
    struct control control;
    struct arena *a;
    struct error err;
    pid_t haproxy;
};

static void must(int rc, const struct error *err)
{
    if (rc != 0)
        fail_msg("%s (%s)", err->message, err->cause);
}

static void test_edit(void **state)
{
    static const struct {
        const char *was, *key, *value, *now;
    } cases[] = {
        { "", "a", "1", "a 1\n" },
        { "a 1\n", "a", "1", "a 1\n" },
        { "a 1\n", "a", "2", "a 2\n" },
        { "a 1\nb 2\n", "a", NULL, "b 2\n" },
        { "a 1\nb 2\n", "c", NULL, "a 1\nb 2\n" },
        { "a 1\nb 2", "c", "3", "a 1\nb 2\nc 3\n" },
        { "a 1\na 1\na 2\n", "a", "1", "a 1\n" },
        { "ab 1\na.b 2\n", "a", "3", "ab 1\na.b 2\na 3\n" },
        { "ab 1\n", "b", NULL, "ab 1\n" },
        { "a 1", "a", NULL, "" },
    };
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *now = edge_map_edit(a, cases[i].was, cases[i].key, cases[i].value);

        assert_string_equal(now, cases[i].now);
        /* Nothing to change is told by identity. */
        assert_int_equal(now == cases[i].was, strcmp(cases[i].was, cases[i].now) == 0);
    }
    arena_free(a);
}

static char *in_dir(struct fixture *f, const char *name)
{
    return arena_printf(f->a, "%s/%s", f->dir, name);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/portolan-edge-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->a = arena_new();
    f->settings.edge_dir = f->dir;
    f->control.settings = &f->settings;
    *state = f;
    return 0;
}

static void stop_haproxy(struct fixture *f)
{
    if (f->haproxy <= 0)
        return;
    (void)kill(f->haproxy, SIGKILL);
    (void)waitpid(f->haproxy, NULL, 0);
    f->haproxy = 0;
    (void)unlink(in_dir(f, "admin.sock"));
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    stop_haproxy(f);
    must(file_remove_tree(f->dir, &f->err), &f->err);
    arena_free(f->a);
    free(f);
    return 0;
}

/* Answers every request with the address and port the maps give for its host. */
static void start_haproxy(struct fixture *f)
{
    char *config = arena_printf(
        f->a,
        "global\n"
        "    stats socket %s/admin.sock mode 600 level admin\n"
        "defaults\n"
        "    mode http\n"
        "    timeout connect 1s\n"
        "    timeout client 5s\n"
        "    timeout server 5s\n"
        "frontend f\n"
        "    bind unix@%s/front.sock\n"
        "    http-request set-var(txn.host) req.hdr(host),field(1,:),lower\n"
        "    http-request return status 200 content-type text/plain lf-string "
        "\"%%[var(txn.host),map(%s/hosts.map,none)] "
        "%%[var(txn.host),map_str_int(%s/ports.map,0)]\"\n",
        f->dir, f->dir, f->dir, f->dir);
    char *path = in_dir(f, "haproxy.cfg");

    must(file_replace(path, config, strlen(config), 0600, &f->err), &f->err);
    f->haproxy = fork();
    assert_true(f->haproxy >= 0);
    if (f->haproxy == 0) {
        (void)execlp("haproxy", "haproxy", "-db", "-q", "-f", path, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && !file_exists(in_dir(f, "front.sock")); i++)
        clock_sleep_ms(10);
    assert_true(file_exists(in_dir(f, "front.sock")));
    clock_sleep_ms(100);
}

static char *ask(struct fixture *f, const char *host)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    char *request = arena_printf(f->a, "GET / HTTP/1.0\r\nHost: %s:8443\r\n\r\n", host);
    char buffer[2048];
    size_t len = 0;
    ssize_t n;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/front.sock", f->dir);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while ((n = recv(fd, buffer + len, sizeof(buffer) - 1 - len, 0)) > 0)
        len += (size_t)n;
    (void)close(fd);
    buffer[len] = '\0';
    assert_non_null(strstr(buffer, "\r\n\r\n"));
    return arena_strdup(f->a, strstr(buffer, "\r\n\r\n") + 4);
}

static void ensure(struct fixture *f, const char *host, int port)
{
    must(haproxy_driver.ensure(&f->control, f->a, host, "127.0.0.1", port, &f->err), &f->err);
}

static char *map_text(struct fixture *f, const char *name)
{
    char *text;

    must(file_read(f->a, in_dir(f, name), 65536, &text, NULL, &f->err), &f->err);
    return text;
}

/* Without a running edge the file alone is written. */
static void test_files_only(void **state)
{
    struct fixture *f = *state;
    char **hosts;
    size_t count;

    ensure(f, "one.cr.test", 20001);
    ensure(f, "two.cr.test", 20002);
    ensure(f, "one.cr.test", 20003);
    assert_string_equal(map_text(f, "ports.map"), "two.cr.test 20002\none.cr.test 20003\n");
    assert_string_equal(map_text(f, "hosts.map"),
                        "one.cr.test 127.0.0.1\ntwo.cr.test 127.0.0.1\n");
    must(haproxy_driver.list(&f->control, f->a, &hosts, &count, &f->err), &f->err);
    assert_int_equal(count, 4);
    /* Listing clears what a killed writer left, and nothing else. */
    must(file_replace(in_dir(f, ".hosts.map.Xy12Zw"), "", 0, 0600, &f->err), &f->err);
    must(file_replace(in_dir(f, ".other"), "", 0, 0600, &f->err), &f->err);
    must(haproxy_driver.list(&f->control, f->a, &hosts, &count, &f->err), &f->err);
    assert_false(file_exists(in_dir(f, ".hosts.map.Xy12Zw")));
    assert_true(file_exists(in_dir(f, ".other")));
    must(haproxy_driver.remove(&f->control, f->a, "one.cr.test", &f->err), &f->err);
    must(haproxy_driver.remove(&f->control, f->a, "one.cr.test", &f->err), &f->err);
    assert_string_equal(map_text(f, "hosts.map"), "two.cr.test 127.0.0.1\n");
    assert_string_equal(map_text(f, "ports.map"), "two.cr.test 20002\n");
}

static void test_running_edge(void **state)
{
    struct fixture *f = *state;

    ensure(f, "before.cr.test", 20001);
    start_haproxy(f);
    assert_string_equal(ask(f, "before.cr.test"), "127.0.0.1 20001");
    assert_string_equal(ask(f, "after.cr.test"), "none 0");
    ensure(f, "after.cr.test", 20002);
    assert_string_equal(ask(f, "AFTER.cr.test"), "127.0.0.1 20002");
    ensure(f, "after.cr.test", 20003);
    ensure(f, "after.cr.test", 20003);
    assert_string_equal(ask(f, "after.cr.test"), "127.0.0.1 20003");
    must(haproxy_driver.remove(&f->control, f->a, "after.cr.test", &f->err), &f->err);
    assert_string_equal(ask(f, "after.cr.test"), "none 0");
    assert_string_equal(ask(f, "before.cr.test"), "127.0.0.1 20001");
}

/* An edge that was started with older files is brought up to date by the next ensure. */
static void test_drift(void **state)
{
    struct fixture *f = *state;

    must(file_replace(in_dir(f, "hosts.map"), "", 0, 0600, &f->err), &f->err);
    must(file_replace(in_dir(f, "ports.map"), "", 0, 0600, &f->err), &f->err);
    start_haproxy(f);
    must(file_replace(in_dir(f, "hosts.map"), "x.cr.test 127.0.0.1\n", 20, 0600, &f->err),
         &f->err);
    must(file_replace(in_dir(f, "ports.map"), "x.cr.test 20009\n", 16, 0600, &f->err), &f->err);
    assert_string_equal(ask(f, "x.cr.test"), "none 0");
    ensure(f, "x.cr.test", 20009);
    assert_string_equal(ask(f, "x.cr.test"), "127.0.0.1 20009");
    /* A dead edge reads the files at its next start. */
    stop_haproxy(f);
    (void)unlink(in_dir(f, "front.sock"));
    ensure(f, "y.cr.test", 20010);
    start_haproxy(f);
    assert_string_equal(ask(f, "y.cr.test"), "127.0.0.1 20010");
}

static void test_bad_hosts(void **state)
{
    static const char *const hosts[] = { "", "a b", "a\nb 1", "A.test", "a;b", "a/../b" };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        assert_int_equal(haproxy_driver.ensure(&f->control, f->a, hosts[i], "127.0.0.1", 1,
                                               &f->err), -1);
        assert_int_equal(haproxy_driver.remove(&f->control, f->a, hosts[i], &f->err), -1);
    }
    assert_false(file_exists(in_dir(f, "hosts.map")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edit),
        cmocka_unit_test_setup_teardown(test_files_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_running_edge, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drift, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_hosts, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
