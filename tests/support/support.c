/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See support.h. Failing never goes through exit(): handlers and sanitizers' leak reports would
 * hide the one line that matters.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* More than any test takes. */
#define MEMORY_BYTES (UINT64_C(2) << 30)

static pid_t main_process;
static char directory[PATH_MAX];

static void remove_directory(void)
{
	if (getpid() == main_process && directory[0] != '\0')
		test_remove(directory);
}

/* ---- patience */

enum {
	PATIENCE = 4, /* times what was said */
	WORK_STEPS = 20000000
};

/* What that much work takes on a quiet machine, and not a new one. */
static const double work_seconds = 0.04;

static long processors = 1;
static int64_t begin_ns;
static double deadline;

/* How many processes want to run or wait for a disk, for each processor: now, or on average of some
 * minutes. Any signal handler may call it. */
static double load(void)
{
	char text[64] = "";
	const char *at = text;
	double most = 0;
	int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	int i;

	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	/* "0.35 1.20 0.97 …": the averages of a minute and of five. */
	for (i = 0; i < 2; i++, at += *at == ' ') {
		double number = 0, scale = 1;

		for (; *at >= '0' && *at <= '9'; at++)
			number = number * 10 + (*at - '0');
		for (at += *at == '.'; *at >= '0' && *at <= '9'; at++)
			number += (*at - '0') * (scale /= 10);
		most = number > most ? number : most;
	}
	return most / (double)processors;
}

/* Also called by a signal handler. */
double test_slowness(void)
{
	int64_t start_ns = test_monotonic_ns();
	volatile uint64_t result;
	uint64_t state = (uint64_t)start_ns;
	double by_work, by_load;
	int i;

	for (i = 0; i < WORK_STEPS; i++)
		state = state * UINT64_C(6364136223846793005) + 1;
	result = state;
	(void)result;
	by_work = test_seconds_since(start_ns) / work_seconds;
	by_load = load();
	if (by_work < by_load)
		by_work = by_load;
	return by_work > 1 ? by_work : 1;
}

bool test_wait_on(int64_t start_ns, unsigned seconds)
{
	const struct timespec moment = {.tv_nsec = 2000000};

	nanosleep(&moment, NULL);
	return test_seconds_since(start_ns) < seconds ||
	       test_seconds_since(start_ns) < seconds * PATIENCE * test_slowness();
}

void test_end_if_it_hangs(unsigned seconds)
{
	struct rlimit computing = {seconds, seconds};

	signal(SIGALRM, SIG_DFL);
	EXPECT(setrlimit(RLIMIT_CPU, &computing) == 0);
	/* Working to see how slow the machine is would cost more than what many a child does. */
	alarm((unsigned)(10 * seconds * (1 + load())));
}

/* A signal handler may not walk directories, but it may execute a program that does. The children
 * die when that program has ended. */
static void deadline_passed(int signal_number)
{
	static const char message[] = "FAILED: not over at its deadline\n";
	int saved = errno;
	double left;

	(void)signal_number;
	left = deadline * test_slowness() - test_seconds_since(begin_ns);
	if (left > 0) {
		/* Slowness may not last. */
		alarm((unsigned)(left < deadline ? left : deadline) + 1);
		errno = saved;
		return;
	}
	if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
		_exit(1);
	if (getpid() == main_process && directory[0] != '\0')
		execl("/bin/sh", "sh", "-c", "rm -rf \"$1\"; exit 1", "sh", directory,
		      (char *)NULL);
	_exit(1);
}

void test_begin(unsigned deadline_seconds)
{
	struct sigaction action = {.sa_handler = deadline_passed, .sa_flags = SA_RESTART};

	main_process = getpid();
	processors = sysconf(_SC_NPROCESSORS_ONLN);
	begin_ns = test_monotonic_ns();
	deadline = (double)deadline_seconds * PATIENCE * (TEST_SANITIZED ? 4 : 1) *
		   (test_is_long() ? 20 : 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	EXPECT(atexit(remove_directory) == 0);
	EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
	alarm((unsigned)deadline);
}

bool test_is_long(void)
{
	return getenv("TEST_LONG") != NULL;
}

void test_skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("skipped: ");
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	fflush(stdout);
	remove_directory();
	_exit(77);
}

void test_fail(const char *file, int line, const char *format, ...)
{
	char message[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s:%d: FAILED: %s\n", file, line, message);
	fflush(stdout);
	remove_directory();
	_exit(1);
}

uint64_t test_seed(void)
{
	const char *text = getenv("TEST_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)test_monotonic_ns();

	printf("seed: TEST_SEED=%" PRIu64 "\n", seed);
	return seed;
}

/* splitmix64: one addition and a mixing of its bits, good from any state. */
uint64_t test_random(uint64_t *state)
{
	uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

	mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ (mixed >> 31);
}

int64_t test_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double test_seconds_since(int64_t start_ns)
{
	return (double)(test_monotonic_ns() - start_ns) / 1e9;
}

void test_in_memory(void)
{
	const char *memory = "/dev/shm";
	struct statvfs room;

	if (access(memory, R_OK | W_OK | X_OK) == 0 && statvfs(memory, &room) == 0 &&
	    (uint64_t)room.f_bavail * room.f_frsize >= MEMORY_BYTES)
		EXPECT(setenv("TMPDIR", memory, 1) == 0);
	else
		printf("%s has not enough room: the disk takes its place\n", memory);
}

void test_make_directory(char *path, size_t size, const char *name)
{
	const char *parent = getenv("TMPDIR");

	if (parent == NULL || parent[0] == '\0')
		parent = "/tmp";
	EXPECT(snprintf(path, size, "%s/be-%s-XXXXXX", parent, name) < (int)size);
	if (mkdtemp(path) == NULL) {
		path[0] = '\0';
		test_fail(__FILE__, __LINE__, "no directory could be made in %s: %s", parent,
			  strerror(errno));
	}
}

const char *test_directory(void)
{
	if (directory[0] == '\0') {
		EXPECT(getpid() == main_process);
		test_make_directory(directory, sizeof directory, "test");
	}
	return directory;
}

void test_path(char path[PATH_MAX], const char *format, ...)
{
	int used = snprintf(path, PATH_MAX, "%s/", test_directory());
	va_list arguments;

	va_start(arguments, format);
	EXPECT(vsnprintf(path + used, (size_t)(PATH_MAX - used), format, arguments) <
	       PATH_MAX - used);
	va_end(arguments);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

void test_remove(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		fprintf(stderr, "%s could not be removed: %s\n", path, strerror(errno));
}

/* The kernel ends a child with its parent; one whose parent was gone before it could ask ends
 * itself. */
static _Noreturn void run_child(child_function *run, int index, void *context, pid_t parent)
{
	int status;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(1);
	status = run(index, context);
	fflush(stdout);
	_exit(status);
}

pid_t child_start(child_function *run, int index, void *context)
{
	pid_t parent = getpid();
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		test_fail(__FILE__, __LINE__, "child %d could not be made: %s", index,
			  strerror(errno));
	if (child == 0)
		run_child(run, index, context, parent);
	return child;
}

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int child_wait(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		EXPECT(errno == EINTR);
	return exit_status(status);
}

struct start {
	child_function *run;
	void *context;
	int gate[2];
};

/* Waits until the parent has closed its end of the pipe. */
static int run_from_gate(int index, void *context)
{
	struct start *start = context;
	char nothing;

	close(start->gate[1]);
	while (read(start->gate[0], &nothing, 1) < 0)
		EXPECT(errno == EINTR);
	close(start->gate[0]);
	return start->run(index, start->context);
}

void children_start(pid_t *children, int count, child_function *run, void *context)
{
	struct start start = {.run = run, .context = context};
	int i;

	EXPECT(pipe(start.gate) == 0);
	for (i = 0; i < count; i++)
		children[i] = child_start(run_from_gate, i, &start);
	close(start.gate[0]);
	close(start.gate[1]);
}

static _Noreturn void children_failed(const pid_t *children, int count, int failed, int status)
{
	int i;

	for (i = 0; i < count; i++) {
		if (children[i] != 0)
			kill(children[i], SIGKILL);
	}
	test_fail(__FILE__, __LINE__, "child %d ended with %d", failed, status);
}

/* Waits for the children in the order in which they end, so that a failure is seen while others
 * still wait for the one that failed. */
void children_expect_success(pid_t *children, int count)
{
	int left, ended, status;

	for (left = count; left > 0; left--) {
		siginfo_t information = {0};

		EXPECT(waitid(P_ALL, 0, &information, WEXITED | WNOWAIT) == 0);
		for (ended = 0; ended < count && children[ended] != information.si_pid; ended++)
			;
		EXPECT(ended < count);
		status = child_wait(children[ended]);
		children[ended] = 0;
		if (status != 0)
			children_failed(children, count, ended, status);
	}
}

void *shared_make(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	EXPECT(memory != MAP_FAILED);
	return memory;
}

pthread_barrier_t *barrier_make(unsigned count)
{
	pthread_barrier_t *barrier = shared_make(sizeof *barrier);
	pthread_barrierattr_t attributes;

	EXPECT(pthread_barrierattr_init(&attributes) == 0);
	EXPECT(pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
	EXPECT(pthread_barrier_init(barrier, &attributes, count) == 0);
	pthread_barrierattr_destroy(&attributes);
	return barrier;
}

struct be_enforcer *test_open(const char *path, enum be_durability durability)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.durability = durability;
	EXPECT_OK(be_open(path, &options, &handle));
	return handle;
}

void expect_equal(const char *file, int line, const char *what, int64_t actual, int64_t expected)
{
	if (actual != expected)
		test_fail(file, line, "%s is %" PRId64 ", expected %" PRId64, what, actual,
			  expected);
}

void expect_text(const char *file, int line, const char *what, const char *actual,
		 const char *expected)
{
	if (strcmp(actual, expected) != 0)
		test_fail(file, line, "%s is \"%s\", expected \"%s\"", what, actual, expected);
}

void expect_status(const char *file, int line, const char *what, enum be_status actual,
		   enum be_status expected)
{
	if (actual != expected)
		test_fail(file, line, "%s is %s (%s), expected %s", what, be_status_name(actual),
			  be_last_error(), be_status_name(expected));
}

void expect_balance(const char *file, int line, struct be_enforcer *handle, const char *category,
		    int64_t spent, int64_t committed)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	expect_status(file, line, category, be_utilization(handle, category, &envelope), BE_OK);
	if (envelope.spent != spent || envelope.committed != committed)
		test_fail(file, line,
			  "%s has spent %" PRId64 " and committed %" PRId64 ", expected %" PRId64
			  " and %" PRId64,
			  category, envelope.spent, envelope.committed, spent, committed);
}

static void print_difference(void *context, const char *sentence)
{
	(void)context;
	fprintf(stderr, "verify: %s\n", sentence);
}

void expect_verified(const char *file, int line, struct be_enforcer *handle)
{
	expect_status(file, line, "be_verify()", be_verify(handle, print_difference, NULL, NULL),
		      BE_OK);
}
