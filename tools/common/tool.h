/* SPDX-License-Identifier: Apache-2.0 */
/* How a tool begins and ends: locale, signals, exit codes, and output that could not be written. */
#ifndef TOOL_H
#define TOOL_H

#include <budget_enforcer.h>
#include <stdbool.h>
#include <stddef.h>

/* 0 is success and 1 is what each tool documents: a difference, a refusal. */
enum {
	TOOL_EXIT_USAGE = 2,
	TOOL_EXIT_FAULT = 3,
};

/* For argp_program_version: TOOL_VERSION("be-ctl"). */
#define TOOL_TEXT(number) #number
#define TOOL_NUMBERS(major, minor, patch) TOOL_TEXT(major) "." TOOL_TEXT(minor) "." TOOL_TEXT(patch)
#define TOOL_VERSION(name)                                                                         \
	name " " TOOL_NUMBERS(BE_VERSION_MAJOR, BE_VERSION_MINOR, BE_VERSION_PATCH)

/* The first call of main(). The locale is the user's, but its characters are UTF-8, as names are; a
 * closed pipe ends the process quietly, and a crash with a sentence and TOOL_EXIT_FAULT (a child's
 * by its signal); argp's usage errors exit with TOOL_EXIT_USAGE. */
void tool_start(void);

/* False once something could not be written to standard output, and there is no use in going on. To
 * be asked right after writing, while errno tells the reason, which is kept for
 * tool_close_output(). */
bool tool_output_is_sound(void);

/* The last call of main(): closes standard output. When anything could not be written it says so on
 * standard error and ends the process with TOOL_EXIT_FAULT. */
void tool_close_output(void);

/* What puts the terminal right before the sentence of a crash, or of no memory; NULL for nothing.
 * It is called in a signal handler, and may do only what one may. */
void tool_restore_with(void (*function)(void));

/* Ends the process with TOOL_EXIT_FAULT, saying that there is no memory left. */
_Noreturn void tool_out_of_memory(void);

/* Makes room for one more in an array of `count` members of `size` bytes, of which there is room
 * for *room, and returns where it lies then. Ends the process when memory has run out. */
void *tool_grow(void *array, size_t count, size_t *room, size_t size);

#endif
