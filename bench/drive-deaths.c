/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times what crowds and deaths cost, each beside the same without them: openings by many processes
 * at once, refusals among many live owners, and the first commit after its owner's death. One run
 * prints one line of JSON, an array of nanoseconds for each figure; bench/deaths runs it.
 *
 *     drive-deaths DIRECTORY PROCESSES REPETITIONS
 */
#include "pool.h"

#include <budget_enforcer.h>

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMITS 20 /* held by each of many owners */

struct bench {
	const char *directory;
	int processes, repetitions;
	int64_t *shared_ns; /* one for each process */
};

static int figures;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void must(enum be_status status)
{
	if (status != BE_OK)
		die("%s: %s", be_status_name(status), be_last_error());
}

static struct be_enforcer *open_one(const struct bench *bench, const char *name,
				    enum be_durability durability)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", bench->directory, name);
	options.durability = durability;
	must(be_open(path, &options, &handle));
	return handle;
}

static void print(const char *name, const int64_t *took_ns, int count)
{
	printf("%s\"%s\": [", figures++ == 0 ? "{" : ", ", name);
	for (int i = 0; i < count; i++)
		printf("%s%lld", i == 0 ? "" : ", ", (long long)took_ns[i]);
	printf("]");
}

static pid_t start(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		die("a process cannot be made");
	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

static void wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || (status != 0 && !WIFSIGNALED(status)))
		die("a process failed");
}

/* ---- openings */

/* Each opens the environment when the last has been made, and keeps it until all have it. */
static void time_openings(const struct bench *bench, const char *figure, int count)
{
	int gate[2], done[2];
	char byte;

	if (pipe(gate) != 0 || pipe(done) != 0)
		die("no pipe can be made");
	for (int i = 0; i < count; i++) {
		if (start() != 0)
			continue;
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 0)
			_exit(1);
		int64_t began_ns = now_ns();
		open_one(bench, "openings", BE_DURABILITY_PROCESS);
		bench->shared_ns[i] = now_ns() - began_ns;
		if (write(done[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < count; i++)
		if (read(done[0], &byte, 1) != 1)
			die("an opening failed");
	close(done[0]);
	close(done[1]);
	print(figure, bench->shared_ns, count);
}

/* ---- refusals */

static void time_refusals(const struct bench *bench, struct be_enforcer *handle, const char *figure)
{
	int64_t *took_ns = calloc((size_t)bench->repetitions, sizeof *took_ns);
	uint64_t id;

	for (int i = 0; i < bench->repetitions; i++) {
		int64_t began_ns = now_ns();
		enum be_status status = be_commit(handle, "full", 1, NULL, &id);

		took_ns[i] = now_ns() - began_ns;
		if (status != BE_EXCEEDS_BUDGET)
			die("a commit was not refused");
	}
	print(figure, took_ns, bench->repetitions);
	free(took_ns);
}

static void time_refusals_among_owners(const struct bench *bench)
{
	struct be_enforcer *handle = open_one(bench, "owners", BE_DURABILITY_PROCESS);
	int done[2];
	uint64_t id;
	char byte;

	must(be_envelope_create(handle, "shared", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	must(be_envelope_create(handle, "full", 1, BE_PERIOD_TOTAL, NULL));
	must(be_record(handle, "full", 1, NULL, NULL));
	time_refusals(bench, handle, "refusal_alone");
	if (pipe(done) != 0)
		die("no pipe can be made");
	for (int i = 0; i < bench->processes; i++) {
		if (start() != 0)
			continue;
		struct be_enforcer *own = open_one(bench, "owners", BE_DURABILITY_PROCESS);
		for (int k = 0; k < COMMITS; k++)
			must(be_commit(own, "shared", 1, NULL, &id));
		if (write(done[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	for (int i = 0; i < bench->processes; i++)
		if (read(done[0], &byte, 1) != 1)
			die("an owner failed");
	time_refusals(bench, handle, "refusal_among_owners");
	be_close(handle);
}

/* ---- deaths */

static pid_t start_holder(const struct bench *bench, const char *name,
			  enum be_durability durability)
{
	int done[2];
	uint64_t id;
	pid_t child;
	char byte;

	if (pipe(done) != 0)
		die("no pipe can be made");
	child = start();
	if (child == 0) {
		must(be_commit(open_one(bench, name, durability), "llm", 1, NULL, &id));
		if (write(done[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	if (read(done[0], &byte, 1) != 1)
		die("a holder failed");
	close(done[0]);
	close(done[1]);
	return child;
}

/* The first commit after the death of the one who held the budget, and the next, which finds it
 * free. */
static void time_deaths(const struct bench *bench, const char *mode, enum be_durability durability)
{
	struct be_enforcer *handle = open_one(bench, mode, durability);
	int64_t *first_ns = calloc((size_t)bench->repetitions, sizeof *first_ns);
	int64_t *next_ns = calloc((size_t)bench->repetitions, sizeof *next_ns);
	char figure[64];
	uint64_t id;

	must(be_envelope_create(handle, "llm", 1, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < bench->repetitions; i++) {
		pid_t holder = start_holder(bench, mode, durability);

		kill(holder, SIGKILL);
		wait_for(holder);
		first_ns[i] = -now_ns();
		must(be_commit(handle, "llm", 1, NULL, &id));
		first_ns[i] += now_ns();
		must(be_release(handle, id));
		next_ns[i] = -now_ns();
		must(be_commit(handle, "llm", 1, NULL, &id));
		next_ns[i] += now_ns();
		must(be_release(handle, id));
	}
	snprintf(figure, sizeof figure, "commit_%s", mode);
	print(figure, next_ns, bench->repetitions);
	snprintf(figure, sizeof figure, "commit_after_death_%s", mode);
	print(figure, first_ns, bench->repetitions);
	free(first_ns);
	free(next_ns);
	be_close(handle);
}

/* From the kill on somebody tries again and again, without waiting until the kernel has ended the
 * process. */
static void time_kills(const struct bench *bench)
{
	struct be_enforcer *handle = open_one(bench, "kills", BE_DURABILITY_PROCESS);
	int64_t *took_ns = calloc((size_t)bench->repetitions, sizeof *took_ns);
	int64_t *death_ns = calloc((size_t)bench->repetitions, sizeof *death_ns);
	uint64_t id;

	must(be_envelope_create(handle, "llm", 1, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < bench->repetitions; i++) {
		pid_t holder = start_holder(bench, "kills", BE_DURABILITY_PROCESS);
		enum be_status status;

		death_ns[i] = -now_ns();
		kill(holder, SIGKILL);
		wait_for(holder);
		death_ns[i] += now_ns();

		must(be_reap(handle, NULL));

		holder = start_holder(bench, "kills", BE_DURABILITY_PROCESS);
		took_ns[i] = -now_ns();
		kill(holder, SIGKILL);
		do
			status = be_commit(handle, "llm", 1, NULL, &id);
		while (status == BE_EXCEEDS_BUDGET);
		took_ns[i] += now_ns();
		must(status);
		wait_for(holder);
		must(be_release(handle, id));
	}
	print("death", death_ns, bench->repetitions);
	print("kill_to_grant", took_ns, bench->repetitions);
	free(took_ns);
	free(death_ns);
	be_close(handle);
}

int main(int argc, char **argv)
{
	struct bench bench = {.directory = argc > 1 ? argv[1] : NULL};

	if (argc != 4)
		die("usage: drive-deaths DIRECTORY PROCESSES REPETITIONS");
	bench.processes = atoi(argv[2]);
	bench.repetitions = atoi(argv[3]);
	bench.shared_ns = mmap(NULL, (size_t)bench.processes * sizeof *bench.shared_ns,
			       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bench.processes < 1 || bench.repetitions < 1 || bench.shared_ns == MAP_FAILED)
		die("not so many processes or repetitions");
	/* The environment is made; a first opening of a process takes what the next ones do. */
	be_close(open_one(&bench, "openings", BE_DURABILITY_PROCESS));
	for (int i = 0; i < 9; i++) {
		char figure[32];

		snprintf(figure, sizeof figure, "opening_%d", i);
		time_openings(&bench, figure, 1);
	}
	time_openings(&bench, "openings", bench.processes);
	time_refusals_among_owners(&bench);
	time_deaths(&bench, "process", BE_DURABILITY_PROCESS);
	time_deaths(&bench, "full", BE_DURABILITY_FULL);
	time_kills(&bench);
	printf("}\n");
	return 0;
}
