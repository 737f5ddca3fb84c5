/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged page can crash its reader. verify lives on and calls it damage, without losing
 * what was found before; but a process that somebody killed says nothing about the environment. */
#include "inspects.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static char path[PATH_MAX];

static void run_with_signal(int signal, struct ending *ending, const char *format)
{
	char number[16];

	snprintf(number, sizeof number, "%d", signal);
	setenv("VERIFY_SIGNAL", number, 1);
	inspect(ending, format, path, "verify", NULL);
}

static void expect_damage(int signal, const char *name)
{
	struct ending ending;
	char expected[256];
	json_t *document;

	run_with_signal(signal, &ending, "--");
	EXPECT_EQUAL(ending.status, 1);
	EXPECT_TEXT(ending.errors, "");
	snprintf(expected, sizeof expected,
		 "found before the crash\n"
		 "the data file is damaged: reading it crashed (%s); restore a backup\n"
		 "2 differences\n",
		 name);
	EXPECT_TEXT(ending.output, expected);
	ending_free(&ending);

	run_with_signal(signal, &ending, "--json");
	EXPECT_EQUAL(ending.status, 1);
	document = json_loads(ending.output, JSON_REJECT_DUPLICATES, NULL);
	EXPECT(document);
	EXPECT_JSON(json_object_get(document, "verify"), "ok", "false");
	EXPECT_JSON(json_object_get(document, "verify"), "envelopes", "null");
	EXPECT_EQUAL(json_array_size(
			     json_object_get(json_object_get(document, "verify"), "differences")),
		     2);
	json_decref(document);
	ending_free(&ending);
}

/* What was printed until then is not made to look like a whole document. */
static void expect_fault(int signal, const char *reason)
{
	struct ending ending;

	run_with_signal(signal, &ending, "--json");
	EXPECT_EQUAL(ending.status, 3);
	EXPECT_CONTAINS(ending.errors, reason);
	EXPECT(!json_loads(ending.output, 0, NULL));
	ending_free(&ending);
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;

	inspects_begin(argc, argv, 60);
	/* A sanitizer would make something else of the crash. */
	setenv("ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigfpe=0", 1);
	be_close(inspected_open(NULL, &now_ns, path));
	expect_damage(SIGBUS, "Bus error");
	expect_damage(SIGSEGV, "Segmentation fault");
	expect_damage(SIGABRT, "Aborted");
	expect_fault(SIGKILL, "verifying was ended by a signal (Killed)");
	expect_fault(0, "verifying ended without an answer");
	return 0;
}
