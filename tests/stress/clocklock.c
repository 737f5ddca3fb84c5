/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ThreadSanitizers of gcc 12 and clang 14 do not know pthread_mutex_clocklock(): a mutex taken
 * by it would count as free. The linker puts this function in its place (--wrap), which calls it
 * and tells them.
 */
#include <errno.h>
#include <pthread.h>
#include <sanitizer/tsan_interface.h>
#include <time.h>

int __real_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
				   const struct timespec *until);
int __wrap_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
				   const struct timespec *until);

int __wrap_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
				   const struct timespec *until)
{
	unsigned flags = __tsan_mutex_try_lock;
	int rc;

	__tsan_mutex_pre_lock(mutex, flags);
	rc = __real_pthread_mutex_clocklock(mutex, clock, until);
	if (rc != 0 && rc != EOWNERDEAD)
		flags |= __tsan_mutex_try_lock_failed;
	__tsan_mutex_post_lock(mutex, flags, 0);
	return rc;
}
