/* SPDX-License-Identifier: Apache-2.0 */
/* A model of S3 in this process: the bucket "blocks" with a few keys, on a port of the
 * loopback. It verifies each signature and checksum by means of its own, keeps what is
 * stored, and can be told to misbehave as servers do. Its functions may be called while
 * it serves. */
#ifndef TESTS_SUPPORT_S3_SERVER_H
#define TESTS_SUPPORT_S3_SERVER_H

#include "common/base/buf.h"
#include "common/base/mutex.h"
#include "common/net/http_server.h"

/* The keys that exist; the last one needs encoding. */
#define S3_KEY "k"
#define S3_KEY_BELOW "a/b"
#define S3_KEY_ODD "o d+d%41\xc3\xbc.json"

/* The secret of access key X is this with X behind it. */
#define S3_SECRET_PREFIX "hush-of-"

enum s3_op {
    S3_PUT,
    S3_HEAD,
    S3_GET,
    S3_DELETE,
    S3_LIST,
    S3_LOCATION,
    S3_CREATE, /* an upload in parts */
    S3_PART,
    S3_COMPLETE,
    S3_ABORT,
    S3_UPLOADS,
    S3_OPS
};

enum {
    S3_KEYS = 3,
    S3_UPLOADS_MAX = 24,
    S3_PARTS_MAX = 64,
    S3_REQUESTS_MAX = 256,
    S3_CRC_TEXT = 24, /* base64, and "-" and a number behind that of parts */
    S3_ETAG_TEXT = 48,
};

/* How a server says that a bucket is elsewhere. */
enum s3_redirect {
    S3_BY_HEADER,   /* 301 with x-amz-bucket-region */
    S3_BY_LOCATION, /* 307 to a host of AWS */
    S3_BY_XML,      /* 400 AuthorizationHeaderMalformed with a Region */
};

/* What is done wrong. The zero value is a good server. */
struct s3_faults {
    /* Content with a checksum is refused. */
    int refuse_status; /* 0: not */
    const char *refuse_code;
    bool refuses_to_begin; /* also to create an upload that asks for checksums */
    bool says_no_checksum; /* checks them, but does not say what it has stored */
    bool keeps_framing;    /* knows no aws-chunked and no checksum: stores all of it */
    bool wrong_crc, wrong_etag, wrong_size, no_etag;
    bool no_conditions;     /* If-None-Match: 501 */
    bool no_list_uploads;   /* 501 */
    const char *encryption; /* x-amz-server-side-encryption; ETags are then no MD5 */
    bool customer_key;      /* the same for a key of the customer */
    bool drops_content;     /* keeps sizes and checksums only */
    unsigned error_in_200;  /* so many completions fail behind the status */
    bool blanks;            /* completions begin with them */
    unsigned lose[S3_OPS];  /* so many answers are lost when the work is done */
    unsigned flips;         /* so many objects are read with a wrong bit */
    /* Answers instead of the work; part: only those of this number. */
    struct {
        unsigned times;
        int status;
        const char *code;
        const char *retry_after;
        unsigned part;
    } fail[S3_OPS];
    const char *region; /* NULL: any; others are sent there */
    enum s3_redirect redirect;
    const char *location;    /* what GetBucketLocation says; NULL: region */
    const char *expired_key; /* access key that has ended */
    int expired_status;
    const char *expired_code;
    size_t page_keys; /* of a listing; 0: all */
};

struct s3_object {
    bool exists;
    struct buf data; /* empty if content is dropped */
    uint64_t size;
    char etag[S3_ETAG_TEXT]; /* without quotes */
    char crc[S3_CRC_TEXT];   /* "": unknown */
};

struct s3_upload {
    char id[16]; /* "": free */
    size_t key;
    struct s3_object parts[S3_PARTS_MAX];
};

struct s3_request {
    enum s3_op op;
    struct buf headers; /* "name: value\n" */
};

/* Called for each request before anything is done, with the number of the part (0:
 * none); it may block. */
typedef void s3_hook_fn(void *arg, enum s3_op op, unsigned part,
                        struct net_http_exchange *x);

struct s3_server {
    char address[32]; /* host:port */
    /* private */
    struct net_http_server *server;
    struct net_http_route routes[(S3_KEYS + 1) * 5];
    struct s3_target {
        struct s3_server *server;
        const char *method;
        size_t key; /* S3_KEYS: the bucket */
    } targets[(S3_KEYS + 1) * 5];
    struct budget budget;
    struct mutex lock;
    /* guarded by lock */
    struct s3_faults faults;
    s3_hook_fn *hook;
    void *hook_arg;
    struct s3_object objects[S3_KEYS];
    struct s3_upload uploads[S3_UPLOADS_MAX];
    unsigned upload_count; /* ever */
    struct s3_request requests[S3_REQUESTS_MAX];
    size_t request_count;
    char complaint[256]; /* what a request had wrong: signature, checksum, header */
};

/* Aborts if the server cannot start. */
void s3_server_start(struct s3_server *s);
void s3_server_stop(struct s3_server *s);

void s3_server_break(struct s3_server *s, const struct s3_faults *faults);

/* NULL: none. */
void s3_server_hook(struct s3_server *s, s3_hook_fn *hook, void *arg);

/* Append the operations so far, in order, each with a blank behind it ("PUT HEAD "),
 * and forget them. */
void s3_server_log(struct s3_server *s, struct buf *log);

/* The value that the nth request (from 0) of op had for a header in lower case, or for
 * the argument "?list-type", cut to size. False: it had none. */
bool s3_server_header(struct s3_server *s, enum s3_op op, size_t nth, const char *name,
                      char *value, size_t size);

/* Append what is stored under a key. False: nothing. */
bool s3_server_content(struct s3_server *s, const char *key, struct buf *content);

/* Store it, as another client. */
void s3_server_store(struct s3_server *s, const char *key, const char *content);

/* Begin an upload in parts, as another client. */
void s3_server_leave_upload(struct s3_server *s, const char *key);

/* Uploads in parts that are neither complete nor aborted. */
size_t s3_server_open_uploads(struct s3_server *s);

/* What was wrong with requests, which never may be; "" for nothing. Lives as long as
 * the server. */
const char *s3_server_complaint(struct s3_server *s);

#endif
