/* The portolan command: its options, one table of commands, and what commands print. */
#ifndef PORTOLAN_CLI_CLI_H
#define PORTOLAN_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

#include "portolan.h"

struct arena;
struct error;
struct setting;

enum { CLI_OK, CLI_FAILED, CLI_USAGE };

/* Every option of every command; options.c has a row for each. */
struct cli_options {
    char *management, *login, *ca_file, *tenant, *subscription, *client_id, *client_secret;
    char *query;
    char *group, *location, *sku, *api_version, *body, *name, *expiry;
    char *template_, *parameters;
    char *repository, *action, *principal, *user, *address, *link, *service;
    bool has_admin, is_complete, no_wait;
};

struct cli {
    struct arena *arena;
    struct cli_options o;
    char **operands; /* what stands beside options, after the command's words */
    struct portolan *client;
    const struct cli_command *command;
};

struct cli_command {
    const char *words;    /* "registry create" */
    const char *operands; /* "NAME" */
    int nmin, nmax;       /* operands */
    const char *takes;    /* names of options beside the common ones, spaces around each */
    const char *needs;    /* of these, the ones that must be there */
    bool is_offline;      /* needs no client */
    const char *help;
    int (*run)(struct cli *cli);
};

extern const struct cli_command cli_commands[];

/* options.c: the common options and those the command takes; NULL-name ended, in the arena. */
struct setting *cli_options_table(struct arena *a, const struct cli_command *command);
/* Where `portolan login` keeps what it was told; NULL without a home directory. */
char *cli_profile_path(struct arena *a);
MUST_CHECK int cli_profile_write(struct arena *a, const struct cli_options *o, struct error *err);

/* print.c. Each returns the exit status of the command. */
int cli_print(struct cli *cli, const char *json); /* what --query picks, or all */
int cli_complain(const struct portolan_error *err);
int cli_refuse(const struct error *err);
/* "-": standard input, "@file" or (is_file) any other text: the file; else the text itself. */
MUST_CHECK int cli_read(struct arena *a, const char *value, bool is_file, char **ret,
                        struct error *err);

/* commands of one file each */
int cmd_login(struct cli *cli);
int cmd_logout(struct cli *cli);
int cmd_get(struct cli *cli);
int cmd_list(struct cli *cli);
int cmd_put(struct cli *cli);
int cmd_patch(struct cli *cli);
int cmd_post(struct cli *cli);
int cmd_delete(struct cli *cli);
int cmd_group_create(struct cli *cli);
int cmd_group_list(struct cli *cli);
int cmd_group_delete(struct cli *cli);
int cmd_registry_create(struct cli *cli);
int cmd_registry_list(struct cli *cli);
int cmd_registry_show(struct cli *cli);
int cmd_registry_delete(struct cli *cli);
int cmd_registry_credentials(struct cli *cli);
int cmd_registry_why(struct cli *cli);
int cmd_registry_reach(struct cli *cli);
int cmd_token_credentials(struct cli *cli);
int cmd_deploy_create(struct cli *cli);
int cmd_deploy_validate(struct cli *cli);
int cmd_deploy_what_if(struct cli *cli);

#endif
