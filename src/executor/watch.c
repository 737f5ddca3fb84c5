/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/watch.h"

#include "executor/lease.h"

#include <string.h>

/* So many of them are a second; 32 bits of them are eight years. */
#define TICKS 16
#define TICK_NS (INT64_C(1000000000) / TICKS)

static uint64_t part_of_id(const struct host *host)
{
	uint64_t part;

	memcpy(&part, host->id, sizeof part);
	return part | 1;
}

static uint64_t entry_of(const struct host *host, int64_t ns)
{
	/* Rounded up: it was not seen earlier than it says. */
	uint64_t ticks = (uint64_t)((ns + TICK_NS - 1) / TICK_NS) & UINT32_MAX;

	return (host->checksum >> 32 << 32) | ticks;
}

static bool is_of(uint64_t entry, const struct host *host)
{
	return entry >> 32 == host->checksum >> 32;
}

static const struct watched *find(const struct lease_watch *watch, uint64_t id)
{
	for (size_t i = 0; i < WATCH_HOSTS; i++)
		if (atomic_load_explicit(&watch->hosts[i].host, memory_order_relaxed) == id)
			return &watch->hosts[i];
	return NULL;
}

void watch_begin(struct lease_watch *watch, int64_t begun_ns, int64_t lease_ns)
{
	int64_t looked_ns = atomic_exchange(&watch->looked_ns, begun_ns);

	/* What is later than it can be was written by another clock. */
	if (begun_ns - looked_ns > lease_ns / 2 || looked_ns > begun_ns + lease_ns)
		atomic_store(&watch->since_ns, begun_ns);
	atomic_store(&watch->look_ns, begun_ns + lease_ns / LEASE_RENEWALS);
}

/* A place for one that has none: a free one, or that of whatever host is there. */
static struct watched *take_place(struct lease_watch *watch, uint64_t id)
{
	struct watched *place = (struct watched *)find(watch, id);

	if (!place)
		place = (struct watched *)find(watch, 0);
	return place ? place : &watch->hosts[id / 2 % WATCH_HOSTS];
}

void watch_note(struct lease_watch *watch, const struct host *host, int64_t seen_ns)
{
	uint64_t id = part_of_id(host);
	struct watched *place = take_place(watch, id);

	if (atomic_load(&place->host) == id && is_of(atomic_load(&place->seen), host))
		return;
	atomic_store(&place->host, id);
	atomic_store(&place->seen, entry_of(host, seen_ns));
}

/* How long it has been seen to be as it is. */
static int64_t watched_for(const struct lease_watch *watch, const struct host *host,
			   int64_t begun_ns)
{
	const struct watched *place = find(watch, part_of_id(host));
	uint64_t entry = place ? atomic_load(&place->seen) : 0;
	int64_t since_ns = atomic_load(&watch->since_ns);
	uint32_t ticks;
	int64_t seen_ns;

	if (!place || !is_of(entry, host))
		return 0;
	ticks = (uint32_t)(begun_ns / TICK_NS) - (uint32_t)entry;
	if (ticks > INT32_MAX) /* it was seen later than that */
		return 0;
	seen_ns = begun_ns - (int64_t)ticks * TICK_NS;
	return begun_ns - (seen_ns > since_ns ? seen_ns : since_ns);
}

/* How long its lease was when it was renewed. */
static int64_t length_of(const struct host *host)
{
	int64_t length_ns;

	if (__builtin_sub_overflow(host->lease_end_ns, host->at_ns, &length_ns) ||
	    length_ns > LEASE_MOST_NS)
		return LEASE_MOST_NS;
	return length_ns < LEASE_LEAST_NS ? LEASE_LEAST_NS : length_ns;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t watch_left(const struct lease_watch *watch, const struct host *host, int64_t begun_ns,
		   int64_t now_ns)
{
	int64_t length_ns = length_of(host), watched_ns = watched_for(watch, host, begun_ns);
	int64_t left_ns = host->lease_end_ns - now_ns;

	if (left_ns <= -DAY_NS)
		return 0;
	left_ns = most(left_ns, length_ns / 2 - watched_ns);
	return most(least(left_ns, length_ns - watched_ns), 0);
}
