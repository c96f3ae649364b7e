/* faultfs.h - a file system under SQLite whose n-th write or sync fails. It becomes the default one
 * of the process; without a fault set it only passes on.
 */
#ifndef RB_TESTS_STORE_FAULTFS_H
#define RB_TESTS_STORE_FAULTFS_H

#include <stdbool.h>

void faultfs_install(void);
/* faultfs_write - the n-th write from now (1 = the next), and every one after it, fails with
 * @sql_rc; 0 = none fails. */
void faultfs_write(int n, int sql_rc);
/* faultfs_sync - the same for syncs. */
void faultfs_sync(int n, int sql_rc);
bool faultfs_struck(void); /* since the fault was set */

#endif
