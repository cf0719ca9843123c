/* Resources that follow from their parent and have no rows: types with derive(). */
#ifndef PORTOLAN_API_DERIVED_H
#define PORTOLAN_API_DERIVED_H

#include "controlplane/api/pipeline.h"

/* Both need c->parent. HEAD is answered like GET, without the body. */
enum stage_result derived_item(struct call *c, struct error *err);
enum stage_result derived_list(struct call *c, struct error *err);

#endif
