/* SPDX-License-Identifier: Apache-2.0 */
/* Driver of a fuzz target where libFuzzer is not at hand: replays every file of the
 * corpus directory, then a bounded number of random mutations of them. The seed is
 * fixed, so that a failure repeats; FUZZ_RUNS and FUZZ_SEED change both. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_FILES = 256, INPUT_BYTES_MAX = 1 << 20, DEFAULT_RUNS = 20000 };

struct input {
    uint8_t *at;
    size_t len;
};

static uint64_t state;

static uint64_t
next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static struct input
read_file(const char *folder, const char *name)
{
    char path[4096];
    struct input in = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return in;
    in.at = malloc(INPUT_BYTES_MAX);
    in.len = in.at != NULL ? fread(in.at, 1, INPUT_BYTES_MAX, f) : 0;
    fclose(f);
    return in;
}

static void
run(const uint8_t *data, size_t len)
{
    /* An exact allocation, so that the sanitizer sees a read past the end. */
    uint8_t *copy = malloc(len ? len : 1);
    if (copy == NULL)
        abort();
    if (len != 0)
        memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static size_t
mutate(uint8_t *at, size_t len)
{
    for (uint64_t edits = 1 + next_random() % 4; edits > 0 && len > 0; edits--) {
        size_t where = next_random() % len;
        switch (next_random() % 5) {
        case 0:
            at[where] = (uint8_t)(at[where] ^ (1u << (next_random() % 8)));
            break;
        case 1:
            at[where] = (uint8_t)next_random();
            break;
        case 2:
            len = where;
            break;
        case 3:
            memmove(at + where, at + where + 1, len - where - 1);
            len--;
            break;
        default:
            memset(at + where, next_random() % 2 ? 0xff : 0, 1);
        }
    }
    return len;
}

int
main(int argc, char **argv)
{
    static struct input inputs[MAX_FILES];
    static uint8_t scratch[INPUT_BYTES_MAX];
    size_t count = 0;
    const char *runs_text = getenv("FUZZ_RUNS");
    const char *seed_text = getenv("FUZZ_SEED");
    unsigned long runs = runs_text ? strtoul(runs_text, NULL, 10) : DEFAULT_RUNS;
    state =
        seed_text ? strtoull(seed_text, NULL, 10) | 1 : UINT64_C(0x9e3779b97f4a7c15);
    DIR *folder = argc > 1 ? opendir(argv[1]) : NULL;
    for (struct dirent *e;
         folder != NULL && (e = readdir(folder)) && count < MAX_FILES;)
        if (e->d_name[0] != '.')
            inputs[count++] = read_file(argv[1], e->d_name);
    if (folder != NULL)
        closedir(folder);
    if (count == 0) {
        fprintf(stderr, "no corpus in %s\n", argc > 1 ? argv[1] : "(no argument)");
        return 1;
    }
    for (size_t i = 0; i < count; i++)
        run(inputs[i].at, inputs[i].len);
    for (unsigned long i = 0; i < runs; i++) {
        const struct input *in = &inputs[next_random() % count];
        if (in->len == 0)
            continue;
        memcpy(scratch, in->at, in->len);
        run(scratch, mutate(scratch, in->len));
    }
    for (size_t i = 0; i < count; i++)
        free(inputs[i].at);
    printf("%zu corpus files, %lu mutations\n", count, runs);
    return 0;
}
