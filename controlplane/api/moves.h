/* POST …/resourceGroups/{g}/moveResources and validateMoveResources. */
#ifndef PORTOLAN_API_MOVES_H
#define PORTOLAN_API_MOVES_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint resources_move, resources_move_check;

#endif
