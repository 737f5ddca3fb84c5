/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ids of the commits that a handle has made and nobody has ended through it: a set, since one
 * handle may hold thousands. What another handle or process has ended stays in it until the handle
 * closes; ending it again is harmless.
 *
 * Only handles opened with BE_OPEN_OWNING have one. A fork child holds nothing of what its parent
 * does: it finds a set of another fork generation, whose lock a thread may have had that is not
 * here, leaves it alone, and begins its own.
 */
#include "api/holds.h"

#include "base/error.h"
#include "executor/reap.h"

#include <pthread.h>
#include <stdlib.h>

#define FIRST_ROOM 64

struct holds {
	uint64_t generation;     /* of forks, in which it was made */
	struct holds *inherited; /* the parent's; only so that it does not count as a leak */
	pthread_mutex_t lock;
	size_t count;
	size_t expected; /* commits under way, for which there is room */
	size_t room;     /* a power of two, more than half of it empty */
	uint64_t *ids;   /* 0: empty */
};

/* Ids ascend by one, so that neighbours would lie in one heap without it. */
static size_t home(const struct holds *holds, uint64_t id)
{
	return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (holds->room - 1);
}

static size_t find(const struct holds *holds, uint64_t id)
{
	size_t at = home(holds, id);

	while (holds->ids[at] != 0 && holds->ids[at] != id)
		at = (at + 1) & (holds->room - 1);
	return at;
}

static bool grow(struct holds *holds, size_t room)
{
	struct holds larger = {.room = room, .ids = calloc(room, sizeof *larger.ids)};

	if (!larger.ids)
		return false;
	for (size_t i = 0; i < holds->room; i++)
		if (holds->ids[i] != 0)
			larger.ids[find(&larger, holds->ids[i])] = holds->ids[i];
	free(holds->ids);
	holds->ids = larger.ids;
	holds->room = larger.room;
	return true;
}

static void discard(struct holds *holds)
{
	free(holds->ids);
	free(holds);
}

static struct holds *make(struct holds *inherited, uint64_t generation)
{
	struct holds *made = calloc(1, sizeof *made);

	if (!made)
		return NULL;
	made->generation = generation;
	made->inherited = inherited;
	if (!grow(made, FIRST_ROOM) || pthread_mutex_init(&made->lock, NULL) != 0) {
		discard(made);
		return NULL;
	}
	return made;
}

/* This process's own; NULL: it has none. */
static struct holds *own(struct be_enforcer *handle)
{
	struct holds *holds = atomic_load(&handle->holds);

	return holds && holds->generation == atomic_load(&environment_fork_generation) ? holds
										       : NULL;
}

static struct holds *own_or_made(struct be_enforcer *handle)
{
	struct holds *inherited = atomic_load(&handle->holds);
	uint64_t generation = atomic_load(&environment_fork_generation);
	struct holds *made;

	if (inherited && inherited->generation == generation)
		return inherited;
	made = make(inherited, generation);
	/* Another thread may have been faster. */
	if (made && !atomic_compare_exchange_strong(&handle->holds, &inherited, made)) {
		discard(made);
		made = inherited;
	}
	return made;
}

enum be_status holds_expect(struct be_enforcer *handle)
{
	struct holds *holds = own_or_made(handle);
	bool fits;

	if (!holds)
		return error_set(BE_NO_MEMORY, "out of memory");
	pthread_mutex_lock(&holds->lock);
	fits = 2 * (holds->count + holds->expected + 1) < holds->room ||
	       grow(holds, 2 * holds->room);
	if (fits)
		holds->expected++;
	pthread_mutex_unlock(&holds->lock);
	return fits ? BE_OK : error_set(BE_NO_MEMORY, "out of memory");
}

void holds_add(struct be_enforcer *handle, uint64_t id)
{
	struct holds *holds = own(handle);

	if (!holds)
		return;
	pthread_mutex_lock(&holds->lock);
	holds->expected--;
	if (id != 0) {
		holds->ids[find(holds, id)] = id;
		holds->count++;
	}
	pthread_mutex_unlock(&holds->lock);
}

/* What lies behind the gap, up to the next one, moves nearer to its home where it can. */
static void close_gap(struct holds *holds, size_t gap)
{
	size_t mask = holds->room - 1;

	for (size_t at = (gap + 1) & mask; holds->ids[at] != 0; at = (at + 1) & mask) {
		size_t from_home = (at - home(holds, holds->ids[at])) & mask;

		if (from_home < ((at - gap) & mask))
			continue;
		holds->ids[gap] = holds->ids[at];
		gap = at;
	}
	holds->ids[gap] = 0;
}

void holds_remove(struct be_enforcer *handle, uint64_t id)
{
	struct holds *holds = own(handle);
	size_t at;

	if (!holds || id == 0)
		return;
	pthread_mutex_lock(&holds->lock);
	at = find(holds, id);
	if (holds->ids[at] == id) {
		close_gap(holds, at);
		holds->count--;
	}
	pthread_mutex_unlock(&holds->lock);
}

static void end_all(struct be_enforcer *handle, struct holds *holds)
{
	size_t count = 0;

	for (size_t i = 0; i < holds->room; i++)
		if (holds->ids[i] != 0)
			holds->ids[count++] = holds->ids[i];
	/* What fails now ends with the process. */
	if (count > 0)
		(void)enforcer_give_up(handle, holds->ids, count);
}

void holds_end(struct be_enforcer *handle)
{
	struct holds *holds = own(handle), *inherited = atomic_load(&handle->holds);

	if (holds) {
		end_all(handle, holds);
		inherited = holds->inherited;
		pthread_mutex_destroy(&holds->lock);
		discard(holds);
	}
	while (inherited) {
		struct holds *next = inherited->inherited;

		/* Where no thread of the parent was within, what it has is whole. */
		if (pthread_mutex_trylock(&inherited->lock) == 0)
			discard(inherited);
		inherited = next;
	}
}
