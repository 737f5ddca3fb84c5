/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests that are plain programs share: expectations that name file and line, a deadline, a
 * temporary directory, child processes that report by exit status, and memory and barriers that
 * parent and children share.
 *
 * The first call of main() is test_begin(). A failed expectation ends the process at once: in a
 * child the parent's children_expect_success() then ends the other children and fails too, and in
 * the main process the temporary directory is removed first. Expectations may be used by any
 * thread.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <budget_enforcer.h>

#include <limits.h>
#include <pthread.h>
#include <sys/types.h>

/* AddressSanitizer and ThreadSanitizer slow a program down and change how it forks and is
 * traced. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

/* ------------------------------------------------------------ the program */

/* Begins a test, which takes less than so many seconds on a quiet machine. When it is not over
 * after several times as many, and as many again for each time that this machine is slower (long
 * modes and sanitizers have more), it hangs: it says so and fails, and its children end with it.
 * Standard output becomes line buffered. */
void test_begin(unsigned deadline_seconds);

/* Is the environment variable TEST_LONG set, so that more rounds are wanted than in the usual
 * suite? */
bool test_is_long(void);

/* Ends the program with the status that meson counts as skipped, the reason on standard output. */
_Noreturn void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the process as failed. EXPECT and its kin are the usual way here. */
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Where random numbers begin: the environment variable TEST_SEED, or else the time. It is
 * printed. */
uint64_t test_seed(void);

/* The next random number of a sequence. Any state will do as a seed. */
uint64_t test_random(uint64_t *state);

/* Nanoseconds of a clock that never steps back. It gives figures to print and ends what hangs, but
 * no test may pass or fail by it: what has to be fast is a ratio in bench/. */
int64_t test_monotonic_ns(void);

/* Seconds since such a moment. */
double test_seconds_since(int64_t start_ns);

/* How many times longer things take here and now than on a quiet machine, at least 1: by a piece of
 * work that is done to see, and by how many others wait for the processors and disks. */
double test_slowness(void);

/* For loops that wait for something that may never come: sleeps for a moment, and tells whether to
 * go on. False after so many seconds of a quiet machine. */
bool test_wait_on(int64_t start_ns, unsigned seconds);

/* Ends this process, and the program that it becomes, when it hangs: after so many seconds of
 * computing, or many times as long doing nothing. The parent sees a death by signal. */
void test_end_if_it_hangs(unsigned seconds);

/* ------------------------------------------------------------------ files */

/* This program's own directory, below $TMPDIR or /tmp. Made by the first call, which is the main
 * process's; removed with all that is in it when the main process ends. */
const char *test_directory(void);

/* Puts the directory into memory, if there is enough: /dev/shm of a container is small. To be
 * called before the first test_directory(). */
void test_in_memory(void);

/* Makes a directory below $TMPDIR or /tmp, which the caller has to remove. The caller need not have
 * begun with test_begin(). */
void test_make_directory(char *path, size_t size, const char *name);

/* Writes the path of something in that directory, named as printf() would. */
void test_path(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes a file, or a directory with all that is in it. */
void test_remove(const char *path);

/* --------------------------------------------------------------- processes */

/* What a child does. The number it returns is its exit status, and 0 is success. */
typedef int child_function(int index, void *context);

/* Starts one child. It is killed when the thread that started it ends, so the main thread
 * should. */
pid_t child_start(child_function *run, int index, void *context);

/* Waits for a child: its exit status, or 128 and the number of the signal that ended it. */
int child_wait(pid_t child);

/* Starts children with the indices 0 to count - 1, which begin to run at once when the last is
 * made. */
void children_start(pid_t *children, int count, child_function *run, void *context);

/* Waits until all have ended, in whatever order, and zeroes their pids; when one has failed, ends
 * the others and fails. The process may have no other children meanwhile. */
void children_expect_success(pid_t *children, int count);

/* Zeroed memory which the children made later share with this process. Kept until the process
 * ends. */
void *shared_make(size_t size);

/* A barrier for so many processes or threads, in shared memory. */
pthread_barrier_t *barrier_make(unsigned count);

/* ------------------------------------------------------------ expectations */

#define EXPECT(condition)                                                                          \
	((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "expected %s", #condition))

/* Two integers are equal; prints both when they are not. */
#define EXPECT_EQUAL(actual, expected)                                                             \
	expect_equal(__FILE__, __LINE__, #actual, (int64_t)(actual), (int64_t)(expected))

/* Two texts are equal. */
#define EXPECT_TEXT(actual, expected) expect_text(__FILE__, __LINE__, #actual, (actual), (expected))

/* A call of the library answers with this status; prints it and be_last_error() when it does
 * not. */
#define EXPECT_STATUS(call, status) expect_status(__FILE__, __LINE__, #call, (call), (status))
#define EXPECT_OK(call) EXPECT_STATUS(call, BE_OK)

/* An envelope of the handle's namespace has exactly this spent and committed, in nanos. */
#define EXPECT_BALANCE(handle, category, spent, committed)                                         \
	expect_balance(__FILE__, __LINE__, (handle), (category), (spent), (committed))

/* be_verify() finds nothing; prints what it found when it does. */
#define EXPECT_VERIFIED(handle) expect_verified(__FILE__, __LINE__, (handle))

/* Opens an environment in the default namespace, creating it where missing; fails when it
 * cannot. */
struct be_enforcer *test_open(const char *path, enum be_durability durability);

void expect_equal(const char *file, int line, const char *what, int64_t actual, int64_t expected);
void expect_text(const char *file, int line, const char *what, const char *actual,
		 const char *expected);
void expect_status(const char *file, int line, const char *what, enum be_status actual,
		   enum be_status expected);
void expect_balance(const char *file, int line, struct be_enforcer *handle, const char *category,
		    int64_t spent, int64_t committed);
void expect_verified(const char *file, int line, struct be_enforcer *handle);

#endif
