/* Regions of the installation: seeding their rows from settings, and the list every part of the
 * control plane works with. */
#include "controlplane/provision/region.h"

#include <ctype.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/store/regions.h"

/* What people call the regions that clients know by name. */
static const struct {
    const char *name;
    const char *display_name;
} known[] = {
    { "australiaeast", "Australia East" },   { "brazilsouth", "Brazil South" },
    { "canadacentral", "Canada Central" },   { "centralindia", "Central India" },
    { "centralus", "Central US" },           { "eastasia", "East Asia" },
    { "eastus", "East US" },                 { "eastus2", "East US 2" },
    { "francecentral", "France Central" },   { "germanywestcentral", "Germany West Central" },
    { "japaneast", "Japan East" },           { "koreacentral", "Korea Central" },
    { "northcentralus", "North Central US" }, { "northeurope", "North Europe" },
    { "norwayeast", "Norway East" },         { "southcentralus", "South Central US" },
    { "southeastasia", "Southeast Asia" },   { "swedencentral", "Sweden Central" },
    { "switzerlandnorth", "Switzerland North" }, { "uksouth", "UK South" },
    { "westeurope", "West Europe" },         { "westus", "West US" },
    { "westus2", "West US 2" },              { "westus3", "West US 3" },
};

/* Connections of one region's pool: the steps of all reconcile workers and usage look-ups. */
#define REGION_POOL_MAX 16

char *region_normalise(struct arena *a, const char *name)
{
    char *out = arena_alloc(a, strlen(name) + 1);
    size_t n = 0;

    for (; *name; name++)
        if (*name != ' ')
            out[n++] = (char)tolower((unsigned char)*name);
    return out;
}

/* Compares without case and spaces, which needs no memory. */
static bool is_same(const char *name, const char *normal)
{
    for (; *name; name++) {
        if (*name == ' ')
            continue;
        if (tolower((unsigned char)*name) != *normal)
            return false;
        normal++;
    }
    return *normal == '\0';
}

const struct region *region_find(const struct region *regions, const char *name)
{
    for (const struct region *r = regions; name && r->name; r++)
        if (is_same(name, r->name))
            return r;
    return NULL;
}

static const char *display_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (text_eq(known[i].name, name))
            return known[i].display_name;
    return name;
}

/* The pattern with every {region} replaced. */
static char *expand(struct arena *a, const char *pattern, const char *region)
{
    const char *mark;
    char *out = arena_strdup(a, "");

    while ((mark = strstr(pattern, "{region}"))) {
        out = arena_printf(a, "%s%.*s%s", out, (int)(mark - pattern), pattern, region);
        pattern = mark + strlen("{region}");
    }
    return arena_printf(a, "%s%s", out, pattern);
}

/* What the list "name=value …" says of a region, else what follows from the pattern. */
static char *value_of(struct arena *a, const char *list, const char *pattern, const char *region)
{
    size_t count, len = strlen(region);
    char **words;

    count = list ? text_split(a, list, ' ', &words) : 0;
    for (size_t i = 0; i < count; i++)
        if (text_starts(words[i], region) && words[i][len] == '=' && words[i][len + 1])
            return words[i] + len + 1;
    return expand(a, pattern, region);
}

/* A list that names what is no region means another one. */
static int check_list(struct arena *a, const char *list, const struct region_row *rows,
                      size_t count, const char *setting, struct error *err)
{
    char **words;
    size_t nwords = list ? text_split(a, list, ' ', &words) : 0;

    for (size_t i = 0; i < nwords; i++) {
        size_t k = 0, len = strcspn(words[i], "=");

        while (k < count && (strlen(rows[k].name) != len || !text_starts(words[i], rows[k].name)))
            k++;
        if (words[i][0] && (k == count || !words[i][len] || !words[i][len + 1]))
            return fail(err, &E_INVALID,
                        "The setting %s takes region=value, of the regions there are; not '%.*s'.",
                        setting, (int)len, words[i]);
    }
    return 0;
}

static int check_name(const char *name, struct error *err)
{
    size_t len = strlen(name);

    if (len < 2 || len > 40 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") != len)
        return fail(err, &E_INVALID,
                    "The region name '%s' is not valid: 2 to 40 lower-case letters and digits.",
                    name);
    return 0;
}

int regions_wanted(const struct control_settings *settings, struct arena *a,
                   struct region_row **ret, size_t *ret_count, struct error *err)
{
    char **names;
    size_t count = text_split(a, settings->regions, ' ', &names);

    *ret_count = 0;
    *ret = arena_array(a, count + 1, sizeof(**ret));
    for (size_t i = 0; i < count; i++) {
        if (!names[i][0])
            continue;
        if (check_name(names[i], err))
            return -1;
        (*ret)[(*ret_count)++] = (struct region_row){
            .name = names[i],
            .display_name = display_name(names[i]),
            .metadata_url = value_of(a, settings->region_db_of, settings->region_db, names[i]),
            .blobs_url = value_of(a, settings->region_blobs_of, settings->region_blobs, names[i]),
        };
    }
    if (*ret_count == 0)
        return fail(err, &E_INVALID, "The setting regions names no region.");
    if (check_list(a, settings->region_db_of, *ret, *ret_count, "region-db-of", err))
        return -1;
    return check_list(a, settings->region_blobs_of, *ret, *ret_count, "region-blobs-of", err);
}

int regions_open(struct pg_conn *conn, struct arena *a, struct region **ret, struct error *err)
{
    struct region_row *rows;
    size_t count;

    if (region_list(conn, a, &rows, &count, err))
        return wrap(err, "list regions");
    struct region *regions = arena_array(a, count + 1, sizeof(*regions));
    for (size_t i = 0; i < count; i++) {
        struct pg_pool_config config = {
            .conninfo = rows[i].metadata_url,
            .application = "portolan-controlplane",
            .max = REGION_POOL_MAX,
        };
        regions[i] = (struct region){
            .name = rows[i].name,
            .display_name = rows[i].display_name,
            .metadata_url = rows[i].metadata_url,
            .blobs_url = rows[i].blobs_url,
            .db = pg_pool_new(&config),
        };
    }
    *ret = regions;
    return 0;
}

void regions_close(struct region *regions)
{
    for (struct region *r = regions; r && r->name; r++) {
        pg_pool_free(r->db);
        r->db = NULL;
    }
}
