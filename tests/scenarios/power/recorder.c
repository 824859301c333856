/* Records every write, truncation, removal and sync of the files of one folder, in order.
 *
 * Preloaded into a process whose RECORD_FOLDER names the folder and RECORD_TO the file of the
 * record. One entry: kind, length of the path, offset, length of the data, path, data.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;

struct head { uint32_t kind, name; uint64_t offset, size; };

static void note(char kind, const char *path, uint64_t offset, const void *data, uint64_t size)
{
    if (record < 0) {
        const char *to = getenv("RECORD_TO");
        if (!to) return;
        record = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    struct head head = { (uint32_t)kind, (uint32_t)strlen(path), offset, size };
    struct iovec parts[3] = {
        { &head, sizeof head }, { (void *)path, head.name }, { (void *)data, data ? size : 0 },
    };
    syscall(SYS_writev, record, parts, 3);
}

static int ours(const char *path)
{
    const char *folder = getenv("RECORD_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int named(int fd, char *path, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return ours(path);
}

#define REAL(name, type) static type real; if (!real) real = (type)dlsym(RTLD_NEXT, name)

typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off64_t);
typedef ssize_t (*write_fn)(int, const void *, size_t);
typedef int (*sync_fn)(int);
typedef int (*truncate_fn)(int, off64_t);
typedef int (*unlink_fn)(const char *);

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    REAL("pwrite64", pwrite_fn);
    char path[512];
    if (!named(fd, path, sizeof path)) return real(fd, data, size, offset);
    pthread_mutex_lock(&turn);
    ssize_t written = real(fd, data, size, offset);
    if (written > 0) note('w', path, (uint64_t)offset, data, (uint64_t)written);
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t write(int fd, const void *data, size_t size)
{
    REAL("write", write_fn);
    char path[512];
    if (!named(fd, path, sizeof path)) return real(fd, data, size);
    pthread_mutex_lock(&turn);
    ssize_t written = real(fd, data, size);
    if (written > 0) note('a', path, 0, data, (uint64_t)written);
    pthread_mutex_unlock(&turn);
    return written;
}

static int synced(int fd, sync_fn real)
{
    char path[512];
    if (!named(fd, path, sizeof path)) return real(fd);
    pthread_mutex_lock(&turn);
    int failed = real(fd);
    if (!failed) note('s', path, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return failed;
}

int fdatasync(int fd) { REAL("fdatasync", sync_fn); return synced(fd, real); }
int fsync(int fd) { REAL("fsync", sync_fn); return synced(fd, real); }

int ftruncate64(int fd, off64_t size)
{
    REAL("ftruncate64", truncate_fn);
    char path[512];
    if (!named(fd, path, sizeof path)) return real(fd, size);
    pthread_mutex_lock(&turn);
    int failed = real(fd, size);
    if (!failed) note('t', path, (uint64_t)size, NULL, 0);
    pthread_mutex_unlock(&turn);
    return failed;
}

int unlink(const char *path)
{
    REAL("unlink", unlink_fn);
    pthread_mutex_lock(&turn);
    int failed = real(path);
    if (!failed && ours(path)) note('u', path, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return failed;
}
