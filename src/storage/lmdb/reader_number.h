/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers by which LMDB knows processes in its reader table, in place of their pids.
 *
 * Pids are not unique where several pid namespaces (containers) share an environment. LMDB puts the
 * pid of a process into each slot of the reader table that the process takes, and locks the byte of
 * lock.mdb that has this number; who has a lock lives. Of two live processes of one pid the second
 * one cannot lock its byte, and gets EAGAIN at its first read. And a slot that a dead one left
 * counts as a live one's as long as any namesake reads: it pins pages, until the file has grown to
 * the size of the map.
 *
 * So each opening of an environment has a number of its own above all pids (the kernel's are below
 * 2^22), and puts it where LMDB keeps the pid: in the member me_pid of its private struct MDB_env,
 * between mdb_env_create() and mdb_env_open(). All that LMDB does with pids
 * is then right for all processes of the machine, and so is mdb_reader_check().
 *
 * It reaches into another library's private structure, which is why this is done only where all is
 * as it must be: the version is 0.9, whose struct has begun with the same members since 0.9.10
 * (2013) and does so in the last release, and at the moment when it is done each of these members
 * has its known value: three descriptors that are -1, the flags, the size of the reader table as
 * it was just set, and getpid() itself. Where anything differs, nothing is written, and the
 * storage does without: it reads alone (lmdb.c). What LMDB does with me_pid, in 0.9.10 to 0.9.32:
 * it writes it into slots, compares it with what is in them, and locks its byte. The pid of the
 * system it takes anew in two places, of which one serves thread-specific readers only, which are
 * not used here, and the other is mdb_env_close(), which frees the slots of this process that are
 * left: here there are none, since all txns are ended before.
 */
#ifndef READER_NUMBER_H
#define READER_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

struct MDB_env;

/* The number of a process that is registered with this generation (sharing/owner.h), so that the
 * two can be told to belong together; and one drawn for those that are not, apart from the former.
 * 0: the system gives no random ones. */
int32_t reader_number_of(uint64_t generation);
int32_t reader_number_draw(void);

/* Makes it the number of an environment that was created, given a reader table of `max_readers`,
 * and not opened. False, and nothing is done: the liblmdb (its version, of mdb_version()) is not
 * one of which it is known how. */
bool reader_number_put(struct MDB_env *env, int major, int minor, unsigned max_readers,
		       int32_t number);

#endif
