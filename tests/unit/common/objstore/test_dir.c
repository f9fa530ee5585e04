/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/base/num.h"
#include "common/base/pool.h"
#include "tests/support/sandbox.h"
#include "tests/unit/common/objstore/fixture.h"

static void
path_in(const struct fixture *f, const char *key, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", f->root, key);
}

/* A file made behind the bucket's back. */
static void
plant(const struct fixture *f, const char *key)
{
    char path[PATH_MAX];
    path_in(f, key, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static bool
is_there(const struct fixture *f, const char *key)
{
    char path[PATH_MAX];
    path_in(f, key, path);
    return file_exists(path);
}

static void
stores_replaces_and_deletes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_true(put(&f, "01J/meta.json", "{}"));
    assert_true(put(&f, "01J/meta.json", "{\"v\":1}"));
    assert_true(put(&f, "01J/chunks/000001", "chunk"));
    expect_object(&f, "01J/meta.json", "{\"v\":1}");
    expect_object(&f, "01J/chunks", "<not_found>");
    expect_object(&f, "01J/meta.json/x", "<not_found>");
    struct objstore_attrs attrs;
    assert_true(
        objstore_head(f.bucket, &CALL, text("01J/chunks/000001"), &attrs, &f.err));
    assert_int_equal(attrs.size, 5);
    assert_true(llabs(attrs.mtime_ms - clock_wall_ns() / CLOCK_NS_PER_MS) < 60000);
    assert_string_equal(attrs.etag, "");
    assert_true(objstore_remove(f.bucket, &CALL, text("01J/meta.json"), &f.err));
    expect_list(&f, "", "01J/chunks/000001 ");
    assert_true(objstore_remove(f.bucket, &CALL, text("01J/meta.json"), &f.err));
    assert_true(objstore_remove(f.bucket, &CALL, text("01J"), &f.err));
    expect_list(&f, "", "01J/chunks/000001 ");
    fixture_fini(&f);
}

static void
stores_files_of_any_size(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    static const size_t sizes[] = {0, 1, 256 * 1024, 256 * 1024 + 1, 3000000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t *data = malloc(sizes[i] + 1), *back = malloc(sizes[i] + 1);
        for (size_t at = 0; at < sizes[i]; at++)
            data[at] = (uint8_t)(at * 31 >> 3);
        FILE *file = tmpfile();
        assert_int_equal(fwrite(data, 1, sizes[i], file), sizes[i]);
        assert_int_equal(fflush(file), 0);
        assert_true(put_file(&f, &CALL, text("b/f"), fileno(file), sizes[i]));
        struct objstore_attrs attrs;
        assert_true(objstore_head(f.bucket, &CALL, text("b/f"), &attrs, &f.err));
        assert_int_equal(attrs.size, sizes[i]);
        size_t got;
        if (sizes[i] > 0) {
            assert_true(objstore_read_range(f.bucket, &CALL, text("b/f"),
                                            (struct objstore_range){0, sizes[i]}, back,
                                            &got, &f.err));
            assert_int_equal(got, sizes[i]);
            assert_memory_equal(data, back, got);
        }
        fclose(file);
        free(data);
        free(back);
    }
    fixture_fini(&f);
}

/* Ranges are read where the caller wants them, in pieces when they are long. */
static void
reads_ranges_into_memory_of_the_caller(void **state)
{
    (void)state;
    enum { SIZE = 700 * 1024, SPARE = 16 };
    static const struct objstore_range ranges[] = {
        {0, 1}, {0, SIZE}, {1, 256 * 1024}, {3, 600 * 1024}, {SIZE - 5, 100}};
    static uint8_t data[SIZE], into[SIZE + SPARE];
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    assert_true(objstore_put(f.bucket, &CALL, text("k"), bytes_of(data, SIZE), &f.err));
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        size_t got = 0, offset = (size_t)ranges[i].offset;
        size_t expected = NUM_MIN(ranges[i].len, SIZE - offset);
        memset(into, 0xee, sizeof into);
        assert_true(objstore_read_range(f.bucket, &CALL, text("k"), ranges[i], into,
                                        &got, &f.err));
        assert_int_equal(got, expected);
        assert_memory_equal(into, data + offset, got);
        assert_int_equal(into[got], 0xee);
    }
    fixture_fini(&f);
}

static void
stores_nothing_of_a_file_that_is_too_short(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    FILE *file = tmpfile();
    fputs("short", file);
    fflush(file);
    assert_false(put_file(&f, &CALL, text("b/f"), fileno(file), 6));
    assert_int_equal(f.err.code, ERR_CORRUPT);
    expect_object(&f, "b/f", "<not_found>");
    /* Nor is the temporary file left. */
    char path[PATH_MAX];
    path_in(&f, "b", path);
    assert_int_equal(rmdir(path), 0);
    fclose(file);
    fixture_fini(&f);
}

static void
asks_the_gate_before_each_piece(void **state)
{
    (void)state;
    enum { SIZE = 3000000 };
    struct fixture f;
    struct gate open = {.limit = SIZE}, narrow = {.limit = SIZE / 2};
    fixture_init(&f);
    FILE *file = tmpfile();
    assert_int_equal(ftruncate(fileno(file), SIZE), 0);
    assert_true(put_file_by(&f, text("a"), fileno(file), SIZE, &open));
    assert_int_equal(open.passed, SIZE);
    assert_false(put_file_by(&f, text("b"), fileno(file), SIZE, &narrow));
    assert_int_equal(f.err.code, ERR_BUDGET);
    expect_list(&f, "", "a ");
    fclose(file);
    fixture_fini(&f);
}

static void
lists_in_byte_order_of_keys(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    /* '-' and '.' sort before '/', '0' behind it; bytes above 0x7f last. */
    static const char *const keys[] = {"a0",    "a/b",      "a.txt", "a-b/c",
                                       "a/a/z", "a/a0",     "B",     "b",
                                       "a/a-",  "\xc3\xbc", "a",     "z/z/z/z"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i], "a") != 0)
            assert_true(put(&f, keys[i], "x"));
    expect_list(&f, "", "B a-b/c a.txt a/a- a/a/z a/a0 a/b a0 b z/z/z/z \xc3\xbc ");
    expect_list(&f, "a/", "a/a- a/a/z a/a0 a/b ");
    expect_list(&f, "a/a/", "a/a/z ");
    expect_list(&f, "nothing/", "");
    expect_list(&f, "b/", "");
    fixture_fini(&f);
}

static void
lists_what_calls_can_read_only(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    char from[PATH_MAX], to[PATH_MAX];
    assert_true(put(&f, "b/real", "x"));
    plant(&f, "b/.blockhouse-0123456789abcdef.tmp");
    plant(&f, "b/.blockhouse-0123456789abcdex.tmp");
    plant(&f, "b/new\nline");
    path_in(&f, "b/fifo", to);
    assert_int_equal(mkfifo(to, 0644), 0);
    path_in(&f, "empty", to);
    assert_int_equal(mkdir(to, 0755), 0);
    path_in(&f, "b/real", from);
    path_in(&f, "b/link", to);
    assert_int_equal(symlink(from, to), 0);
    path_in(&f, "b", from);
    path_in(&f, "b/ring", to);
    assert_int_equal(symlink(from, to), 0);
    path_in(&f, "b/dangling", to);
    assert_int_equal(symlink("/nowhere", to), 0);
    path_in(&f, "lost+found", to);
    assert_int_equal(mkdir(to, 0), 0);
    expect_list(&f, "", "b/.blockhouse-0123456789abcdex.tmp b/real ");
    expect_object(&f, "b/fifo", "<not_found>");
    fixture_fini(&f);
}

static void
removes_temporary_files_that_are_a_day_old(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    static const char *const names[] = {"b/.blockhouse-0123456789abcdef.tmp",
                                        "b/.blockhouse-0123456789abcdee.tmp"};
    const time_t now = (time_t)(clock_wall_ns() / CLOCK_NS_PER_S);
    const struct timespec old[] = {{.tv_sec = now - 25 * 3600},
                                   {.tv_sec = now - 25 * 3600}};
    char path[PATH_MAX];
    assert_true(put(&f, "b/real", "x"));
    plant(&f, names[0]);
    plant(&f, names[1]);
    path_in(&f, names[0], path);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    path_in(&f, "b/real", path);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    expect_list(&f, "", "b/real ");
    assert_false(is_there(&f, names[0]));
    assert_true(is_there(&f, names[1]));
    fixture_fini(&f);
}

static void
reserves_the_names_of_temporary_files(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_false(put(&f, "a/.blockhouse-0123456789abcdef.tmp", "x"));
    assert_int_equal(f.err.code, ERR_INVALID);
    assert_true(put(&f, "a/.blockhouse-0123456789ABCDEF.tmp", "x"));
    fixture_fini(&f);
}

static void
takes_the_longest_names_and_deepest_keys(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    char name[NAME_MAX + 1] = {0}, deep[OBJSTORE_KEY_MAX + 2] = {0};
    memset(name, 'n', NAME_MAX);
    for (size_t i = 0; i + 1 < OBJSTORE_KEY_MAX; i += 2)
        memcpy(deep + i, "d/", 2);
    deep[OBJSTORE_KEY_MAX - 1] = 0;
    assert_true(put(&f, name, "x"));
    assert_true(put(&f, deep, "deep"));
    expect_object(&f, deep, "deep");
    char expected[sizeof deep + sizeof name + 2];
    snprintf(expected, sizeof expected, "%s %s ", deep, name);
    expect_list(&f, "", expected);
    assert_true(objstore_remove(f.bucket, &CALL, text(deep), &f.err));
    assert_false(is_there(&f, "d"));
    fixture_fini(&f);
}

static bool
expect_ascending(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)err;
    size_t *next = arg;
    char expected[32];
    snprintf(expected, sizeof expected, "d/%06zu", (*next)++);
    assert_true(bytes_eq(object->key, text(expected)));
    return true;
}

static void
lists_a_directory_of_several_batches(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    struct fixture f;
    fixture_init(&f);
    assert_true(put(&f, "d/000000", ""));
    char path[PATH_MAX];
    path_in(&f, "d", path);
    int folder = open(path, O_RDONLY | O_DIRECTORY);
    for (int i = 1; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof name, "%06d", (int)(i * 7919LL % COUNT));
        assert_int_equal(mknodat(folder, name, S_IFREG | 0644, 0), 0);
    }
    close(folder);
    size_t seen = 0;
    assert_true(
        objstore_list(f.bucket, &CALL, text(""), expect_ascending, &seen, &f.err));
    assert_int_equal(seen, COUNT);
    fixture_fini(&f);
}

static bool
stop_at_second(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)object;
    int *seen = arg;
    return ++*seen < 2 || err_set(err, ERR_BUDGET, "enough");
}

static void
stops_when_the_reader_does(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (const char *key = "abcd"; *key != 0; key++)
        assert_true(put(&f, key, "x"));
    int seen = 0;
    assert_false(
        objstore_list(f.bucket, &CALL, text(""), stop_at_second, &seen, &f.err));
    assert_int_equal(f.err.code, ERR_BUDGET);
    assert_int_equal(seen, 2);
    fixture_fini(&f);
}

static void
fails_a_listing_that_it_cannot_complete(void **state)
{
    (void)state;
    enum { NOBODY = 65534 };
    struct fixture f;
    fixture_init(&f);
    assert_true(put(&f, "b/a", "x"));
    char path[PATH_MAX];
    path_in(&f, "b", path);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(f.root, 0755), 0);
    bool was_root = geteuid() == 0; /* who may read everything */
    assert_true(!was_root || seteuid(NOBODY) == 0);
    expect_list(&f, "", "<denied>");
    assert_true(!was_root || seteuid(0) == 0);
    assert_int_equal(chmod(path, 0700), 0);
    fixture_fini(&f);
}

static void
tells_a_lost_volume_from_an_empty_bucket(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(rmdir(f.root), 0);
    expect_list(&f, "", "<io>");
    expect_list(&f, "b/", "<io>");
    expect_object(&f, "b/meta.json", "<io>");
    assert_false(put(&f, "b/meta.json", "x"));
    assert_int_equal(f.err.code, ERR_IO);
    assert_false(objstore_remove(f.bucket, &CALL, text("b"), &f.err));
    assert_int_equal(f.err.code, ERR_IO);
    fixture_fini(&f);
}

static void
refuses_an_object_above_or_below_another(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_true(put(&f, "a/b", "x"));
    assert_false(put(&f, "a", "x"));
    assert_int_equal(f.err.code, ERR_CONFLICT);
    assert_false(put(&f, "a/b/c/d", "x"));
    assert_int_equal(f.err.code, ERR_CONFLICT);
    expect_list(&f, "", "a/b ");
    fixture_fini(&f);
}

static void
prunes_empty_parents_up_to_the_root(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_true(put(&f, "t/01J/chunks/000001", "x"));
    assert_true(put(&f, "t/01K", "x"));
    assert_true(objstore_remove(f.bucket, &CALL, text("t/01J/chunks/000001"), &f.err));
    assert_false(is_there(&f, "t/01J"));
    assert_true(is_there(&f, "t"));
    assert_true(objstore_remove(f.bucket, &CALL, text("t/01K"), &f.err));
    assert_false(is_there(&f, "t"));
    assert_true(file_exists(f.root));
    fixture_fini(&f);
}

struct racer {
    struct fixture *f;
    const char *key;
    atomic_bool *failed;
};

static void *
put_and_delete(void *arg)
{
    struct racer *r = arg;
    for (int i = 0; i < 150; i++) {
        struct err err;
        if (!objstore_put(r->f->bucket, &CALL, text(r->key), text("x"), &err) ||
            !objstore_remove(r->f->bucket, &CALL, text(r->key), &err))
            atomic_store(r->failed, true);
    }
    return NULL;
}

static void *
list_again_and_again(void *arg)
{
    struct racer *r = arg;
    for (int i = 0; i < 150; i++) {
        struct err err;
        struct buf keys = {0};
        if (!objstore_list(r->f->bucket, &CALL, text(""), append_key, &keys, &err))
            atomic_store(r->failed, true);
        buf_fini(&keys);
    }
    return NULL;
}

static void
survives_puts_deletes_and_lists_at_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    atomic_bool failed = false;
    struct racer racers[] = {
        {&f, "p/q/a", &failed},
        {&f, "p/q/b", &failed},
        {&f, "p/q/r/c", &failed},
        {&f, NULL, &failed},
    };
    pthread_t threads[ARRAY_LEN(racers)];
    for (size_t i = 0; i < ARRAY_LEN(racers); i++)
        assert_true(thread_start(&threads[i], "racer",
                                 racers[i].key ? put_and_delete : list_again_and_again,
                                 &racers[i], &f.err));
    for (size_t i = 0; i < ARRAY_LEN(racers); i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&failed));
    assert_false(is_there(&f, "p"));
    fixture_fini(&f);
}

enum { WRITERS = 4, ROUNDS = 60, SIZE = 300 * 1000 };

/* Threads that begin each round together. */
struct writer {
    struct fixture *f;
    pthread_barrier_t *start;
    atomic_int *wins;
    atomic_bool *failed;
    char letter;
};

/* Create an object in each round; it is in a folder that the deletes take away. */
static void *
create_in_each_round(void *arg)
{
    struct writer *w = arg;
    char key[32], letter[] = {w->letter, 0};
    for (int i = 0; i < ROUNDS; i++) {
        struct err err = {0};
        snprintf(key, sizeof key, "c/%d/key", i);
        pthread_barrier_wait(w->start);
        if (objstore_create(w->f->bucket, &CALL, text(key), text(letter), &err))
            atomic_fetch_add(&w->wins[i], 1);
        else if (err.code != ERR_CONFLICT)
            atomic_store(w->failed, true);
    }
    return NULL;
}

static void
lets_exactly_one_create_win(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    atomic_int wins[ROUNDS] = {0};
    atomic_bool failed = false;
    pthread_barrier_t start;
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    assert_int_equal(pthread_barrier_init(&start, NULL, WRITERS), 0);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){&f, &start, wins, &failed, (char)('a' + i)};
        assert_true(thread_start(&threads[i], "creator", create_in_each_round,
                                 &writers[i], &f.err));
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&failed));
    for (int i = 0; i < ROUNDS; i++) {
        char key[32];
        snprintf(key, sizeof key, "c/%d/key", i);
        assert_int_equal(atomic_load(&wins[i]), 1);
        char *got = get(&f, key);
        assert_int_equal(strlen(got), 1);
        free(got);
    }
    pthread_barrier_destroy(&start);
    fixture_fini(&f);
}

static void *
replace_in_each_round(void *arg)
{
    struct writer *w = arg;
    struct buf data = {0};
    memset(buf_reserve(&data, SIZE), w->letter, SIZE);
    data.len = SIZE - (size_t)w->letter; /* each has a size of its own */
    for (int i = 0; i < ROUNDS; i++) {
        struct err err;
        if (!objstore_put(w->f->bucket, &CALL, text("r/key"), buf_bytes(&data), &err))
            atomic_store(w->failed, true);
    }
    buf_fini(&data);
    atomic_fetch_add(w->wins, 1);
    return NULL;
}

/* Whether it is what one writer has put, and all of that. */
static bool
is_whole(struct buf *data)
{
    if (data->len == 0)
        return false;
    char letter = buf_text(data)[0];
    return data->len == SIZE - (size_t)letter &&
           strspn(buf_text(data), (char[]){letter, 0}) == data->len;
}

static void
shows_one_whole_object_while_it_is_replaced(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    atomic_bool failed = false;
    atomic_int ended = 0;
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    struct buf data = {0};
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){&f, NULL, &ended, &failed, (char)('a' + i)};
        assert_true(thread_start(&threads[i], "writer", replace_in_each_round,
                                 &writers[i], &f.err));
    }
    while (atomic_load(&ended) < WRITERS) {
        buf_clear(&data);
        if (objstore_get(f.bucket, &CALL, text("r/key"), SIZE, &data, &f.err))
            assert_true(is_whole(&data));
        else
            assert_int_equal(f.err.code, ERR_NOT_FOUND); /* before the first */
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&failed));
    buf_clear(&data);
    assert_true(objstore_get(f.bucket, &CALL, text("r/key"), SIZE, &data, &f.err));
    assert_true(is_whole(&data));
    expect_list(&f, "", "r/key ");
    assert_true(objstore_remove(f.bucket, &CALL, text("r/key"), &f.err));
    assert_false(is_there(&f, "r")); /* no temporary file holds it */
    buf_fini(&data);
    fixture_fini(&f);
}

static void
opens_directories_only(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct objstore_bucket *b = NULL;
    char path[PATH_MAX];
    plant(&f, "file");
    path_in(&f, "file", path);
    assert_false(objstore_dir_open(&b, path, &f.err));
    assert_int_equal(f.err.code, ERR_INVALID);
    assert_false(objstore_dir_open(&b, "", &f.err));
    assert_int_equal(f.err.code, ERR_INVALID);
    assert_null(b);
    path_in(&f, "made/on/demand//", path);
    assert_true(objstore_dir_open(&b, path, &f.err));
    assert_true(objstore_put(b, &CALL, text("k"), text("v"), &f.err));
    objstore_free(&b);
    expect_object(&f, "made/on/demand/k", "v");
    fixture_fini(&f);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_replaces_and_deletes),
        cmocka_unit_test(stores_files_of_any_size),
        cmocka_unit_test(reads_ranges_into_memory_of_the_caller),
        cmocka_unit_test(stores_nothing_of_a_file_that_is_too_short),
        cmocka_unit_test(asks_the_gate_before_each_piece),
        cmocka_unit_test(lists_in_byte_order_of_keys),
        cmocka_unit_test(lists_what_calls_can_read_only),
        cmocka_unit_test(removes_temporary_files_that_are_a_day_old),
        cmocka_unit_test(reserves_the_names_of_temporary_files),
        cmocka_unit_test(takes_the_longest_names_and_deepest_keys),
        cmocka_unit_test(lists_a_directory_of_several_batches),
        cmocka_unit_test(stops_when_the_reader_does),
        cmocka_unit_test(fails_a_listing_that_it_cannot_complete),
        cmocka_unit_test(tells_a_lost_volume_from_an_empty_bucket),
        cmocka_unit_test(refuses_an_object_above_or_below_another),
        cmocka_unit_test(prunes_empty_parents_up_to_the_root),
        cmocka_unit_test(survives_puts_deletes_and_lists_at_once),
        cmocka_unit_test(lets_exactly_one_create_win),
        cmocka_unit_test(shows_one_whole_object_while_it_is_replaced),
        cmocka_unit_test(opens_directories_only),
    };
    int failures = cmocka_run_group_tests_name("openat2", tests, NULL, NULL);
    if (sandbox_refuse(SYS_openat2, ENOSYS))
        failures += cmocka_run_group_tests_name("no openat2", tests, NULL, NULL);
    return failures;
}
