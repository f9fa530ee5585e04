/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/app/http_door.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "tests/support/expect.h"
#include "tests/support/raw_http.h"

static const char LOGGING[] = "options: {level: INFO, decision: {log_end: true}}\n";

static char folder[] = "/tmp/blockhouse-http-door-XXXXXX";
static struct budget budget;
static struct err err;

static void
answer_ok(void *arg, struct net_http_exchange *x)
{
    (void)arg;
    net_http_reply(x, 200, "text/plain", BYTES("here"));
}

static const struct net_http_route route = {
    .method = "GET", .path = "/", .name = "one", .handler = answer_ok};

static const struct net_http_server_options options = {
    .address = "not an address", /* that of the flags counts */
    .routes = &route,
    .route_count = 1,
    .budget = &budget,
};

static bool
open_door(struct app_http_door *door, const char *web_config, const char *logging,
          const char *logging_file)
{
    const struct app_http_door_flags flags = {"127.0.0.1:0", web_config, logging,
                                              logging_file};
    *door = (struct app_http_door){0};
    return app_http_door_open(door, &flags, &options, &err);
}

static void
close_door(struct app_http_door *door)
{
    app_http_door_close(door, clock_deadline(10 * CLOCK_NS_PER_S));
    assert_null(door->server);
}

static void
get(const struct app_http_door *door, struct buf *answer)
{
    raw_exchange(net_http_server_port(door->server),
                 "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", answer);
}

static char *
put_file(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", folder, name);
    expect_ok(file_replace(path, bytes_of_str(text), &err), err);
    return path;
}

static void
serves_without_more_flags(void **state)
{
    struct app_http_door door;
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    expect_ok(open_door(&door, "", "", ""), err);
    get(&door, &answer);
    assert_non_null(strstr(buf_text(&answer), "\r\n\r\nhere"));
    close_door(&door);
}

static void
has_what_the_web_configuration_and_logging_say(void **state)
{
    CLEANUP(xfree)
    char *web = put_file("web.yml", "http_server_config: {headers: "
                                    "{X-Frame-Options: deny}}\n");
    CLEANUP(xfree) char *logging = put_file("logging.yml", LOGGING);
    struct app_http_door door;
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    expect_ok(open_door(&door, web, "", logging), err);
    assert_true(door.log.at_end);
    get(&door, &answer);
    assert_non_null(strstr(buf_text(&answer), "X-Frame-Options: deny"));
    close_door(&door);
    expect_ok(open_door(&door, "", LOGGING, ""), err);
    assert_true(door.log.at_end);
    close_door(&door);
}

static void
names_the_flag_that_is_wrong(void **state)
{
    CLEANUP(xfree) char *logging = put_file("wrong.yml", "options: {level: LOUD}\n");
    struct app_http_door door;
    (void)state;
    expect_fails(open_door(&door, "/no/web.yml", LOGGING, ""), err, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "--http.config"));
    close_door(&door);
    expect_fails(open_door(&door, "", "", logging), err, ERR_INVALID);
    assert_non_null(strstr(err.text, "--request.logging-config-file"));
    assert_non_null(strstr(err.text, logging));
    close_door(&door);
    expect_fails(open_door(&door, "", LOGGING, logging), err, ERR_INVALID);
    close_door(&door);
}

static int
begin(void **state)
{
    (void)state;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
end(void **state)
{
    (void)state;
    budget_fini(&budget);
    return file_remove_tree(folder, &err) ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_without_more_flags),
        cmocka_unit_test(has_what_the_web_configuration_and_logging_say),
        cmocka_unit_test(names_the_flag_that_is_wrong),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
