/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/lmdb/table_lock.h"

#include <errno.h>
#include <sys/file.h>

void table_lock_make(struct table_lock *lock)
{
	pthread_mutex_init(&lock->threads, NULL);
	lock->file.fd = -1;
}

/* A failure (the system has no memory for a lock) leaves the work to LMDB's mutex alone. */
void table_lock_take(struct table_lock *lock)
{
	pthread_mutex_lock(&lock->threads);
	while (flock(lock->file.fd, LOCK_EX) < 0 && errno == EINTR)
		;
}

void table_lock_drop(struct table_lock *lock)
{
	(void)flock(lock->file.fd, LOCK_UN);
	pthread_mutex_unlock(&lock->threads);
}
