/* login, and the commands for any resource and for groups. */
#include "sdk/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"

int cmd_login(struct cli *cli)
{
    struct portolan_error why;
    struct error err;

    if (portolan_sign_in(cli->client, &why))
        return cli_complain(&why);
    if (cli_profile_write(cli->arena, &cli->o, &err))
        return cli_refuse(&err);
    return printf("signed in; kept in %s\n", cli_profile_path(cli->arena)) < 0;
}

int cmd_logout(struct cli *cli)
{
    const char *path = cli_profile_path(cli->arena);

    if (path && unlink(path) < 0 && errno != ENOENT) {
        (void)fprintf(stderr, "portolan: %s cannot be removed: %s\n", path, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_OK;
}

/* A request of any kind; prints what comes back. */
static int run(struct cli *cli, const char *method, const char *path, const char *body)
{
    struct portolan_request request = { .method = method,
                                        .path = path,
                                        .api_version = cli->o.api_version,
                                        .body = body,
                                        .no_wait = cli->o.no_wait };
    _cleanup_(freep) char *json = NULL;
    struct portolan_error why;

    if (portolan_call(cli->client, &request, &json, &why))
        return cli_complain(&why);
    return cli_print(cli, json);
}

static int run_body(struct cli *cli, const char *method)
{
    char *body = NULL;
    struct error err;

    if (cli->o.body && cli_read(cli->arena, cli->o.body, false, &body, &err))
        return cli_refuse(&err);
    return run(cli, method, cli->operands[0], body);
}

int cmd_get(struct cli *cli)
{
    return run(cli, "GET", cli->operands[0], NULL);
}

int cmd_put(struct cli *cli)
{
    return run_body(cli, "PUT");
}

int cmd_patch(struct cli *cli)
{
    return run_body(cli, "PATCH");
}

int cmd_post(struct cli *cli)
{
    return run_body(cli, "POST");
}

int cmd_delete(struct cli *cli)
{
    return run(cli, "DELETE", cli->operands[0], NULL);
}

/* One JSON array, or, with --query, a line for each item that has it. */
struct listing {
    struct cli *cli;
    size_t count;
    int status;
};

static int print_item(void *ctx, const char *item)
{
    struct listing *l = ctx;
    _cleanup_(freep) char *picked = NULL;

    if (!l->cli->o.query) {
        l->status = printf("%s%s", l->count++ ? ",\n" : "", item) < 0;
        return l->status;
    }
    picked = portolan_text(item, l->cli->o.query);
    l->status = picked ? puts(picked) < 0 : 0;
    return l->status;
}

static int list(struct cli *cli, const char *path)
{
    struct listing l = { .cli = cli };
    struct portolan_error why;
    bool is_whole = !cli->o.query;

    if (is_whole)
        (void)puts("[");
    if (portolan_list(cli->client, path, cli->o.api_version, print_item, &l, &why))
        return cli_complain(&why);
    if (is_whole)
        (void)puts(l.count ? "\n]" : "]");
    return l.status || fflush(stdout) ? CLI_FAILED : CLI_OK;
}

int cmd_list(struct cli *cli)
{
    return list(cli, cli->operands[0]);
}

static int no_subscription(void)
{
    (void)fputs("portolan: which subscription? --subscription or AZURE_SUBSCRIPTION_ID, and a name"
                " without slashes\n",
                stderr);
    return CLI_USAGE;
}

int cmd_group_create(struct cli *cli)
{
    struct json_object *body = json_own(cli->arena, json_new_object());
    _cleanup_(freep) char *id = portolan_group_id(cli->client, cli->operands[0]);

    if (!id)
        return no_subscription();
    json_set_text(body, "location", cli->o.location ? cli->o.location : "eastus");
    return run(cli, "PUT", id, json_print(cli->arena, body));
}

int cmd_group_delete(struct cli *cli)
{
    _cleanup_(freep) char *id = portolan_group_id(cli->client, cli->operands[0]);

    return id ? run(cli, "DELETE", id, NULL) : no_subscription();
}

int cmd_group_list(struct cli *cli)
{
    if (!cli->o.subscription)
        return no_subscription();
    return list(cli,
                arena_printf(cli->arena, "/subscriptions/%s/resourceGroups", cli->o.subscription));
}

int cmd_registry_list(struct cli *cli)
{
    _cleanup_(freep) char *group =
        cli->o.group ? portolan_group_id(cli->client, cli->o.group) : NULL;

    if (!cli->o.subscription || (cli->o.group && !group))
        return no_subscription();
    return list(cli,
                arena_printf(cli->arena, "%s%s/providers/Microsoft.ContainerRegistry/registries",
                             group ? "" : "/subscriptions/", group ? group : cli->o.subscription));
}
