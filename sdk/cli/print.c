/* What commands read and print. */
#include "sdk/cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/json/json.h"

#define INPUT_MAX ((size_t)16 << 20)

static int line(const char *text)
{
    return puts(text) < 0 || fflush(stdout) ? CLI_FAILED : CLI_OK;
}

static int print_all(struct cli *cli, const char *json)
{
    _cleanup_(json_putp) struct json_object *whole = NULL;
    struct error ignored;

    if (!*json)
        return CLI_OK;
    if (json_parse(json, strlen(json), INPUT_MAX, JSON_STRICT, &whole, &ignored))
        return line(json);
    return line(json_print_pretty(cli->arena, whole));
}

int cli_print(struct cli *cli, const char *json)
{
    _cleanup_(freep) char *picked = NULL;

    if (!cli->o.query)
        return print_all(cli, json);
    picked = portolan_text(json, cli->o.query);
    if (picked)
        return line(picked);
    (void)fprintf(stderr, "portolan: there is no %s in the answer\n", cli->o.query);
    return CLI_FAILED;
}

int cli_complain(const struct portolan_error *err)
{
    (void)fprintf(stderr, "portolan: %s: %s\n", err->code, err->message);
    return CLI_FAILED;
}

int cli_refuse(const struct error *err)
{
    (void)fprintf(stderr, "portolan: %s\n", err->message);
    return CLI_USAGE;
}

static int read_stdin(struct arena *a, char **ret, struct error *err)
{
    _cleanup_(str_done) struct str text;
    char piece[4096];
    size_t n;

    str_init(&text, INPUT_MAX);
    while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0)
        str_append(&text, piece, n);
    if (ferror(stdin))
        return fail(err, &E_INVALID, "Standard input cannot be read.");
    if (str_check(&text, err))
        return -1;
    *ret = str_copy(&text, a);
    return 0;
}

int cli_read(struct arena *a, const char *value, bool is_file, char **ret, struct error *err)
{
    const char *path = is_file ? value : value + 1;
    size_t len;

    if (strcmp(value, "-") == 0)
        return read_stdin(a, ret, err);
    if (!is_file && value[0] != '@') {
        *ret = arena_strdup(a, value);
        return 0;
    }
    if (file_read(a, path, INPUT_MAX, ret, &len, err))
        return fail(err, &E_INVALID, "The file %s cannot be read (%s).", path,
                    err->cause[0] ? err->cause : err->message);
    if (strlen(*ret) != len)
        return fail(err, &E_INVALID, "The file %s holds a NUL byte.", path);
    return 0;
}
