/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/meta_difference.h"

#define META(ulid, maxt, samples, level, sources, labels, resolution, files)        \
    "{\"ulid\":\"" ulid "\",\"minTime\":0,\"maxTime\":" maxt                        \
    ",\"stats\":{\"numSamples\":" samples "},\"compaction\":{\"level\":" level      \
    ",\"sources\":[" sources "]},\"version\":1,\"thanos\":{\"labels\":{" labels     \
    "},\"downsample\":{\"resolution\":" resolution "},\"source\":\"sidecar\"" files \
    "}}"

#define A "01ARZ3NDEKTSV4RRFFQ69G5FA0"
#define B "01ARZ3NDEKTSV4RRFFQ69G5FA1"
#define FILES(size)                                            \
    ",\"files\":[{\"rel_path\":\"index\",\"size_bytes\":" size \
    "},{\"rel_path\":\"meta.json\"}]"

static const char *
compare(const char *theirs, const char *ours)
{
    struct err err;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta a = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta b = {0};
    if (!tsdb_meta_parse(&a, bytes_of_str(theirs), &err) ||
        !tsdb_meta_parse(&b, bytes_of_str(ours), &err))
        fail_msg("%s", err.text);
    return sidecar_meta_difference(&a, &b);
}

static void
names_what_differs(void **state)
{
    (void)state;
    static const char ours[] =
        META(A, "9", "5", "1", "\"" A "\"", "\"a\":\"1\"", "0", FILES("7"));
    static const struct {
        const char *theirs;
        const char *difference;
    } cases[] = {
        {META(A, "9", "5", "1", "\"" A "\"", "\"a\":\"1\"", "0", FILES("7")), NULL},
        {META(A, "9", "5", "1", "\"" A "\"", "\"a\":\"1\"", "0",
              FILES("7") ",\"upload_time\":\"2026-08-22T10:55:20Z\",\"x\":1"),
         NULL},
        {META(A, "9", "5", "1", "\"" A "\"", "\"a\":\"1\"", "0", ""), NULL},
        {META(A, "9", "5", "1", "\"" A "\",\"" B "\"", "\"a\":\"1\"", "0", FILES("7")),
         NULL}, /* it replaces a flushed block */
        {META(B, "9", "5", "1", "\"" A "\"", "\"a\":\"1\"", "0", FILES("7")), "id"},
        {META(A, "8", "5", "1", "\"" A "\"", "\"a\":\"1\"", "0", FILES("7")),
         "time range"},
        {META(A, "9", "4", "1", "\"" A "\"", "\"a\":\"1\"", "0", FILES("7")),
         "statistics"},
        {META(A, "9", "5", "2", "\"" A "\"", "\"a\":\"1\"", "0", FILES("7")),
         "compaction"},
        {META(A, "9", "5", "1", "\"" B "\"", "\"a\":\"1\"", "0", FILES("7")),
         "compaction"},
        {META(A, "9", "5", "1", "\"" A "\"", "\"a\":\"2\"", "0", FILES("7")),
         "external labels"},
        {META(A, "9", "5", "1", "\"" A "\"", "\"a\":\"1\"", "300000", FILES("7")),
         "resolution"},
        {META(A, "9", "5", "1", "\"" A "\"", "\"a\":\"1\"", "0", FILES("6")), "files"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *difference = compare(cases[i].theirs, ours);
        if (cases[i].difference == NULL)
            assert_null(difference);
        else
            assert_string_equal(difference, cases[i].difference);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_what_differs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
