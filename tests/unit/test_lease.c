/* SPDX-License-Identifier: Apache-2.0 */
/* How long leases of hosts are: the longest that was asked for counts, and no clock undoes that. */
#include "executor/lease.h"
#include "executor/remote.h"

#include <criterion/criterion.h>

#define SECOND_NS INT64_C(1000000000)

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
	struct host host = {.lease_end_ns = 0};
	int64_t now_ns = 1000000 * SECOND_NS;

	lease_extend(&host, now_ns, 60 * SECOND_NS);
	cr_assert_eq(host.lease_end_ns, now_ns + 60 * SECOND_NS);
	lease_extend(&host, now_ns, 5 * SECOND_NS);
	cr_assert_eq(host.lease_end_ns, now_ns + 60 * SECOND_NS);
	cr_assert_not(lease_has_ended(&host, now_ns + 60 * SECOND_NS - 1));
	cr_assert(lease_has_ended(&host, now_ns + 60 * SECOND_NS));
	now_ns -= 3 * 86400 * SECOND_NS;
	lease_extend(&host, now_ns, 60 * SECOND_NS);
	cr_assert_eq(host.lease_end_ns, now_ns + 60 * SECOND_NS);
}
