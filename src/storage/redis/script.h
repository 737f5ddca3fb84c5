/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scripts by which txns are carried out on a Redis server: each is one step there. They know
 * nothing of budgets. KEYS, all with the same hash tag:
 *
 *     values     a hash of the records; "" has the token, which each change replaces by a new one
 *     keys       a sorted set of their keys, all scores alike: in the order of their bytes
 *     snapshots  a sorted set of the read txns that take more than one trip, by when they end
 *     undo, gone of one snapshot: a hash of what records changed since were ("1" and the value, or
 *                "0": there was none), and a sorted set of the keys that were removed
 *
 * SCRIPT_READ     values keys snapshots undo gone: since snapshot opens from most asks key...
 *     `since` is "=" and the token of the state to be read, or "" for whatever it is now.
 *     `snapshot` is the one to be read, or, with `opens` "1", to be made of this state.
 *     Records from `from` on are listed when `most` is more than 0, and the keys' values given.
 *     With `asks` "1" the identifier of the server's replication is told, if it may be.
 *     -> {seconds, microseconds, token, "ok" | "changed" | "ended", identifier or "", values of
 *         the keys, keys, values, keys and values of those that are gone now}
 * SCRIPT_APPLY    values keys snapshots: since token puts dels (key value)... key...
 *     Puts and deletes, if the state is still the one of `since`. -> {1}, or {0}: it is not.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

enum script {
	SCRIPT_READ,
	SCRIPT_APPLY,
	SCRIPTS,
};

extern const char *const scripts[SCRIPTS];

#endif
