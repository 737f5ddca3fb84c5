/* SPDX-License-Identifier: Apache-2.0 */
/* The live view: its state, which watch.c changes and screen.c draws. */
#ifndef WATCH_H
#define WATCH_H

#include "opened.h"
#include "records.h"
#include "snapshot.h"

#define SEARCH_SIZE 64

enum watch_mode {
	WATCH_LIST,
	WATCH_OPENED, /* one envelope */
	WATCH_HELP,
};

struct watch {
	const struct arguments *arguments;
	struct be_enforcer *handle;
	struct arguments order; /* the arguments, with the order that keys have chosen */
	const char *order_name;
	struct snapshot snapshot; /* of envelopes; */
	struct opened opened;
	struct records records; /* of other views */
	enum watch_mode mode;
	bool paused;
	uint64_t selected_id; /* the selection stays with its record when the order changes */
	size_t selected;      /* its line */
	size_t top;           /* the first line on the screen */
	bool searching;       /* keys go to the search text */
	char search[SEARCH_SIZE];
	char message[256]; /* what went wrong last; "" when nothing did */

	/* In front of a server: how often it had been changed when it was read, by be_stats(), and
	 * by a clock that never steps back when it was read, and may be again. */
	uint64_t changes;
	int64_t read_ms; /* 0: never, or in vain */
	int64_t due_ms;
};

/* Lines of its list, and when that was read. */
size_t watch_line_count(const struct watch *watch);
int64_t watch_at_ns(const struct watch *watch);

/* Shows the live view until it is quit. Returns an exit code, after saying what went wrong. */
int watch_run(const struct arguments *arguments);

#endif
