/* Publishes a registry as the control plane would, for tests of the data plane alone: makes its
 * keys and a directory key, and prints SQL for psql on standard output, secrets as `key=value` on
 * standard error.
 *
 *   publish_registry ID NAME LOGIN_SERVER SERVICE_KEY_FILE TENANT PRINCIPAL [DIRECTORY_PEM_FILE]
 *
 * The directory's private key is written to DIRECTORY_PEM_FILE, the registry's beside it with
 * ".registry" behind, so that tests can make tokens no honest issuer would. */
/* links: portolan_crypto portolan_json portolan_base */
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/json/json.h"

#define DATA_KEY_LEN 32

static const char everything[] =
    "[{\"type\":\"repository\",\"name\":\"*\",\"actions\":[\"*\"]},"
    "{\"type\":\"registry\",\"name\":\"catalog\",\"actions\":[\"*\"]},"
    "{\"type\":\"registry\",\"name\":\"deleted_catalog\",\"actions\":[\"*\"]}]";
static const char team_only[] =
    "[{\"type\":\"repository\",\"name\":\"team/*\",\"actions\":[\"pull\",\"metadata_read\"]}]";

static int print_registry(struct arena *a, char **argv, const struct service_key *key,
                          struct error *err)
{
    struct token_key *signing = token_key_new();
    char *pem = token_key_pem(a, signing);
    unsigned char data_key[DATA_KEY_LEN];
    const char *id = argv[1];
    int status = 0;

    random_bytes(data_key, sizeof(data_key));
    const char *wrapped_signing =
        secret_wrap(a, key, arena_printf(a, "registry/%s/signing-key", id), pem, strlen(pem));
    const char *wrapped_data = secret_wrap(a, key, arena_printf(a, "registry/%s/data-key", id),
                                           data_key, sizeof(data_key));
    printf("insert into registries (id, name, login_server, resource_generation, settings, "
           "wrapped_signing_key, wrapped_data_key) values ('%s', '%s', '%s', 1, "
           "'{\"adminUserEnabled\":true,\"anonymousPullEnabled\":false,\"tenantId\":\"%s\","
           "\"issuers\":[\"https://issuer.test/\"],\"audiences\":[\"https://arm.test/\"]}', "
           "'%s', '%s');\n",
           id, argv[2], argv[3], argv[5], wrapped_signing, wrapped_data);
    if (argv[7])
        status = file_replace(arena_printf(a, "%s.registry", argv[7]), pem, strlen(pem), 0600, err);
    fprintf(stderr, "registry-kid=%s\n", token_key_id(signing));
    token_key_free(signing);
    return status;
}

static void print_credential(struct arena *a, const char *id, const char *kind, const char *name,
                             const char *permissions)
{
    const char *password = random_text(a, 32);

    printf("insert into credentials (registry_id, username, password_name, kind, hash, "
           "permissions) values ('%s', '%s', 'password', '%s', '%s', '%s');\n",
           id, name, kind, secret_hash_generated(a, password), permissions);
    fprintf(stderr, "%s=%s\n", name, password);
}

static int print_directory(struct arena *a, char **argv, struct error *err)
{
    struct token_key *directory = token_key_new();
    const char *pem = token_key_pem(a, directory);
    int status = 0;

    printf("insert into directory_keys (kid, public_pem, verifies_until) values ('%s', '%s', "
           "now() + interval '1 day') on conflict do nothing;\n",
           token_key_id(directory), token_key_public_pem(a, directory));
    printf("insert into grants (registry_id, principal_id, permissions) values ('%s', '%s', "
           "'%s');\n",
           argv[1], argv[6], everything);
    if (argv[7]) {
        status = file_replace(argv[7], pem, strlen(pem), 0600, err);
        fprintf(stderr, "kid=%s\n", token_key_id(directory));
    }
    token_key_free(directory);
    return status;
}

int main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct service_key key;
    struct error err = { 0 };

    if (argc < 7) {
        fputs("usage: publish_registry ID NAME LOGIN_SERVER SERVICE_KEY_FILE TENANT PRINCIPAL "
              "[DIRECTORY_PEM_FILE]\n",
              stderr);
        return 2;
    }
    if (service_key_load(argv[4], true, &key, &err) != 0 ||
        print_registry(a, argv, &key, &err) != 0 || print_directory(a, argv, &err) != 0) {
        fprintf(stderr, "error=%s %s\n", err.message, err.cause);
        return 1;
    }
    print_credential(a, argv[1], "admin", argv[2], everything);
    print_credential(a, argv[1], "token", "reader", team_only);
    return 0;
}
