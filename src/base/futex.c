/* SPDX-License-Identifier: Apache-2.0 */
#include "base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000

int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

enum futex_end futex_sleep(const _Atomic uint32_t *word, uint32_t expected, uint32_t bits,
			   int64_t until_ns)
{
	struct timespec until = {until_ns / NS_PER_S, until_ns % NS_PER_S};

	if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, &until, NULL, bits) == 0)
		return FUTEX_WOKEN;
	if (errno == ETIMEDOUT)
		return FUTEX_TIMED_OUT;
	if (errno == EINTR)
		return FUTEX_INTERRUPTED;
	return errno == EAGAIN ? FUTEX_CHANGED : FUTEX_WOKEN;
}

void futex_wake_one(const _Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void futex_wake(const _Atomic uint32_t *word, uint32_t bits)
{
	syscall(SYS_futex, word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, bits);
}
