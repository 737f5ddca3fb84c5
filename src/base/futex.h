/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping on a word in memory that processes share, and waking those who sleep there. */
#ifndef FUTEX_H
#define FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#define FUTEX_ALL_BITS UINT32_MAX

enum futex_end {
	FUTEX_WOKEN,       /* the caller looks again, and so with the next two */
	FUTEX_INTERRUPTED, /* by a signal, which was handled */
	FUTEX_CHANGED,     /* the word was another one: this thread has not slept */
	FUTEX_TIMED_OUT,   /* nobody woke it until then */
};

/* Nanoseconds of a clock that never steps back; moments to wake up at are given in it. */
int64_t monotonic_ns(void);

/* Sleeps while *word is `expected`, until a wake-up that names one of `bits`, or until
 * `until_ns`. */
enum futex_end futex_sleep(const _Atomic uint32_t *word, uint32_t expected, uint32_t bits,
			   int64_t until_ns);

/* Wakes threads that sleep on the word with one of `bits`: the one that has slept longest, or
 * all. */
void futex_wake_one(const _Atomic uint32_t *word);
void futex_wake(const _Atomic uint32_t *word, uint32_t bits);

#endif
