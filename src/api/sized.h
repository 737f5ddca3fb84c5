/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures that begin with `uint32_t size` and may grow. A program built against an older header
 * passes a smaller one: the members that it lacks count as zero, and are not written. A program
 * built against a newer header may pass a larger one, as long as the members that we do not know
 * are zero.
 *
 * A size that no release can have is refused before anything is read, cleared or written: the
 * structure was not initialised, and the bytes that its size covers may belong to something else.
 */
#ifndef SIZED_H
#define SIZED_H

#include "base/error.h"

#include <budget_enforcer_storage.h>
#include <stddef.h>
#include <string.h>

/* No later release adds more than so many bytes to a structure. */
#define SIZED_GROWTH_MAX 1024

/* The size of a structure whose last member is this one. */
#define SIZED_UNTIL(type, last) (offsetof(type, last) + sizeof(((type *)NULL)->last))

/* What each structure held in the release that it came with, by its last member then: never less is
 * passed. These lines stay as they are when a structure grows. */
#define SIZED_FIRST(pointer)                                                                       \
	_Generic((pointer), struct be_options *                                                    \
		 : SIZED_UNTIL(struct be_options, storage), struct be_commit_options *             \
		 : SIZED_UNTIL(struct be_commit_options, namespace_name),                          \
		   struct be_charge_options *                                                      \
		 : SIZED_UNTIL(struct be_charge_options, namespace_name),                          \
		   struct be_envelope_options *                                                    \
		 : SIZED_UNTIL(struct be_envelope_options, roll_over), struct be_settings *        \
		 : SIZED_UNTIL(struct be_settings, new_category), struct be_envelope_change *      \
		 : SIZED_UNTIL(struct be_envelope_change, settings), struct be_filter *            \
		 : SIZED_UNTIL(struct be_filter, reserved_too), struct be_storage_ops *            \
		 : SIZED_UNTIL(struct be_storage_ops, next), struct be_decision *                  \
		 : SIZED_UNTIL(struct be_decision, window_end_ns), struct be_envelope *            \
		 : SIZED_UNTIL(struct be_envelope, given_back), struct be_transaction *            \
		 : SIZED_UNTIL(struct be_transaction, reserved_three), struct be_verification *    \
		 : SIZED_UNTIL(struct be_verification, differences), struct be_statistics *        \
		 : SIZED_UNTIL(struct be_statistics, pruned_id), struct be_pruning *               \
		 : SIZED_UNTIL(struct be_pruning, daily_sums), struct be_prune_options *           \
		 : SIZED_UNTIL(struct be_prune_options, context))

static inline enum be_status sized_refuse(void)
{
	return error_set(BE_INVALID_SIZE,
			 "a structure's size is wrong: initialise it with its BE_..._INIT macro");
}

static inline enum be_status sized_refuse_unknown(void)
{
	return error_set(
		BE_INVALID_SIZE,
		"an option is set that this version of the library does not know: upgrade it");
}

static inline bool sized_is_zero(const void *bytes, size_t count)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < count; i++)
		if (at[i] != 0)
			return false;
	return true;
}

static inline bool sized_fits(uint32_t size, size_t first_size, size_t own_size)
{
	return size >= first_size && size <= own_size + SIZED_GROWTH_MAX;
}

static inline enum be_status sized_take_bytes(const void *from, void *to, size_t first_size,
					      size_t own_size)
{
	uint32_t size;

	if (!from)
		return BE_OK;
	memcpy(&size, from, sizeof size);
	if (!sized_fits(size, first_size, own_size))
		return sized_refuse();
	memcpy(to, from, size < own_size ? size : own_size);
	return BE_OK;
}

static inline enum be_status sized_read_bytes(const void *from, void *to, size_t first_size,
					      size_t own_size)
{
	uint32_t size = 0;

	if (from)
		memcpy(&size, from, sizeof size);
	if (size > own_size && sized_fits(size, first_size, own_size) &&
	    !sized_is_zero((const char *)from + own_size, size - own_size))
		return sized_refuse_unknown();
	return sized_take_bytes(from, to, first_size, own_size);
}

static inline enum be_status sized_clear_bytes(void *to, size_t first_size, size_t own_size)
{
	uint32_t size;

	if (!to)
		return BE_OK;
	memcpy(&size, to, sizeof size);
	if (!sized_fits(size, first_size, own_size))
		return sized_refuse();
	memset((char *)to + sizeof size, 0, size - sizeof size);
	return BE_OK;
}

static inline void sized_write_bytes(void *to, const void *from, size_t own_size)
{
	uint32_t size;

	if (!to)
		return;
	memcpy(&size, to, sizeof size);
	memcpy((char *)to + sizeof size, (const char *)from + sizeof size,
	       (size < own_size ? size : own_size) - sizeof size);
}

/* Copies what a caller passed into a structure of ours, where what it lacks stays as it is. NULL
 * leaves all of ours as it is. */
#define sized_read(from, to) sized_read_bytes(from, to, SIZED_FIRST(to), sizeof *(to))

/* The same for what a caller offers rather than asks for: members that we do not know may hold
 * anything, and are not used. */
#define sized_take(from, to) sized_take_bytes(from, to, SIZED_FIRST(to), sizeof *(to))

/* Zeroes a structure that a caller wants filled, but for its size. NULL is fine. */
#define sized_clear(to) sized_clear_bytes(to, SIZED_FIRST(to), sizeof *(to))

/* Fills a structure that sized_clear() has passed from one of ours. NULL is fine. */
#define sized_write(to, from) sized_write_bytes(to, from, sizeof *(from))

#endif
