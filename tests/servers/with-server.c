/* SPDX-License-Identifier: Apache-2.0 */
/*
 * with-server PROGRAM [ARGUMENTS]: runs a test with a server of its own, whose URL is in
 * BE_TEST_SERVER. With BE_TEST_GROUP its processes share group commit.
 */
#include "server.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	int status;
	pid_t child;

	test_begin(100);
	EXPECT(count > 1);
	server_start(getenv("BE_TEST_MODE"));
	setenv("BE_TEST_SERVER", server_url(), 1);
	if (getenv("BE_TEST_GROUP"))
		server_join_host("one");
	child = fork();
	EXPECT(child >= 0);
	if (child == 0) {
		execv(arguments[1], arguments + 1);
		_exit(127);
	}
	EXPECT_EQUAL(waitpid(child, &status, 0), child);
	server_stop();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
