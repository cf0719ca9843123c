/* The options of the command as settings: each is a flag, an environment variable and a line of the
 * profile that `portolan login` writes. */
#include "sdk/cli/cli.h"

#include <stddef.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/settings.h"
#include "common/base/str.h"
#include "common/base/text.h"

#define PROFILE_MAX ((size_t)64 << 10)

#define TEXT(name_, member, help_)                                                                 \
    {                                                                                              \
        .name = name_, .kind = SETTING_TEXT, .offset = offsetof(struct cli_options, member),       \
        .help = help_                                                                              \
    }
#define FLAG(name_, member, help_)                                                                 \
    {                                                                                              \
        .name = name_, .kind = SETTING_BOOL, .offset = offsetof(struct cli_options, member),       \
        .help = help_                                                                              \
    }
#define KNOWN(name_, member, variable_, help_)                                                     \
    {                                                                                              \
        .name = name_, .kind = SETTING_TEXT, .offset = offsetof(struct cli_options, member),       \
        .variable = variable_, .help = help_                                                       \
    }

/* Of every command, and what a profile holds. */
static const struct setting common_rows[] = {
    TEXT("management", management, "URL of the management host."),
    TEXT("login", login, "URL of the login host."),
    TEXT("ca-file", ca_file, "Certificate authority of the service; the system's."),
    KNOWN("tenant", tenant, "AZURE_TENANT_ID", "Tenant to sign in to."),
    KNOWN("subscription", subscription, "AZURE_SUBSCRIPTION_ID", "Subscription to work in."),
    KNOWN("client-id", client_id, "AZURE_CLIENT_ID", "Application id of the service principal."),
    { .name = "client-secret",
      .kind = SETTING_TEXT,
      .offset = offsetof(struct cli_options, client_secret),
      .is_secret = true,
      .variable = "AZURE_CLIENT_SECRET",
      .help = "Its secret." },
};

static const struct setting rows[] = {
    TEXT("query", query, "Print this member only, such as properties.loginServer."),
    TEXT("group", group, "Resource group."),
    TEXT("location", location, "Region; eastus."),
    TEXT("sku", sku, "Basic, Standard or Premium; Basic."),
    FLAG("admin", has_admin, "With the admin user."),
    TEXT("api-version", api_version, "Instead of the newest released one of the type."),
    TEXT("body", body, "JSON, or @FILE, or - for standard input."),
    FLAG("no-wait", no_wait, "Return while the operation goes on."),
    TEXT("name", name, "Name of the deployment, or of the password (password1, password2)."),
    TEXT("expiry", expiry, "When the password ends, as 2030-01-31T00:00:00Z."),
    TEXT("template", template_, "File of the template; - for standard input."),
    TEXT("parameters", parameters, "Parameter file."),
    FLAG("complete", is_complete, "Remove from the group what the template does not name."),
    TEXT("repository", repository, "Repository that is asked about."),
    TEXT("action", action, "pull, push, delete, metadata_read or metadata_write."),
    TEXT("principal", principal, "Object id of a principal."),
    TEXT("user", user, "Name of a token, or the admin user's."),
    TEXT("address", address, "IPv4 or IPv6 address."),
    TEXT("link", link, "Id of a subnet or a private endpoint."),
    TEXT("service", service, "None, TrustedService or Task."),
};

static bool takes(const struct cli_command *command, struct arena *a, const char *name)
{
    return command->takes && strstr(command->takes, arena_printf(a, " %s ", name));
}

struct setting *cli_options_table(struct arena *a, const struct cli_command *command)
{
    struct setting *table =
        arena_array(a, ARRAY_LEN(common_rows) + ARRAY_LEN(rows) + 1, sizeof(*table));
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (takes(command, a, rows[i].name))
            table[count++] = rows[i];
    for (size_t i = 0; i < ARRAY_LEN(common_rows); i++)
        table[count++] = common_rows[i];
    return table;
}

char *cli_profile_path(struct arena *a)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (xdg && xdg[0] == '/')
        return arena_printf(a, "%s/portolan/profile", xdg);
    return home && home[0] == '/' ? arena_printf(a, "%s/.config/portolan/profile", home) : NULL;
}

int cli_profile_write(struct arena *a, const struct cli_options *o, struct error *err)
{
    char *path = cli_profile_path(a);
    _cleanup_(str_done) struct str text = { 0 };

    if (!path)
        return fail(err, &E_INVALID, "HOME is not set: there is no place for the profile.");
    str_init(&text, PROFILE_MAX);
    str_puts(&text, "# Written by portolan login; portolan logout removes it.\n");
    for (size_t i = 0; i < ARRAY_LEN(common_rows); i++) {
        const char *value = *(char *const *)((const char *)o + common_rows[i].offset);

        if (value && strpbrk(value, "\r\n"))
            return fail(err, &E_INVALID, "The value of %s holds a line break.",
                        common_rows[i].name);
        if (value && *value)
            str_printf(&text, "%s = %s\n", common_rows[i].name, value);
    }
    if (str_check(&text, err) ||
        file_mkdirs(arena_strndup(a, path, (size_t)(strrchr(path, '/') - path)), 0700, err))
        return -1;
    int rc = file_replace(path, text.data, text.len, 0600, err);
    explicit_bzero(text.data, text.len);
    return rc;
}
