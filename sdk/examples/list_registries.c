/* Prints the login servers of all registries of the subscription, page after page:
 *
 *     eval "$(./dev env)"
 *     list_registries
 */
#include <stdio.h>
#include <stdlib.h>

#include <portolan.h>

static int print(void *count, const char *registry)
{
    char *server = portolan_text(registry, "properties.loginServer");

    printf("%s\n", server ? server : "(being made)");
    portolan_free(server);
    ++*(int *)count;
    return 0;
}

int main(void)
{
    struct portolan *client;
    struct portolan_error err;
    char path[256];
    int count = 0;

    if (portolan_open(NULL, &client, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    snprintf(path, sizeof(path),
             "/subscriptions/%s/providers/Microsoft.ContainerRegistry/registries",
             getenv("AZURE_SUBSCRIPTION_ID"));
    if (portolan_list(client, path, NULL, print, &count, &err)) {
        fprintf(stderr, "%s: %s\n", err.code, err.message);
        portolan_close(client);
        return 1;
    }
    printf("%d registries\n", count);
    portolan_close(client);
    return 0;
}
