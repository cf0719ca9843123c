/* One table of settings, four places a value may come from: default, file, environment, flag; each
 * overrides the one before. An environment variable that is set but empty counts as not set, as
 * service managers like to pass such on. */
#include "common/base/settings.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/base/text.h"

#define CONFIG_FILE_MAX ((size_t)256 * 1024)
#define NAME_MAX_LEN    63
#define HELP_MAX        ((size_t)64 * 1024)

struct load {
    struct arena *a;
    const struct setting *table;
    void *out;
    bool *is_set; /* per row */
    const char *config;
    char **args;
    size_t arg_count;
    struct error *err;
};

static const struct setting config_row = {
    .name = "config",
    .kind = SETTING_TEXT,
    .help = "File to read settings from, one \"name = value\" a line.",
};

static size_t smallest(size_t x, size_t y, size_t z)
{
    size_t least = x < y ? x : y;

    return least < z ? least : z;
}

static size_t edit_distance(const char *x, const char *y)
{
    size_t row[NAME_MAX_LEN + 1];
    size_t y_len = strnlen(y, NAME_MAX_LEN);
    size_t x_len = strnlen(x, NAME_MAX_LEN);

    for (size_t j = 0; j <= y_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= x_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= y_len; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (x[i - 1] != y[j - 1]));
            diagonal = above;
        }
    }
    return row[y_len];
}

static const char *nearest(const struct setting *table, const char *name)
{
    const char *best = config_row.name;
    size_t least = edit_distance(name, best);

    for (; table->name; table++) {
        size_t distance = edit_distance(name, table->name);
        if (distance < least) {
            least = distance;
            best = table->name;
        }
    }
    return best;
}

static const struct setting *find(const struct setting *table, const char *name)
{
    for (; table->name; table++)
        if (text_eq(table->name, name))
            return table;
    return text_eq(name, config_row.name) ? &config_row : NULL;
}

static const char *variable_name(struct arena *a, const struct setting *s)
{
    char *text;

    if (s->variable)
        return s->variable;
    text = arena_printf(a, "PORTOLAN_%s", s->name);

    for (char *p = text; *p; p++) {
        if (*p == '-')
            *p = '_';
        else if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 32);
    }
    return text;
}

static bool parse_bool(const char *value, bool *ret)
{
    static const char *const yes[] = { "true", "yes", "on", "1" };
    static const char *const no[] = { "false", "no", "off", "0" };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (text_eq_nocase(value, yes[i]) || text_eq_nocase(value, no[i])) {
            *ret = text_eq_nocase(value, yes[i]);
            return true;
        }
    }
    return false;
}

static int store_int(const struct setting *s, const char *value, void *at, const char *origin,
                     struct error *err)
{
    int64_t n;

    if (!text_parse_i64(value, &n))
        return fail_at(err, &E_INVALID, s->name, "%s: '%s' is not a whole number.", origin, value);
    if ((s->min != 0 || s->max != 0) && (n < s->min || n > s->max))
        return fail_at(err, &E_INVALID, s->name, "%s: %s is not between %lld and %lld.", origin,
                       value, (long long)s->min, (long long)s->max);
    *(int64_t *)at = n;
    return 0;
}

static int store(struct load *l, const struct setting *s, const char *value, const char *origin)
{
    if (s == &config_row) {
        l->config = value;
        return 0;
    }
    void *at = (char *)l->out + s->offset;
    l->is_set[s - l->table] = true;
    switch (s->kind) {
    case SETTING_TEXT:
        *(char **)at = arena_strdup(l->a, value);
        return 0;
    case SETTING_INT:
        return store_int(s, value, at, origin, l->err);
    case SETTING_BOOL:
        if (parse_bool(value, at))
            return 0;
        return fail_at(l->err, &E_INVALID, s->name, "%s: '%s' is not true or false.", origin,
                       value);
    case SETTING_KIND_MAX:
        break;
    }
    return fail_cause(l->err, &E_INTERNAL, "setting %s has no kind", s->name);
}

/* One argument that starts with dashes; *i moves over its value. Only --config is stored while
 * `is_config_pass`: the file has to be read before the flags that override it. */
static int load_flag(struct load *l, int argc, char **argv, int *i, bool is_config_pass)
{
    const char *arg = argv[*i] + 2;
    const char *equals = strchr(arg, '=');
    char *name = arena_strndup(l->a, arg, equals ? (size_t)(equals - arg) : strlen(arg));
    const struct setting *s = find(l->table, name);
    const char *value = equals ? equals + 1 : NULL;

    if (!s)
        return fail(l->err, &E_INVALID, "Unknown flag --%s; the nearest known one is --%s.", name,
                    nearest(l->table, name));
    if (s->is_secret)
        return fail_at(l->err, &E_INVALID, s->name,
                       "There is no flag --%s, as everyone on this machine would see it: "
                       "set %s, or a line of the configuration file.",
                       name, variable_name(l->a, s));
    if (!value && s->kind == SETTING_BOOL)
        value = "true";
    if (!value && *i + 1 >= argc)
        return fail_at(l->err, &E_INVALID, s->name, "The flag --%s needs a value.", name);
    if (!value)
        value = argv[++*i];
    if (is_config_pass && !text_eq(name, config_row.name))
        return 0;
    if (is_config_pass)
        l->config = value;
    return store(l, s, value, arena_printf(l->a, "--%s", name));
}

static int load_flags(struct load *l, int argc, char **argv, int first, bool is_config_pass)
{
    l->arg_count = 0;
    for (int i = first; i < argc; i++) {
        if (text_eq(argv[i], "--")) {
            while (++i < argc)
                l->args[l->arg_count++] = argv[i];
            break;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            l->args[l->arg_count++] = argv[i];
            continue;
        }
        if (argv[i][1] != '-')
            return fail(l->err, &E_INVALID, "Unknown flag %s; the nearest known one is --%s.",
                        argv[i], nearest(l->table, argv[i] + 1));
        if (load_flag(l, argc, argv, &i, is_config_pass) < 0)
            return -1;
    }
    return 0;
}

static char *trim(char *s)
{
    char *end = s + strlen(s);

    while (*s == ' ' || *s == '\t')
        s++;
    while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        *--end = '\0';
    return s;
}

static int load_line(struct load *l, char *line, size_t number)
{
    char *name = trim(line);
    char *equals = strchr(name, '=');

    if (*name == '\0' || *name == '#')
        return 0;
    if (!equals)
        return fail(l->err, &E_INVALID, "%s, line %zu: expected \"name = value\".", l->config,
                    number);
    *equals = '\0';
    name = trim(name);
    const struct setting *s = find(l->table, name);
    if (!s || s == &config_row)
        return fail(l->err, &E_INVALID,
                    "%s, line %zu: unknown setting '%s'; the nearest known one is '%s'.", l->config,
                    number, name, nearest(l->table, name));
    return store(l, s, trim(equals + 1),
                 arena_printf(l->a, "%s, line %zu, %s", l->config, number, name));
}

static int load_file(struct load *l)
{
    char *text;
    char **lines;
    size_t len;

    if (file_read(l->a, l->config, CONFIG_FILE_MAX, &text, &len, l->err) < 0)
        return fail(l->err, &E_INVALID, "Cannot read the configuration file %s (%s).", l->config,
                    l->err->cause);
    if (strlen(text) != len)
        return fail(l->err, &E_INVALID, "%s holds a NUL byte.", l->config);
    size_t count = text_split(l->a, text, '\n', &lines);
    for (size_t i = 0; i < count; i++)
        if (load_line(l, lines[i], i + 1) < 0)
            return -1;
    return 0;
}

static int load_environment(struct load *l)
{
    for (const struct setting *s = l->table; s->name; s++) {
        const char *variable = variable_name(l->a, s);
        const char *value = getenv(variable);
        if (value && *value && store(l, s, value, variable) < 0)
            return -1;
    }
    return 0;
}

static int load_defaults(struct load *l)
{
    size_t count = 0;

    for (const struct setting *s = l->table; s->name; s++)
        count++;
    l->is_set = arena_array(l->a, count + 1, sizeof(*l->is_set));
    for (const struct setting *s = l->table; s->name; s++)
        if (s->def && store(l, s, s->def, s->name) < 0)
            return -1;
    return 0;
}

static int check_required(struct load *l)
{
    for (const struct setting *s = l->table; s->name; s++)
        if (s->is_required && !l->is_set[s - l->table])
            return fail_at(l->err, &E_INVALID, s->name,
                           "The setting --%s (environment variable %s) is required.", s->name,
                           variable_name(l->a, s));
    return 0;
}

int settings_load(struct arena *a, const struct setting *table, int argc, char **argv, int first,
                  void *out, char ***ret_args, struct error *err)
{
    const char *config = getenv("PORTOLAN_CONFIG");
    struct load l = { .a = a, .table = table, .out = out, .err = err };

    l.config = config && *config ? config : NULL;
    l.args = arena_array(a, (size_t)(argc > first ? argc - first : 0) + 1, sizeof(*l.args));
    if (load_defaults(&l) < 0 || load_flags(&l, argc, argv, first, true) < 0)
        return -1;
    if (l.config && load_file(&l) < 0)
        return -1;
    if (load_environment(&l) < 0 || load_flags(&l, argc, argv, first, false) < 0 ||
        check_required(&l) < 0)
        return -1;
    *ret_args = l.args;
    return 0;
}

static void help_row(struct str *text, struct arena *a, const struct setting *s)
{
    static const char *const kinds[SETTING_KIND_MAX] = { " TEXT", " NUMBER", "" };
    bool has_default = s->def && *s->def;

    if (s->is_secret)
        str_printf(text, "  %s (no flag: a line of the configuration file)\n", s->name);
    else
        str_printf(text, "  --%s%s\n", s->name, kinds[s->kind]);
    str_printf(text, "      %s\n      Environment: %s", s->help, variable_name(a, s));
    if (s->min != 0 || s->max != 0)
        str_printf(text, ". Range: %lld to %lld", (long long)s->min, (long long)s->max);
    if (has_default)
        str_printf(text, ". Default: %s", s->def);
    else if (s->is_required)
        str_puts(text, ". Required");
    str_puts(text, ".\n");
}

char *settings_help(struct arena *a, const struct setting *table)
{
    _cleanup_(str_done) struct str text;

    str_init(&text, HELP_MAX);
    for (const struct setting *s = table; s->name; s++)
        help_row(&text, a, s);
    if (find(table, config_row.name) == &config_row)
        help_row(&text, a, &config_row);
    return str_copy(&text, a);
}
