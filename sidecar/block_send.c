/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_send.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"

/* One request without a file. A guess well above what a healthy store needs. */
#define REQUEST_TIMEOUT_NS (2 * 60 * CLOCK_NS_PER_S)

struct transfer {
    const struct sidecar_sender *sender;
    const char *directory;
    const struct sidecar_block_files *files;
    const struct sidecar_block_remote *there;
    bool must_match;
    /* shared by the threads */
    size_t segments;
    atomic_size_t next;
    atomic_bool has_failed;
    struct err failure; /* of the one that has set has_failed */
};

struct objstore_call
sidecar_sender_call(const struct sidecar_sender *sender, uint64_t bytes)
{
    int64_t transfer_ns, total_ns;
    uint64_t transfer_s = bytes / sender->slowest_bytes_per_s;
    bool fits = num_mul(transfer_s, CLOCK_NS_PER_S, &transfer_ns) &&
                num_add(transfer_ns, REQUEST_TIMEOUT_NS, &total_ns);
    return (struct objstore_call){
        .deadline_ns = fits ? clock_deadline(total_ns) : CLOCK_NEVER,
        .cancel = sender->cancel,
    };
}

static bool
gate(void *arg, size_t len, struct err *err)
{
    const struct transfer *t = arg;
    const struct sidecar_sender *sender = t->sender;
    if (!sidecar_bandwidth_wait(sender->bandwidth, len, sender->cancel, err))
        return false;
    sender->sent(sender->sent_arg, len);
    return true;
}

static bool
put_file(struct transfer *t, const struct sidecar_block_file *file, struct err *err)
{
    const struct sidecar_sender *sender = t->sender;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", t->directory, file->rel_path);
    CLEANUP(xfree)
    char *key = xasprintf("%s/%s", tsdb_ulid_print(&t->there->id).text, file->rel_path);
    CLEANUP(file_close) int fd = -1;
    struct objstore_call call = sidecar_sender_call(sender, file->size);
    struct objstore_attrs stored;
    if (!file_open_read(path, &fd, err))
        return false;
    const struct objstore_file content = {
        .fd = fd,
        .size = file->size,
        /* Only the Prometheus that made a block has its ULID. */
        .sole_writer = true,
        .gate = gate,
        .gate_arg = t,
    };
    return objstore_put_file(sender->bucket, &call, bytes_of_str(key), &content,
                             &stored, err);
}

/* Whether an ETag may be the MD5 of the content: that of an object in parts is not. */
static bool
may_be_md5(const char *etag)
{
    return strlen(etag) == (size_t)2 * DIGEST_MD5_SIZE &&
           strspn(etag, "0123456789abcdef") == strlen(etag);
}

/* An ETag that is another digest than it seems costs a transfer and nothing else. */
static bool
is_there(const struct transfer *t, const struct sidecar_block_file *file, bool *same,
         struct err *err)
{
    char md5[2 * DIGEST_MAX_SIZE + 1];
    const struct sidecar_remote_object *object =
        sidecar_block_remote_find(t->there, file->rel_path);
    *same = object != NULL && object->attrs.size == file->size;
    if (!*same || !t->must_match || !may_be_md5(object->attrs.etag))
        return true;
    if (!sidecar_block_file_digest(t->directory, file, DIGEST_MD5, md5,
                                   t->sender->cancel, err))
        return false;
    *same = strcmp(md5, object->attrs.etag) == 0;
    return true;
}

static bool
send_file(struct transfer *t, const struct sidecar_block_file *file, struct err *err)
{
    bool same;
    if (cancel_is_raised(t->sender->cancel))
        return err_set(err, ERR_CANCELLED, "the process stops");
    if (!is_there(t, file, &same, err))
        return false;
    if (!same)
        return put_file(t, file, err);
    t->sender->sent(t->sender->sent_arg, file->size);
    return true;
}

/* Takes the next segment until there is none, or one has failed. */
static void *
send_segments(void *arg)
{
    struct transfer *t = arg;
    while (!atomic_load(&t->has_failed)) {
        struct err err;
        size_t i = atomic_fetch_add(&t->next, 1);
        if (i >= t->segments)
            break;
        if (!send_file(t, &t->files->at[i], &err) &&
            !atomic_exchange(&t->has_failed, true))
            t->failure = err;
    }
    return NULL;
}

/* The caller's thread is one of the senders, so that without any other it still works.
 */
static bool
send_all_segments(struct transfer *t, struct err *err)
{
    size_t wanted = NUM_MIN((size_t)t->sender->concurrency, t->segments);
    CLEANUP(xfree) pthread_t *threads = xcalloc(wanted + 1, sizeof *threads);
    size_t started = 0;
    struct err ignored;
    while (started + 1 < wanted &&
           thread_start(&threads[started], "upload-file", send_segments, t, &ignored))
        started++;
    send_segments(t);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (!atomic_load(&t->has_failed))
        return true;
    *err = t->failure;
    return false;
}

bool
sidecar_block_send(const struct sidecar_sender *sender, const char *directory,
                   const struct sidecar_block_files *files,
                   const struct sidecar_block_remote *there, bool must_match,
                   struct err *err)
{
    struct transfer t = {.sender = sender,
                         .directory = directory,
                         .files = files,
                         .there = there,
                         .must_match = must_match,
                         .segments = files->count - 1}; /* the index is the last */
    return send_all_segments(&t, err) && send_file(&t, &files->at[t.segments], err);
}
