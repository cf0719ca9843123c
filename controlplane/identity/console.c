/* Each command is one row: its words, how many it takes, and what it does in one transaction. Secrets are
 * made here, shown once on standard output, and kept as hashes only. */
#include "controlplane/identity/console.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/roles.h"
#include "controlplane/provision/publish_grants.h"
#include "controlplane/store/directory.h"
#include "controlplane/store/identity.h"

#define PASSWORD_CHARS 24
#define SECRET_CHARS   40
#define LIST_MAX       1000
#define HINT_CHARS     3

const char console_usage[] =
    "  directory user list\n"
    "  directory user add NAME@DOMAIN DISPLAY-NAME      prints a password, once\n"
    "  directory user password NAME@DOMAIN              prints a new one, once\n"
    "  directory user disable|enable NAME@DOMAIN\n"
    "  directory app add DISPLAY-NAME                   prints an id and a secret, once\n"
    "  directory app secret APP-ID                      a new secret in the place of all others\n"
    "  directory assign ROLE-NAME NAME@DOMAIN|APP-ID|OBJECT-ID SCOPE\n";

struct console {
    struct control *control;
    struct arena *a;
    const char *const *words; /* the arguments */
    struct entry *rows;
    size_t count;
    const char *secret;      /* made by this command */
    const char *hash;        /* of it */
    const char **scopes;     /* where rights changed */
    size_t scope_count;
    struct new_service_principal app;
};

/* 1 with the only entry that fits in c->rows. */
static int look_up(struct pg_conn *conn, struct console *c, struct entry_filter *filter,
                   const char *what, struct error *err)
{
    filter->tenant_id = c->control->tenant_id;
    filter->limit = 1;
    if (entry_list(conn, c->a, filter, &c->rows, &c->count, err))
        return -1;
    if (c->count == 0)
        return fail(err, &E_NOT_FOUND, "There is no '%.100s' in the directory.", what);
    return 0;
}

static int find_user(struct pg_conn *conn, struct console *c, struct error *err)
{
    struct entry_filter filter = { .kind = "User", .upn = c->words[0] };

    return look_up(conn, c, &filter, c->words[0], err);
}

/* Users --------------------------------------------------------------------------------------- */

static int user_list(struct pg_conn *conn, struct console *c, struct error *err)
{
    struct entry_filter filter = { .tenant_id = c->control->tenant_id,
                                   .kind = "User",
                                   .limit = LIST_MAX };

    return entry_list(conn, c->a, &filter, &c->rows, &c->count, err);
}

static void show_users(const struct console *c, FILE *out)
{
    for (size_t i = 0; i < c->count; i++)
        (void)fprintf(out, "%s  %-8s  %s  %s\n", c->rows[i].id,
                      c->rows[i].is_enabled ? "enabled" : "disabled", c->rows[i].upn,
                      c->rows[i].display_name);
}

static int make_password(struct console *c, struct error *err)
{
    char *hash = NULL;

    c->secret = random_text(c->a, PASSWORD_CHARS);
    if (secret_hash_chosen(c->a, c->secret, &hash, err))
        return -1;
    c->hash = hash;
    return 0;
}

static int user_add(struct pg_conn *conn, struct console *c, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct entry row = { .kind = "User",
                         .upn = c->words[0],
                         .display_name = c->words[1],
                         .is_enabled = true };

    uuid_new(id);
    row.id = id;
    if (!strchr(row.upn, '@'))
        return fail(err, &E_INVALID, "A user's name has the form name@domain.");
    if (make_password(c, err) ||
        entry_insert(conn, c->a, c->control->tenant_id, &row, c->hash, err))
        return -1;
    return find_user(conn, c, err);
}

static int user_password(struct pg_conn *conn, struct console *c, struct error *err)
{
    if (find_user(conn, c, err) || make_password(c, err))
        return -1;
    return entry_update(conn, c->a, c->control->tenant_id, &c->rows[0], c->hash, err);
}

static void show_password(const struct console *c, FILE *out)
{
    (void)fprintf(out, "%s  %s\npassword: %s\n", c->rows[0].id, c->rows[0].upn, c->secret);
}

static int set_enabled(struct pg_conn *conn, struct console *c, bool is_enabled, struct error *err)
{
    if (find_user(conn, c, err))
        return -1;
    c->rows[0].is_enabled = is_enabled;
    if (entry_update(conn, c->a, c->control->tenant_id, &c->rows[0], NULL, err))
        return -1;
    return entry_scopes(conn, c->a, c->rows[0].id, &c->scopes, &c->scope_count, err);
}

static int user_disable(struct pg_conn *conn, struct console *c, struct error *err)
{
    return set_enabled(conn, c, false, err);
}

static int user_enable(struct pg_conn *conn, struct console *c, struct error *err)
{
    return set_enabled(conn, c, true, err);
}

/* Applications -------------------------------------------------------------------------------- */

static int app_add(struct pg_conn *conn, struct console *c, struct error *err)
{
    c->app = (struct new_service_principal){ .tenant_id = c->control->tenant_id,
                                             .display_name = c->words[0] };
    return directory_add_service_principal(conn, c->a, &c->app, err);
}

static int app_secret(struct pg_conn *conn, struct console *c, struct error *err)
{
    struct entry_filter filter = { .kind = "ServicePrincipal", .app_id = c->words[0] };
    struct credential *old = NULL;
    char id[UUID_TEXT_LEN + 1];
    size_t count = 0;

    if (!uuid_is_valid(c->words[0]))
        return fail(err, &E_INVALID, "'%.100s' is no application id.", c->words[0]);
    if (look_up(conn, c, &filter, c->words[0], err) ||
        credential_list_for(conn, c->a, c->rows[0].id, &old, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (text_eq(old[i].kind, "Secret") &&
            credential_remove(conn, c->a, c->rows[0].id, old[i].id, err) < 0)
            return -1;
    }
    uuid_new(id);
    c->app = (struct new_service_principal){ .tenant_id = c->control->tenant_id,
                                             .app_id = c->rows[0].app_id,
                                             .object_id = c->rows[0].id,
                                             .secret = random_text(c->a, SECRET_CHARS) };
    return identity_add_secret(conn, c->a, id, c->app.object_id,
                               secret_hash_generated(c->a, c->app.secret),
                               arena_strndup(c->a, c->app.secret, HINT_CHARS), NULL, err);
}

static void show_app(const struct console *c, FILE *out)
{
    (void)fprintf(out, "AZURE_TENANT_ID=%s\nAZURE_CLIENT_ID=%s\nAZURE_CLIENT_SECRET=%s\n"
                       "PORTOLAN_CLIENT_OBJECT_ID=%s\n",
                  c->app.tenant_id, c->app.app_id, c->app.secret, c->app.object_id);
}

/* Roles --------------------------------------------------------------------------------------- */

/* A name with an at sign, an application's id, or an object's. */
static int find_anybody(struct pg_conn *conn, struct console *c, const char *who,
                        struct error *err)
{
    struct entry_filter filter = { 0 };
    const char *ids[] = { who };

    if (strchr(who, '@')) {
        filter = (struct entry_filter){ .kind = "User", .upn = who };
        return look_up(conn, c, &filter, who, err);
    }
    if (!uuid_is_valid(who))
        return fail(err, &E_INVALID, "'%.100s' is neither name@domain nor an id.", who);
    filter = (struct entry_filter){ .kind = "ServicePrincipal", .app_id = who };
    if (look_up(conn, c, &filter, who, err) == 0)
        return 0;
    if (err->code != &E_NOT_FOUND)
        return -1;
    filter = (struct entry_filter){ .ids = ids, .id_count = 1 };
    return look_up(conn, c, &filter, who, err);
}

static int assign(struct pg_conn *conn, struct console *c, struct error *err)
{
    const struct role *role = role_find_name(c->words[0]);
    const char *scope = c->words[2];
    char id[UUID_TEXT_LEN + 1];

    if (!role)
        return fail(err, &E_NOT_FOUND, "There is no built-in role '%.100s'.", c->words[0]);
    if (!text_eq(scope, "/") && !text_starts_nocase(scope, "/subscriptions/"))
        return fail(err, &E_INVALID, "A scope is / or begins with /subscriptions/.");
    if (find_anybody(conn, c, c->words[1], err))
        return -1;
    uuid_new(id);
    const struct assignment_new assignment = {
        .id = id,
        .scope = scope,
        .tenant_id = c->control->tenant_id,
        .role_definition_id = role->id,
        .principal_id = c->rows[0].id,
        .principal_type = text_eq(c->rows[0].kind, "ManagedIdentity") ? "ServicePrincipal"
                                                                       : c->rows[0].kind,
        .created_by = c->rows[0].id,
    };
    c->scopes = arena_array(c->a, 1, sizeof(char *));
    c->scopes[c->scope_count++] = scope;
    return identity_add_assignment(conn, c->a, &assignment, err);
}

static void show_entry(const struct console *c, FILE *out)
{
    (void)fprintf(out, "%s  %s\n", c->rows[0].id, c->rows[0].display_name);
}

/* ----------------------------------------------------------------------------------------------- */

static const struct command {
    const char *words[3]; /* ended by NULL */
    size_t takes;
    int (*run)(struct pg_conn *conn, struct console *c, struct error *err);
    void (*show)(const struct console *c, FILE *out);
} commands[] = {
    { { "user", "list" }, 0, user_list, show_users },
    { { "user", "add" }, 2, user_add, show_password },
    { { "user", "password" }, 1, user_password, show_password },
    { { "user", "disable" }, 1, user_disable, show_entry },
    { { "user", "enable" }, 1, user_enable, show_entry },
    { { "app", "add" }, 1, app_add, show_app },
    { { "app", "secret" }, 1, app_secret, show_app },
    { { "assign" }, 3, assign, show_entry },
};

static size_t count_words(const char *const *words)
{
    size_t n = 0;

    while (words[n])
        n++;
    return n;
}

static const struct command *find_command(const char *const *words, size_t *ret_skip)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        size_t n = count_words(commands[i].words);
        bool is_it = count_words(words) == n + commands[i].takes;

        for (size_t k = 0; is_it && k < n; k++)
            is_it = text_eq(words[k], commands[i].words[k]);
        *ret_skip = n;
        if (is_it)
            return &commands[i];
    }
    return NULL;
}

struct running {
    const struct command *command;
    struct console *console;
};

/* May run several times: what an attempt left is forgotten. */
static int attempt(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct running *r = ctx;
    struct console *c = r->console;

    (void)a;
    c->scope_count = 0;
    return r->command->run(conn, c, err);
}

int console_run(struct control *control, struct arena *a, const char *const *words, FILE *out,
                struct error *err)
{
    struct console c = { .control = control, .a = a };
    struct running r = { .console = &c };
    size_t skip = 0;

    r.command = find_command(words, &skip);
    if (!r.command)
        return fail(err, &E_INVALID, "That is no directory command. There are:\n%s", console_usage);
    c.words = words + skip;
    if (pg_transact(control->db, a, attempt, &r, err)) {
        if (err->code == &E_CONFLICT)
            return fail(err, &E_CONFLICT, "Something of that name is there already.");
        return -1;
    }
    for (size_t i = 0; i < c.scope_count; i++) {
        if (publish_grants_changed(control, a, c.scopes[i], err))
            return -1;
    }
    r.command->show(&c, out);
    return fflush(out) == 0 ? 0 : fail_errno(err, "write the answer");
}
