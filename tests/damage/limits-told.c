/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of the process that the system answers with EAGAIN: so many threads of a user
 * (RLIMIT_NPROC), which a backup meets, and so much locked memory (RLIMIT_MEMLOCK), which opening
 * meets. Each is told as what it is, with the limit to raise, and never as a process in another
 * container; with the limit raised the same call works. Root has no such limits, so the children
 * are ordinary users.
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define ORDINARY_USER 65534
#define MAY_NOT_BECOME 10

static char environment[PATH_MAX];

/* What root makes here, nobody else may open. */
static bool become_ordinary(void)
{
	return geteuid() != 0 || (setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) == 0 &&
				  setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) == 0 &&
				  access(test_directory(), W_OK | X_OK) == 0);
}

static void set_limit(int resource, const struct rlimit *usual, rlim_t wanted)
{
	struct rlimit limit = *usual;

	if (limit.rlim_cur > wanted)
		limit.rlim_cur = wanted;
	EXPECT(setrlimit(resource, &limit) == 0);
}

static void expect_told(const char *limit)
{
	const char *text = be_last_error();

	if (!strstr(text, environment) || !strstr(text, limit) || strstr(text, "namespace"))
		test_fail(__FILE__, __LINE__, "told as: %s", text);
	printf("told as: %s\n", text);
}

static int back_up(int index, void *context)
{
	struct be_enforcer *handle;
	struct rlimit usual;
	char copy[PATH_MAX];

	(void)index;
	(void)context;
	if (!become_ordinary())
		return MAY_NOT_BECOME;
	handle = test_open(environment, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	test_path(copy, "copy");
	EXPECT(getrlimit(RLIMIT_NPROC, &usual) == 0);
	set_limit(RLIMIT_NPROC, &usual, 1);
	EXPECT_STATUS(be_backup(handle, copy), BE_NO_MEMORY);
	expect_told("ulimit -u");
	EXPECT(access(copy, F_OK) < 0 && errno == ENOENT);
	set_limit(RLIMIT_NPROC, &usual, usual.rlim_cur);
	EXPECT_OK(be_backup(handle, copy));
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static int open_locked(int index, void *context)
{
	struct be_enforcer *handle;
	struct rlimit usual;

	(void)index;
	(void)context;
	if (!become_ordinary())
		return MAY_NOT_BECOME;
	EXPECT(getrlimit(RLIMIT_MEMLOCK, &usual) == 0);
	set_limit(RLIMIT_MEMLOCK, &usual, 8 << 20);
	EXPECT(mlockall(MCL_FUTURE) == 0);
	EXPECT_STATUS(be_open(environment, NULL, &handle), BE_NO_MEMORY);
	expect_told("ulimit -l");
	EXPECT(munlockall() == 0);
	EXPECT_OK(be_open(environment, NULL, &handle));
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static void expect_success(child_function *run, const char *limit)
{
	int status = child_wait(child_start(run, 0, NULL));

	if (status == MAY_NOT_BECOME)
		test_skip("%s: root cannot become an ordinary user who may use %s", limit,
			  test_directory());
	EXPECT_EQUAL(status, 0);
}

int main(void)
{
	test_begin(60);
	test_path(environment, "environment");
	if (geteuid() == 0)
		EXPECT(chown(test_directory(), ORDINARY_USER, ORDINARY_USER) == 0);
	expect_success(back_up, "RLIMIT_NPROC");
	if (TEST_SANITIZED)
		printf("not looked at: a sanitizer cannot do with little locked memory\n");
	else
		expect_success(open_locked, "RLIMIT_MEMLOCK");
	return 0;
}
