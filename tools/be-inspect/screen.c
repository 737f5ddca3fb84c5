/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawing the live view. The whole screen is drawn each time, and ncurses sends what has changed.
 * Nothing here calls for data: what is drawn was copied before, and drawing may take as long as a
 * slow line needs.
 */
#include "screen.h"

#include "moment.h"
#include "terminal.h"
#include "text.h"

#include <curses.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define TOP_LINES 2    /* title and headings */
#define BOTTOM_LINES 3 /* of the selected envelope, and the keys */
#define NEARLY_USED_PPM 800000
#define ALL_USED_PPM 1000000

enum colour {
	COLOUR_NONE,
	COLOUR_FULL,
	COLOUR_NEARLY,
	COLOUR_SPENT,
	COLOUR_COMMITTED,
};

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
	const char *no_colour = getenv("NO_COLOR");

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
	if ((!no_colour || !*no_colour) && has_colors()) {
		start_color();
		use_default_colors();
		init_pair(COLOUR_FULL, COLOR_RED, -1);
		init_pair(COLOUR_NEARLY, COLOR_YELLOW, -1);
		init_pair(COLOUR_SPENT, COLOR_CYAN, -1);
		init_pair(COLOUR_COMMITTED, COLOR_BLUE, -1);
	}
	return true;
}

void screen_end(void)
{
	endwin();
	terminal_is_restored();
}

/* Without colours this is the ordinary attribute. */
static chtype colour(enum colour colour)
{
	return COLOR_PAIR(has_colors() ? colour : COLOUR_NONE);
}

/* ---- text */

/* How many bytes of a text, made printable before, fill at most `width` cells, and how many cells
 * those are. */
static size_t fitting(const char *text, int width, int *cells)
{
	size_t left = strlen(text), used = 0;
	mbstate_t state = {0};

	for (*cells = 0; left > 0;) {
		wchar_t character;
		size_t size = mbrtowc(&character, text + used, left, &state);
		int needed = size == 0 || size > left ? -1 : wcwidth(character);

		if (needed < 0 || *cells + needed > width)
			break;
		*cells += needed;
		used += size;
		left -= size;
	}
	return used;
}

/* Puts text into exactly `width` cells. What is too long ends with a "+". */
static void put(int y, int x, int width, bool to_the_right, const char *text)
{
	char *safe = text_escape(text);
	size_t size;
	int cells;

	if (width > 0 && y < LINES) {
		size = fitting(safe, width, &cells);
		mvhline(y, x, ' ', width);
		if (safe[size]) {
			size = fitting(safe, width - 1, &cells);
			mvaddch(y, x + width - 1, '+');
			to_the_right = false;
		}
		mvaddnstr(y, to_the_right ? x + width - cells : x, safe, (int)size);
	}
	free(safe);
}

static __attribute__((format(printf, 2, 3))) void put_line(int y, const char *format, ...)
{
	char text[1024];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	put(y, 0, COLS, false, text);
}

/* An amount in at most `width` bytes: without its last decimals, if it must be. */
static void amount_text(int64_t amount, size_t width, char *text, size_t size)
{
	char *point;

	if (be_amount_format(amount, text, size) != BE_OK)
		snprintf(text, size, "?");
	point = strchr(text, '.');
	if (point && strlen(text) > width)
		text[(size_t)(point - text) + 1 < width ? width : (size_t)(point - text)] = '\0';
}

static void name_text(const char *namespace_name, const char *category, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s", namespace_name, *namespace_name ? "/" : "", category);
}

/* ---- the list */

/* Its columns behind the name, from the left; the last ones are left out where the screen is
 * narrow. */
enum column {
	COLUMN_BAR,
	COLUMN_USED,
	COLUMN_AVAILABLE,
	COLUMN_RATE,
	COLUMN_REFUSED,
	COLUMN_ENDS,
	COLUMN_PENDING,
	COLUMN_HOLDERS,
	COLUMNS,
};

static const struct {
	const char *heading;
	int width;
} list_columns[COLUMNS] = {
	[COLUMN_BAR] = {"SPENT# HELD=", 14},   [COLUMN_USED] = {"USED%", 6},
	[COLUMN_AVAILABLE] = {"AVAILABLE", 9}, [COLUMN_RATE] = {"/MIN", 8},
	[COLUMN_REFUSED] = {"REF/S", 5},       [COLUMN_ENDS] = {"ENDS", 6},
	[COLUMN_PENDING] = {"PEND", 4},        [COLUMN_HOLDERS] = {"OWNERS", 20},
};

#define NAME_WIDTH_MIN 21
#define NAME_WIDTH_MAX 48

/* Where the columns are on a screen of this width. */
struct layout {
	int name_width;
	int columns;   /* how many there are */
	int bar_width; /* grows when the screen is wide */
};

static struct layout lay_out(void)
{
	struct layout layout = {.bar_width = list_columns[COLUMN_BAR].width};
	int used = 0;

	while (layout.columns < COLUMNS &&
	       NAME_WIDTH_MIN + used + 1 + list_columns[layout.columns].width <= COLS)
		used += 1 + list_columns[layout.columns++].width;
	layout.name_width = COLS - used;
	if (layout.name_width > NAME_WIDTH_MAX && layout.columns > 0) {
		layout.bar_width += layout.name_width - NAME_WIDTH_MAX;
		layout.name_width = NAME_WIDTH_MAX;
	}
	return layout;
}

static int width_of(const struct layout *layout, int column)
{
	return column == COLUMN_BAR ? layout->bar_width : list_columns[column].width;
}

static enum colour colour_of(const struct be_envelope *envelope)
{
	if (envelope->utilization_ppm >= ALL_USED_PPM)
		return COLOUR_FULL;
	return envelope->utilization_ppm >= NEARLY_USED_PPM ? COLOUR_NEARLY : COLOUR_NONE;
}

/* Cells of `width` for a part of the limit; what is not nothing is seen. */
static int cells_of(int64_t part, int64_t limit, int width)
{
	int cells = part >= limit ? width : (int)((double)part / (double)limit * width);

	return cells == 0 && part > 0 ? 1 : cells;
}

static void put_bar(int y, int x, int width, const struct be_envelope *envelope)
{
	int inside = width - 2, spent = cells_of(envelope->spent, envelope->limit, inside);
	int committed = cells_of(envelope->committed, envelope->limit, inside);
	int i;

	if (spent + committed > inside)
		committed = inside - spent;
	mvaddch(y, x, '[');
	for (i = 0; i < inside; i++) {
		if (i < spent)
			addch('#' | colour(COLOUR_SPENT));
		else if (i < spent + committed)
			addch('=' | colour(COLOUR_COMMITTED));
		else
			addch('.');
	}
	addch(']');
}

static void holders_text(const struct watched *watched, char *text, size_t size)
{
	size_t i, used = 0;

	*text = '\0';
	for (i = 0; i < watched->activity.holder_count && used < size; i++) {
		const struct holder *holder = &watched->activity.holders[i];

		used += (size_t)snprintf(text + used, size - used, "%s%" PRIu32 "%s:%" PRIu64,
					 i > 0 ? " " : "", holder->pid,
					 holder->alive ? "" : "(dead)", holder->commits);
	}
	if (watched->activity.more_holders && used < size)
		snprintf(text + used, size - used, " ...");
}

static void column_text(const struct watched *watched, int column, int64_t now_ns,
			char text[FIELD_TEXT_SIZE])
{
	static const char *const keys[] = {
		[COLUMN_USED] = "utilization_percent",
		[COLUMN_ENDS] = "period_end",
		[COLUMN_PENDING] = "pending_commits",
	};
	size_t width = (size_t)list_columns[column].width;

	switch (column) {
	case COLUMN_AVAILABLE:
		amount_text(watched->envelope.available, width, text, FIELD_TEXT_SIZE);
		break;
	case COLUMN_RATE:
		amount_text(watched->activity.spent_per_minute, width, text, FIELD_TEXT_SIZE);
		break;
	case COLUMN_REFUSED:
		amount_text(watched->activity.refused_per_second, width, text, FIELD_TEXT_SIZE);
		break;
	case COLUMN_HOLDERS:
		holders_text(watched, text, FIELD_TEXT_SIZE);
		break;
	default:
		field_text(fields_find(&envelope_fields, keys[column], strlen(keys[column])),
			   watched, now_ns, text);
	}
}

static void draw_line(int y, const struct layout *layout, const struct line *line, int64_t now_ns,
		      bool selected)
{
	const struct be_envelope *envelope = &line->watched.envelope;
	char text[FIELD_TEXT_SIZE], name[2 * BE_NAME_SIZE + 1];
	int x = layout->name_width, column;
	chtype attributes =
		(selected ? A_REVERSE : A_NORMAL) | (envelope->suspended ? A_DIM : A_NORMAL);

	name_text(envelope->namespace_name, envelope->category, name, sizeof name);
	snprintf(text, sizeof text, "%*s%s%s", 2 * line->depth, "", name,
		 envelope->suspended ? " (suspended)" : "");
	attrset(attributes | colour(colour_of(envelope)));
	put(y, 0, layout->name_width, false, text);
	for (column = 0; column < layout->columns; column++) {
		int width = width_of(layout, column);

		attrset(column == COLUMN_BAR ? A_NORMAL : attributes | colour(colour_of(envelope)));
		mvaddch(y, x, ' ');
		if (column == COLUMN_BAR) {
			put_bar(y, x + 1, width, envelope);
		} else {
			column_text(&line->watched, column, now_ns, text);
			put(y, x + 1, width, column != COLUMN_HOLDERS, text);
		}
		x += 1 + width;
	}
	attrset(A_NORMAL);
}

static void draw_headings(const struct layout *layout)
{
	int x = layout->name_width, column;

	attrset(A_BOLD);
	put(1, 0, layout->name_width, false, "ENVELOPE");
	for (column = 0; column < layout->columns; column++) {
		bool left = column == COLUMN_BAR || column == COLUMN_HOLDERS;

		put(1, x + 1, width_of(layout, column), !left, list_columns[column].heading);
		x += 1 + width_of(layout, column);
	}
	attrset(A_NORMAL);
}

size_t screen_list_lines(void)
{
	return LINES > TOP_LINES + BOTTOM_LINES ? (size_t)(LINES - TOP_LINES - BOTTOM_LINES) : 1;
}

/* ---- what is above and below */

static void draw_title(const struct watch *watch)
{
	char at[MOMENT_TEXT_SIZE];

	moment_format(watch->snapshot.at_ns, 0, at);
	attrset(A_REVERSE);
	put_line(0, "%zu envelope%s by %s%s%s%s  %s  %s", watch->snapshot.line_count,
		 watch->snapshot.line_count == 1 ? "" : "s", watch->order_name,
		 *watch->search ? "  with " : "", watch->search, watch->paused ? "  PAUSED" : "",
		 at, watch->arguments->environment);
	attrset(A_NORMAL);
}

/* What of the committed amount waits to be reaped; "" when nothing does. */
static void held_text(const struct envelope_row *row, char *text, size_t size)
{
	char expired[BE_AMOUNT_TEXT_SIZE], orphaned[BE_AMOUNT_TEXT_SIZE];

	amount_text(row->held_expired, BE_AMOUNT_TEXT_SIZE, expired, sizeof expired);
	amount_text(row->held_orphaned, BE_AMOUNT_TEXT_SIZE, orphaned, sizeof orphaned);
	*text = '\0';
	if (row->held_expired > 0 && row->held_orphaned > 0)
		snprintf(text, size, " (%s expired, %s orphaned)", expired, orphaned);
	else if (row->held_expired > 0)
		snprintf(text, size, " (%s expired)", expired);
	else if (row->held_orphaned > 0)
		snprintf(text, size, " (%s orphaned)", orphaned);
}

static void draw_figures(int y, const struct watched *watched, int64_t now_ns)
{
	const struct be_envelope *envelope = &watched->envelope;
	char amounts[4][BE_AMOUNT_TEXT_SIZE], ends[DURATION_TEXT_SIZE] = "", holders[512];
	char held[2 * BE_AMOUNT_TEXT_SIZE + 32];
	const int64_t values[] = {envelope->limit, envelope->spent, envelope->committed,
				  envelope->available};
	size_t i;

	for (i = 0; i < 4; i++)
		amount_text(values[i], BE_AMOUNT_TEXT_SIZE, amounts[i], sizeof amounts[i]);
	if (envelope->period_end_ns != 0)
		duration_format(envelope->period_end_ns - now_ns, ends);
	holders_text(watched, holders, sizeof holders);
	held_text(&watched->row, held, sizeof held);
	put_line(y, "limit %s  spent %s  committed %s%s  available %s  %s%s%s", amounts[0],
		 amounts[1], amounts[2], held, amounts[3], be_period_name(envelope->period),
		 *ends ? ", ends in " : "", ends);
	amount_text(watched->activity.spent_per_minute, BE_AMOUNT_TEXT_SIZE, amounts[0],
		    sizeof amounts[0]);
	amount_text(watched->activity.refused_per_second, BE_AMOUNT_TEXT_SIZE, amounts[1],
		    sizeof amounts[1]);
	put_line(y + 1, "%s/min  %" PRId64 " commits/min  %s refusals/s  %" PRIu64 " pending%s%s",
		 amounts[0], watched->activity.granted_per_minute, amounts[1],
		 envelope->pending_commits, *holders ? " of " : "", holders);
}

static void draw_last_line(const struct watch *watch, const char *keys)
{
	if (watch->searching)
		put_line(LINES - 1, "/%s_", watch->search);
	else if (*watch->message)
		put_line(LINES - 1, "%s", watch->message);
	else
		put_line(LINES - 1, "%s", keys);
}

static void draw_list(struct watch *watch)
{
	const struct snapshot *snapshot = &watch->snapshot;
	size_t lines = screen_list_lines(), i;
	struct layout layout = lay_out();

	if (watch->selected < watch->top)
		watch->top = watch->selected;
	if (watch->selected >= watch->top + lines)
		watch->top = watch->selected - lines + 1;
	draw_title(watch);
	draw_headings(&layout);
	for (i = 0; i < lines && watch->top + i < snapshot->line_count; i++)
		draw_line(TOP_LINES + (int)i, &layout, &snapshot->lines[watch->top + i],
			  snapshot->at_ns, watch->top + i == watch->selected);
	if (snapshot->line_count == 0)
		put_line(TOP_LINES, "no envelopes");
	else if (LINES > TOP_LINES + BOTTOM_LINES)
		draw_figures(LINES - BOTTOM_LINES, &snapshot->lines[watch->selected].watched,
			     snapshot->at_ns);
	draw_last_line(watch,
		       "Enter open  s sort  r reverse  / search  Space pause  h help  q quit");
}

/* ---- one envelope */

#define CELLS_MAX 8

/* Draws records as columns from line `y` on, the headings first, at most `lines` of them. */
static int draw_records(int y, int lines, const struct fields *fields, const char *const *keys,
			size_t count,
			const void *(*record)(const struct opened *opened, size_t number),
			const struct watch *watch)
{
	const struct field *columns[CELLS_MAX];
	char text[FIELD_TEXT_SIZE];
	int widths[CELLS_MAX], x, row;
	size_t i, number;

	for (i = 0; i < count; i++) {
		columns[i] = fields_find(fields, keys[i], strlen(keys[i]));
		widths[i] = (int)strlen(columns[i]->heading);
		for (number = 0; (int)number < lines - 1 && record(&watch->opened, number);
		     number++) {
			field_text(columns[i], record(&watch->opened, number),
				   watch->snapshot.at_ns, text);
			if ((int)strlen(text) > widths[i])
				widths[i] = (int)strlen(text);
		}
	}
	for (row = 0; row < lines && (row == 0 || record(&watch->opened, (size_t)row - 1)); row++) {
		attrset(row == 0 ? A_BOLD : A_NORMAL);
		for (x = 0, i = 0; i < count && x < COLS; x += widths[i++] + 1) {
			int width = i + 1 == count || x + widths[i] > COLS ? COLS - x : widths[i];

			if (row == 0)
				snprintf(text, sizeof text, "%s", columns[i]->heading);
			else
				field_text(columns[i], record(&watch->opened, (size_t)row - 1),
					   watch->snapshot.at_ns, text);
			put(y + row, x, width, field_is_figure(columns[i]), text);
		}
	}
	attrset(A_NORMAL);
	return y + row;
}

static const void *commit_record(const struct opened *opened, size_t number)
{
	return number < opened->commit_count ? &opened->commits[number] : NULL;
}

static const void *transaction_record(const struct opened *opened, size_t number)
{
	return opened_transaction(opened, number);
}

static void draw_opened(struct watch *watch)
{
	static const char *const of_commits[] = {"id",    "amount", "age",        "expires",
						 "owner", "state",  "description"};
	static const char *const of_transactions[] = {"id",   "at",     "kind",       "amount",
						      "held", "commit", "description"};
	struct watched watched;
	char name[2 * BE_NAME_SIZE + 1], parent[FIELD_TEXT_SIZE];
	int commits = (int)watch->opened.commit_count,
	    transactions = (int)watch->opened.transaction_count;
	int lines = LINES > 10 ? LINES - 10 : 0, y;

	if (!snapshot_find(&watch->snapshot, watch->opened.id, &watched))
		return;
	/* Each list gets half, and what the other does not need. */
	if (commits > lines / 2)
		commits = transactions < lines / 2 ? lines - transactions : lines / 2;
	name_text(watched.envelope.namespace_name, watched.envelope.category, name, sizeof name);
	field_text(fields_find(&envelope_fields, "parent", 6), &watched, 0, parent);
	draw_title(watch);
	attrset(A_BOLD | colour(colour_of(&watched.envelope)));
	put_line(1, "%s%s%s%s", name, watched.envelope.suspended ? " (suspended)" : "",
		 watched.envelope.has_parent ? "  below " : "",
		 watched.envelope.has_parent ? parent : "");
	attrset(A_NORMAL);
	put_bar(2, 0, COLS, &watched.envelope);
	draw_figures(3, &watched, watch->snapshot.at_ns);
	put_line(5, "Pending commits, the oldest first");
	y = draw_records(6, commits + 1, &commit_fields, of_commits,
			 sizeof of_commits / sizeof *of_commits, commit_record, watch);
	put_line(y, "Transactions, the latest first");
	draw_records(y + 1, LINES - 2 - y, &transaction_fields, of_transactions,
		     sizeof of_transactions / sizeof *of_transactions, transaction_record, watch);
	draw_last_line(watch, "Esc back  Space pause  h help  q quit");
}

static void draw_help(const struct watch *watch)
{
	static const char *const text[] = {
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
		"Red: all is used. Yellow: 80 % is. OWNERS are PID:COMMITS.",
	};
	size_t i;

	draw_title(watch);
	for (i = 0; i < sizeof text / sizeof *text; i++)
		put_line(2 + (int)i, "%s", text[i]);
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
