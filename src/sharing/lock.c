/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that name their holder; lock.h has the word.
 *
 * Waking. A thread that lets go of a lock with WAITERS clears the bit and wakes the thread that has
 * slept longest. A thread that has slept takes the lock with WAITERS set, since others may still
 * sleep. A wake-up that goes to a process just killed is lost. Then the threads that wait look for
 * themselves: the first in line after LOOK_NS, the others after as long as they have waited,
 * LOOK_MAX_NS at most.
 *
 * Taking over. A dead process takes nothing any more. So either the word that named it when it was
 * judged is still there, and no other process has had the lock since, or the exchange fails.
 */
#include "sharing/lock.h"

#include "base/futex.h"

#define HELD UINT64_C(1)
#define WAITERS UINT64_C(2)
#define LEFT UINT64_C(4)
#define SLOT_SHIFT 3
#define COUNT_ONE (UINT64_C(1) << 15)
#define COUNT_MASK UINT64_C(0xffff8000)
#define NAME_MASK (~(WAITERS | LEFT | COUNT_MASK))

#define LOOK_NS 5000000
#define LOOK_MAX_NS 200000000

_Static_assert(OWNER_SLOTS - 1 <= 0xfff, "a slot's number has twelve bits in the word");

/* Threads sleep on the half of the word that changes when the lock changes hands. */
static const _Atomic uint32_t *low_half(const struct lock *lock)
{
	return (const _Atomic uint32_t *)&lock->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

uint64_t lock_name(const struct owner *owner)
{
	return owner->generation << 32 | (uint64_t)owner->slot << SLOT_SHIFT | HELD;
}

struct lock_user lock_user(struct owners *owners)
{
	struct owner self = owners_self(owners);

	return (struct lock_user){owners, lock_name(&self)};
}

struct lock_user lock_user_alone(void)
{
	struct owner self = {.generation = 1};

	return (struct lock_user){NULL, lock_name(&self)};
}

bool lock_name_is_dead(const struct lock_user *user, uint64_t name)
{
	return user->owners &&
	       !owners_alive_named(user->owners, (uint32_t)(name >> SLOT_SHIFT) & 0xfff,
				   (uint32_t)(name >> 32));
}

bool lock_is_held(const struct lock *lock)
{
	return atomic_load(&lock->word) & HELD;
}

uint64_t lock_history(const struct lock *lock)
{
	return atomic_load(&lock->word) & ~WAITERS;
}

/* Puts `user` in the place of the process that the word names. On failure *word is the new one. */
/* NOLINTNEXTLINE(readability-non-const-parameter): a failed exchange writes to it */
static bool take(struct lock *lock, const struct lock_user *user, uint64_t *word, uint64_t flags)
{
	uint64_t mine = user->name | ((*word + COUNT_ONE) & COUNT_MASK) |
			(*word & (WAITERS | LEFT)) | flags;

	return atomic_compare_exchange_strong(&lock->word, word, mine);
}

bool lock_try(struct lock *lock, const struct lock_user *user)
{
	uint64_t word = atomic_load(&lock->word);

	return !(word & HELD) && take(lock, user, &word, 0);
}

bool lock_inherit(struct lock *lock, const struct lock_user *user)
{
	uint64_t word = atomic_load(&lock->word);

	return (word & HELD) && lock_name_is_dead(user, word) &&
	       take(lock, user, &word, LEFT | WAITERS);
}

/* False: the word has changed. */
static bool announce_waiter(struct lock *lock, uint64_t word)
{
	return (word & WAITERS) ||
	       atomic_compare_exchange_strong(&lock->word, &word, word | WAITERS);
}

static bool may_take(uint64_t word, enum lock_manner manner, bool slept)
{
	return !(word & HELD) && (slept || manner != LOCK_POLITE);
}

/* It has not changed hands all the time that a thread slept. */
static bool inherit_unchanged(struct lock *lock, const struct lock_user *user, uint64_t word)
{
	return atomic_load(&lock->word) == (word | WAITERS) && lock_inherit(lock, user);
}

bool lock_wait_until(struct lock *lock, const struct lock_user *user, enum lock_manner manner,
		     int64_t limit_ns)
{
	int64_t patience_ns = LOOK_NS, until_ns = 0;
	bool slept = false;

	for (;;) {
		uint64_t word = atomic_load(&lock->word);
		enum futex_end end;

		if (may_take(word, manner, slept)) {
			if (take(lock, user, &word, slept ? WAITERS : 0))
				return true;
			continue;
		}
		if (!announce_waiter(lock, word))
			continue;
		if (until_ns == 0)
			until_ns = monotonic_ns() + patience_ns;
		end = futex_sleep(low_half(lock), (uint32_t)(word | WAITERS), FUTEX_ALL_BITS,
				  until_ns);
		if (end == FUTEX_CHANGED)
			continue;
		slept = true;
		if (end != FUTEX_TIMED_OUT)
			continue;
		if (inherit_unchanged(lock, user, word))
			return true;
		if (limit_ns != INT64_MAX && monotonic_ns() >= limit_ns)
			return false;
		until_ns = 0;
		if (manner != LOCK_FIRST_IN_LINE && patience_ns < LOOK_MAX_NS)
			patience_ns *= 2;
	}
}

void lock_wait(struct lock *lock, const struct lock_user *user, enum lock_manner manner)
{
	(void)lock_wait_until(lock, user, manner, INT64_MAX);
}

bool lock_is_left(const struct lock *lock)
{
	return atomic_load(&lock->word) & LEFT;
}

void lock_mend(struct lock *lock)
{
	atomic_fetch_and(&lock->word, ~LEFT);
}

static void let_go(struct lock *lock, const struct lock_user *user, uint64_t flags)
{
	uint64_t word = atomic_load(&lock->word);

	do {
		/* Something wrote over the word, or another process took over from this one,
		 * whose descriptors were closed under it. */
		if ((word & NAME_MASK) != user->name)
			return;
	} while (!atomic_compare_exchange_weak(&lock->word, &word,
					       (word & (COUNT_MASK | LEFT)) | flags));
	if (word & WAITERS)
		futex_wake_one(low_half(lock));
}

void lock_drop(struct lock *lock, const struct lock_user *user)
{
	let_go(lock, user, 0);
}

void lock_leave(struct lock *lock, const struct lock_user *user)
{
	let_go(lock, user, LEFT);
}
