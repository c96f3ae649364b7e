/* faultfs.c - wraps each file of the real file system; methods of version 1 are enough, because the
 * store never shares its file.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <sqlite3.h>

#include "faultfs.h"

struct fault {
    atomic_int left; /* calls until it strikes; 0 = never */
    atomic_int sql_rc;
};

static struct fault on_write, on_sync;
static atomic_bool struck;
static sqlite3_vfs shim;
static sqlite3_vfs *real;

struct file {
    sqlite3_file base;
    sqlite3_file *under; /* the real one, in the memory behind us */
};

static sqlite3_file *under(sqlite3_file *f)
{
    return ((struct file *)f)->under;
}

static int strike(struct fault *f)
{
    int left = atomic_load(&f->left);
    if (left == 0) {
        return SQLITE_OK;
    }
    if (left > 1) {
        atomic_store(&f->left, left - 1);
        return SQLITE_OK;
    }
    atomic_store(&struck, true);
    return atomic_load(&f->sql_rc);
}

static void set(struct fault *f, int n, int sql_rc)
{
    atomic_store(&struck, false);
    atomic_store(&f->sql_rc, sql_rc);
    atomic_store(&f->left, n);
}

void faultfs_write(int n, int sql_rc)
{
    set(&on_write, n, sql_rc);
}

void faultfs_sync(int n, int sql_rc)
{
    set(&on_sync, n, sql_rc);
}

bool faultfs_struck(void)
{
    return atomic_load(&struck);
}

static int f_close(sqlite3_file *f)
{
    return under(f)->pMethods->xClose(under(f));
}
static int f_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return under(f)->pMethods->xRead(under(f), to, n, at);
}
static int f_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    int rc = strike(&on_write);
    return rc != SQLITE_OK ? rc : under(f)->pMethods->xWrite(under(f), from, n, at);
}
static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return under(f)->pMethods->xTruncate(under(f), size);
}
static int f_sync(sqlite3_file *f, int flags)
{
    int rc = strike(&on_sync);
    return rc != SQLITE_OK ? rc : under(f)->pMethods->xSync(under(f), flags);
}
static int f_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return under(f)->pMethods->xFileSize(under(f), size);
}
static int f_lock(sqlite3_file *f, int lock)
{
    return under(f)->pMethods->xLock(under(f), lock);
}
static int f_unlock(sqlite3_file *f, int lock)
{
    return under(f)->pMethods->xUnlock(under(f), lock);
}
static int f_reserved(sqlite3_file *f, int *out)
{
    return under(f)->pMethods->xCheckReservedLock(under(f), out);
}
static int f_control(sqlite3_file *f, int op, void *arg)
{
    return under(f)->pMethods->xFileControl(under(f), op, arg);
}
static int f_sector(sqlite3_file *f)
{
    return under(f)->pMethods->xSectorSize(under(f));
}
static int f_device(sqlite3_file *f)
{
    return under(f)->pMethods->xDeviceCharacteristics(under(f));
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_reserved,
    .xFileControl = f_control,
    .xSectorSize = f_sector,
    .xDeviceCharacteristics = f_device,
};

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct file *file = (struct file *)f;
    (void)vfs;
    file->under = (sqlite3_file *)(file + 1);
    file->under->pMethods = NULL;
    int rc = real->xOpen(real, name, file->under, flags, out);
    f->pMethods = file->under->pMethods == NULL ? NULL : &methods;
    return rc;
}

void faultfs_install(void)
{
    real = sqlite3_vfs_find(NULL);
    assert(real != NULL);
    shim = *real;
    shim.pNext = NULL;
    shim.zName = "faultfs";
    shim.szOsFile = (int)sizeof(struct file) + real->szOsFile;
    shim.xOpen = v_open;
    int rc = sqlite3_vfs_register(&shim, 1);
    assert(rc == SQLITE_OK);
    (void)rc;
}
