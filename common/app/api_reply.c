/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/api_reply.h"

#include "common/base/buf.h"
#include "common/codec/json_writer.h"

/* What Prometheus calls an error, and with which status. */
struct failure {
    int status;
    const char *type;
};

static struct failure
failure_of(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
        return (struct failure){400, "bad_data"};
    case ERR_NOT_FOUND:
        return (struct failure){404, "not_found"};
    case ERR_BUDGET:
    case ERR_UNSUPPORTED:
        return (struct failure){422, "execution"};
    case ERR_TIMEOUT:
        return (struct failure){503, "timeout"};
    case ERR_CANCELLED:
        return (struct failure){503, "canceled"};
    case ERR_UNAVAILABLE:
    case ERR_THROTTLED:
    case ERR_NOMEM:
        return (struct failure){503, "unavailable"};
    case ERR_NONE:
    case ERR_CONFLICT:
    case ERR_DENIED:
    case ERR_CORRUPT:
    case ERR_IO:
    case ERR_INTERNAL:
        break;
    }
    return (struct failure){500, "internal"};
}

void
app_api_reply_err(struct net_http_exchange *x, const struct err *err)
{
    CLEANUP(buf_fini) struct buf body = {0};
    struct failure failure = failure_of(err->code);
    buf_printf(&body,
               "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", failure.type);
    json_writer_text(&body, bytes_of_str(err->text));
    buf_put_str(&body, "}");
    net_http_reply(x, failure.status, "application/json", buf_bytes(&body));
}
