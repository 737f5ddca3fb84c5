/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that loads the library late, as a plugin's library is, and unloads it while a commit of
 * its is pending. The process lives, so the commit stays, the process can fork and end threads, and
 * when the library is loaded again it goes on where it was. Links nothing of the library; it is
 * told where that lies.
 */
#include <budget_enforcer.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	void *library;
	enum be_status (*open)(const char *, const struct be_options *, struct be_enforcer **);
	enum be_status (*ensure)(struct be_enforcer *, const char *, int64_t, enum be_period,
				 const struct be_envelope_options *);
	enum be_status (*commit)(struct be_enforcer *, const char *, int64_t, const char *,
				 uint64_t *);
	enum be_status (*settle)(struct be_enforcer *, uint64_t, int64_t, const char *,
				 struct be_transaction *);
	const char *(*last_error)(void);
	void (*close)(struct be_enforcer *);
} be;

static const char *library;
static char directory[64], path[80];

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: FAILED: %s (%s)\n", __FILE__, __LINE__,            \
				#condition, be.last_error ? be.last_error() : "");                 \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static void find(const char *name, void *function)
{
	void *found = dlsym(be.library, name);

	EXPECT(found != NULL);
	memcpy(function, &found, sizeof found);
}

static void load(void)
{
	be.library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!be.library) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	find("be_open", &be.open);
	find("be_envelope_ensure", &be.ensure);
	find("be_commit", &be.commit);
	find("be_settle", &be.settle);
	find("be_last_error", &be.last_error);
	find("be_close", &be.close);
}

static void unload(void)
{
	be.last_error = NULL;
	EXPECT(dlclose(be.library) == 0);
}

static void *commit_two(void *context)
{
	uint64_t *ids = context;
	struct be_enforcer *handle;

	load();
	EXPECT(be.open(path, NULL, &handle) == BE_OK);
	EXPECT(be.ensure(handle, "llm", 5, BE_PERIOD_TOTAL, NULL) == BE_OK);
	EXPECT(be.commit(handle, "llm", 2, NULL, &ids[0]) == BE_OK);
	EXPECT(be.commit(handle, "llm", 2, NULL, &ids[1]) == BE_OK);
	be.close(handle);
	unload();
	return NULL;
}

/* Another process finds 4 of 5 held by a live one. */
static int expect_held(void)
{
	struct be_enforcer *handle;
	uint64_t id;

	load();
	EXPECT(be.open(path, NULL, &handle) == BE_OK);
	EXPECT(be.commit(handle, "llm", 2, NULL, &id) == BE_EXCEEDS_BUDGET);
	EXPECT(be.commit(handle, "llm", 1, NULL, &id) == BE_OK);
	return 0;
}

static void fork_and_expect_held(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(expect_held());
	EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
	const char *parent = getenv("TMPDIR");
	struct be_enforcer *handle;
	pthread_t thread;
	uint64_t ids[2];
	char command[128];

	if (argc != 2)
		return 2;
	library = argv[1];
	alarm(120);
	snprintf(directory, sizeof directory, "%.40s/unloaded-XXXXXX", parent ? parent : "/tmp");
	EXPECT(mkdtemp(directory) != NULL);
	snprintf(path, sizeof path, "%s/budget", directory);

	EXPECT(pthread_create(&thread, NULL, commit_two, ids) == 0);
	EXPECT(pthread_join(thread, NULL) == 0);
	fork_and_expect_held();
	load();
	EXPECT(be.open(path, NULL, &handle) == BE_OK);
	EXPECT(be.settle(handle, ids[0], 0, NULL, NULL) == BE_OK);
	EXPECT(be.settle(handle, ids[1], 0, NULL, NULL) == BE_OK);
	be.close(handle);
	unload();
	snprintf(command, sizeof command, "rm -r '%s'", directory);
	EXPECT(system(command) == 0);
	printf("unloaded with commits pending, and loaded again\n");
	return 0;
}
