/* SPDX-License-Identifier: Apache-2.0 */
/* How long leases of hosts are: the longest that was asked for counts, and no clock undoes that.
 * When they have ended: no clock that leaps says so alone. */
#include "executor/lease.h"
#include "executor/remote.h"

#include <criterion/criterion.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define DAY_S (24 * 3600)

/* As seen by one who has watched it for long enough, but not for the whole lease. */
static bool has_ended(const struct host *host, int64_t now_ns)
{
	static struct lease_watch watch;

	watch_begin(&watch, 0, LEASE_MOST_NS);
	watch_note(&watch, host, 0);
	return watch_left(&watch, host, (host->lease_end_ns - host->at_ns) * 3 / 4, now_ns) == 0;
}

Test(lease, the_longest_that_was_asked_for_counts)
{
	struct remote_host host = {.batch = 0};

	lease_ask(&host, 5 * SECOND_NS);
	lease_ask(&host, 90 * SECOND_NS);
	lease_ask(&host, 5 * SECOND_NS);
	cr_assert_eq(lease_length(&host), 90 * SECOND_NS);
}

Test(lease, a_length_that_nobody_may_ask_for_is_none)
{
	static const int64_t lengths[] = {INT64_MIN,         -1,       0, LEASE_LEAST_NS - 1,
					  LEASE_MOST_NS + 1, INT64_MAX};
	struct remote_host host = {.batch = 0};

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		atomic_store(&host.lease_ns, lengths[i]);
		cr_assert_eq(lease_length(&host), LEASE_DEFAULT_NS);
	}
}

Test(lease, the_next_renewal_counts_from_when_the_txn_began)
{
	struct remote_host host = {.batch = 0};

	lease_ask(&host, 90 * SECOND_NS);
	lease_put_off(&host, 1000 * SECOND_NS);
	cr_assert_eq(atomic_load(&host.renew_ns), 1030 * SECOND_NS);
}

Test(lease, it_becomes_shorter_only_where_the_clock_was_set_back)
{
	int64_t now_ns = 1000000 * SECOND_NS;
	struct host host = {.at_ns = now_ns, .lease_end_ns = 0};

	lease_extend(&host, now_ns, 60 * SECOND_NS);
	cr_assert_eq(host.lease_end_ns, now_ns + 60 * SECOND_NS);
	lease_extend(&host, now_ns, 5 * SECOND_NS);
	cr_assert_eq(host.lease_end_ns, now_ns + 60 * SECOND_NS);
	cr_assert_not(has_ended(&host, now_ns + 60 * SECOND_NS - 1));
	cr_assert(has_ended(&host, now_ns + 60 * SECOND_NS));
	now_ns -= 3 * 86400 * SECOND_NS;
	lease_extend(&host, now_ns, 60 * SECOND_NS);
	cr_assert_eq(host.lease_end_ns, now_ns + 60 * SECOND_NS);
}

/* ---- who watches */

/* A look at one record that was renewed at 1000 s of the storage's clock, with a lease of 60 s, by
 * a host whose lease is as long. How many seconds are left at `now_s` of that clock? */
static int64_t look(struct lease_watch *watch, const struct host *host, int64_t at_s, int64_t now_s)
{
	watch_begin(watch, at_s * SECOND_NS, 60 * SECOND_NS);
	watch_note(watch, host, at_s * SECOND_NS);
	return watch_left(watch, host, at_s * SECOND_NS, now_s * SECOND_NS) / SECOND_NS;
}

static struct host renewed_at_1000(uint64_t name)
{
	struct host host = {.at_ns = 1000 * SECOND_NS,
			    .lease_end_ns = 1060 * SECOND_NS,
			    .checksum = (name * 1000 + 1000) << 32};

	memcpy(host.id, &name, sizeof name);
	return host;
}

Test(watch, a_lease_ends_by_the_storages_clock_for_who_has_watched_half_of_it)
{
	struct lease_watch watch = {.looked_ns = 0};
	struct host host = renewed_at_1000(1);

	cr_assert_eq(look(&watch, &host, 5000, 1010), 50);
	cr_assert_eq(look(&watch, &host, 5020, 1030), 30);
	cr_assert_eq(look(&watch, &host, 5040, 1050), 10);
	cr_assert_eq(look(&watch, &host, 5049, 1059), 1);
	cr_assert_eq(look(&watch, &host, 5050, 1060), 0);
}

Test(watch, a_clock_that_leaps_ahead_leaves_half_of_the_lease)
{
	struct lease_watch watch = {.looked_ns = 0};
	struct host host = renewed_at_1000(1);

	cr_assert_eq(look(&watch, &host, 5000, 1000), 60);
	cr_assert_eq(look(&watch, &host, 5010, 9000), 20);
	cr_assert_eq(look(&watch, &host, 5029, 9019), 1);
	/* It is renewed, by the new time. */
	host.at_ns = 9020 * SECOND_NS;
	host.lease_end_ns = 9080 * SECOND_NS;
	host.checksum = UINT64_C(9020) << 32;
	cr_assert_eq(look(&watch, &host, 5030, 9020), 60);
	cr_assert_eq(look(&watch, &host, 5050, 50000), 10);
}

Test(watch, a_clock_that_leaps_back_keeps_no_dead_host_alive)
{
	struct lease_watch watch = {.looked_ns = 0};
	struct host host = renewed_at_1000(1);

	cr_assert_eq(look(&watch, &host, 5000, 10), 60);
	cr_assert_eq(look(&watch, &host, 5030, 40), 30);
	cr_assert_eq(look(&watch, &host, 5059, 69), 1);
	cr_assert_eq(look(&watch, &host, 5060, 70), 0);
}

Test(watch, one_that_has_only_just_come_takes_half_a_lease)
{
	struct lease_watch watch = {.looked_ns = 0};
	struct host host = renewed_at_1000(1);

	cr_assert_eq(look(&watch, &host, 5000, 3000), 30);
	cr_assert_eq(look(&watch, &host, 5029, 3029), 1);
	cr_assert_eq(look(&watch, &host, 5030, 3030), 0);
}

Test(watch, what_is_over_for_a_day_needs_no_watching)
{
	struct lease_watch watch = {.looked_ns = 0};
	struct host host = renewed_at_1000(1), none = {.lease_end_ns = 0};

	cr_assert_eq(look(&watch, &host, 5000, 1059 + DAY_S), 30);
	cr_assert_eq(look(&watch, &host, 5000, 1060 + DAY_S), 0);
	cr_assert_eq(watch_left(&watch, &none, 5000 * SECOND_NS, 9 * DAY_S * SECOND_NS), 0);
}

/* The server was away, and nobody could renew anything. */
Test(watch, after_a_gap_all_watching_begins_anew)
{
	struct lease_watch watch = {.looked_ns = 0};
	struct host host = renewed_at_1000(1);

	cr_assert_eq(look(&watch, &host, 5000, 1000), 60);
	cr_assert_eq(look(&watch, &host, 5030, 1030), 30);
	cr_assert_eq(look(&watch, &host, 5061, 1061), 30);
	cr_assert_eq(look(&watch, &host, 5090, 1090), 1);
	cr_assert_eq(look(&watch, &host, 5091, 1091), 0);
}

Test(watch, another_clock_and_other_bytes_end_nothing_early)
{
	struct lease_watch watch = {.looked_ns = 900000 * SECOND_NS};
	struct host host = renewed_at_1000(1);

	memset(watch.hosts, 0xff, sizeof watch.hosts);
	cr_assert_eq(look(&watch, &host, 5000, 3000), 30);
	/* Of a machine that was up for longer. */
	watch.looked_ns = 900000 * SECOND_NS;
	watch.since_ns = 0;
	cr_assert_eq(look(&watch, &host, 5001, 3000), 30);
	/* Seen later than now. */
	cr_assert_eq(watch_left(&watch, &host, 4000 * SECOND_NS, 3000 * SECOND_NS) / SECOND_NS, 30);
}

/* Those for which there is no room any more only take longer. */
Test(watch, many_hosts_are_watched_each_by_itself)
{
	struct lease_watch watch = {.looked_ns = 0};
	size_t ended = 0;

	for (int64_t at_s = 5000; at_s <= 5040; at_s += 20)
		for (uint64_t name = 0; name < WATCH_HOSTS; name++) {
			struct host host = renewed_at_1000(2 * name);

			cr_assert_eq(look(&watch, &host, at_s, 1060),
				     at_s >= 5030 ? 0 : 5030 - at_s);
		}
	for (int64_t at_s = 5060; at_s <= 5100; at_s += 20)
		for (uint64_t name = 0; name < 2 * WATCH_HOSTS; name++) {
			struct host host = renewed_at_1000(2 * name);

			ended += look(&watch, &host, at_s, 1060) == 0;
		}
	cr_assert_lt(ended, (size_t)4 * WATCH_HOSTS);
	cr_assert_gt(ended, (size_t)0);
}
