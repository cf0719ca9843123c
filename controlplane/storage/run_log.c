/* The log of a run, as an append blob. It is written from the run's record whenever it is read: nothing
 * runs here, so a record knows all there is to tell. */
#include "controlplane/storage/run_log.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/http/range.h"
#include "common/json/json.h"

#include "controlplane/storage/call.h"
#include "controlplane/store/made.h"

#define LOG_DIR "logs/"
#define LOG_END "/rawtext.log"

static const struct error_code E_RANGE = { "InvalidRange", 416 };
static const struct error_code E_CONDITION = { "ConditionNotMet", 412 };

/* How a run ended, in the words that those who read logs look for. */
static const struct {
    const char *status, *word;
} ends[] = {
    { "Succeeded", "successful" }, { "Failed", "failed" },   { "Canceled", "canceled" },
    { "Error", "internalerror" },  { "Timeout", "timedout" },
};

struct run_log {
    const char *text;
    const char *end; /* NULL: it goes on */
    const char *etag;
    int64_t changed_us;
};

static const char *part(const struct resource *run, const char *member)
{
    return json_text(run->status, member);
}

static const char *time_of(const struct resource *run, const char *member)
{
    const char *time = part(run, member);

    return time ? time : run->created_at;
}

static char *text_of(struct arena *a, const struct resource *run)
{
    const char *why = part(run, "properties.runErrorMessage");
    const char *status = part(run, "properties.status");
    const char *finished = time_of(run, "properties.finishTime");
    char *text = arena_printf(a, "%s Run %s was accepted.\r\n",
                              time_of(run, "properties.createTime"), run->name);

    if (why)
        text = arena_printf(a, "%s%s %s\r\n", text, finished, why);
    return arena_printf(a, "%s%s Run %s: %s.\r\n", text, finished, run->name,
                        status ? status : "Queued");
}

static struct run_log log_of(struct arena *a, const struct resource *run)
{
    const char *status = part(run, "properties.status");
    struct run_log log = { .text = text_of(a, run) };
    char hex[2 * SHA512_LEN + 1];
    struct digest d;

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if (text_eq(ends[i].status, status))
            log.end = ends[i].word;
    }
    digest_of(DIGEST_SHA256, log.text, strlen(log.text), &d);
    digest_hex(&d, hex);
    log.etag = arena_printf(a, "\"0x%.16s\"", hex);
    if (!clock_parse(time_of(run, "properties.lastUpdatedTime"), &log.changed_us))
        log.changed_us = 0;
    return log;
}

char *run_log_path(struct arena *a, const struct resource *run)
{
    return arena_printf(a, LOG_DIR "%s" LOG_END, run->name);
}

static int find_run(struct http_request *req, struct resource **ret, struct error *err)
{
    struct storage_call *call = storage_call_of(req);
    const char *name = call->link.blob + strlen(LOG_DIR), *key;
    size_t len;
    int found = 0;

    if (storage_find_registry(req, err))
        return -1;
    if (text_starts(call->link.blob, LOG_DIR) && text_ends(name, LOG_END)) {
        len = strlen(name) - strlen(LOG_END);
        key = arena_printf(req->arena, "%s/runs/%.*s", call->registry->key, (int)len, name);
        found = resource_lookup(call->control->db, req->arena, text_lower(req->arena, key), ret, err);
    }
    if (found < 0)
        return wrap(err, "run of a log");
    return found ? 0 : fail(err, &E_BLOB_NOT_FOUND, "The specified blob does not exist.");
}

static void put_headers(struct http_request *req, const struct run_log *log)
{
    storage_headers(req);
    http_reply_header(req, "ETag", log->etag);
    http_reply_header(req, "Last-Modified", clock_http(req->arena, log->changed_us));
    http_reply_header(req, "Accept-Ranges", "bytes");
    http_reply_header(req, "x-ms-blob-type", "AppendBlob");
    http_reply_header(req, "x-ms-blob-committed-block-count", "1");
    http_reply_header(req, "x-ms-lease-state", "available");
    http_reply_header(req, "x-ms-lease-status", "unlocked");
    http_reply_header(req, "x-ms-server-encrypted", "true");
    if (log->end)
        http_reply_header(req, "x-ms-meta-Complete", log->end);
}

static int serve(struct http_request *req, struct error *err)
{
    const char *range = http_header(req, "x-ms-range"), *wanted = http_header(req, "If-Match");
    uint64_t offset = 0, len, total;
    enum range_verdict verdict;
    struct resource *run = NULL;
    struct run_log log;

    if (find_run(req, &run, err))
        return -1;
    log = log_of(req->arena, run);
    total = len = strlen(log.text);
    if (wanted && !text_eq(wanted, "*") && !text_eq(wanted, log.etag))
        return fail(err, &E_CONDITION, "The condition specified using HTTP conditional header(s) is "
                                       "not met.");
    verdict = range_parse(range ? range : http_header(req, "Range"), total, &offset, &len);
    if (verdict == RANGE_UNSATISFIABLE) {
        http_reply_headerf(req, "Content-Range", "bytes */%llu", (unsigned long long)total);
        return fail(err, &E_RANGE, "The range specified is invalid for the current size of the "
                                   "resource.");
    }
    put_headers(req, &log);
    if (verdict == RANGE_PART)
        http_reply_headerf(req, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)offset,
                           (unsigned long long)(offset + len - 1), (unsigned long long)total);
    http_reply_bytes(req, verdict == RANGE_PART ? 206 : 200, "text/plain; charset=utf-8",
                     log.text + offset, len);
    return 0;
}

void storage_serve_log(struct http_request *req)
{
    struct error err;

    if (serve(req, &err))
        storage_reply_error(req, &err);
}
