/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a tool begins and ends.
 *
 * A tool whose reader has gone away (`| head`) must end without a word. SIGPIPE does that by
 * itself, unless the parent ignores the signal, which the tool inherits. So the default is
 * restored.
 *
 * LMDB trusts the pages of a data file, and a damaged page can crash the process that reads it. A
 * tool then says so and exits as after any other fault.
 */
#include "tool.h"

#include <argp.h>
#include <err.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*restore)(void);

void tool_restore_with(void (*function)(void))
{
	restore = function;
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

/* Only what a signal handler may do. The name and the text are two writes, and neither matters more
 * than to end. */
static void end_crashed(int signal_number)
{
	static const char text[] =
		": crashed while it read. If be-inspect verify finds the data file damaged, "
		"restore a backup\n";

	(void)signal_number;
	if (restore)
		restore();
	if (write(STDERR_FILENO, program_invocation_short_name,
		  strlen(program_invocation_short_name)) < 0 ||
	    write(STDERR_FILENO, text, sizeof text - 1) < 0)
		_exit(TOOL_EXIT_FAULT);
	_exit(TOOL_EXIT_FAULT);
}

static void handle_crashes(void (*handler)(int))
{
	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		signal(crashes[i], handler);
}

/* The parent judges the crash of its child. */
static void crash_by_signal(void)
{
	handle_crashes(SIG_DFL);
}

void tool_start(void)
{
	setlocale(LC_ALL, "");
	/* Where even C.UTF-8 is missing, all that is not ASCII is printed escaped. */
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_DFL);
	handle_crashes(end_crashed);
	pthread_atfork(NULL, NULL, crash_by_signal);
	argp_err_exit_status = TOOL_EXIT_USAGE;
}

/* Why standard output failed, as an errno; 0 when it has not, or when that is not known. */
static int failure;

bool tool_output_is_sound(void)
{
	int code = errno;

	if (!ferror(stdout))
		return true;
	if (failure == 0)
		failure = code;
	return false;
}

void tool_close_output(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (fclose(stdout) == 0 && !failed)
		return;
	if (failure != 0)
		errno = failure;
	if (errno == EPIPE)
		exit(TOOL_EXIT_FAULT);
	if (errno != 0)
		err(TOOL_EXIT_FAULT, "cannot write");
	errx(TOOL_EXIT_FAULT, "cannot write all of the output");
}

void tool_out_of_memory(void)
{
	if (restore)
		restore();
	errx(TOOL_EXIT_FAULT, "out of memory");
}

void *tool_grow(void *array, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return array;
	*room = *room + *room / 2 + 64;
	array = reallocarray(array, *room, size);
	if (!array)
		tool_out_of_memory();
	return array;
}
