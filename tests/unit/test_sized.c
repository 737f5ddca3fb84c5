/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How structures grow. A structure of two releases stands for all: the library knows the second,
 * and programs were compiled against the first, the second or one that is to come.
 */
#include "api/sized.h"

#include <criterion/criterion.h>

struct first {
	uint32_t size;
	uint32_t flags;
	uint64_t amount;
};

/* What came later begins where the first one ended. */
struct second {
	uint32_t size;
	uint32_t flags;
	uint64_t amount;
	uint64_t later;
	void (*function)(void);
};

struct third {
	struct second second;
	uint64_t unknown;
};

_Static_assert(offsetof(struct second, later) == sizeof(struct first), "growth begins at the end");

#define FIRST_SIZE SIZED_UNTIL(struct second, amount)

static void some_function(void)
{
}

/* Not inline: the compiler would see that some of the sizes are lies. */
__attribute__((noinline)) static enum be_status read_second(const void *given, struct second *read)
{
	return sized_read_bytes(given, read, FIRST_SIZE, sizeof *read);
}

__attribute__((noinline)) static enum be_status clear_second(void *filled)
{
	return sized_clear_bytes(filled, FIRST_SIZE, sizeof(struct second));
}

Test(sized, what_an_older_program_lacks_counts_as_zero)
{
	/* What is behind the size given is somebody else's, and may be anything. */
	struct second given = {sizeof(struct first), 3, 4, 5, some_function};
	struct second read = {.size = sizeof read};

	cr_assert(read_second(&given, &read) == BE_OK);
	cr_assert(read.flags == 3 && read.amount == 4);
	cr_assert(read.later == 0 && !read.function);
}

Test(sized, what_an_older_program_lacks_is_not_written)
{
	struct second filled = {sizeof(struct first), 3, 4, 5, some_function};
	const struct second ours = {sizeof ours, 6, 7, 8, NULL};

	cr_assert(clear_second(&filled) == BE_OK);
	cr_assert(filled.size == sizeof(struct first) && filled.flags == 0 && filled.amount == 0);
	cr_assert(filled.later == 5 && filled.function == some_function);
	sized_write(&filled, &ours);
	cr_assert(filled.size == sizeof(struct first) && filled.flags == 6 && filled.amount == 7);
	cr_assert(filled.later == 5 && filled.function == some_function);
}

Test(sized, a_newer_program_may_not_set_what_is_not_known)
{
	struct third given = {{sizeof given, 3, 4, 5, some_function}, 0};
	struct second read = {.size = sizeof read};

	cr_assert(read_second(&given, &read) == BE_OK);
	cr_assert(read.later == 5 && read.function == some_function);
	given.unknown = 1;
	memset(&read, 0, sizeof read);
	cr_assert(read_second(&given, &read) == BE_INVALID_SIZE);
	cr_assert(sized_is_zero(&read, sizeof read), "it was refused, and read all the same");
}

Test(sized, an_offer_may_have_what_is_not_known)
{
	struct third given = {{sizeof given, 3, 4, 5, some_function}, 1};
	struct second read = {.size = sizeof read};

	cr_assert(sized_take_bytes(&given, &read, FIRST_SIZE, sizeof read) == BE_OK);
	cr_assert(read.later == 5 && read.function == some_function);
}

Test(sized, what_a_newer_program_knows_alone_is_zeroed)
{
	struct third filled = {{sizeof filled, 3, 4, 5, some_function}, 6};
	const struct second ours = {sizeof ours, 6, 7, 8, some_function};

	cr_assert(clear_second(&filled) == BE_OK);
	sized_write(&filled, &ours);
	cr_assert(filled.second.size == sizeof filled && filled.second.later == 8);
	cr_assert(filled.unknown == 0);
}

Test(sized, less_than_the_first_release_or_more_than_any_is_refused)
{
	static const size_t wrong[] = {0, 4, sizeof(struct first) - 1,
				       sizeof(struct second) + SIZED_GROWTH_MAX + 1, UINT32_MAX};
	struct second structure = {.flags = 3, .amount = 4, .later = 5};
	struct second read = {.size = sizeof read};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		structure.size = (uint32_t)wrong[i];
		cr_assert(read_second(&structure, &read) == BE_INVALID_SIZE);
		cr_assert(read.flags == 0);
		cr_assert(clear_second(&structure) == BE_INVALID_SIZE);
		cr_assert(structure.flags == 3 && structure.amount == 4 && structure.later == 5);
	}
}

Test(sized, nothing_is_a_structure_that_is_left_alone)
{
	struct second read = {sizeof read, 3, 4, 5, NULL};

	cr_assert(read_second(NULL, &read) == BE_OK && read.amount == 4);
	cr_assert(clear_second(NULL) == BE_OK);
	sized_write_bytes(NULL, &read, sizeof read);
}
