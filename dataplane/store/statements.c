/* All statement tables of the plane, for the test that prepares each against a migrated database.
 */
#include "dataplane/store/content.h"

const struct pg_stmt *const region_statements[] = {
    repository_statements, blob_statements,      manifest_statements,
    listing_statements,    attribute_statements, projection_statements,
    collection_statements, usage_statements,     upkeep_statements,
    account_statements,    removal_statements,   bin_statements,
    expiry_statements,     metadata_statements,  import_statements,
    NULL,
};
