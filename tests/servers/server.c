/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include "kind.h"
#include "place.h"

#include <budget_enforcer_storage.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	pid_t pid;     /* 0: it does not run */
	pid_t standby; /* 0: there is none */
	pid_t starter; /* the process that started it */
	uid_t uid;
	gid_t gid;
	char directory[128];
	char socket[160]; /* the directory where clients find it */
	char url[256];
} server;

static void find_user(void)
{
	const struct passwd *user;

	server.uid = geteuid();
	server.gid = getegid();
	if (server.uid != 0 || !server_kind.user)
		return;
	user = getpwnam(server_kind.user);
	if (!user)
		user = getpwnam("nobody");
	if (!user)
		test_skip("there is no user to run a %s server as", server_kind.name);
	server.uid = user->pw_uid;
	server.gid = user->pw_gid;
}

/* Becomes a program of the server's, in a process group of its own that ends with the test. */
static _Noreturn void become(const char *const *arguments)
{
	char log[sizeof server.directory + 16];

	setpgid(0, 0);
	if (geteuid() == 0 && server.uid != 0 &&
	    (setgroups(0, NULL) != 0 || setgid(server.gid) != 0 || setuid(server.uid) != 0))
		_exit(3);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(log, sizeof log, "%s/log", server.directory);
	if (!freopen(log, "a", stdout) || dup2(fileno(stdout), STDERR_FILENO) < 0 ||
	    chdir(server.directory) != 0)
		_exit(4);
	execv(arguments[0], (char *const *)arguments);
	_exit(5);
}

static pid_t launch(const char *const *arguments)
{
	pid_t child = fork();

	EXPECT(child >= 0);
	if (child == 0)
		become(arguments);
	setpgid(child, child);
	return child;
}

static void show_log(void)
{
	char command[sizeof server.directory + 32];

	snprintf(command, sizeof command, "tail -20 %s/log", server.directory);
	(void)!system(command);
}

void server_run(const char *const *arguments)
{
	int status;
	pid_t child = launch(arguments);

	EXPECT_EQUAL(waitpid(child, &status, 0), child);
	if (status != 0)
		show_log();
	EXPECT_EQUAL(status, 0);
}

void server_restart(void)
{
	int64_t start_ns = test_monotonic_ns();

	for (;;) {
		struct be_storage *storage;
		int ended;

		if (server.pid == 0)
			server.pid = launch(server_kind.arguments());
		if (server_try(NULL, "first", &storage) == BE_OK) {
			place_close(storage);
			return;
		}
		/* After kill -9 the first processes may still be on their way out. */
		if (waitpid(server.pid, &ended, WNOHANG) == server.pid)
			server.pid = 0;
		usleep(20000);
		if (!test_wait_on(start_ns, 30)) {
			show_log();
			test_fail(__FILE__, __LINE__, "the server does not start: %s",
				  be_last_error());
		}
	}
}

void server_stop(void)
{
	int status;

	if (server.pid == 0 || server.starter != getpid())
		return;
	if (server.standby > 0) {
		kill(-server.standby, SIGKILL);
		waitpid(server.standby, &status, 0);
	}
	kill(server.pid, SIGQUIT);
	kill(-server.pid, SIGKILL);
	waitpid(server.pid, &status, 0);
	server.pid = server.standby = 0;
	if (*server.directory)
		test_remove(server.directory);
}

void server_kill(void)
{
	int status;

	EXPECT(server.pid > 0);
	kill(-server.pid, SIGKILL);
	EXPECT_EQUAL(waitpid(server.pid, &status, 0), server.pid);
	server.pid = 0;
}

void server_start(const char *mode)
{
	server_join_host(NULL);
	server_kind.find();
	find_user();
	server.starter = getpid();
	/* Not below the test's own directory, which only its user may enter. */
	strcpy(server.directory, server_kind.directory);
	EXPECT(mkdtemp(server.directory));
	strcpy(server.socket, server.directory);
	EXPECT_EQUAL(chmod(server.directory, 0755), 0);
	EXPECT_EQUAL(chown(server.directory, server.uid, server.gid), 0);
	atexit(server_stop);
	server_kind.url(server.directory, server.url, sizeof server.url);
	server_kind.make(mode);
	server_restart();
}

/* ---- a standby */

/* Clients connect by a link, which leads to the one that serves. */
static void lead_to(const char *where)
{
	char made[sizeof server.directory + 16];

	snprintf(made, sizeof made, "%s/made", server.directory);
	snprintf(server.socket, sizeof server.socket, "%s/serving", server.directory);
	EXPECT_EQUAL(symlink(where, made), 0);
	EXPECT_EQUAL(rename(made, server.socket), 0);
}

void server_start_standby(void)
{
	char path[sizeof server.directory + 16];
	int64_t start_ns = test_monotonic_ns();
	struct be_storage *storage;

	lead_to(".");
	snprintf(path, sizeof path, "%s/standby", server.directory);
	EXPECT_EQUAL(mkdir(path, 0755), 0);
	EXPECT_EQUAL(chown(path, server.uid, server.gid), 0);
	server.standby = launch(server_kind.standby());
	while (server_try(path, "first", &storage) != BE_OK)
		if (!test_wait_on(start_ns, 30)) {
			show_log();
			test_fail(__FILE__, __LINE__, "the standby does not start: %s",
				  be_last_error());
		}
	place_close(storage);
	server_catch_up();
}

void server_catch_up(void)
{
	server_kind.catch_up();
}

void server_synchronise(void)
{
	server_kind.synchronise();
}

void server_part(void)
{
	server_kind.part();
}

void server_fail_over(void)
{
	server_kill();
	server_kind.promote();
	server.pid = server.standby;
	server.standby = 0;
	lead_to("standby");
}

void server_join_host(const char *name)
{
	char path[PATH_MAX];

	/* Not in the server's directory, which is that of another user. */
	test_path(path, "host-%s", name ? name : "");
	if (name && mkdir(path, 0700) != 0)
		EXPECT_EQUAL(errno, EEXIST);
	EXPECT_EQUAL(setenv("BUDGET_ENFORCER_RUNTIME_DIR", name ? path : "", 1), 0);
}

const char *server_directory(void)
{
	return server.directory;
}

const char *server_url(void)
{
	return server.url;
}

enum be_status server_try(const char *directory, const char *name, struct be_storage **storage)
{
	char url[256];

	server_kind.url(directory ? directory : server.socket, url, sizeof url);
	return place_open(url, name, storage);
}

struct be_storage *server_storage(const char *directory, const char *name)
{
	struct be_storage *storage;
	enum be_status status;

	/* On a loaded machine a server may not answer in time. The test has a bound. */
	do
		status = server_try(directory, name, &storage);
	while (status == BE_UNREACHABLE);
	EXPECT_EQUAL(status, BE_OK);
	return storage;
}

struct be_enforcer *server_open(const char *name, struct be_storage **storage)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.storage = *storage = server_storage(NULL, name);
	EXPECT_OK(be_open(NULL, &options, &handle));
	return handle;
}

void server_close(struct be_enforcer *handle, struct be_storage *storage)
{
	be_close(handle);
	place_close(storage);
}

void server_commit_all(_Atomic int64_t *granted)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_storage *storage;
	struct be_enforcer *handle = server_open("limit", &storage);
	enum be_status status;
	uint64_t id;

	options.detached = true;
	while ((status = be_commit_with(handle, "job", BE_UNIT, NULL, &options, &id, NULL)) ==
	       BE_OK)
		atomic_fetch_add(granted, 1);
	EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
	server_close(handle, storage);
}
