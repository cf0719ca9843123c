/* Published api-versions. Clients pin what they were built with, so every one is accepted; members
 * newer than the version asked for stay hidden (`since` in the tables). */
#include "controlplane/types/versions.h"

#include <stddef.h>

/* Each of these goes on with the ones before it. */
#define STABLE_2025_04 "2025-11-01", "2025-04-01"
#define STABLE_2023 STABLE_2025_04, "2023-07-01"
#define STABLE_2022 STABLE_2023, "2022-12-01"
#define STABLE_2021 STABLE_2022, "2021-09-01"
#define STABLE_2017_10 STABLE_2021, "2019-05-01", "2017-10-01"
#define PREVIEW_2023_06                                                                            \
    "2026-09-01-preview", "2026-03-01-preview", "2026-01-01-preview", "2025-06-01-preview",        \
        "2025-05-01-preview", "2025-03-01-preview", "2024-11-01-preview", "2023-11-01-preview",    \
        "2023-08-01-preview", "2023-06-01-preview"
#define PREVIEW_2023_01 PREVIEW_2023_06, "2023-01-01-preview"
#define PREVIEW_2020                                                                               \
    PREVIEW_2023_01, "2022-02-01-preview", "2021-12-01-preview", "2021-08-01-preview",             \
        "2021-06-01-preview", "2020-11-01-preview"
#define PREVIEW_2019 PREVIEW_2020, "2019-12-01-preview"

const char *const registry_versions[] = { STABLE_2017_10, "2017-03-01", PREVIEW_2019, NULL };
const char *const geo_versions[] = { STABLE_2017_10, PREVIEW_2019, "2017-06-01-preview", NULL };
const char *const scope_map_versions[] = { STABLE_2022, PREVIEW_2020, "2019-05-01-preview", NULL };
const char *const private_link_versions[] = { STABLE_2021, PREVIEW_2019, NULL };
const char *const connected_versions[] = { STABLE_2025_04, PREVIEW_2020, NULL };
const char *const cache_versions[] = { STABLE_2023, PREVIEW_2023_01, NULL };
const char *const transfer_versions[] = { PREVIEW_2019, NULL };
const char *const archive_versions[] = { PREVIEW_2023_06, NULL };
const char *const task_versions[] = { "2019-04-01", "2018-09-01", "2025-03-01-preview",
                                      "2019-06-01-preview", "2018-02-01-preview", NULL };

const char *const resources_versions[] = {
    "2025-04-01", "2025-03-01", "2024-11-01", "2024-08-01", "2024-07-01", "2024-03-01",
    "2023-07-01", "2022-12-01", "2022-09-01", "2022-06-01", "2022-01-01", "2021-10-01",
    "2021-04-01", "2021-01-01", "2020-10-01", "2020-09-01", "2020-08-01", "2020-06-01",
    "2020-05-01", "2020-01-01", "2019-11-01", "2019-10-01", "2019-09-01", "2019-08-01",
    "2019-07-01", "2019-06-01", "2019-05-10", "2019-05-01", "2019-03-01", "2018-11-01",
    "2018-09-01", "2018-08-01", "2018-07-01", "2018-06-01", "2018-05-01", "2018-02-01",
    "2018-01-01", "2017-08-01", "2017-06-01", "2017-05-10", "2017-05-01", "2017-03-01",
    "2016-09-01", "2016-07-01", "2016-06-01", "2016-02-01", "2015-11-01", "2015-01-01",
    "2014-04-01", NULL,
};
