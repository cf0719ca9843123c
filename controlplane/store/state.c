/* The states of a resource and how it may move between them: one table, one function that reads it
 * (state_next), one that applies it to a row (state_move). */
#include "controlplane/store/resources.h"

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

static const char *const state_names[STATE_MAX] = {
    [STATE_CREATING] = "Creating",   [STATE_UPDATING] = "Updating", [STATE_DELETING] = "Deleting",
    [STATE_SUCCEEDED] = "Succeeded", [STATE_FAILED] = "Failed",     [STATE_CANCELED] = "Canceled",
};

static const char *const event_names[EVENT_MAX] = {
    [EVENT_PUT] = "put",          [EVENT_DELETE] = "delete",     [EVENT_SETTLED] = "settled",
    [EVENT_GAVE_UP] = "gave up", [EVENT_CANCELED] = "canceled",
};

/* The first row is where a resource starts. Deleting is left by the removal of the row alone: a
 * half-removed resource is never put together again behind its owner's back. */
const struct state_row state_table[] = {
    { STATE_CREATING, EVENT_PUT, STATE_CREATING, "a newer desired state replaces the first one" },
    { STATE_CREATING, EVENT_DELETE, STATE_DELETING, "deleted before it was ready" },
    { STATE_CREATING, EVENT_SETTLED, STATE_SUCCEEDED, "every step is done" },
    { STATE_CREATING, EVENT_GAVE_UP, STATE_FAILED, "a step failed for good" },
    { STATE_CREATING, EVENT_CANCELED, STATE_CANCELED, "called off by a caller" },
    { STATE_UPDATING, EVENT_PUT, STATE_UPDATING, "a newer desired state replaces the pending one" },
    { STATE_UPDATING, EVENT_DELETE, STATE_DELETING, "deleted during an update" },
    { STATE_UPDATING, EVENT_SETTLED, STATE_SUCCEEDED, "every step is done" },
    { STATE_UPDATING, EVENT_GAVE_UP, STATE_FAILED, "a step failed for good" },
    { STATE_UPDATING, EVENT_CANCELED, STATE_CANCELED, "called off by a caller" },
    { STATE_SUCCEEDED, EVENT_PUT, STATE_UPDATING, "a new desired state" },
    { STATE_SUCCEEDED, EVENT_DELETE, STATE_DELETING, "a delete was asked for" },
    { STATE_SUCCEEDED, EVENT_SETTLED, STATE_SUCCEEDED, "observed again, drift repaired" },
    { STATE_SUCCEEDED, EVENT_GAVE_UP, STATE_FAILED, "drift could not be repaired" },
    { STATE_FAILED, EVENT_PUT, STATE_UPDATING, "a new desired state starts over" },
    { STATE_FAILED, EVENT_DELETE, STATE_DELETING, "a delete was asked for" },
    { STATE_FAILED, EVENT_SETTLED, STATE_SUCCEEDED, "what was in the way has gone" },
    { STATE_FAILED, EVENT_GAVE_UP, STATE_FAILED, "tried again, failed again" },
    { STATE_CANCELED, EVENT_PUT, STATE_UPDATING, "a new desired state starts over" },
    { STATE_CANCELED, EVENT_DELETE, STATE_DELETING, "a delete was asked for" },
    { STATE_CANCELED, EVENT_SETTLED, STATE_SUCCEEDED, "it was complete after all" },
    { STATE_CANCELED, EVENT_GAVE_UP, STATE_FAILED, "tried again, failed" },
    { STATE_DELETING, EVENT_GAVE_UP, STATE_DELETING, "the operation fails, the removal goes on" },
};
const size_t state_table_len = ARRAY_LEN(state_table);

enum { MOVE };

const struct pg_stmt state_statements[] = {
    [MOVE] = { "state_move",
               "update resources r set state = t.new, updated_at = now() "
               "from unnest($2::text[], $3::text[]) as t (old, new) "
               "where r.uid = $1 and r.state = t.old",
               "uuid text[] text[]" },
    { 0 },
};

const char *state_name(enum resource_state state)
{
    return state_names[state];
}

bool state_parse(const char *name, enum resource_state *ret)
{
    for (size_t i = 0; i < STATE_MAX; i++) {
        if (text_eq(name, state_names[i])) {
            *ret = (enum resource_state)i;
            return true;
        }
    }
    return false;
}

const char *state_event_name(enum state_event event)
{
    return event_names[event];
}

int state_next(enum resource_state from, enum state_event event, enum resource_state *ret_to)
{
    for (size_t i = 0; i < state_table_len; i++) {
        if (state_table[i].from == from && state_table[i].event == event) {
            *ret_to = state_table[i].to;
            return 1;
        }
    }
    return 0;
}

int state_move(struct pg_conn *conn, struct arena *a, const char *uid, enum state_event event,
               struct error *err)
{
    const char *from[STATE_MAX];
    const char *to[STATE_MAX];
    size_t count = 0;
    struct pg_result *r = NULL;

    for (size_t i = 0; i < state_table_len; i++) {
        if (state_table[i].event != event)
            continue;
        from[count] = state_name(state_table[i].from);
        to[count++] = state_name(state_table[i].to);
    }
    if (PG_RUN(conn, a, &state_statements[MOVE], &r, err, pg_text(uid), pg_texts(from, count),
               pg_texts(to, count)))
        return wrap(err, "move state by '%s'", state_event_name(event));
    return pg_affected(r) > 0;
}
