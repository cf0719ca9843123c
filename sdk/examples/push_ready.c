/* Makes a registry that takes pushes, and prints how to sign in to it:
 *
 *     eval "$(./dev env)"
 *     push_ready GROUP REGISTRY
 */
#include <stdio.h>

#include <portolan.h>

static int fail(const struct portolan_error *err)
{
    fprintf(stderr, "%s: %s\n", err->code, err->message);
    return 1;
}

int main(int argc, char **argv)
{
    struct portolan *client;
    struct portolan_error err;
    struct portolan_registry want = { .sku = "Standard", .is_admin_enabled = 1 };
    char *group, *id, *registry, *credentials, *server, *password;

    if (argc != 3) {
        fprintf(stderr, "usage: %s GROUP REGISTRY\n", argv[0]);
        return 2;
    }
    if (portolan_open(NULL, &client, &err))
        return fail(&err);
    group = portolan_group_id(client, argv[1]);
    id = portolan_registry_id(client, argv[1], argv[2]);
    if (!group || !id) {
        fprintf(stderr, "these cannot be names\n");
        return 2;
    }
    if (portolan_put(client, group, "{\"location\":\"eastus\"}", NULL, &err) ||
        portolan_registry_create(client, argv[1], argv[2], &want, &registry, &err) ||
        portolan_registry_credentials(client, id, &credentials, &err))
        return fail(&err);

    server = portolan_text(registry, "properties.loginServer");
    password = portolan_text(credentials, "passwords.0.value");
    printf("skopeo login -u %s -p %s %s\n", argv[2], password, server);

    portolan_free(password);
    portolan_free(server);
    portolan_free(credentials);
    portolan_free(registry);
    portolan_free(id);
    portolan_free(group);
    portolan_close(client);
    return 0;
}
