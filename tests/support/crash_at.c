/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a daemon: of its file operations below a directory, each is told, and
 * one goes wrong. A directory bucket there makes operations of the bucket of them.
 *
 *   CRASH_ROOT   the directory, without links in its path
 *   CRASH_LOG    a file to which each operation is appended: "rename data/x"
 *   CRASH_STEP   the operation to hit, as it is told; without it all goes well
 *   CRASH_NTH    which of the operations that are told so, from 1
 *   CRASH_REFUSE operations whose line begins so always fail, with EPERM
 *   CRASH_MODE   kill    the process dies before it
 *                torn    half of what is to be written is, then the process dies
 *                error   it is not done, and fails with EIO
 *                late    it is done, and fails with EIO
 *                full    it fails with ENOSPC, and from then on all that need space do
 *
 * After a hit the line "hit" follows. Random digits in names of temporary files are
 * told as "*". An operation on a descriptor is told with the file's path. What glibc
 * does inside (nftw, scandir) is one operation; removing is one for each file. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TMP_PREFIX ".blockhouse-"
enum { TMP_DIGITS = 8, LINE_SIZE = 2 * PATH_MAX, SYSCALL_ARGS = 6 };

/* The next definition of the function that calls this. */
#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

enum fate { FATE_PASS, FATE_FAIL, FATE_LATE, FATE_TORN };

static struct {
    const char *root; /* NULL: nothing is watched */
    size_t root_len;
    const char *step; /* NULL: none goes wrong */
    const char *mode;
    const char *refused; /* NULL: nothing */
    unsigned long nth;
    int log_fd;
    atomic_ulong seen; /* operations that are told as step */
    atomic_bool is_full;
} plan;

__attribute__((constructor)) static void
read_plan(void)
{
    const char *log = getenv("CRASH_LOG");
    const char *nth = getenv("CRASH_NTH");
    const char *mode = getenv("CRASH_MODE");
    const char *root = getenv("CRASH_ROOT");
    if (log == NULL || root == NULL)
        return;
    plan.step = getenv("CRASH_STEP");
    plan.refused = getenv("CRASH_REFUSE");
    plan.mode = mode != NULL ? mode : "kill";
    plan.nth = nth != NULL ? strtoul(nth, NULL, 10) : 1;
    plan.log_fd = NEXT(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (plan.log_fd < 0)
        abort();
    plan.root_len = strlen(root);
    plan.root = root;
}

static void
tell(const char *line)
{
    char text[LINE_SIZE + 1];
    int len = snprintf(text, sizeof text, "%s\n", line);
    if (NEXT(write)(plan.log_fd, text, (size_t)len) != len)
        abort();
}

static void
hide_random_digits(char *path)
{
    for (char *p = path; (p = strstr(p, TMP_PREFIX)) != NULL; p++) {
        char *random = p + strlen(TMP_PREFIX) + TMP_DIGITS;
        if (strlen(p) < strlen(TMP_PREFIX) + (size_t)2 * TMP_DIGITS)
            return;
        *random = '*';
        memmove(random + 1, random + TMP_DIGITS, strlen(random + TMP_DIGITS) + 1);
    }
}

/* The path of a descriptor, "" if it has none. */
static void
path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    path[len > 0 ? len : 0] = 0;
}

/* line = "op path", the path relative to the root; false for what is elsewhere. name is
 * relative to the folder; NULL is the folder itself, a descriptor of any kind. */
static bool
describe(char line[LINE_SIZE], const char *op, int folder, const char *name)
{
    char path[LINE_SIZE], base[PATH_MAX];
    if (plan.root == NULL)
        return false;
    if (name != NULL && name[0] == '/') {
        snprintf(path, sizeof path, "%s", name);
    } else if (folder < 0) {
        return false;
    } else {
        path_of(folder, base);
        snprintf(path, sizeof path, "%s%s%s", base, name != NULL ? "/" : "",
                 name != NULL ? name : "");
    }
    if (strncmp(path, plan.root, plan.root_len) != 0 || path[plan.root_len] != '/')
        return false;
    hide_random_digits(path);
    /* Cut off where it is too long: then it is no step that anybody looks for. */
    if (snprintf(line, LINE_SIZE, "%s %s", op, path + plan.root_len + 1) >= LINE_SIZE)
        return false;
    return true;
}

static bool
takes_space(const char *op)
{
    return strcmp(op, "create") == 0 || strcmp(op, "write") == 0 ||
           strcmp(op, "mkdir") == 0 || strcmp(op, "link") == 0 ||
           strcmp(op, "copy") == 0 || strcmp(op, "fsync") == 0;
}

static bool
is_hit(const char *line)
{
    return plan.step != NULL && strcmp(plan.step, line) == 0 &&
           atomic_fetch_add(&plan.seen, 1) + 1 == plan.nth;
}

/* The error of an operation that is not the one to hit; 0: none. */
static int
lasting_problem(const char *op, const char *line)
{
    if (plan.refused != NULL && strncmp(line, plan.refused, strlen(plan.refused)) == 0)
        return EPERM;
    return atomic_load(&plan.is_full) && takes_space(op) ? ENOSPC : 0;
}

/* What becomes of the operation; sets errno for one that fails. */
static enum fate
fate_of(const char *op, int folder, const char *name)
{
    char line[LINE_SIZE];
    int saved = errno;
    if (!describe(line, op, folder, name))
        return errno = saved, FATE_PASS;
    tell(line);
    if (!is_hit(line)) {
        int problem = lasting_problem(op, line);
        errno = problem != 0 ? problem : saved;
        return problem != 0 ? FATE_FAIL : FATE_PASS;
    }
    tell("hit");
    if (strcmp(plan.mode, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(plan.mode, "full") == 0)
        atomic_store(&plan.is_full, true);
    errno = atomic_load(&plan.is_full) ? ENOSPC : EIO;
    if (strcmp(plan.mode, "torn") == 0)
        return FATE_TORN;
    return strcmp(plan.mode, "late") == 0 ? FATE_LATE : FATE_FAIL;
}

/* An operation that returns a status, or a number of bytes. */
#define GUARDED(op, folder, name, call)             \
    do {                                            \
        enum fate fate = fate_of(op, folder, name); \
        if (fate == FATE_FAIL)                      \
            return -1;                              \
        __typeof__(call) result = (call);           \
        if (fate == FATE_LATE)                      \
            errno = EIO;                            \
        return fate == FATE_LATE ? -1 : result;     \
    } while (0)

/* The same for one that returns a descriptor, which is lost when it fails late. */
static int
opened(enum fate fate, int fd)
{
    if (fate != FATE_LATE || fd < 0)
        return fd;
    syscall(SYS_close, fd);
    errno = EIO;
    return -1;
}

static const char *
open_op(int flags)
{
    return (flags & O_CREAT) != 0 ? "create" : "open";
}

int
open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    enum fate fate = fate_of(open_op(flags), -1, path);
    return fate == FATE_FAIL ? -1 : opened(fate, NEXT(open)(path, flags, mode));
}

int
openat(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    enum fate fate = fate_of(open_op(flags), folder, path);
    return fate == FATE_FAIL ? -1
                             : opened(fate, NEXT(openat)(folder, path, flags, mode));
}

/* openat2, for which glibc has no function. */
long
syscall(long number, ...)
{
    long a[SYSCALL_ARGS];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < SYSCALL_ARGS; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    enum fate fate = FATE_PASS;
    if (number == SYS_openat2)
        fate = fate_of("openat2", (int)a[0], (const char *)a[1]);
    if (fate == FATE_FAIL)
        return -1;
    long result = NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return fate == FATE_LATE ? opened(fate, (int)result) : result;
}

ssize_t
read(int fd, void *into, size_t len)
{
    GUARDED("read", fd, NULL, NEXT(read)(fd, into, len));
}

ssize_t
pread(int fd, void *into, size_t len, off_t offset)
{
    GUARDED("pread", fd, NULL, NEXT(pread)(fd, into, len, offset));
}

ssize_t
write(int fd, const void *data, size_t len)
{
    enum fate fate = fate_of("write", fd, NULL);
    if (fate == FATE_FAIL)
        return -1;
    ssize_t written = NEXT(write)(fd, data, fate == FATE_TORN ? len / 2 : len);
    if (fate == FATE_TORN)
        raise(SIGKILL);
    if (fate != FATE_LATE)
        return written;
    errno = EIO;
    return -1;
}

ssize_t
copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t len,
                unsigned flags)
{
    GUARDED("copy", to, NULL,
            NEXT(copy_file_range)(from, from_at, to, to_at, len, flags));
}

int
fdatasync(int fd)
{
    GUARDED("fsync", fd, NULL, NEXT(fdatasync)(fd));
}

int
fsync(int fd)
{
    GUARDED("fsync", fd, NULL, NEXT(fsync)(fd));
}

/* A descriptor is gone whatever close says. */
int
close(int fd)
{
    enum fate fate = fate_of("close", fd, NULL);
    int problem = errno;
    int status = NEXT(close)(fd);
    if (fate == FATE_PASS)
        return status;
    errno = problem;
    return -1;
}

int
rename(const char *from, const char *to)
{
    GUARDED("rename", -1, to, NEXT(rename)(from, to));
}

int
renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    GUARDED("rename", to_folder, to, NEXT(renameat)(from_folder, from, to_folder, to));
}

int
link(const char *from, const char *to)
{
    GUARDED("link", -1, to, NEXT(link)(from, to));
}

int
linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    GUARDED("link", to_folder, to,
            NEXT(linkat)(from_folder, from, to_folder, to, flags));
}

int
unlink(const char *path)
{
    GUARDED("unlink", -1, path, NEXT(unlink)(path));
}

int
unlinkat(int folder, const char *path, int flags)
{
    GUARDED("unlink", folder, path, NEXT(unlinkat)(folder, path, flags));
}

int
remove(const char *path)
{
    GUARDED("unlink", -1, path, NEXT(remove)(path));
}

int
mkdir(const char *path, mode_t mode)
{
    GUARDED("mkdir", -1, path, NEXT(mkdir)(path, mode));
}

int
mkdirat(int folder, const char *path, mode_t mode)
{
    GUARDED("mkdir", folder, path, NEXT(mkdirat)(folder, path, mode));
}

int
nftw(const char *path, __nftw_func_t fn, int descriptors, int flags)
{
    GUARDED("nftw", -1, path, NEXT(nftw)(path, fn, descriptors, flags));
}

int
scandir(const char *path, struct dirent ***out, int (*select)(const struct dirent *),
        int (*compare)(const struct dirent **, const struct dirent **))
{
    GUARDED("scandir", -1, path, NEXT(scandir)(path, out, select, compare));
}

struct dirent *
readdir(DIR *folder)
{
    enum fate fate = fate_of("readdir", dirfd(folder), NULL);
    return fate == FATE_PASS ? NEXT(readdir)(folder) : NULL;
}

int
access(const char *path, int mode)
{
    GUARDED("access", -1, path, NEXT(access)(path, mode));
}

int
stat(const char *restrict path, struct stat *restrict st)
{
    GUARDED("stat", -1, path, NEXT(stat)(path, st));
}

int
fstat(int fd, struct stat *st)
{
    GUARDED("fstat", fd, NULL, NEXT(fstat)(fd, st));
}
