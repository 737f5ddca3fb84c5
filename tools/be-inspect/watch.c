/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live view. It waits for a key, a signal or the next refresh, whichever comes first; a refresh
 * reads the environment in pages, and between two of them no read txn is open. What cannot be read
 * is told in the last line, and tried again.
 *
 * In front of a server a refresh asks how often that was changed, which is one trip, and reads
 * anew only when that has become more, or when time alone may have changed something. Reading takes
 * a small part of the time: of what is large it is done more rarely than asked for.
 */
#include "watch.h"

#include "complain.h"
#include "follow.h"
#include "listing.h"
#include "opening.h"
#include "screen.h"
#include "tool.h"

#include <curses.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEY_ESCAPE 27

/* In front of a server: windows end, deadlines pass and leases end without a change, and are seen
 * within so long; and reading takes one part in so many of the time, but is done every minute. */
#define STALE_MOST_MS 10000
#define READING_PART 50
#define READING_MOST_MS 60000

/* The order in which records were made. */
#define BY_TIME "time"

/* The orders that the key s goes through; the first one is --sort's. */
static const struct {
	const char *name;
	const char *key;
	bool descending;
} orders[] = {
	{"need", "utilization_percent", true}, {"name", "category", false},
	{"available", "available", false},     {"spent", "spent", true},
	{"committed", "committed", true},      {"spending", "spent_per_minute", true},
	{"window", "period_end", false},       {"refusals", "refused_per_second", true},
};

/* ---- data */

static bool shows_envelopes(const struct watch *watch)
{
	return watch->arguments->view == VIEW_ENVELOPES;
}

size_t watch_line_count(const struct watch *watch)
{
	return shows_envelopes(watch) ? watch->snapshot.line_count : watch->records.line_count;
}

int64_t watch_at_ns(const struct watch *watch)
{
	return shows_envelopes(watch) ? watch->snapshot.at_ns : watch->records.at_ns;
}

/* Of an envelope or another record; 0 where there is no such line. */
static uint64_t id_of_line(const struct watch *watch, size_t line)
{
	if (!shows_envelopes(watch))
		return records_id(&watch->records, line);
	return line < watch->snapshot.line_count ? watch->snapshot.lines[line].watched.envelope.id
						 : 0;
}

/* The lines anew. A selection stays with its record, or where that was; the first line stays the
 * first line, whichever record comes first. */
static void arrange(struct watch *watch)
{
	size_t count;

	if (shows_envelopes(watch))
		snapshot_arrange(&watch->snapshot, &watch->order, watch->search);
	else
		records_arrange(&watch->records, &watch->order, watch->search);
	count = watch_line_count(watch);
	for (size_t i = 0; watch->selected > 0 && i < count; i++) {
		if (id_of_line(watch, i) == watch->selected_id) {
			watch->selected = i;
			break;
		}
	}
	if (watch->selected >= count)
		watch->selected = count > 0 ? count - 1 : 0;
	watch->selected_id = id_of_line(watch, watch->selected);
}

static void tell(struct watch *watch, enum be_status status)
{
	if (status == BE_OK)
		*watch->message = '\0';
	else
		snprintf(watch->message, sizeof watch->message, "%s", be_last_error());
}

static enum be_status take(struct watch *watch)
{
	struct watched watched;
	enum be_status status =
		shows_envelopes(watch)
			? snapshot_take(&watch->snapshot, watch->handle, &watch->arguments->filter)
			: records_take(&watch->records, watch->handle, watch->arguments);

	tell(watch, status);
	if (status != BE_OK)
		return status;
	arrange(watch);
	if (watch->opened.id == 0)
		return BE_OK;
	if (snapshot_find(&watch->snapshot, watch->opened.id, &watched)) {
		status = opened_refresh(&watch->opened, watch->handle, &watch->snapshot,
					&watched.envelope);
		tell(watch, status);
		return status;
	}
	watch->opened.id = 0;
	watch->mode = WATCH_LIST;
	snprintf(watch->message, sizeof watch->message, "the envelope was removed");
	return BE_OK;
}

/* ---- in front of a server */

static int64_t milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Is what was read as good as what would be read now? */
static bool is_fresh(const struct watch *watch, uint64_t changes)
{
	int64_t now_ms = milliseconds_now();

	if (watch->read_ms == 0)
		return false;
	return now_ms < watch->due_ms ||
	       (changes == watch->changes && now_ms - watch->read_ms < STALE_MOST_MS);
}

static void stay(struct watch *watch)
{
	if (shows_envelopes(watch))
		snapshot_stay(&watch->snapshot);
	else
		records_stay(&watch->records);
	arrange(watch);
}

static enum be_status take_if_changed(struct watch *watch)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	int64_t began_ms = milliseconds_now(), took_ms;
	enum be_status status;

	if (!tool_is_server(watch->arguments->environment))
		return take(watch);
	status = be_stats(watch->handle, &stats);
	if (status == BE_OK && is_fresh(watch, stats.changes)) {
		tell(watch, status);
		stay(watch);
		return status;
	}
	if (status == BE_OK)
		status = take(watch);
	else
		tell(watch, status);
	took_ms = milliseconds_now() - began_ms;
	watch->changes = stats.changes;
	watch->read_ms = status == BE_OK ? began_ms : 0;
	watch->due_ms =
		began_ms + (took_ms < READING_MOST_MS / READING_PART ? took_ms * READING_PART
								     : READING_MOST_MS);
	return status;
}

/* In another order, or with another search, it begins at the top. */
static void arrange_anew(struct watch *watch)
{
	watch->selected = 0;
	arrange(watch);
}

/* ---- keys */

/* By the next column; after the last one as they were made. */
static void choose_column(struct watch *watch)
{
	const struct fields *fields = records_fields(watch->arguments->view);
	const char *const *keys = records_keys(watch->arguments->view);
	size_t next = 0;

	for (size_t i = 0; watch->order.sort && keys[i]; i++)
		if (strcmp(keys[i], watch->order.sort->key) == 0)
			next = i + 1;
	watch->order.sort = keys[next] ? fields_find(fields, keys[next], strlen(keys[next])) : NULL;
	watch->order.descending = watch->order.sort && watch->order.sort->kind == FIELD_AMOUNT;
	watch->order_name = watch->order.sort ? watch->order.sort->heading : BY_TIME;
	arrange_anew(watch);
}

static void choose_order(struct watch *watch, const char *name)
{
	size_t count = sizeof orders / sizeof *orders, i, next = 0;

	for (i = 0; i < count; i++)
		if (strcmp(orders[i].name, name) == 0)
			next = (i + 1) % count;
	watch->order_name = orders[next].name;
	watch->order.by_need = next == 0;
	watch->order.descending = orders[next].descending;
	watch->order.sort = fields_find(&rate_fields, orders[next].key, strlen(orders[next].key));
	if (!watch->order.sort)
		watch->order.sort =
			fields_find(&envelope_fields, orders[next].key, strlen(orders[next].key));
	arrange_anew(watch);
}

static void move_selection(struct watch *watch, ptrdiff_t lines)
{
	ptrdiff_t last = (ptrdiff_t)watch_line_count(watch) - 1,
		  wanted = (ptrdiff_t)watch->selected + lines;

	if (last < 0)
		return;
	if (wanted > last)
		wanted = last;
	watch->selected = wanted < 0 ? 0 : (size_t)wanted;
	watch->selected_id = id_of_line(watch, watch->selected);
}

static void open_selected(struct watch *watch)
{
	enum be_status status;

	if (watch->snapshot.line_count == 0)
		return;
	status = opened_open(&watch->opened, watch->handle, &watch->snapshot,
			     &watch->snapshot.lines[watch->selected].watched.envelope);
	tell(watch, status);
	if (status == BE_OK)
		watch->mode = WATCH_OPENED;
}

static void search_key(struct watch *watch, int key)
{
	size_t size = strlen(watch->search);

	if (key == KEY_ESCAPE)
		*watch->search = '\0';
	if (key == KEY_ESCAPE || key == '\r' || key == KEY_ENTER || key == '\n')
		watch->searching = false;
	else if (key == KEY_BACKSPACE || key == 127 || key == '\b')
		/* A character of several bytes goes at once. */
		while (size > 0 && ((unsigned char)watch->search[--size] & 0xc0) == 0x80)
			;
	else if (key >= ' ' && key < 256 && size + 1 < SEARCH_SIZE)
		watch->search[size++] = (char)key;
	if (watch->searching)
		watch->search[size] = '\0';
	arrange_anew(watch);
}

static void list_key(struct watch *watch, int key)
{
	ptrdiff_t page = (ptrdiff_t)screen_list_lines(watch);

	switch (key) {
	case KEY_UP:
	case 'k':
		move_selection(watch, -1);
		break;
	case KEY_DOWN:
	case 'j':
		move_selection(watch, 1);
		break;
	case KEY_PPAGE:
		move_selection(watch, -page);
		break;
	case KEY_NPAGE:
		move_selection(watch, page);
		break;
	case KEY_HOME:
		move_selection(watch, -(ptrdiff_t)watch_line_count(watch));
		break;
	case KEY_END:
		move_selection(watch, (ptrdiff_t)watch_line_count(watch));
		break;
	case '\r':
	case '\n':
	case KEY_ENTER:
		open_selected(watch);
		break;
	case 's':
		if (shows_envelopes(watch))
			choose_order(watch, watch->order_name);
		else
			choose_column(watch);
		break;
	case 'r':
		watch->order.descending = !watch->order.descending;
		arrange_anew(watch);
		break;
	case '/':
		watch->searching = true;
		break;
	case KEY_ESCAPE:
		*watch->search = '\0';
		arrange_anew(watch);
	}
}

static void close_opened(struct watch *watch)
{
	watch->opened.id = 0;
	watch->mode = WATCH_LIST;
}

/* False: quit. */
static bool take_key(struct watch *watch, int key)
{
	if (key == KEY_RESIZE)
		return true;
	if (watch->searching) {
		search_key(watch, key);
		return true;
	}
	if (watch->mode == WATCH_HELP) {
		watch->mode = watch->opened.id != 0 ? WATCH_OPENED : WATCH_LIST;
		return true;
	}
	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case ' ':
	case 'p':
		watch->paused = !watch->paused;
		break;
	case 'h':
	case '?':
	case KEY_F(1):
		watch->mode = WATCH_HELP;
		break;
	default:
		if (watch->mode == WATCH_LIST)
			list_key(watch, key);
		else if (key == KEY_ESCAPE || key == KEY_BACKSPACE || key == KEY_LEFT || key == 127)
			close_opened(watch);
	}
	return true;
}

/* ---- the loop */

/* Returns when it is quit, or a signal ended it, which is true. */
static bool loop(struct watch *watch)
{
	int64_t next = milliseconds_now() + watch->arguments->interval_ms, now;
	bool on = true;
	int key;

	while (on) {
		screen_draw(watch);
		now = milliseconds_now();
		if (!follow_wait_input(STDIN_FILENO, now < next ? (int)(next - now) : 0))
			return true;
		while (on && (key = getch()) != ERR)
			on = take_key(watch, key);
		if (milliseconds_now() < next)
			continue;
		if (!watch->paused)
			(void)take_if_changed(watch);
		next = milliseconds_now() + watch->arguments->interval_ms;
	}
	return false;
}

int watch_run(const struct arguments *arguments)
{
	struct watch watch = {.arguments = arguments, .order = *arguments};
	struct be_options options = BE_OPTIONS_INIT;
	int result = TOOL_EXIT_FAULT;
	bool signalled = false;
	enum be_status status;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return listing_run(arguments);
	watch.records.view = arguments->view;
	watch.order_name = arguments->by_need ? orders[0].name
			   : arguments->sort  ? arguments->sort->heading
					      : BY_TIME;
	options.flags = BE_OPEN_READ_ONLY;
	status = tool_open(arguments->environment, &options, &watch.handle);
	if (status == BE_OK)
		status = take_if_changed(&watch);
	if (status != BE_OK) {
		complain(arguments->environment, be_last_error());
		goto out;
	}
	follow_begin();
	if (!screen_begin()) {
		warnx("this terminal (TERM=%s) is not known, or can only print lines; without "
		      "--watch "
		      "nothing "
		      "more is needed",
		      getenv("TERM") ? getenv("TERM") : "");
		goto out;
	}
	signalled = loop(&watch);
	screen_end();
	result = EXIT_SUCCESS;
out:
	snapshot_free(&watch.snapshot);
	records_free(&watch.records);
	be_close(watch.handle);
	if (signalled)
		follow_end();
	return result;
}
