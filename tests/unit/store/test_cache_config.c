/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "store/cache_config.h"
#include "tests/support/expect.h"

enum { MIB = 1 << 20, FLAG_BYTES = 7 * MIB };

/* What the flags and an inline document each make of a cache of FLAG_BYTES. */
static bool
size_of(const char *index, const char *bucket, uint64_t *bytes, struct err *err)
{
    struct store_options o = {.index_cache_config = index,
                              .index_cache_config_file = "",
                              .caching_bucket_config = bucket,
                              .caching_bucket_config_file = "",
                              .index_cache_size_bytes = FLAG_BYTES};
    bool ok = store_cache_config_read(&o, err);
    *bytes = o.index_cache_size_bytes;
    return ok;
}

static void
adds_up_what_is_asked_for(void **unused)
{
    static const struct {
        const char *index;
        const char *bucket;
        uint64_t expected;
    } cases[] = {
        {"", "", FLAG_BYTES},
        {"type: IN-MEMORY", "", 250 * MIB},
        {"type: in-memory\nconfig:\n  max_size: 1MB", "", MIB},
        {"type: IN-MEMORY\nconfig: {max_size: 300MiB, max_item_size: 300MiB}", "",
         300 * MIB},
        {"type: IN-MEMORY\nconfig: {max_size: 0}", "", 0},
        {"type: IN-MEMORY\nconfig: {max_size: 1MB}\n"
         "enabled_items: [Postings, Series, ExpandedPostings]\nttl: 24h",
         "", MIB},
        {"type: MEMCACHED\nconfig: {addresses: ['dns+m:11211'], timeout: 1s}", "",
         FLAG_BYTES},
        {"type: redis\nconfig: {addr: 'r:6379', password: x}", "", FLAG_BYTES},
        {"", "type: IN-MEMORY", 257 * MIB},
        {"", "type: IN-MEMORY\nconfig: {max_size: 5MB}", 12 * MIB},
        {"type: IN-MEMORY\nconfig: {max_size: 1MB}",
         "type: IN-MEMORY\nconfig: {max_size: 2MB}", 3 * MIB},
        {"", "type: IN-MEMORY\nconfig: {max_size: 15EB}", 15ULL << 60 | FLAG_BYTES},
        {"type: IN-MEMORY\nconfig: {max_size: 15EB}",
         "type: IN-MEMORY\nconfig: {max_size: 15EB}", UINT64_MAX},
        {"", "type: GROUPCACHE\nconfig: {self_url: 'http://a', max_size: 9GB}",
         FLAG_BYTES},
        {"",
         "type: MEMCACHED\n"
         "config:\n"
         "  addresses: [m]\n"
         "chunk_subrange_size: 16000\n"
         "max_chunks_get_range_requests: 3\n"
         "chunk_object_attrs_ttl: 24h\n"
         "chunk_subrange_ttl: 24h\n"
         "blocks_iter_ttl: 5m\n"
         "metafile_exists_ttl: 2h\n"
         "metafile_doesnt_exist_ttl: 15m\n"
         "metafile_content_ttl: 24h\n"
         "metafile_max_size: 1MiB\n",
         FLAG_BYTES},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        uint64_t bytes;
        expect_ok(size_of(cases[i].index, cases[i].bucket, &bytes, &err), err);
        if (bytes != cases[i].expected)
            fail_msg("case %zu: %llu bytes", i, (unsigned long long)bytes);
    }
}

static void
names_flag_line_and_key_of_what_is_wrong(void **unused)
{
    static const struct {
        const char *index;
        const char *bucket;
        enum err_code code;
        const char *error;
    } cases[] = {
        {"type: DISK", "", ERR_UNSUPPORTED,
         "--index-cache.config: line 1: type: \"DISK\" is none of IN-MEMORY, MEMCACHED "
         "and REDIS"},
        {"type: GROUPCACHE", "", ERR_UNSUPPORTED, "\"GROUPCACHE\" is none of"},
        {"config: {}", "", ERR_UNSUPPORTED, "line 1: type: \"\" is none of"},
        {"", "ttl: 1h\ntype: IN-MEMORY", ERR_INVALID,
         "--store.caching-bucket.config: line 1: unknown key \"ttl\""},
        {"", "\ntype: DISK", ERR_UNSUPPORTED,
         "--store.caching-bucket.config: line 2: type: \"DISK\" is none of IN-MEMORY, "
         "MEMCACHED, REDIS and GROUPCACHE"},
        {"type: IN-MEMORY\nconfig:\n  max_size: 5", "", ERR_INVALID,
         "line 3: max_size: \"5\" is not a size"},
        {"type: IN-MEMORY\nconfig:\n  size: 5MB", "", ERR_INVALID,
         "line 3: unknown key \"size\" in the IN-MEMORY config"},
        {"type: IN-MEMORY\nconfig:\n  max_size: 1MB\n  max_item_size: 2MB", "",
         ERR_INVALID, "line 4: max_item_size: is above max_size"},
        {"type: IN-MEMORY\nconfig: [1]", "", ERR_INVALID,
         "line 2: the IN-MEMORY config"},
        {"type: MEMCACHED", "", ERR_INVALID,
         "the MEMCACHED config: addresses is missing"},
        {"type: MEMCACHED\nconfig: {addresses: []}", "", ERR_INVALID, "addresses is"},
        {"type: REDIS\nconfig: {db: 1}", "", ERR_INVALID, "the REDIS config: addr is"},
        {"type: REDIS\nconfig: [a]", "", ERR_INVALID, "line 2: config is not a map"},
        {"type: IN-MEMORY\nenabled_items: [Postings, Chunks]", "", ERR_INVALID,
         "line 2: enabled_items: value 2 is none of Postings"},
        {"type: IN-MEMORY\nenabled_items: Postings", "", ERR_INVALID,
         "line 2: enabled_items: is not a list"},
        {"type: IN-MEMORY\nttl: 24", "", ERR_INVALID, "line 2: ttl: "},
        {"", "type: IN-MEMORY\nblocks_iter_ttl: 5", ERR_INVALID,
         "line 2: blocks_iter_ttl: "},
        {"", "type: IN-MEMORY\nmetafile_max_size: x", ERR_INVALID,
         "line 2: metafile_max_size: "},
        {"", "type: IN-MEMORY\nchunk_subrange_size: x", ERR_INVALID,
         "line 2: chunk_subrange_size: "},
        {"- a", "", ERR_INVALID, "line 1: the document is not a map"},
        {"a: b: c", "", ERR_INVALID, "--index-cache.config: line 1: "},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        uint64_t bytes;
        expect_fails(size_of(cases[i].index, cases[i].bucket, &bytes, &err), err,
                     cases[i].code);
        assert_int_equal(bytes, FLAG_BYTES);
        if (strstr(err.text, cases[i].error) == NULL)
            fail_msg("case %zu: %s", i, err.text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_up_what_is_asked_for),
        cmocka_unit_test(names_flag_line_and_key_of_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
