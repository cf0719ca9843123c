/* portolan: the service from a shell. Finds the command, reads its options, opens the client and
 * runs it. Results go to standard output, all else to standard error; the exit status is 0 done,
 * 1 failed, 2 not understood. */
#include "sdk/cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/settings.h"
#include "common/base/text.h"

static int usage(FILE *out)
{
    (void)fputs("usage: portolan COMMAND [options]; portolan COMMAND --help tells the options\n\n",
                out);
    for (const struct cli_command *c = cli_commands; c->words; c++)
        (void)fprintf(out, "  %-20s %-15s %s\n", c->words, c->operands ? c->operands : "", c->help);
    (void)fputs(
        "\nWho signs in, and where: portolan login keeps it; eval \"$(./dev env)\" sets it for"
        " a shell.\nportolan --version tells the version.\n",
        out);
    return out == stdout ? CLI_OK : CLI_USAGE;
}

/* The command whose words argv begins with; *ret_words is how many they are. */
static const struct cli_command *find(int argc, char **argv, int *ret_words)
{
    for (const struct cli_command *c = cli_commands; c->words; c++) {
        const char *space = strchr(c->words, ' ');
        size_t first = space ? (size_t)(space - c->words) : strlen(c->words);

        *ret_words = space ? 2 : 1;
        if (argc <= *ret_words || strlen(argv[1]) != first ||
            strncmp(argv[1], c->words, first) != 0)
            continue;
        if (!space || text_eq(argv[2], space + 1))
            return c;
    }
    return NULL;
}

static int help(struct cli *cli)
{
    const struct cli_command *c = cli->command;

    return printf("usage: portolan %s%s%s [options]\n%s\n\n%s", c->words, c->operands ? " " : "",
                  c->operands ? c->operands : "", c->help,
                  settings_help(cli->arena, cli_options_table(cli->arena, c))) < 0;
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (text_eq(argv[i], "--help") || text_eq(argv[i], "-h"))
            return true;
    return false;
}

/* The profile comes first among the flags, so that an own --config wins. */
static int load(struct cli *cli, int argc, char **argv, int words, struct error *err)
{
    struct setting *table = cli_options_table(cli->arena, cli->command);
    char *profile = cli_profile_path(cli->arena);
    char **args = arena_array(cli->arena, (size_t)argc + 2, sizeof(*args));
    int count = 0;

    if (profile && file_exists(profile))
        args[count++] = arena_printf(cli->arena, "--config=%s", profile);
    for (int i = words + 1; i < argc; i++)
        args[count++] = argv[i];
    return settings_load(cli->arena, table, count, args, 0, &cli->o, &cli->operands, err);
}

static int check(struct cli *cli, struct error *err)
{
    const struct cli_command *c = cli->command;
    int count = 0;

    while (cli->operands[count])
        count++;
    if (count < c->nmin || count > c->nmax)
        return fail(err, &E_INVALID, "usage: portolan %s %s [options]", c->words,
                    c->operands ? c->operands : "");
    for (const struct setting *s = cli_options_table(cli->arena, c); s->name; s++) {
        const char *mark = arena_printf(cli->arena, " %s ", s->name);

        if (c->needs && strstr(c->needs, mark) && !*(char **)((char *)&cli->o + s->offset))
            return fail(err, &E_INVALID, "portolan %s needs --%s.", c->words, s->name);
    }
    return 0;
}

static int run(struct cli *cli)
{
    struct portolan_config config = {
        .management = cli->o.management,
        .login = cli->o.login,
        .ca_file = cli->o.ca_file,
        .tenant = cli->o.tenant,
        .subscription = cli->o.subscription,
        .client_id = cli->o.client_id,
        .client_secret = cli->o.client_secret,
    };
    struct portolan_error why;
    int status;

    if (!cli->command->is_offline && portolan_open(&config, &cli->client, &why))
        return cli_complain(&why);
    status = cli->command->run(cli);
    portolan_close(cli->client);
    return status;
}

int main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct cli cli = { .arena = a };
    struct error err;
    int words;

    if (argc > 1 && text_eq(argv[1], "--version"))
        return printf("portolan %s\n", portolan_version()) < 0;
    cli.command = find(argc, argv, &words);
    if (!cli.command)
        return usage(argc > 1 && (asks_help(2, argv) || text_eq(argv[1], "help")) ? stdout
                                                                                  : stderr);
    if (asks_help(argc, argv))
        return help(&cli);
    if (load(&cli, argc, argv, words, &err) || check(&cli, &err))
        return cli_refuse(&err);
    return run(&cli);
}
