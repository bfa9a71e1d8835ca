/* Let one system call of a forked child fail, or end the process at it. Preloaded (LD_PRELOAD).
 *
 * The process that is preloaded sets `plan` and forks. In a child, each call that changes a file
 * below `plan->under` is counted; call number `plan->at` gets the fault. The plan is in shared
 * memory, so the parent process can read what happened. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { FAIL, KILL, SHORT };

struct plan {
    int owner, at, kind, number, count;
    char call[32], calls[1024];
    char under[PATH_MAX];
};

static struct plan *plan;

struct plan *fault_plan(void) { return plan; }

__attribute__((constructor)) static void prepare(void) {
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    plan->owner = getpid();
}

static int below(const char *path) {
    char folder[PATH_MAX];
    size_t length = strlen(plan->under);
    if (!path || !length || getpid() == plan->owner) return 0;
    if (path[0] != '/') path = getcwd(folder, sizeof folder) ? folder : "";
    return !strncmp(path, plan->under, length);
}

static int descriptor_below(int descriptor) {
    char name[64], path[PATH_MAX];
    if (!plan->under[0] || getpid() == plan->owner) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

/* Count a call; true if this one gets the fault. */
static int hit(const char *call) {
    if (plan->count < (int)sizeof plan->calls) plan->calls[plan->count] = call[0];
    if (++plan->count != plan->at) return 0;
    strncpy(plan->call, call, sizeof plan->call - 1);
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define DIE() kill(getpid(), SIGKILL)

/* `counts` says if this call is one to count; a call that is to fail has no effect. */
#define FAULTY(result, name, parameters, arguments, counts)                  \
    result name parameters {                                                 \
        if (!(counts) || !hit(#name)) return REAL(name) arguments;           \
        if (plan->kind == KILL) { REAL(name) arguments; DIE(); }             \
        if (plan->kind == SHORT) return REAL(name) arguments;                \
        errno = plan->number;                                                \
        return -1;                                                           \
    }

FAULTY(int, rename, (const char *from, const char *to), (from, to), below(to))
FAULTY(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), below(to))
FAULTY(int, link, (const char *from, const char *to), (from, to), below(to))
FAULTY(int, linkat, (int a, const char *from, int b, const char *to, int f), (a, from, b, to, f), below(to))
FAULTY(int, unlink, (const char *path), (path), below(path))
FAULTY(int, unlinkat, (int a, const char *path, int f), (a, path, f), below(path))
FAULTY(int, mkdir, (const char *path, mode_t mode), (path, mode), below(path))
FAULTY(int, mkdirat, (int a, const char *path, mode_t mode), (a, path, mode), below(path))
FAULTY(int, rmdir, (const char *path), (path), below(path))
FAULTY(int, fchmod, (int fd, mode_t mode), (fd, mode), descriptor_below(fd))
FAULTY(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), descriptor_below(fd))
FAULTY(int, chmod, (const char *path, mode_t mode), (path, mode), below(path))
FAULTY(int, fchmodat, (int a, const char *path, mode_t mode, int f), (a, path, mode, f), below(path))
FAULTY(int, fsync, (int fd), (fd), descriptor_below(fd))
FAULTY(int, fdatasync, (int fd), (fd), descriptor_below(fd))

ssize_t write(int fd, const void *data, size_t size) {
    if (!descriptor_below(fd) || !hit("write")) return REAL(write)(fd, data, size);
    if (plan->kind == FAIL) { errno = plan->number; return -1; }
    ssize_t written = REAL(write)(fd, data, (size + 1) / 2);
    if (plan->kind == KILL) DIE();
    return written;
}

/* A close that fails has closed the descriptor nevertheless (Linux). Of a file that was only read,
 * it has nothing to report. */
int close(int fd) {
    int flags = fcntl(fd, F_GETFL);
    int counted = flags >= 0 && (flags & O_ACCMODE) && descriptor_below(fd) && hit("close");
    int result = REAL(close)(fd);
    if (!counted || plan->kind == SHORT) return result;
    if (plan->kind == KILL) DIE();
    errno = plan->number;
    return -1;
}

#define FAULTY_OPEN(name)                                                    \
    int name(const char *path, int flags, ...) {                             \
        va_list arguments;                                                   \
        va_start(arguments, flags);                                          \
        mode_t mode = va_arg(arguments, mode_t);                             \
        va_end(arguments);                                                   \
        int changes = flags & (O_CREAT | O_WRONLY | O_RDWR);                 \
        if (!changes || !below(path) || !hit("open")) return REAL(name)(path, flags, mode); \
        if (plan->kind == FAIL) { errno = plan->number; return -1; }         \
        int opened = REAL(name)(path, flags, mode);                          \
        if (plan->kind == KILL) DIE();                                       \
        return opened;                                                       \
    }

FAULTY_OPEN(open)
FAULTY_OPEN(open64)
