/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune, backup and restore. What may take long shows on a terminal how far it is. It may be
 * interrupted at any time: pruning goes by small txns, and a backup has its name when it is whole.
 */
#include "upkeep.h"

#include "answer.h"
#include "archive.h"
#include "argument.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Slow lines are not to slow down what they tell of. */
#define INTERVAL_NS 100000000
#define MEBIBYTE (1024 * 1024.0)

static void clear_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* ---- prune */

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool show_pruned(void *context, const struct be_pruning *done)
{
	int64_t *next_ns = context, now_ns = monotonic_ns();

	if (now_ns < *next_ns || !isatty(STDERR_FILENO))
		return true;
	*next_ns = now_ns + INTERVAL_NS;
	fprintf(stderr, "\rremoved: %" PRIu64 " transactions, %" PRIu64 " ended commits\033[K",
		done->transactions, done->commits);
	return true;
}

enum be_status upkeep_prune(const struct request *request, struct be_enforcer *handle,
			    struct answer *answer)
{
	struct be_prune_options options = BE_PRUNE_OPTIONS_INIT;
	struct be_pruning pruning = BE_PRUNING_INIT;
	int64_t next_ns = 0;
	enum be_status status = BE_OK;

	options.dry_run = request->dry_run;
	options.before_ns = request->before_ns;
	options.sums_before_ns = request->sums_before_ns;
	options.progress = show_pruned;
	options.context = &next_ns;
	if (request->archive) {
		char *wrong = archive_write(request, handle, &options.below_id, &status);

		answer->error = wrong ? argument_keep(wrong, strlen(wrong)) : NULL;
		free(wrong);
	}
	if (status != BE_OK)
		return status;
	status = be_prune_with(handle, &options, &pruning);
	clear_progress();
	/* On failure, too: what was removed is removed. */
	answer->has_number = true;
	answer->number_name = "transactions";
	answer->number = pruning.transactions;
	answer->more = json_object();
	answer_add(answer->more, "commits", json_integer((json_int_t)pruning.commits));
	answer_add(answer->more, "daily_sums", json_integer((json_int_t)pruning.daily_sums));
	return status;
}

/* ---- backup */

struct copying {
	uint64_t bytes;  /* what a copy will have, as nearly as is known before */
	uint64_t before; /* what this process had written when it began */
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	bool is_over;
};

/* What this process has written to anything so far: in a backup nearly all of it is the copy. */
static uint64_t written(void)
{
	char text[512] = "";
	int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
	const char *found;

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof text - 1) < 0)
		*text = '\0';
	close(fd);
	found = strstr(text, "wchar: ");
	return found ? strtoull(found + strlen("wchar: "), NULL, 10) : 0;
}

static void show_copied(const struct copying *copying)
{
	uint64_t copied = written() - copying->before;

	if (copied >= copying->bytes)
		fprintf(stderr, "\rcopied: %.1f MiB, flushing\033[K",
			(double)copying->bytes / MEBIBYTE);
	else
		fprintf(stderr, "\rcopied: %.1f of %.1f MiB\033[K", (double)copied / MEBIBYTE,
			(double)copying->bytes / MEBIBYTE);
}

static void *show_copying(void *context)
{
	struct copying *copying = context;
	struct timespec until;

	pthread_mutex_lock(&copying->mutex);
	while (!copying->is_over) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += INTERVAL_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&copying->ended, &copying->mutex, &until) == ETIMEDOUT)
			show_copied(copying);
	}
	pthread_mutex_unlock(&copying->mutex);
	return NULL;
}

/* The library copies in one call, so another thread looks on. */
static enum be_status back_up_visibly(struct be_enforcer *handle, const char *file)
{
	struct copying copying = {.mutex = PTHREAD_MUTEX_INITIALIZER,
				  .ended = PTHREAD_COND_INITIALIZER};
	struct be_statistics stats = BE_STATISTICS_INIT;
	enum be_status status = be_stats(handle, &stats);
	pthread_t thread;
	bool is_shown;

	if (status != BE_OK)
		return status;
	copying.bytes = (stats.pages - stats.free_pages) * stats.page_size;
	copying.before = written();
	show_copied(&copying);
	is_shown = pthread_create(&thread, NULL, show_copying, &copying) == 0;
	status = be_backup(handle, file);
	if (is_shown) {
		pthread_mutex_lock(&copying.mutex);
		copying.is_over = true;
		pthread_cond_signal(&copying.ended);
		pthread_mutex_unlock(&copying.mutex);
		pthread_join(thread, NULL);
	}
	clear_progress();
	return status;
}

enum be_status upkeep_backup(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	(void)answer;
	return isatty(STDERR_FILENO) ? back_up_visibly(handle, request->file)
				     : be_backup(handle, request->file);
}

/* ---- restore */

int upkeep_restore(const struct request *request)
{
	struct answer answer = answer_to(request);

	return answer_finish(&answer, be_restore(request->file, request->environment));
}
