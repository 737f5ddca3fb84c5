/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two copies of the library in one process, as when a plugin brings its own: LMDB's locks would be
 * lost if both opened the same files. The second one to come is refused, whether either only looks,
 * and what the first one has open goes on excluding other processes.
 */
#include "crash.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	RACERS = 4,
	AMOUNTS = 2000, /* that fit into the limit */
	ROUNDS = 40
};

static struct gate opened;

typedef enum be_status open_function(const char *path, const struct be_options *options,
				     struct be_enforcer **handle);
typedef void close_function(struct be_enforcer *handle);
typedef const char *error_function(void);

struct copy {
	open_function *open;
	close_function *close;
	error_function *last_error;
};

static void copy_file(const char *from, const char *to)
{
	char bytes[65536];
	int source = open(from, O_RDONLY | O_CLOEXEC);
	int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	ssize_t got;

	EXPECT(source >= 0 && target >= 0);
	while ((got = read(source, bytes, sizeof bytes)) > 0)
		EXPECT(write(target, bytes, (size_t)got) == got);
	EXPECT(got == 0);
	close(source);
	close(target);
}

/* The linker's answer is an object pointer, which C does not turn into a function. */
static void find(void *library, const char *name, void *function)
{
	void *found = dlsym(library, name);

	EXPECT(found != NULL);
	memcpy(function, &found, sizeof found);
}

static struct copy load_copy(void)
{
	open_function *first = be_open;
	char path[PATH_MAX];
	struct copy copy;
	void *address, *library;
	Dl_info about;

	memcpy(&address, &first, sizeof address);
	EXPECT(dladdr(address, &about) != 0);
	test_path(path, "copy.so");
	copy_file(about.dli_fname, path);
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		test_fail(__FILE__, __LINE__, "%s", dlerror());
	find(library, "be_open", &copy.open);
	find(library, "be_close", &copy.close);
	find(library, "be_last_error", &copy.last_error);
	EXPECT(copy.open != be_open);
	return copy;
}

static struct be_options options_for(bool read_only)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.durability = BE_DURABILITY_PROCESS;
	options.flags = read_only ? BE_OPEN_READ_ONLY : 0;
	return options;
}

static int race(int index, void *context)
{
	struct be_enforcer *handle = test_open(context, BE_DURABILITY_PROCESS);
	enum be_status status = BE_OK;
	uint64_t id;

	(void)index;
	while (status == BE_OK) {
		status = be_commit(handle, "race", 1, NULL, &id);
		if (status == BE_OK)
			EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	}
	EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
	be_close(handle);
	return 0;
}

/* Processes that open now and this one take the limit to its last nano together. */
static void expect_exclusion(struct be_enforcer *handle, char *path)
{
	pid_t racers[RACERS];
	enum be_status status = BE_OK;
	uint64_t id;

	EXPECT_OK(be_envelope_create(handle, "race", AMOUNTS, BE_PERIOD_TOTAL, NULL));
	children_start(racers, RACERS, race, path);
	while (status == BE_OK) {
		status = be_commit(handle, "race", 1, NULL, &id);
		if (status == BE_OK)
			EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	}
	EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
	children_expect_success(racers, RACERS);
	EXPECT_BALANCE(handle, "race", AMOUNTS, 0);
	EXPECT_VERIFIED(handle);
}

static void test_second_copy_is_refused(const struct copy *copy, bool second_read_only)
{
	struct be_options options = options_for(second_read_only);
	struct be_enforcer *handle, *second;
	char path[PATH_MAX];
	enum be_status status;

	test_path(path, "second-%d", second_read_only);
	handle = test_open(path, BE_DURABILITY_PROCESS);
	status = copy->open(path, &options, &second);
	if (status != BE_SECOND_COPY)
		test_fail(__FILE__, __LINE__, "be_open() of the second copy is %s (%s)",
			  be_status_name(status), copy->last_error());
	EXPECT(second == NULL);
	EXPECT(strlen(copy->last_error()) > 0);
	expect_exclusion(handle, path);
	be_close(handle);

	/* Once the first copy has it closed, the second may have it. */
	EXPECT_EQUAL(copy->open(path, &options, &second), BE_OK);
	copy->close(second);
	printf("while the first copy writes, the second is refused%s\n",
	       second_read_only ? ", although it would only look" : "");
}

static void test_writer_is_refused_beside_a_reader(const struct copy *copy)
{
	struct be_options looking = options_for(true), writing = options_for(false);
	struct be_enforcer *handle, *second;
	char path[PATH_MAX];

	test_path(path, "beside");
	be_close(test_open(path, BE_DURABILITY_PROCESS));
	EXPECT_OK(be_open(path, &looking, &handle));
	EXPECT_EQUAL(copy->open(path, &writing, &second), BE_SECOND_COPY);
	EXPECT_EQUAL(copy->open(path, &looking, &second), BE_SECOND_COPY);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	EXPECT_EQUAL(copy->open(path, &writing, &second), BE_OK);
	copy->close(second);
	printf("while the first copy looks, the second is refused\n");
}

static int open_with_copy(int index, void *context)
{
	struct be_options options = options_for(index == 1);
	struct copy *copy = context;
	struct be_enforcer *handle;
	char path[PATH_MAX];

	test_path(path, "forked");
	EXPECT_EQUAL(copy->open(path, &options, &handle), BE_OK);
	copy->close(handle);
	return 0;
}

/* A fork child is another process: what its parent has open does not count. */
static void test_fork_child_may_use_the_other_copy(struct copy *copy)
{
	struct be_enforcer *handle;
	char path[PATH_MAX];

	test_path(path, "forked");
	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_EQUAL(child_wait(child_start(open_with_copy, 0, copy)), 0);
	EXPECT_EQUAL(child_wait(child_start(open_with_copy, 1, copy)), 0);
	expect_exclusion(handle, path);
	be_close(handle);
	printf("a fork child may use the other copy\n");
}

/* ---- at the same instant
 *
 * This program has its own fcntl(), which is found first. Each of two openers waits for the other
 * when it has shown itself and is about to look for a second copy, and when it has found one. */

#define PROCESS_BYTES ((off_t)1 << 31)

static _Thread_local int meetings; /* still to come */
static _Atomic int met[2], over;   /* over: openings that have ended */

static void meet(void)
{
	_Atomic int *here = &met[--meetings];

	++*here;
	while (*here < 2 && over == 0)
		sched_yield();
}

int fcntl(int fd, int command, ...)
{
	struct flock *lock;
	va_list rest;
	int rc;

	va_start(rest, command);
	lock = va_arg(rest, struct flock *);
	va_end(rest);
	if (meetings == 2 && command == F_OFD_GETLK && lock->l_start >= PROCESS_BYTES)
		meet();
	rc = (int)syscall(SYS_fcntl, fd, command, lock);
	if (meetings == 1 && command == F_OFD_GETLK && lock->l_type != F_UNLCK)
		meet();
	return rc;
}

struct opener {
	open_function *open;
	close_function *close;
	const char *path;
	bool read_only;
	pthread_barrier_t *barrier;
	enum be_status status;
};

static void *open_at_once(void *context)
{
	struct opener *opener = context;
	struct be_options options = options_for(opener->read_only);
	struct be_enforcer *handle;

	meetings = 2;
	pthread_barrier_wait(opener->barrier);
	opener->status = opener->open(opener->path, &options, &handle);
	over++;
	pthread_barrier_wait(opener->barrier);
	if (opener->status == BE_OK)
		opener->close(handle);
	return NULL;
}

static int open_and_stay(int index, void *context)
{
	(void)test_open(context, BE_DURABILITY_PROCESS);
	gate_open(&opened);
	(void)index;
	wait_for_death();
}

/* While another process has it open, so that neither of the two is first, and excludes the
 * other. */
static void test_one_of_two_at_once_is_granted(const struct copy *copy)
{
	struct opener openers[2] = {{.open = be_open, .close = be_close},
				    {.open = copy->open, .close = copy->close}};
	pthread_barrier_t *barrier = barrier_make(2);
	char path[PATH_MAX];
	pthread_t thread;
	pid_t other;

	test_path(path, "at-once");
	opened = gate_make();
	other = child_start(open_and_stay, 0, path);
	gate_wait(&opened);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < 2; i++) {
			openers[i].path = path;
			openers[i].read_only = round >> i & 1;
			openers[i].barrier = barrier;
		}
		met[0] = met[1] = over = 0;
		EXPECT(pthread_create(&thread, NULL, open_at_once, &openers[1]) == 0);
		open_at_once(&openers[0]);
		EXPECT(pthread_join(thread, NULL) == 0);
		EXPECT((openers[0].status == BE_OK) != (openers[1].status == BE_OK));
		EXPECT_EQUAL(openers[openers[0].status == BE_OK].status, BE_SECOND_COPY);
	}
	kill_child(other);
	printf("of two that open at the same instant, one is granted it\n");
}

int main(void)
{
	struct copy copy;

	test_begin(60);
	copy = load_copy();
	test_second_copy_is_refused(&copy, false);
	test_second_copy_is_refused(&copy, true);
	test_writer_is_refused_beside_a_reader(&copy);
	test_fork_child_may_use_the_other_copy(&copy);
	test_one_of_two_at_once_is_granted(&copy);
	return 0;
}
