/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/meta.h"
#include "tests/unit/common/tsdb/fixture.h"

#define ID "01M84JHDKMEAZBFV6XNC2DVPEC"
#define OTHER "01M84JHDKNEAZBFV6XNC2DVPEC"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* As Prometheus writes it, with a key of the future. */
static const char local[] = "{\n"
                            "\t\"ulid\": \"" ID "\",\n"
                            "\t\"minTime\": 1600000000000,\n"
                            "\t\"maxTime\": 1600007200000,\n"
                            "\t\"stats\": {\n"
                            "\t\t\"numSamples\": 149600,\n"
                            "\t\t\"numSeries\": 400,\n"
                            "\t\t\"numChunks\": 1600\n"
                            "\t},\n"
                            "\t\"compaction\": {\n"
                            "\t\t\"level\": 1,\n"
                            "\t\t\"sources\": [\n"
                            "\t\t\t\"" ID "\"\n"
                            "\t\t],\n"
                            "\t\t\"hints\": [\n"
                            "\t\t\t\"from-the-future\"\n"
                            "\t\t]\n"
                            "\t},\n"
                            "\t\"version\": 1\n"
                            "}";

static const char shipped[] =
    "{\"ulid\":\"" ID "\",\"minTime\":-5,\"maxTime\":10,\"version\":1,"
    "\"compaction\":{\"level\":3,\"sources\":[\"" ID "\",\"" OTHER "\"]},"
    "\"thanos\":{\"version\":1,\"labels\":{\"z\":\"1\",\"a\":\"2\",\"gone\":\"\"},"
    "\"downsample\":{\"resolution\":300000},\"source\":\"compactor\","
    "\"segment_files\":[\"000001\",\"000002\"],"
    "\"files\":[{\"rel_path\":\"chunks/000001\",\"size_bytes\":100},"
    "{\"rel_path\":\"index\",\"size_bytes\":5,"
    "\"hash\":{\"hashFunc\":\"SHA256\",\"value\":\"" HEX64 "\"}},"
    "{\"rel_path\":\"other\",\"hash\":{\"hashFunc\":\"\",\"value\":\"x\"}},"
    "{\"rel_path\":\"meta.json\"}],"
    "\"index_stats\":{\"series_max_size\":10},\"extensions\":{\"x\":[1]},"
    "\"upload_time\":\"2026-08-22T10:55:20.123456789Z\"}}";

static void
parse(struct tsdb_meta *m, const char *text)
{
    struct err err;
    *m = (struct tsdb_meta){0};
    assert_done(tsdb_meta_parse(m, bytes_of_str(text), &err), &err);
}

static void
reads_what_prometheus_writes(void **state)
{
    (void)state;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m;
    parse(&m, local);
    assert_string_equal(tsdb_ulid_print(&m.ulid).text, ID);
    assert_int_equal(m.mint_ms, 1600000000000);
    assert_int_equal(m.maxt_ms, 1600007200000);
    assert_int_equal(m.num_samples, 149600);
    assert_int_equal(m.num_series, 400);
    assert_int_equal(m.num_chunks, 1600);
    assert_int_equal(m.level, 1);
    assert_int_equal(m.source_count, 1);
    assert_int_equal(tsdb_ulid_cmp(&m.sources[0], &m.ulid), 0);
    assert_false(m.has_thanos);
    assert_int_equal(m.external.len, 0);
    assert_int_equal(m.upload_time_ms, INT64_MIN);
}

static void
reads_what_thanos_writes(void **state)
{
    (void)state;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m;
    parse(&m, shipped);
    assert_true(m.has_thanos);
    assert_int_equal(m.mint_ms, -5);
    assert_int_equal(m.level, 3);
    assert_int_equal(m.source_count, 2);
    assert_int_equal(m.resolution_ms, 300000);
    assert_string_equal(m.source, "compactor");
    assert_int_equal(m.external.len, 2); /* an empty value is no label */
    assert_bytes(m.external.at[0].name, BYTES("a"));
    assert_bytes(m.external.at[1].value, BYTES("1"));
    assert_int_equal(m.segment_count, 2);
    assert_string_equal(m.segments[1], "000002");
    assert_int_equal(m.file_count, 4);
    assert_string_equal(m.files[0].rel_path, "chunks/000001");
    assert_int_equal(m.files[0].size, 100);
    assert_null(m.files[0].sha256);
    assert_string_equal(m.files[1].sha256, HEX64);
    assert_null(m.files[2].sha256);
    assert_int_equal(m.files[3].size, -1);
    assert_int_equal(m.upload_time_ms, INT64_C(1787396120123));
}

#define MINIMAL(more) \
    "{\"ulid\":\"" ID "\",\"minTime\":0,\"maxTime\":0,\"version\":1" more "}"

static void
members_may_be_absent_or_null(void **state)
{
    (void)state;
    static const char *const texts[] = {
        MINIMAL(""),
        MINIMAL(",\"stats\":null,\"compaction\":null,\"thanos\":null"),
        MINIMAL(",\"stats\":{},\"compaction\":{},\"thanos\":{}"),
        MINIMAL(",\"thanos\":{\"labels\":null,\"files\":null,\"segment_files\":null}"),
        MINIMAL(",\"thanos\":{\"labels\":{\"gone\":null}}"),
        MINIMAL(",\"thanos\":{\"version\":0,\"upload_time\":\"0001-01-01T00:00:00Z\"}"),
        MINIMAL(",\"thanos\":{\"upload_time\":\"0001-01-01T00:00:00.000Z\"}"),
        MINIMAL(",\"thanos\":{\"upload_time\":\"\"}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(tsdb_meta_fini) struct tsdb_meta m;
        parse(&m, texts[i]);
        assert_int_equal(m.num_samples, 0);
        assert_int_equal(m.source_count, 0);
        assert_int_equal(m.file_count, 0);
        assert_int_equal(m.external.len, 0);
        assert_null(m.source);
        assert_int_equal(m.upload_time_ms, INT64_MIN);
    }
}

static void
names_the_member_that_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"", "JSON"},
        {"[]", "meta.json"},
        {"{}", "version"},
        {"{\"version\":2}", "version is 2"},
        {"{\"version\":\"1\"}", "version"},
        {"{\"version\":1}", "ulid"},
        {"{\"version\":1,\"ulid\":\"01m84jhdkmeazbfv6xnc2dvpec\"}", "no ULID"},
        {"{\"version\":1,\"ulid\":\"" ID "\"}", "minTime"},
        {"{\"version\":1,\"ulid\":\"" ID "\",\"minTime\":1}", "maxTime"},
        {"{\"version\":1,\"ulid\":\"" ID "\",\"minTime\":1.5,\"maxTime\":2}",
         "minTime"},
        {"{\"version\":1,\"ulid\":\"" ID "\",\"minTime\":2,\"maxTime\":1}", "after"},
        {MINIMAL(",\"stats\":[]"), "stats"},
        {MINIMAL(",\"stats\":{\"numSamples\":\"1\"}"), "stats.numSamples"},
        {MINIMAL(",\"stats\":{\"numSeries\":-1}"), "stats.numSeries"},
        {MINIMAL(",\"compaction\":1"), "compaction"},
        {MINIMAL(",\"compaction\":{\"level\":-1}"), "compaction.level"},
        {MINIMAL(",\"compaction\":{\"sources\":{}}"), "sources"},
        {MINIMAL(",\"compaction\":{\"sources\":[\"" ID "\",null]}"), "sources"},
        {MINIMAL(",\"compaction\":{\"sources\":[\"x\"]}"), "sources \"x\""},
        {MINIMAL(",\"thanos\":1"), "thanos"},
        {MINIMAL(",\"thanos\":{\"version\":2}"), "thanos.version"},
        {MINIMAL(",\"thanos\":{\"labels\":[]}"), "labels"},
        {MINIMAL(",\"thanos\":{\"labels\":{\"a\":1}}"), "thanos.labels: a"},
        {MINIMAL(",\"thanos\":{\"labels\":{\"\":\"1\"}}"), "thanos.labels"},
        {MINIMAL(",\"thanos\":{\"downsample\":1}"), "downsample"},
        {MINIMAL(",\"thanos\":{\"source\":1}"), "thanos.source"},
        {MINIMAL(",\"thanos\":{\"downsample\":{\"resolution\":-1}}"), "resolution"},
        {MINIMAL(",\"thanos\":{\"segment_files\":[1]}"), "segment_files[0]"},
        {MINIMAL(",\"thanos\":{\"segment_files\":[\"000001\",\"../x\"]}"),
         "segment_files[1]"},
        {MINIMAL(",\"thanos\":{\"files\":{}}"), "files"},
        {MINIMAL(",\"thanos\":{\"files\":[{}]}"), "files[0]: rel_path"},
        {MINIMAL(",\"thanos\":{\"files\":[{\"rel_path\":\"x\",\"size_bytes\":-1}]}"),
         "size_bytes"},
        {MINIMAL(",\"thanos\":{\"files\":[{\"rel_path\":\"x\",\"hash\":1}]}"), "hash"},
        {MINIMAL(",\"thanos\":{\"files\":[{\"rel_path\":\"x\",\"hash\":"
                 "{\"hashFunc\":\"SHA256\"}}]}"),
         "hash.value"},
        {MINIMAL(",\"thanos\":{\"upload_time\":1}"), "upload_time"},
        {MINIMAL(",\"thanos\":{\"upload_time\":\"yesterday\"}"), "upload_time"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tsdb_meta m = {0};
        struct err err;
        assert_failed(tsdb_meta_parse(&m, bytes_of_str(cases[i].text), &err), &err,
                      ERR_INVALID);
        if (strstr(err.text, cases[i].named) == NULL)
            fail_msg("\"%s\" does not name %s", err.text, cases[i].named);
        assert_null(m.tree);
    }
}

static void
expect_invalid(void *arg, struct bytes text)
{
    (void)arg;
    struct tsdb_meta m = {0};
    struct err err;
    assert_failed(tsdb_meta_parse(&m, text, &err), &err, ERR_INVALID);
}

static void
expect_no_crash(void *arg, struct bytes text)
{
    (void)arg;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m = {0};
    struct err err;
    if (!tsdb_meta_parse(&m, text, &err))
        assert_int_equal(err.code, ERR_INVALID);
}

static void
survives_truncations_and_bit_flips(void **state)
{
    (void)state;
    for_each_truncation(bytes_of_str(shipped), expect_invalid, NULL);
    for_each_bit_flip(bytes_of_str(shipped), expect_no_crash, NULL);
}

static const struct tsdb_label external[] = {
    {BYTES("cluster"), BYTES("eu1")},
    {BYTES("replica"), BYTES("a\"\xc3\xa4")},
};

static const struct tsdb_meta_file files[] = {
    {"index", 44164, HEX64},
    {"chunks/000002", 18211, NULL},
    {"chunks/000001", 536870911, NULL},
};

static const struct tsdb_meta_thanos section = {
    .external = {external, 2},
    .source = "sidecar",
    .file_count = 3,
    .files = files,
    .upload_time_ns = INT64_C(1787396120000000789),
};

static const char printed[] =
    "\t\"version\": 1,\n"
    "\t\"thanos\": {\n"
    "\t\t\"version\": 1,\n"
    "\t\t\"labels\": {\n"
    "\t\t\t\"cluster\": \"eu1\",\n"
    "\t\t\t\"replica\": \"a\\\"\xc3\xa4\"\n"
    "\t\t},\n"
    "\t\t\"downsample\": {\n"
    "\t\t\t\"resolution\": 0\n"
    "\t\t},\n"
    "\t\t\"source\": \"sidecar\",\n"
    "\t\t\"segment_files\": [\n"
    "\t\t\t\"000001\",\n"
    "\t\t\t\"000002\"\n"
    "\t\t],\n"
    "\t\t\"files\": [\n"
    "\t\t\t{\n"
    "\t\t\t\t\"rel_path\": \"chunks/000001\",\n"
    "\t\t\t\t\"size_bytes\": 536870911\n"
    "\t\t\t},\n"
    "\t\t\t{\n"
    "\t\t\t\t\"rel_path\": \"chunks/000002\",\n"
    "\t\t\t\t\"size_bytes\": 18211\n"
    "\t\t\t},\n"
    "\t\t\t{\n"
    "\t\t\t\t\"rel_path\": \"index\",\n"
    "\t\t\t\t\"size_bytes\": 44164,\n"
    "\t\t\t\t\"hash\": {\n"
    "\t\t\t\t\t\"hashFunc\": \"SHA256\",\n"
    "\t\t\t\t\t\"value\": \"" HEX64 "\"\n"
    "\t\t\t\t}\n"
    "\t\t\t},\n"
    "\t\t\t{\n"
    "\t\t\t\t\"rel_path\": \"meta.json\"\n"
    "\t\t\t}\n"
    "\t\t],\n"
    "\t\t\"index_stats\": {},\n"
    "\t\t\"upload_time\": \"2026-08-22T10:55:20.000000789Z\"\n"
    "\t}\n"
    "}";

static void
prints_the_section_of_a_shipper(void **state)
{
    (void)state;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m;
    CLEANUP(buf_fini) struct buf out = {0};
    CLEANUP(buf_fini) struct buf again = {0};
    struct err err;
    parse(&m, local);
    assert_done(tsdb_meta_print_with_thanos(&m, &section, &out, &err), &err);
    const char *common_end = strstr(local, "\t\"version\"");
    size_t common = (size_t)(common_end - local);
    assert_memory_equal(buf_text(&out), local, common);
    assert_string_equal(buf_text(&out) + common, printed);
    assert_false(m.has_thanos);
    assert_done(tsdb_meta_print_with_thanos(&m, &section, &again, &err), &err);
    assert_bytes(buf_bytes(&again), buf_bytes(&out));
}

static void
reads_back_what_it_printed(void **state)
{
    (void)state;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta back;
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    parse(&m, local);
    assert_done(tsdb_meta_print_with_thanos(&m, &section, &out, &err), &err);
    parse(&back, buf_text(&out));
    assert_int_equal(tsdb_labels_cmp(back.external, section.external), 0);
    assert_int_equal(back.file_count, 4);
    assert_int_equal(back.segment_count, 2);
    assert_int_equal(back.upload_time_ms, INT64_C(1787396120000));
}

static void
names_further_sources_once_and_in_order(void **state)
{
    (void)state;
    static const char *const names[] = {"01ARZ3NDEKTSV4RRFFQ69G5FA2",
                                        "01ARZ3NDEKTSV4RRFFQ69G5FA1"};
    struct tsdb_ulid ids[3];
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta back;
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    parse(&m, local);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_true(tsdb_ulid_parse(&ids[i], bytes_of_str(names[i])));
    ids[2] = m.sources[0];
    struct tsdb_meta_thanos thanos = section;
    thanos.source_count = ARRAY_LEN(ids);
    thanos.sources = ids;
    assert_done(tsdb_meta_print_with_thanos(&m, &thanos, &out, &err), &err);
    parse(&back, buf_text(&out));
    assert_int_equal(back.source_count, m.source_count + 2);
    for (size_t i = 1; i < back.source_count; i++)
        assert_true(tsdb_ulid_cmp(&back.sources[i - 1], &back.sources[i]) < 0);
}

static void
existing_labels_and_unknown_keys_stay(void **state)
{
    (void)state;
    static const struct tsdb_label replaced[] = {{BYTES("m"), BYTES("3")},
                                                 {BYTES("z"), BYTES("9")}};
    struct tsdb_meta_thanos thanos = section;
    thanos.external = (struct tsdb_labels){replaced, 2};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta back;
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    parse(&m, shipped);
    assert_done(tsdb_meta_print_with_thanos(&m, &thanos, &out, &err), &err);
    assert_non_null(strstr(buf_text(&out), "\"extensions\": {\n\t\t\t\"x\": [\n"));
    assert_null(strstr(buf_text(&out), "compactor"));
    assert_null(strstr(buf_text(&out), "series_max_size"));
    parse(&back, buf_text(&out));
    CLEANUP(buf_fini) struct buf labels = {0};
    tsdb_labels_print(back.external, &labels);
    assert_string_equal(buf_text(&labels), "{a=\"2\", m=\"3\", z=\"9\"}");
    assert_int_equal(back.resolution_ms, 0);
}

static void
refuses_blocks_without_external_labels(void **state)
{
    (void)state;
    struct tsdb_meta_thanos thanos = section;
    thanos.external = (struct tsdb_labels){0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m;
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    parse(&m, local);
    assert_failed(tsdb_meta_print_with_thanos(&m, &thanos, &out, &err), &err,
                  ERR_INVALID);
    assert_int_equal(out.len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_prometheus_writes),
        cmocka_unit_test(reads_what_thanos_writes),
        cmocka_unit_test(members_may_be_absent_or_null),
        cmocka_unit_test(names_the_member_that_is_wrong),
        cmocka_unit_test(survives_truncations_and_bit_flips),
        cmocka_unit_test(prints_the_section_of_a_shipper),
        cmocka_unit_test(reads_back_what_it_printed),
        cmocka_unit_test(names_further_sources_once_and_in_order),
        cmocka_unit_test(existing_labels_and_unknown_keys_stay),
        cmocka_unit_test(refuses_blocks_without_external_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
