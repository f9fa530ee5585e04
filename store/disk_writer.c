/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/codec/compress.h"
#include "common/codec/crc32c.h"
#include "store/disk_cache_priv.h"

enum {
    FILE_SHARE = 16, /* a file is this part of the room, and of what memory knows */
    FILE_MIN = 1024 * 1024,
    FILE_MAX = 64 * 1024 * 1024,
    FEWEST_FILES = 4, /* of the smallest size: else it is not worth it */
    CARRY_SHARE = 2,  /* of a file, that is carried over into it */
    MAX_FILES = 512,  /* restarts leave small ones */
    COMPRESS_MIN = 256,
    COMPRESS_GAIN = 8 /* it has to save this part */
};

static const int64_t MIN_OFF_NS = CLOCK_NS_PER_S;
static const int64_t MAX_OFF_NS = 60 * CLOCK_NS_PER_S;

bool
store_disk_writer_is_off(const struct store_disk_cache *c)
{
    mutex_check_held(&c->lock);
    return c->off_ns > 0 && clock_left_ns(c->off_until_ns) > 0;
}

uint64_t
store_disk_writer_file_bytes(const struct store_disk_cache *c)
{
    mutex_check_held(&c->lock);
    return NUM_MIN(NUM_MAX(c->room / FILE_SHARE, (uint64_t)FILE_MIN),
                   (uint64_t)FILE_MAX);
}

bool
store_disk_writer_is_possible(const struct store_disk_cache *c)
{
    mutex_check_held(&c->lock);
    return c->room >= FEWEST_FILES * (uint64_t)FILE_MIN;
}

static void
remove_oldest(struct store_disk_cache *c)
{
    uint32_t number;
    {
        MUTEX_SCOPE(&c->lock);
        number = c->index.files[0].number;
        store_disk_index_drop_file(&c->index, number);
    }
    (void)store_disk_log_remove(&c->log, number);
}

static void
note_bytes(struct store_disk_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    store_disk_usage_set_cache(c->options.usage, c->index.bytes);
}

/* Ask for the room there is, and whether as many files as are there fit into what is
 * left of it. */
static bool
has_room(struct store_disk_cache *c, uint64_t wanted)
{
    note_bytes(c); /* what is free on the disk is so beside them */
    uint64_t room = store_disk_usage_cache_room(c->options.usage);
    MUTEX_SCOPE(&c->lock);
    c->room = room;
    return c->index.file_count == 0 ||
           (c->index.bytes + wanted <= room && c->index.file_count < MAX_FILES);
}

/* Whether records of an old file have to go so that others can be found. */
static bool
takes_much_memory(struct store_disk_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    bool is_full = c->is_index_full && c->index.file_count > 1;
    c->is_index_full = false;
    return is_full;
}

void
store_disk_writer_trim(struct store_disk_cache *c)
{
    uint32_t number, size;
    while (!has_room(c, 0))
        remove_oldest(c);
    if (takes_much_memory(c))
        remove_oldest(c);
    /* A file that is the last one and being written is not what stands in the way. */
    if (store_disk_log_current(&c->log, &number, &size)) {
        bool is_known;
        {
            MUTEX_SCOPE(&c->lock);
            is_known = store_disk_index_file(&c->index, number) != NULL;
        }
        if (!is_known)
            store_disk_log_abandon(&c->log);
    }
    note_bytes(c);
}

/* Append to the current file, and let it be found. */
static bool
append(struct store_disk_cache *c, struct bytes record, struct bytes content,
       struct err *err)
{
    struct store_disk_row row;
    uint32_t number, size;
    if (!store_disk_log_append(&c->log, record, content, &row, err))
        return false;
    CHECK(store_disk_log_current(&c->log, &number, &size));
    MUTEX_SCOPE(&c->lock);
    struct store_disk_file *f = store_disk_index_file(&c->index, number);
    if (f == NULL)
        return true; /* it has vanished, as a reader found */
    store_disk_index_set_bytes(&c->index, f, size);
    if (!store_disk_index_put(&c->index, number, &row)) {
        c->counts.dropped++;
        c->is_index_full = true;
    }
    return true;
}

static bool
next_wanted(struct store_disk_cache *c, uint32_t file, uint32_t *from, uint64_t *hash,
            struct store_disk_place *place)
{
    MUTEX_SCOPE(&c->lock);
    return store_disk_index_next_wanted(&c->index, file, from, hash, place);
}

/* Append what was wanted of the oldest file to the current one. */
static bool
carry_over(struct store_disk_cache *c, uint32_t oldest, uint64_t most, struct err *err)
{
    struct store_disk_place place;
    uint32_t from = 0;
    uint64_t hash, carried = 0;
    while (next_wanted(c, oldest, &from, &hash, &place) && carried < most) {
        CLEANUP(buf_fini) struct buf record = {0};
        struct err read_err;
        size_t head;
        if (!store_disk_log_read_raw(&c->log, &place, &record, &head, &read_err)) {
            store_disk_cache_drop(c, hash, &place, &read_err);
            continue;
        }
        carried += record.len;
        if (!append(c, bytes_of(record.at, head),
                    bytes_of(record.at + head, record.len - head), err))
            return false;
    }
    return true;
}

/* Begin a file, for which old ones have to go if there is no room: while that which is
 * carried over is there twice, too. */
static bool
begin_file(struct store_disk_cache *c, struct err *err)
{
    uint64_t size, carry;
    if (!store_disk_log_begin(&c->log, c->last_number + 1, err))
        return false;
    c->last_number++;
    {
        MUTEX_SCOPE(&c->lock);
        size = store_disk_writer_file_bytes(c);
        carry = size / CARRY_SHARE;
        store_disk_index_add_file(&c->index, c->last_number, STORE_DISK_HEAD_SIZE);
    }
    while (!has_room(c, size + carry)) {
        uint32_t oldest;
        {
            MUTEX_SCOPE(&c->lock);
            oldest = c->index.files[0].number;
        }
        if (oldest == c->last_number)
            break;
        if (!carry_over(c, oldest, carry, err))
            return false;
        carry = 0;
        remove_oldest(c);
    }
    return true;
}

/* End the current file, which grows by its table. */
static void
end_file(struct store_disk_cache *c)
{
    uint32_t number, size;
    CHECK(store_disk_log_current(&c->log, &number, &size));
    uint64_t bytes = store_disk_log_end(&c->log);
    MUTEX_SCOPE(&c->lock);
    struct store_disk_file *f = store_disk_index_file(&c->index, number);
    if (f != NULL)
        store_disk_index_set_bytes(&c->index, f, bytes);
}

/* Have a file with room for a record. */
static bool
make_room(struct store_disk_cache *c, uint64_t len, struct err *err)
{
    uint32_t number, size;
    uint64_t most;
    size_t most_records;
    store_disk_writer_trim(c);
    {
        MUTEX_SCOPE(&c->lock);
        most = store_disk_writer_file_bytes(c);
        most_records = c->index.most / FILE_SHARE;
    }
    if (store_disk_log_current(&c->log, &number, &size) &&
        (size + len > most || store_disk_log_records(&c->log) >= most_records))
        end_file(c);
    return store_disk_log_current(&c->log, &number, &size) || begin_file(c, err);
}

/* What is to be stored of it: out has it if that is smaller by far. */
static struct bytes
pack(const struct store_disk_item *item, struct buf *out, unsigned *flags)
{
    struct bytes data = bytes_of(item->bytes + item->range.key.len, item->data_len);
    struct err unused;
    *flags = item->is_forget ? STORE_DISK_FORGET : 0;
    if (data.len < COMPRESS_MIN || !compress_zstd_encode(data, out, &unused) ||
        out->len > data.len - data.len / COMPRESS_GAIN)
        return data;
    *flags = STORE_DISK_ZSTD;
    return buf_bytes(out);
}

static bool
write_item(struct store_disk_cache *c, const struct store_disk_item *item,
           struct err *err)
{
    CLEANUP(buf_fini) struct buf packed = {0};
    CLEANUP(buf_fini) struct buf head = {0};
    struct store_disk_record record = {.range = item->range,
                                       .data_len = (uint32_t)item->data_len};
    struct bytes content = pack(item, &packed, &record.flags);
    record.content_len = (uint32_t)content.len;
    record.content_crc = crc32c(content);
    store_disk_put_record(&head, &record);
    return make_room(c, head.len + content.len, err) &&
           append(c, buf_bytes(&head), content, err);
}

/* Whether an item is still to be written. */
static bool
is_due(struct store_disk_cache *c, const struct store_disk_item *item)
{
    MUTEX_SCOPE(&c->lock);
    if (item->is_forget)
        return c->index.file_count > 0;
    return store_disk_writer_is_possible(c) && !store_disk_writer_is_off(c) &&
           !store_disk_index_has(&c->index, store_disk_hash(&item->range));
}

static void
note_failure(struct store_disk_cache *c, const struct err *err)
{
    int64_t off_ns;
    {
        MUTEX_SCOPE(&c->lock);
        c->counts.failures++;
        c->off_ns = c->off_ns == 0 ? MIN_OFF_NS : NUM_MIN(2 * c->off_ns, MAX_OFF_NS);
        c->off_until_ns = clock_deadline(c->off_ns);
        off_ns = c->off_ns;
    }
    LOG_AT(off_ns == MIN_OFF_NS ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
           "disk cache cannot be written to, it is only read for a while",
           LOG_INT("dur_ms", off_ns / CLOCK_NS_PER_MS), LOG_ERR(err));
}

static void
note_success(struct store_disk_cache *c, size_t bytes)
{
    bool was_off;
    {
        MUTEX_SCOPE(&c->lock);
        was_off = c->off_ns > 0;
        c->off_ns = 0;
        c->counts.written++;
        c->counts.written_bytes += bytes;
    }
    if (was_off)
        LOG_INFO("disk cache is written to again");
}

void
store_disk_writer_write(struct store_disk_cache *c, const struct store_disk_item *item)
{
    struct err err;
    if (item->is_forget) /* also what was still to be written */
        store_disk_cache_forget_now(c, item->range.key);
    if (!is_due(c, item))
        return;
    if (write_item(c, item, &err))
        note_success(c, item->data_len);
    else
        note_failure(c, &err);
    store_disk_writer_trim(c);
}
