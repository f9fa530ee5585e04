/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/pin_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

enum {
    /* Between two looks at the cancel flag. */
    STEP_BYTES = 8 * 1024 * 1024,
    PIECE_BYTES = 256 * 1024,
    /* What the kernel has to write at most before a sync returns. */
    SYNC_BYTES = 64 * 1024 * 1024
};

struct copy {
    const struct cancel *cancel;
    int from;
    int to;
    uint64_t size;
    uint64_t done;
    const char *from_path;
    const char *to_path;
};

/* A disk that a copy fills is the one that Prometheus writes to, in most cases. */
static bool
check_room(const struct sidecar_pin_work *w, const struct copy *c, struct err *err)
{
    struct statvfs fs;
    uint64_t wanted, free_bytes;
    if (fstatvfs(c->to, &fs) != 0)
        return err_sys(err, errno, "stat the file system of %s", c->to_path);
    if (fs.f_blocks == 0) /* it does not tell */
        return true;
    if (!num_mul((uint64_t)fs.f_bavail, (uint64_t)fs.f_frsize, &free_bytes))
        return true;
    if (!num_add(c->size, w->spare_bytes, &wanted) || free_bytes < wanted)
        return err_sys(err, ENOSPC, "a copy to %s leaves too little room", c->to_path);
    return true;
}

/* One step of up to STEP_BYTES inside the kernel; *moved is 0 if it cannot do that. */
static bool
step_in_kernel(struct copy *c, size_t *moved, struct err *err)
{
    ssize_t n = copy_file_range(c->from, NULL, c->to, NULL, STEP_BYTES, 0);
    bool is_full = n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG);
    if (is_full)
        return err_sys(err, errno, "copy to %s", c->to_path);
    *moved = n > 0 ? (size_t)n : 0;
    return true;
}

static bool
step_by_hand(struct copy *c, uint8_t *piece, size_t *moved, struct err *err)
{
    size_t len = (size_t)NUM_MIN(c->size - c->done, (uint64_t)PIECE_BYTES);
    *moved = len;
    return file_pread(c->from, c->from_path, piece, len, c->done, err) &&
           file_write_all(c->to, c->to_path, bytes_of(piece, len), err);
}

static bool
sync_file(const struct copy *c, struct err *err)
{
    return fdatasync(c->to) == 0 || err_sys(err, errno, "fdatasync %s", c->to_path);
}

static bool
copy_content(struct copy *c, struct err *err)
{
    CLEANUP(xfree) uint8_t *piece = NULL; /* once the kernel has declined */
    uint64_t synced = 0;
    while (c->done < c->size) {
        size_t moved = 0;
        if (cancel_is_raised(c->cancel))
            return err_set(err, ERR_CANCELLED, "the process stops");
        if (piece == NULL && !step_in_kernel(c, &moved, err))
            return false;
        if (moved == 0) {
            if (piece == NULL)
                piece = xcalloc(1, PIECE_BYTES);
            if (!step_by_hand(c, piece, &moved, err))
                return false;
        }
        c->done += moved;
        if (c->done - synced >= SYNC_BYTES) {
            if (!sync_file(c, err))
                return false;
            synced = c->done;
        }
    }
    return sync_file(c, err);
}

static bool
clone_or_copy(struct sidecar_pin_work *w, const char *from, const char *to,
              struct err *err)
{
    CLEANUP(file_close) int source = -1;
    CLEANUP(file_close) int target = -1;
    struct copy c = {.cancel = w->cancel, .from_path = from, .to_path = to};
    if (!file_open_regular(from, &source, &c.size, err))
        return false;
    target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (target < 0)
        return err_sys(err, errno, "create %s", to);
    c.from = source;
    c.to = target;
    bool is_clone = ioctl(target, FICLONE, source) == 0;
    w->cost.bytes += c.size;
    w->cost.kind =
        NUM_MAX(w->cost.kind, is_clone ? SIDECAR_PIN_CLONED : SIDECAR_PIN_COPIED);
    if (is_clone)
        return sync_file(&c, err);
    return check_room(w, &c, err) && copy_content(&c, err);
}

static bool
is_refusal(int errnum)
{
    return errnum == EPERM || errnum == EXDEV || errnum == EMLINK ||
           errnum == EOPNOTSUPP || errnum == ENOSYS;
}

bool
sidecar_pin_file(struct sidecar_pin_work *w, const char *from, const char *to,
                 struct err *err)
{
    if (link(from, to) == 0) {
        w->cost.kind = NUM_MAX(w->cost.kind, SIDECAR_PIN_LINKED);
        return true;
    }
    if (!is_refusal(errno))
        return err_sys(err, errno, "link %s to %s", from, to);
    w->cost.refusal = errno;
    return clone_or_copy(w, from, to, err);
}

const char *
sidecar_pin_kind_name(enum sidecar_pin_kind kind)
{
    static const char *const names[] = {
#define X(id, name) [SIDECAR_PIN_##id] = (name),
        SIDECAR_PIN_KINDS(X)
#undef X
    };
    return names[kind];
}
