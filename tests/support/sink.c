/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sink.h"

#include <errno.h>

#include "common/base/check.h"

static const uint8_t zeros[16];

bool
sink_open(struct sink *s, const char *path, struct err *err)
{
    s->at = 0;
    s->file = fopen(path, "w+e");
    return s->file ? true : err_sys(err, errno, "create %s", path);
}

void
sink_put(struct sink *s, struct bytes data)
{
    s->at += fwrite(data.at, 1, data.len, s->file);
}

void
sink_put_be32(struct sink *s, uint32_t v)
{
    uint8_t word[4];
    be32_store(word, v);
    sink_put(s, bytes_of(word, sizeof word));
}

void
sink_align(struct sink *s, uint64_t unit)
{
    CHECK(unit <= sizeof zeros);
    sink_put(s, bytes_of(zeros, (size_t)((unit - s->at % unit) % unit)));
}

bool
sink_close(struct sink *s, struct err *err)
{
    FILE *file = TAKE(s->file);
    if (!file)
        return true;
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        return err_sys(err, errno, "write file");
    return true;
}

void
sink_abandon(struct sink *s)
{
    FILE *file = TAKE(s->file);
    if (file)
        fclose(file);
}
