/* Log lines as they reach standard error: levels, quoting, forging, cutting. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>
#undef fail

static int saved = -1;
static FILE *captured;
static char output[16384];

static void capture(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    saved = dup(STDERR_FILENO);
    assert_true(dup2(fileno(captured), STDERR_FILENO) >= 0);
}

static const char *release(void)
{
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    rewind(captured);
    size_t len = fread(output, 1, sizeof(output) - 1, captured);
    output[len] = '\0';
    (void)fclose(captured);
    return output;
}

/* What follows " level=…" in the one line that was written. */
static const char *line_of(const char *text)
{
    const char *level = strstr(text, " level=");

    assert_true(text_starts(text, "time=2"));
    assert_non_null(level);
    assert_true(text_ends(text, "\n"));
    assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
    return level + 1;
}

static void test_quoting(void **state)
{
    static const char *const cases[][2] = {
        { "plain-1._/:@", "plain-1._/:@" },
        { "", "\"\"" },
        { "two words", "\"two words\"" },
        { "a=b", "\"a=b\"" },
        { "say \"hi\"", "\"say \\\"hi\\\"\"" },
        { "back\\slash", "\"back\\\\slash\"" },
        { "x\nlevel=error event=forged", "\"x\\nlevel=error event=forged\"" },
        { "\r\t\x01\x1b[31m\x7f", "\"\\r\\t\\x01\\x1b[31m\\x7f\"" },
        { "caf\xc3\xa9", "\"caf\xc3\xa9\"" },
        { "\xc2\x9b", "\"\\xc2\\x9b\"" },
        { "\xe2\x80\xae", "\"\\xe2\\x80\\xae\"" },
        { "bad\xff\xc3", "\"bad\\xff\\xc3\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char expected[256];
        struct log_line l;
        capture();
        log_start(&l, LOG_WARN, "e");
        log_text(&l, "left-out", NULL);
        log_text(&l, "k", cases[i][0]);
        log_int(&l, "n", -5);
        log_end(&l);
        (void)snprintf(expected, sizeof(expected), "level=warn event=e k=%s n=-5\n", cases[i][1]);
        assert_string_equal(line_of(release()), expected);
    }
}

static void test_levels(void **state)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    enum log_level level;

    (void)state;
    for (int i = 0; i < LOG_LEVEL_MAX; i++) {
        assert_true(log_parse_level(names[i], &level));
        assert_int_equal(level, i);
    }
    assert_false(log_parse_level("loud", &level));
    assert_false(log_parse_level(NULL, &level));
    for (int threshold = 0; threshold < LOG_LEVEL_MAX; threshold++) {
        log_set_level((enum log_level)threshold);
        for (int i = 0; i < LOG_LEVEL_MAX; i++) {
            capture();
            log_note((enum log_level)i, "e", "m %d", i);
            assert_int_equal(strlen(release()) > 0, i >= threshold);
        }
    }
    log_set_level(LOG_INFO);
}

static void test_cut(void **state)
{
    char big[9000];

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        /* Plain, quoted one to one, and quoted fourfold. */
        memset(big, kind == 0 ? 'x' : kind == 1 ? ' ' : '\x01', sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        struct log_line l;
        capture();
        log_start(&l, LOG_ERROR, "e");
        log_text(&l, "first", "1");
        log_text(&l, "k", big);
        log_text(&l, "later", "2");
        log_end(&l);
        const char *line = line_of(release());
        assert_true(text_ends(line, "\" cut=true\n"));
        assert_non_null(strstr(line, " first=1 k=\""));
        assert_null(strstr(line, "later"));
        assert_true(strlen(output) > 4000 && strlen(output) <= 4096);
    }
    /* Many small values come to the end as well, wherever it falls. */
    for (size_t len = 1; len < 40; len++) {
        struct log_line l;
        big[len] = '\0';
        memset(big, ' ', len);
        capture();
        log_start(&l, LOG_ERROR, "e");
        for (int i = 0; i < 2000; i++)
            log_text(&l, "key", big);
        log_end(&l);
        assert_true(text_ends(line_of(release()), " cut=true\n"));
    }
}

static void test_failure(void **state)
{
    struct error err = { 0 };

    (void)state;
    (void)fail_at(&err, &E_INVALID, "a.b", "wrong value");
    (void)wrap(&err, "decode");
    capture();
    log_failure(LOG_ERROR, "request", &err);
    assert_string_equal(line_of(release()), "level=error event=request code=BadRequest target=a.b "
                                            "message=\"wrong value\" cause=decode\n");
    memset(&err, 0, sizeof(err));
    capture();
    log_failure(LOG_ERROR, "request", &err);
    assert_string_equal(line_of(release()), "level=error event=request code=none message=\"\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
