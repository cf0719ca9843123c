/* Microsoft.Resources/tags/default at any scope, and the names and values of tags in a subscription. */
#ifndef PORTOLAN_API_TAGS_H
#define PORTOLAN_API_TAGS_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint tags_show, tags_write, tags_patch, tags_remove;
extern const struct endpoint tag_names_list, tag_name_put, tag_name_drop, tag_value_put,
    tag_value_drop;

#endif
