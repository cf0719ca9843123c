/* Reading a block list, front to back and nothing beside it: a declaration, <BlockList>, one element for
 * each block, </BlockList>. What may stand in an id needs no escaping, so there are no entities. */
#include "controlplane/storage/block_list.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"

#define SPACES "\t\r\n "
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#define ID_TEXT_MAX 96
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

const struct error_code E_BLOCK_XML = { "InvalidXmlDocument", 400 };
const struct error_code E_BLOCK_LIST = { "InvalidBlockList", 400 };

static const char *const kinds[] = { "Latest", "Uncommitted", "Committed" };

/* The text is NUL-terminated and holds no NUL, so a read stops at its end. */
struct reader {
    const char *at;
};

bool block_id_is_valid(const char *id)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    size_t len = 0, text = strlen(id);

    return text > 0 && text <= ID_TEXT_MAX && strspn(id, BASE64) == text &&
           text_unbase64(a, id, text, &len) && len > 0 && len <= BLOCK_ID_MAX;
}

static void skip_spaces(struct reader *r)
{
    r->at += strspn(r->at, SPACES);
}

static bool take_text(struct reader *r, const char *text)
{
    if (!text_starts(r->at, text))
        return false;
    r->at += strlen(text);
    return true;
}

/* "<name>", or "</name>" when it closes; a space may stand before the ">". */
static bool take_tag(struct reader *r, const char *name, bool is_closing)
{
    struct reader t = *r;

    if (!take_text(&t, is_closing ? "</" : "<") || !take_text(&t, name))
        return false;
    skip_spaces(&t);
    if (!take_text(&t, ">"))
        return false;
    *r = t;
    return true;
}

static bool skip_declaration(struct reader *r)
{
    const char *end;

    if (!take_text(r, "<?xml"))
        return true;
    end = strstr(r->at, "?>");
    r->at = end ? end + 2 : r->at;
    return end != NULL;
}

/* The id of the next block, or NULL where there is none or it is not well formed. */
static const char *read_block(struct arena *a, struct reader *r)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *id;
        size_t len;

        if (!take_tag(r, kinds[i], false))
            continue;
        skip_spaces(r);
        len = strspn(r->at, BASE64);
        id = arena_strndup(a, r->at, len);
        r->at += len;
        skip_spaces(r);
        return take_tag(r, kinds[i], true) && block_id_is_valid(id) ? id : NULL;
    }
    return NULL;
}

static bool read_list(struct arena *a, struct reader *r, const char **ids, size_t *count)
{
    for (skip_spaces(r); !take_tag(r, "BlockList", true); skip_spaces(r)) {
        const char *id = *count < BLOCKS_MAX ? read_block(a, r) : NULL;

        if (!id)
            return false;
        ids[(*count)++] = id;
    }
    return true;
}

int block_list_parse(struct arena *a, const char *xml, size_t len, const char ***ret,
                     size_t *ret_count, struct error *err)
{
    const char **ids = arena_array(a, BLOCKS_MAX, sizeof(*ids));
    const char *text = arena_strndup(a, xml, len);
    struct reader r = { .at = text };
    bool is_list;

    *ret_count = 0;
    (void)take_text(&r, BYTE_ORDER_MARK);
    is_list = skip_declaration(&r);
    skip_spaces(&r);
    is_list = is_list && take_tag(&r, "BlockList", false) && read_list(a, &r, ids, ret_count);
    skip_spaces(&r);
    /* A NUL would have ended the text early. */
    if (!is_list || *r.at || strlen(text) != len)
        return fail(err, &E_BLOCK_XML,
                    "XML specified is not syntactically valid: it must be a BlockList of at most %d "
                    "blocks.",
                    BLOCKS_MAX);
    *ret = ids;
    return 0;
}
