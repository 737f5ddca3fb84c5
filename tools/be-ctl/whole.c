/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy --whole: an environment goes from a directory to a server, or back, with its ledger and all
 * that it holds. A directory is made of a backup that lies beside it meanwhile. Ctrl-C is heard
 * between two steps, so that no such file stays behind.
 */
#include "whole.h"

#include "answer.h"
#include "opening.h"
#include "tool.h"

#include <budget_enforcer_storage.h>
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Those that are ignored, as nohup has it, are no more than that; but they would wait, too, if they
 * were blocked. */
static sigset_t deadly(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, signals[i]);
	return set;
}

static bool is_interrupted(void)
{
	sigset_t pending, set = deadly();

	sigpending(&pending);
	sigandset(&set, &set, &pending);
	return !sigisemptyset(&set);
}

static bool show_copied(void *context, uint64_t records)
{
	(void)context;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rcopied: %" PRIu64 " records\033[K", records);
	return !is_interrupted();
}

/* What is held there by processes of where it comes from is free. */
static enum be_status end_orphans(const char *url)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	uint64_t count;
	enum be_status status = tool_open(url, &options, &handle);

	if (status != BE_OK)
		return status;
	status = be_reap(handle, &count);
	be_close(handle);
	return status;
}

static enum be_status copy_to_server(struct be_enforcer *handle, const char *url)
{
	struct be_storage *storage;
	enum be_status status = tool_connect(url, &storage);

	if (status != BE_OK)
		return status;
	status = be_copy(handle, storage, show_copied, NULL);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	return status == BE_OK ? end_orphans(url) : status;
}

/* be_restore() refuses it, too, but only when all has come. */
static enum be_status refuse_full(const char *directory)
{
	DIR *stream = opendir(directory);
	const struct dirent *entry;
	bool is_full = false;
	char text[PATH_MAX + 64];

	while (stream && !is_full && (entry = readdir(stream)))
		is_full = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (stream)
		closedir(stream);
	if (!is_full)
		return BE_OK;
	snprintf(text, sizeof text, "%s: it exists, and nothing is written over; give another name",
		 directory);
	be_storage_explain(text);
	return BE_ALREADY_THERE;
}

static enum be_status copy_to_directory(struct be_enforcer *handle, const char *directory)
{
	enum be_status status = refuse_full(directory);
	size_t size = strlen(directory);
	char *beside;

	if (status != BE_OK)
		return status;
	while (size > 1 && directory[size - 1] == '/')
		size--;
	if (asprintf(&beside, "%.*s.copy-%ld", (int)size, directory, (long)getpid()) < 0)
		tool_out_of_memory();
	status = be_backup(handle, beside);
	if (status == BE_OK) {
		status = is_interrupted() ? BE_STOPPED : be_restore(beside, directory);
		unlink(beside);
	}
	free(beside);
	return status;
}

int whole_copy(const struct request *request)
{
	struct request read = *request;
	struct answer answer = answer_to(&read);
	struct be_enforcer *handle = NULL;
	sigset_t set = deadly(), before;
	enum be_status status;
	int result;

	/* They are TARGET's. */
	read.file = NULL;
	read.durability = BE_DURABILITY_FULL;
	status = answer_open(&read, BE_OPEN_READ_ONLY, &handle);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	if (status == BE_OK)
		status = tool_is_server(request->file) ? copy_to_server(handle, request->file)
						       : copy_to_directory(handle, request->file);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	result = answer_finish(&answer, status);
	be_close(handle);
	return result;
}
