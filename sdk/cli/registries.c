/* The commands for registries, their tokens, and deployments. */
#include "sdk/cli/cli.h"

#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/error.h"

static int no_registry(void)
{
    (void)fputs("portolan: which registry? NAME and --group without slashes, and --subscription or"
                " AZURE_SUBSCRIPTION_ID\n",
                stderr);
    return CLI_USAGE;
}

static char *named(struct cli *cli)
{
    return portolan_registry_id(cli->client, cli->o.group, cli->operands[0]);
}

/* What the library said, or what came back: rc is that of the call. */
static int finish(struct cli *cli, int rc, const char *json, const struct portolan_error *why)
{
    return rc < 0 ? cli_complain(why) : cli_print(cli, json);
}

int cmd_registry_create(struct cli *cli)
{
    struct portolan_registry want = { .location = cli->o.location,
                                      .sku = cli->o.sku,
                                      .is_admin_enabled = cli->o.has_admin };
    _cleanup_(freep) char *json = NULL;
    struct portolan_error why;
    int rc =
        portolan_registry_create(cli->client, cli->o.group, cli->operands[0], &want, &json, &why);

    return finish(cli, rc, json, &why);
}

int cmd_registry_show(struct cli *cli)
{
    _cleanup_(freep) char *id = named(cli);
    _cleanup_(freep) char *json = NULL;
    struct portolan_error why;
    int rc;

    if (!id)
        return no_registry();
    rc = portolan_show(cli->client, id, &json, &why);
    if (rc == 0) {
        (void)fprintf(stderr, "portolan: there is no registry %s in the group %s\n",
                      cli->operands[0], cli->o.group);
        return CLI_FAILED;
    }
    return finish(cli, rc, json, &why);
}

int cmd_registry_delete(struct cli *cli)
{
    _cleanup_(freep) char *id = named(cli);
    struct portolan_error why;

    if (!id)
        return no_registry();
    return portolan_delete(cli->client, id, &why) ? cli_complain(&why) : CLI_OK;
}

/* Asks something about the registry that the command names, and prints what is answered. */
static int about(struct cli *cli, int (*ask)(struct cli *cli, const char *id, char **json,
                                             struct portolan_error *why))
{
    _cleanup_(freep) char *id = named(cli);
    _cleanup_(freep) char *json = NULL;
    struct portolan_error why;
    int rc;

    if (!id)
        return no_registry();
    rc = ask(cli, id, &json, &why);
    return finish(cli, rc, json, &why);
}

static int ask_credentials(struct cli *cli, const char *id, char **json, struct portolan_error *why)
{
    return portolan_registry_credentials(cli->client, id, json, why);
}

int cmd_registry_credentials(struct cli *cli)
{
    return about(cli, ask_credentials);
}

static int ask_why(struct cli *cli, const char *id, char **json, struct portolan_error *why)
{
    const struct portolan_question question = { .repository = cli->o.repository,
                                                .action = cli->o.action,
                                                .principal_id = cli->o.principal,
                                                .user_name = cli->o.user };

    return portolan_why(cli->client, id, &question, json, why);
}

int cmd_registry_why(struct cli *cli)
{
    return about(cli, ask_why);
}

static int ask_reach(struct cli *cli, const char *id, char **json, struct portolan_error *why)
{
    const struct portolan_origin origin = { .address = cli->o.address,
                                            .link = cli->o.link,
                                            .service = cli->o.service };

    return portolan_network_check(cli->client, id, &origin, json, why);
}

int cmd_registry_reach(struct cli *cli)
{
    return about(cli, ask_reach);
}

static int ask_token(struct cli *cli, const char *id, char **json, struct portolan_error *why)
{
    const struct portolan_token_password want = { .token = cli->operands[1],
                                                  .name = cli->o.name,
                                                  .expiry = cli->o.expiry };

    return portolan_token_credentials(cli->client, id, &want, json, why);
}

int cmd_token_credentials(struct cli *cli)
{
    return about(cli, ask_token);
}

/* Deployments ---------------------------------------------------------------------------------- */

static int deploy(struct cli *cli, enum portolan_deploy_verb verb)
{
    struct portolan_deployment what = { .name = cli->o.name ? cli->o.name : "portolan",
                                        .location = cli->o.location,
                                        .is_complete = cli->o.is_complete,
                                        .no_wait = cli->o.no_wait };
    _cleanup_(freep) char *group =
        cli->o.group ? portolan_group_id(cli->client, cli->o.group) : NULL;
    _cleanup_(freep) char *json = NULL;
    struct portolan_error why;
    int rc;
    char *template_, *parameters = NULL;
    struct error err;

    if (!cli->o.subscription || (cli->o.group && !group))
        return no_registry();
    if (cli_read(cli->arena, cli->o.template_, true, &template_, &err) ||
        (cli->o.parameters && cli_read(cli->arena, cli->o.parameters, true, &parameters, &err)))
        return cli_refuse(&err);
    what.scope = group ? group : arena_printf(cli->arena, "/subscriptions/%s", cli->o.subscription);
    what.template_ = template_;
    what.parameters = parameters;
    rc = portolan_deploy(cli->client, verb, &what, &json, &why);
    return finish(cli, rc, json, &why);
}

int cmd_deploy_create(struct cli *cli)
{
    return deploy(cli, PORTOLAN_DEPLOY);
}

int cmd_deploy_validate(struct cli *cli)
{
    return deploy(cli, PORTOLAN_VALIDATE);
}

int cmd_deploy_what_if(struct cli *cli)
{
    return deploy(cli, PORTOLAN_WHAT_IF);
}
