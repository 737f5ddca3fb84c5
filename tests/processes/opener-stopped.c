/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is stopped in be_open(), holding the locks of one who opens first. A process that opens
 * the same environment waits for it; but the other threads of that process fork, and open and close
 * other environments, and so do their children. A child that was forked while a thread waited holds
 * nothing of what its parent opens then: when the parent dies, its commits come back.
 *
 * This program has its own flock(), which is found first, and stops where it is told to.
 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool stops; /* in the next flock() */

int flock(int fd, int operation)
{
	if (stops) {
		stops = false;
		raise(SIGSTOP);
	}
	return (int)syscall(SYS_flock, fd, operation);
}

struct scene {
	char stopped[PATH_MAX], other[PATH_MAX];
	struct be_enforcer *other_handle;
	_Atomic pid_t *waiting; /* the thread that opens what is stopped */
	_Atomic bool *opened;
	_Atomic pid_t *grandchild;
	int go[2];
};

static int stop_in_open(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle;

	(void)index;
	stops = true;
	handle = test_open(scene->stopped, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	return 0;
}

static void await_stop(pid_t child)
{
	int status;

	EXPECT(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
}

/* Returns when the thread sleeps in a system call, as it does only for the lock. */
static void await_sleep(const struct scene *scene)
{
	struct timespec pause = {.tv_nsec = 1000000};
	char name[64], state = ' ';
	FILE *file;

	while (*scene->waiting == 0)
		nanosleep(&pause, NULL);
	for (int seen = 0; seen < 20; seen += state == 'S') {
		snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)*scene->waiting);
		file = fopen(name, "r");
		EXPECT(file != NULL && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
		fclose(file);
		nanosleep(&pause, NULL);
	}
	EXPECT(!*scene->opened);
}

static void *open_stopped(void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle;
	uint64_t id;

	*scene->waiting = (pid_t)syscall(SYS_gettid);
	handle = test_open(scene->stopped, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	*scene->opened = true;
	return handle;
}

static int use_others(int index, void *context)
{
	struct scene *scene = context;
	char path[PATH_MAX];
	struct be_enforcer *handle;

	EXPECT_OK(be_record(scene->other_handle, "llm", 1, NULL, NULL));
	snprintf(path, sizeof path, "%.4000s-%d", scene->other, index);
	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	return 0;
}

static void live_on(struct scene *scene)
{
	char byte;

	*scene->grandchild = getpid();
	EXPECT(read(scene->go[0], &byte, 1) == 1);
	_exit(0);
}

/* Opens in one thread, and does all else in the other; then dies. */
static int work(int index, void *context)
{
	struct scene *scene = context;
	pthread_t thread;
	void *handle;

	(void)index;
	scene->other_handle = test_open(scene->other, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_ensure(scene->other_handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT(pthread_create(&thread, NULL, open_stopped, scene) == 0);
	await_sleep(scene);
	EXPECT_EQUAL(use_others(0, scene), 0);
	EXPECT_EQUAL(child_wait(child_start(use_others, 1, scene)), 0);
	if (fork() == 0)
		live_on(scene);
	be_close(scene->other_handle);
	EXPECT(!*scene->opened);
	EXPECT(kill(getppid(), SIGUSR1) == 0);
	EXPECT(pthread_join(thread, &handle) == 0);
	EXPECT_BALANCE(handle, "llm", 0, BE_UNIT);
	raise(SIGKILL);
	return 1;
}

int main(void)
{
	struct scene scene = {0};
	struct be_enforcer *handle;
	struct timespec pause = {.tv_nsec = 1000000};
	pid_t stopped, worker;
	sigset_t usr1;
	int signal_number;

	test_begin(60);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	EXPECT(sigprocmask(SIG_BLOCK, &usr1, NULL) == 0);
	EXPECT(pipe(scene.go) == 0);
	test_path(scene.stopped, "stopped");
	test_path(scene.other, "other");
	scene.waiting = shared_make(sizeof *scene.waiting);
	scene.opened = shared_make(sizeof *scene.opened);
	scene.grandchild = shared_make(sizeof *scene.grandchild);

	stopped = child_start(stop_in_open, 0, &scene);
	await_stop(stopped);
	worker = child_start(work, 0, &scene);
	EXPECT(sigwait(&usr1, &signal_number) == 0);
	EXPECT(kill(stopped, SIGCONT) == 0);
	EXPECT_EQUAL(child_wait(worker), 128 + SIGKILL);
	EXPECT_EQUAL(child_wait(stopped), 0);
	while (*scene.grandchild == 0)
		nanosleep(&pause, NULL);
	EXPECT(kill(*scene.grandchild, 0) == 0);
	handle = test_open(scene.stopped, BE_DURABILITY_PROCESS);
	EXPECT_BALANCE(handle, "llm", 0, 0);
	be_close(handle);
	EXPECT(write(scene.go[1], "", 1) == 1);
	printf("only those waited who opened what was stopped\n");
	return 0;
}
