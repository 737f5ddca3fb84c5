/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows by id: what was added in any order is found by its id with what it held, however often the
 * memory grew; what was not added is not found.
 */
#include "base/by_id.h"

#include <criterion/criterion.h>

#define ROWS 5000
/* A multiplier that has no divisor in common with ROWS: all numbers below it in another order. */
#define SCATTER 1999

struct row {
	uint64_t id;
	uint64_t held;
	char padding[13];
};

static uint64_t id_at(uint64_t i)
{
	return 2 * (i * SCATTER % ROWS) + 1;
}

Test(by_id, what_was_added_in_any_order_is_found)
{
	struct by_id table = BY_ID_OF(struct row);

	for (uint64_t i = 0; i < ROWS; i++) {
		struct row *row = by_id_add(&table, id_at(i));

		cr_assert_not_null(row);
		cr_assert_eq(row->id, id_at(i));
		cr_assert_eq(row->held, 0);
		cr_assert_eq(row->padding[sizeof row->padding - 1], 0);
		row->held = ~row->id;
		memset(row->padding, 0xff, sizeof row->padding);
	}
	cr_assert_eq(table.count, ROWS);
	by_id_sort(&table);
	for (uint64_t id = 0; id <= 2 * ROWS + 1; id++) {
		const struct row *row = by_id_find(&table, id);

		cr_assert_eq(row != NULL, id % 2 == 1 && id < 2 * ROWS, "%d", (int)id);
		if (row)
			cr_assert(row->id == id && row->held == ~id, "%d", (int)id);
	}
	by_id_free(&table);
}

Test(by_id, no_rows_have_nothing_to_be_found)
{
	struct by_id table = BY_ID_OF(struct row);

	by_id_sort(&table);
	cr_expect_null(by_id_find(&table, 0));
	by_id_free(&table);
	cr_expect_null(by_id_find(&table, 0));
}

Test(by_id, rows_of_one_id_are_neighbours)
{
	struct by_id table = BY_ID_OF(struct row);
	const struct row *rows;

	for (uint64_t i = 0; i < 300; i++)
		((struct row *)by_id_add(&table, i % 100))->held = i;
	by_id_sort(&table);
	rows = table.rows;
	for (size_t i = 0; i < table.count; i++)
		cr_expect_eq(rows[i].id, i / 3);
	cr_expect_not_null(by_id_find(&table, 99));
	by_id_free(&table);
}

Test(by_id, rows_that_were_forgotten_are_not_found_and_leave_their_room)
{
	struct by_id table = BY_ID_OF(struct row);
	const void *rows;

	for (uint64_t id = 0; id < 10; id++)
		cr_assert_not_null(by_id_add(&table, id));
	rows = table.rows;
	by_id_clear(&table);
	cr_expect_null(by_id_find(&table, 5));
	for (uint64_t id = 20; id < 30; id++)
		cr_assert_not_null(by_id_add(&table, id));
	by_id_sort(&table);
	cr_expect_eq(table.rows, rows);
	cr_expect_null(by_id_find(&table, 5));
	cr_expect_not_null(by_id_find(&table, 25));
	by_id_free(&table);
	cr_expect_eq(table.room, 0);
	cr_expect_not_null(by_id_add(&table, 1));
	cr_expect_eq(((const struct row *)by_id_find(&table, 1))->held, 0);
	by_id_free(&table);
}
