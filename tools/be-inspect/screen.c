/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawing the live view. The whole screen is drawn each time, and ncurses sends what has changed.
 * Nothing here calls for data: what is drawn was copied before, and drawing may take as long as a
 * slow line needs.
 */
#include "screen.h"

#include "grid.h"
#include "list.h"
#include "moment.h"
#include "opening.h"
#include "paint.h"
#include "terminal.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP_LINES 2 /* title and headings */
#define LIST_LINES_MIN 3
#define FIGURES_SIZE 2048

/* ---- the terminal */

static volatile sig_atomic_t stop_wanted, continued;

static void note_signal(int signal_number)
{
	if (signal_number == SIGTSTP)
		stop_wanted = 1;
	else
		continued = 1;
}

/* ncurses would handle SIGTSTP, but lose one that comes while it draws. Here it is blocked then:
 * only waiting lets it through. */
static void prepare_to_stop(void)
{
	struct sigaction action;
	sigset_t stops;

	signal(SIGCONT, note_signal);
	sigaction(SIGTSTP, NULL, &action);
	if (action.sa_handler != SIG_DFL)
		return;
	sigemptyset(&stops);
	sigaddset(&stops, SIGTSTP);
	sigprocmask(SIG_BLOCK, &stops, NULL);
	signal(SIGTSTP, note_signal);
}

/* Gives the terminal back, and stops the process until it is continued. */
static void stop(void)
{
	sigset_t stops;

	stop_wanted = 0;
	endwin();
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	sigemptyset(&stops);
	sigaddset(&stops, SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stops, NULL);
	sigprocmask(SIG_BLOCK, &stops, NULL);
	signal(SIGTSTP, note_signal);
}

/* Other programs have used the terminal meanwhile, also after SIGSTOP, which cannot be noticed. */
static void take_over_again(void)
{
	continued = 0;
	reset_prog_mode();
	clearok(curscr, TRUE);
}

bool screen_begin(void)
{
	terminal_note_modes();
	prepare_to_stop();
	if (!newterm(NULL, stdout, stdin))
		return false;
	if (!terminal_is_a_screen()) {
		endwin();
		return false;
	}
	terminal_restore_at_crash();
	set_escdelay(25);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	paint_begin();
	return true;
}

void screen_end(void)
{
	endwin();
	terminal_is_restored();
}

/* ---- what is above and below */

static void draw_title(const struct watch *watch)
{
	size_t count = watch_line_count(watch);
	uint64_t looked_at = records_looked_at(&watch->records);
	const char *view = view_name(watch->arguments->view), *more = records_more(&watch->records);
	char of[48] = "", at[MOMENT_TEXT_SIZE], *name = tool_name(watch->arguments->environment);

	moment_format(watch_at_ns(watch), 0, at);
	if (looked_at)
		snprintf(of, sizeof of, " of the last %" PRIu64, looked_at);
	attrset(A_REVERSE);
	/* Of one, without the s. */
	paint_line(0, "%zu%s %.*s%s by %s%s%s%s  %s  %s", count, more,
		   (int)strlen(view) - (count == 1 && !*more), view, of, watch->order_name,
		   *watch->search ? "  with " : "", watch->search, watch->paused ? "  PAUSED" : "",
		   at, name);
	attrset(A_NORMAL);
	free(name);
}

/* ---- the figures of one envelope */

static __attribute__((format(printf, 3, 4))) size_t add(char *text, size_t used, const char *format,
							...)
{
	va_list list;
	int size;

	va_start(list, format);
	/* It is not uninitialised. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	size = vsnprintf(text + used, FIGURES_SIZE - used, format, list);
	va_end(list);
	used += size > 0 ? (size_t)size : 0;
	return used < FIGURES_SIZE ? used : FIGURES_SIZE - 1;
}

static size_t add_amount(char *text, size_t used, const char *before, int64_t amount,
			 const char *behind)
{
	char figure[BE_AMOUNT_TEXT_SIZE];

	if (be_amount_format(amount, figure, sizeof figure) != BE_OK)
		snprintf(figure, sizeof figure, "?");
	return add(text, used, "%s%s%s", before, figure, behind);
}

/* What is committed, and what of that waits to be reaped. */
static size_t add_committed(char *text, size_t used, const struct envelope_row *row)
{
	bool expired = row->held_expired > 0, orphaned = row->held_orphaned > 0;

	used = add_amount(text, used, "committed ", row->envelope.committed, "");
	if (expired)
		used = add_amount(text, used, " (", row->held_expired,
				  orphaned ? " expired" : " expired)");
	if (orphaned)
		used = add_amount(text, used, expired ? ", " : " (", row->held_orphaned,
				  " orphaned)");
	return add(text, used, "\n");
}

/* As paint_flow() wants them. */
static void list_figures(const struct watched *watched, int64_t now_ns, char text[FIGURES_SIZE])
{
	const struct be_envelope *envelope = &watched->envelope;
	const struct activity *activity = &watched->activity;
	char ends[DURATION_TEXT_SIZE] = "", holders[LIST_HOLDERS_SIZE];
	size_t used = 0;

	if (envelope->period_end_ns != 0)
		duration_format(envelope->period_end_ns - now_ns, ends);
	list_holders(watched, holders);
	used = add_amount(text, used, "limit ", envelope->limit, "\n");
	used = add_amount(text, used, "spent ", envelope->spent, "\n");
	used = add_committed(text, used, &watched->row);
	used = add_amount(text, used, "available ", envelope->available, "\n");
	used = add(text, used, "%s%s%s\n\n", be_period_name(envelope->period),
		   *ends ? ", ends in " : "", ends);
	used = add_amount(text, used, "", activity->spent_per_minute, "/min\n");
	used = add(text, used, "%" PRId64 " commits/min\n", activity->granted_per_minute);
	used = add_amount(text, used, "", activity->refused_per_second, " refusals/s\n");
	add(text, used, "%" PRIu64 " pending%s%s\n", envelope->pending_commits,
	    *holders ? " of " : "", holders);
}

/* Those of the selected line; none when there is no line. */
static void figures_of_selected(const struct watch *watch, char text[FIGURES_SIZE])
{
	*text = '\0';
	if (watch->arguments->view != VIEW_ENVELOPES)
		records_figures(&watch->records, watch->selected, text, FIGURES_SIZE);
	else if (watch->snapshot.line_count > 0)
		list_figures(&watch->snapshot.lines[watch->selected].watched, watch->snapshot.at_ns,
			     text);
}

/* How many lines the figures of the selected line may have below the list. */
static int lines_of_figures(const struct watch *watch)
{
	int most = LINES - TOP_LINES - 1 - LIST_LINES_MIN, lines;
	char figures[FIGURES_SIZE];

	if (most < 1)
		return 0;
	figures_of_selected(watch, figures);
	lines = paint_flow(0, 0, figures);
	return lines < most ? lines : most;
}

size_t screen_list_lines(const struct watch *watch)
{
	int lines = LINES - TOP_LINES - 1 - lines_of_figures(watch);

	return lines > 0 ? (size_t)lines : 1;
}

/* ---- the list */

static void draw_last_line(const struct watch *watch, const char *keys)
{
	if (watch->searching)
		paint_line(LINES - 1, "/%s_", watch->search);
	else if (*watch->message)
		paint_line(LINES - 1, "%s", watch->message);
	else
		paint_line(LINES - 1, "%s", keys);
}

static const void *record_line(const void *context, size_t number)
{
	return records_line(context, number);
}

static void draw_records(size_t lines, const struct watch *watch)
{
	const struct grid grid = {
		.fields = records_fields(watch->arguments->view),
		.keys = records_keys(watch->arguments->view),
		.record = record_line,
		.context = &watch->records,
		.first = watch->top,
		.selected = watch->selected,
		.now_ns = watch_at_ns(watch),
	};

	grid_draw(TOP_LINES - 1, (int)lines + 1, &grid);
}

static void draw_list(struct watch *watch)
{
	bool of_envelopes = watch->arguments->view == VIEW_ENVELOPES;
	int of_figures = lines_of_figures(watch);
	size_t lines = screen_list_lines(watch);
	char figures[FIGURES_SIZE];

	if (watch->selected < watch->top)
		watch->top = watch->selected;
	if (watch->selected >= watch->top + lines)
		watch->top = watch->selected - lines + 1;
	draw_title(watch);
	if (of_envelopes)
		list_draw(TOP_LINES - 1, lines, watch);
	else
		draw_records(lines, watch);
	if (watch_line_count(watch) == 0)
		paint_line(TOP_LINES, "no %s", view_name(watch->arguments->view));
	if (of_figures > 0) {
		figures_of_selected(watch, figures);
		paint_flow(LINES - 1 - of_figures, of_figures, figures);
	}
	draw_last_line(watch, of_envelopes ? "Enter open  s sort  r reverse  / search  "
					     "Space pause  h help  q quit"
					   : "s sort  r reverse  / search  Space pause  h help  "
					     "q quit");
}

/* ---- one envelope */

static const void *commit_record(const void *context, size_t number)
{
	const struct opened *opened = context;

	return number < opened->commit_count ? &opened->commits[number] : NULL;
}

static const void *transaction_record(const void *context, size_t number)
{
	return opened_transaction(context, number);
}

/* What is pending and what was charged, in the lines from `y` on; with whose it is, where that may
 * be an envelope below. */
static void draw_both(int y, bool has_children, const struct watch *watch)
{
	static const char *const of_commits[] = {"id",    "amount", "age",         "expires",
						 "owner", "state",  "description", NULL};
	static const char *const of_transactions[] = {"id",   "amount", "at",          "kind",
						      "held", "commit", "description", NULL};
	struct grid grid = {
		.context = &watch->opened, .selected = GRID_NONE, .now_ns = watch->snapshot.at_ns};
	int commits = (int)watch->opened.commit_count,
	    transactions = (int)watch->opened.transaction_count;
	int lines = LINES > y + 5 ? LINES - y - 5 : 0;

	/* Each list gets half, and what the other does not need. */
	if (commits > lines / 2)
		commits = transactions < lines / 2 ? lines - transactions : lines / 2;
	paint_line(y, "Pending commits%s, the oldest first",
		   has_children ? ", here and below" : "");
	grid.fields = &commit_fields;
	grid.keys = has_children ? records_keys(VIEW_COMMITS) : of_commits;
	grid.record = commit_record;
	y = grid_draw(y + 1, commits + 1, &grid);
	paint_line(y, "Transactions%s, the latest first", has_children ? ", here and below" : "");
	grid.fields = &transaction_fields;
	grid.keys = has_children ? records_keys(VIEW_TRANSACTIONS) : of_transactions;
	grid.record = transaction_record;
	grid_draw(y + 1, LINES - 2 - y, &grid);
}

static void draw_opened(struct watch *watch)
{
	char name[PAINT_NAME_SIZE], parent[FIELD_TEXT_SIZE], figures[FIGURES_SIZE];
	int most = LINES > 16 ? LINES / 2 : 2, lines;
	const struct be_envelope *envelope;
	struct watched watched;

	if (!snapshot_find(&watch->snapshot, watch->opened.id, &watched))
		return;
	envelope = &watched.envelope;
	paint_name(envelope->namespace_name, envelope->category, name);
	field_text(fields_find(&envelope_fields, "parent", 6), &watched, 0, parent);
	draw_title(watch);
	attrset(A_BOLD | paint_colour(list_colour(&watched)));
	paint_line(1, "%s%s%s%s", name, list_state(&watch->snapshot, envelope),
		   envelope->has_parent ? "  below " : "", envelope->has_parent ? parent : "");
	attrset(A_NORMAL);
	list_draw_bar(2, 0, COLS, envelope);
	list_figures(&watched, watch->snapshot.at_ns, figures);
	lines = paint_flow(0, 0, figures);
	lines = lines < most ? lines : most;
	paint_flow(3, lines, figures);
	draw_both(3 + lines, envelope->children > 0, watch);
	draw_last_line(watch, "Esc back  Space pause  h help  q quit");
}

/* Envelopes only are opened, and have bars. */
static void draw_help(const struct watch *watch)
{
	static const char *const of_envelopes[] = {
		"Up Down k j, PgUp PgDn, Home End   select an envelope",
		"Enter   open it: what is pending, and what was charged last",
		"Esc     back; in the list, forget the search",
		"s       sort by the next column",
		"r       reverse the order",
		"/       search for a part of a name (Enter: done, Esc: forget it)",
		"Space   pause, or go on",
		"h ?     this help",
		"q       quit",
		"",
		"In the bars # is spent, = is held by pending commits, . is available.",
		"/MIN is what was spent in a minute, going by the last ten seconds, and REF/S",
		"how often the envelope itself refused in a second.",
		"Red: all is used, or it refuses. Yellow: 80 % is used. OWNERS are PID:COMMITS.",
		"A + stands for what was cut. Wider screens have more columns.",
		NULL,
	};
	static const char *const of_records[] = {
		"Up Down k j, PgUp PgDn, Home End   select a line, of which all is told below",
		"Esc     forget the search",
		"s       sort by the next column",
		"r       reverse the order",
		"/       search for a part of any column (Enter: done, Esc: forget it)",
		"Space   pause, or go on",
		"h ?     this help",
		"q       quit",
		"",
		"Of very many: the oldest commits, the latest transactions and alerts.",
		"A + stands for what was cut. Wider screens have more columns.",
		NULL,
	};
	const char *const *text =
		watch->arguments->view == VIEW_ENVELOPES ? of_envelopes : of_records;

	draw_title(watch);
	for (int i = 0; text[i]; i++)
		paint_line(2 + i, "%s", text[i]);
	draw_last_line(watch, "any key goes back");
}

void screen_draw(struct watch *watch)
{
	if (stop_wanted)
		stop();
	if (continued)
		take_over_again();
	erase();
	switch (watch->mode) {
	case WATCH_LIST:
		draw_list(watch);
		break;
	case WATCH_OPENED:
		draw_opened(watch);
		break;
	case WATCH_HELP:
		draw_help(watch);
	}
	refresh();
}
