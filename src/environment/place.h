/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place where processes of one user and machine meet that use the same storage elsewhere: a
 * directory in memory, with be-owners and be-group in it, and nothing that is to last. Which it is
 * depends on what the storage says of itself (be_storage_ops.where), so that what is another
 * storage has another place: two places for one storage cost speed only.
 */
#ifndef PLACE_H
#define PLACE_H

#include "environment/environment.h"
#include "records/record.h"

#include <limits.h>

/* Finds the place, and makes it where missing, if it is to be made. `path` is empty where there is
 * none: the storage says nothing of itself, or no runtime directory is known. *is_wanted: the user
 * named the directory, so that it is a fault if it cannot be used. */
enum be_status place_find(const struct be_storage *storage, const struct header *header, bool make,
			  char path[PATH_MAX], bool *is_wanted);

/* Is this open directory one that nobody else may enter, or replace by another? */
enum be_status place_check(const struct shared_directory *directory);

#endif
