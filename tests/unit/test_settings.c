/* Settings: which place wins, what is refused, and what the messages name. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/settings.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>

struct options {
    char *control_db;
    char *domain;
    int64_t port;
    int64_t offset;
    bool is_open;
};

static const struct setting table[] = {
    { "control-db", SETTING_TEXT, offsetof(struct options, control_db), .is_required = true,
      .help = "Where the control database is." },
    { "domain", SETTING_TEXT, offsetof(struct options, domain), .def = "portolan.localhost",
      .help = "Name under which all hosts lie." },
    { "port", SETTING_INT, offsetof(struct options, port), .def = "8443", .min = 1, .max = 65535,
      .help = "Port to listen on." },
    { "offset", SETTING_INT, offsetof(struct options, offset), .help = "Any number." },
    { "open", SETTING_BOOL, offsetof(struct options, is_open), .help = "Listens everywhere." },
    { 0 },
};

static char config_path[] = "/tmp/portolan-settings-XXXXXX";

static int set_up(void **state)
{
    int fd = mkstemp(config_path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(config_path);
}

static int start(void **state)
{
    (void)state;
    for (const struct setting *s = table; s->name; s++) {
        char name[64] = "PORTOLAN_";
        for (size_t i = 0; s->name[i]; i++)
            name[9 + i] = s->name[i] == '-' ? '_' : (char)(s->name[i] - 32);
        (void)unsetenv(name);
    }
    return unsetenv("PORTOLAN_CONFIG");
}

static void config(const char *text)
{
    struct error err;

    assert_int_equal(file_replace(config_path, text, strlen(text), 0600, &err), 0);
}

/* Loads from a line of arguments parted by '|'. */
static int load(struct arena *a, const char *line, struct options *out, char ***ret_args,
                struct error *err)
{
    char *argv[16] = { (char *)"program" };
    int argc = 1;
    char *text = arena_strdup(a, line);

    for (char *part = strsep(&text, "|"); part && *line; part = strsep(&text, "|"))
        argv[argc++] = part;
    memset(out, 0, sizeof(*out));
    return settings_load(a, table, argc, argv, 1, out, ret_args, err);
}

static void test_precedence(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct options o;
    struct error err = { 0 };
    char **args;

    (void)state;
    config("# comment\n\n control-db = from file \r\nport=1\n\tdomain = a=b\nopen = yes");
    assert_int_equal(load(a, "--control-db|x", &o, &args, &err), 0);
    assert_string_equal(o.control_db, "x");
    assert_string_equal(o.domain, "portolan.localhost");
    assert_int_equal(o.port, 8443);
    assert_false(o.is_open);
    assert_null(args[0]);

    assert_int_equal(load(a, arena_printf(a, "--config|%s", config_path), &o, &args, &err), 0);
    assert_string_equal(o.control_db, "from file");
    assert_string_equal(o.domain, "a=b");
    assert_int_equal(o.port, 1);
    assert_true(o.is_open);

    assert_int_equal(setenv("PORTOLAN_CONFIG", config_path, 1), 0);
    assert_int_equal(setenv("PORTOLAN_CONTROL_DB", "from environment", 1), 0);
    assert_int_equal(setenv("PORTOLAN_PORT", "2", 1), 0);
    assert_int_equal(setenv("PORTOLAN_DOMAIN", "", 1), 0);
    assert_int_equal(load(a, "--port=3|--open=false", &o, &args, &err), 0);
    assert_string_equal(o.control_db, "from environment");
    assert_string_equal(o.domain, "a=b");
    assert_int_equal(o.port, 3);
    assert_false(o.is_open);
}

static void test_arguments(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct options o;
    struct error err = { 0 };
    char **args;

    (void)state;
    assert_int_equal(
        load(a, "up|--control-db=|--open|now|-|--offset|-5|--|--port|--x", &o, &args, &err), 0);
    assert_string_equal(o.control_db, "");
    assert_true(o.is_open);
    assert_int_equal(o.offset, -5);
    static const char *const expected[] = { "up", "now", "-", "--port", "--x" };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_string_equal(args[i], expected[i]);
    assert_null(args[ARRAY_LEN(expected)]);
}

static void test_refuses(void **state)
{
    static const struct {
        const char *args, *file, *says;
    } cases[] = {
        { "", "", "--control-db (environment variable PORTOLAN_CONTROL_DB) is required" },
        { "--contol-db|x", "", "--control-db" },
        { "--prot|1", "", "--port" },
        { "--confg|1", "", "--config" },
        { "-p|1", "", "Unknown flag -p" },
        { "--control-db", "", "needs a value" },
        { "--control-db|x|--port|0", "", "between 1 and 65535" },
        { "--control-db|x|--port|65536", "", "between 1 and 65535" },
        { "--control-db|x|--port|80x", "", "not a whole number" },
        { "--control-db|x|--port=", "", "not a whole number" },
        { "--control-db|x|--open=maybe", "", "not true or false" },
        { "--control-db|x", "a line\n", "line 1" },
        { "--control-db|x", "\n\ndomian = y\n",
          "line 3: unknown setting 'domian'; the nearest "
          "known one is 'domain'" },
        { "--control-db|x", "port = many\n", "line 1, port: 'many'" },
        { "--control-db|x", "config = /other\n", "unknown setting 'config'" },
    };

    (void)state;
    assert_int_equal(setenv("PORTOLAN_CONFIG", config_path, 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct options o;
        struct error err = { 0 };
        char **args;
        config(cases[i].file);
        if (load(a, cases[i].args, &o, &args, &err) == 0)
            fail_msg("%s was accepted", cases[i].args);
        assert_ptr_equal(err.code, &E_INVALID);
        if (!strstr(err.message, cases[i].says))
            fail_msg("%s: '%s'", cases[i].args, err.message);
    }
}

static void test_missing_file(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct options o;
    struct error err = { 0 };
    char **args;

    (void)state;
    assert_int_equal(load(a, "--config|/nonexistent/x|--control-db|y", &o, &args, &err), -1);
    assert_non_null(strstr(err.message, "/nonexistent/x"));
}

static void test_help(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *help = settings_help(a, table);

    (void)state;
    for (const struct setting *s = table; s->name; s++) {
        assert_non_null(strstr(help, arena_printf(a, "--%s", s->name)));
        assert_non_null(strstr(help, s->help));
    }
    assert_non_null(strstr(help, "PORTOLAN_CONTROL_DB. Required."));
    assert_non_null(strstr(help, "Range: 1 to 65535. Default: 8443."));
    assert_non_null(strstr(help, "--config TEXT"));
}

/* A secret comes from the environment, under a name of its own, or from the file; never by a flag. */
static void test_secrets(void **state)
{
    static const struct setting secret[] = {
        { "secret", SETTING_TEXT, offsetof(struct options, domain), .is_secret = true,
          .variable = "SOMEBODYS_SECRET", .help = "Not to be seen." },
        { 0 },
    };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    char *flags[] = { "p", "--secret=x", NULL }, *none[] = { "p", NULL }, **args;
    struct options o = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(settings_load(a, secret, 2, flags, 1, &o, &args, &err), -1);
    assert_non_null(strstr(err.message, "SOMEBODYS_SECRET"));
    assert_null(o.domain);
    assert_int_equal(setenv("SOMEBODYS_SECRET", "from environment", 1), 0);
    assert_int_equal(settings_load(a, secret, 1, none, 1, &o, &args, &err), 0);
    assert_string_equal(o.domain, "from environment");
    assert_int_equal(unsetenv("SOMEBODYS_SECRET"), 0);
    assert_null(strstr(settings_help(a, secret), "--secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_precedence, start),
        cmocka_unit_test_setup(test_arguments, start),
        cmocka_unit_test_setup(test_refuses, start),
        cmocka_unit_test_setup(test_missing_file, start),
        cmocka_unit_test_setup(test_help, start),
        cmocka_unit_test_setup(test_secrets, start),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
