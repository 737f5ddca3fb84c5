/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be-ctl apply of a file with many envelopes, most of them below another, in an environment with as
 * many that the file does not declare: it takes little memory for each, and does not look through
 * all of them for each.
 *
 * usage: apply-many BE_CTL
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Looking through all for each would be 10^10 steps. */
#define ENVELOPES 100000
/* Measured: 60 at most, of which 40 are the pages that LMDB writes. */
#define MEMORY_MIB 128

static char environment[PATH_MAX], file[PATH_MAX], output[PATH_MAX];

static void declare(const char *namespace_name, int64_t limit)
{
	FILE *stream = fopen(file, "w");

	EXPECT(stream);
	fputs("envelopes:\n", stream);
	/* Children before their parents, and chains of parents. */
	for (int i = ENVELOPES - 1; i > 0; i--)
		fprintf(stream,
			"  - {category: c-%d, namespace: %s, limit: %lld, parent: c-%d, period: "
			"daily}\n",
			i, namespace_name, (long long)limit, i / 8);
	fprintf(stream, "  - {category: c-0, namespace: %s, limit: %lld}\n", namespace_name,
		(long long)limit);
	EXPECT(fclose(stream) == 0);
}

/* Runs be-ctl apply with one more option, and looks how its output begins. */
static void apply(const char *be_ctl, const char *option, const char *expected)
{
	char begins[256] = "";
	struct rusage usage;
	int status, fd;
	pid_t child = fork();

	EXPECT(child >= 0);
	if (child == 0) {
		fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
			_exit(1);
		execl(be_ctl, "be-ctl", "apply", "--durability=process", option, environment, file,
		      (char *)NULL);
		_exit(1);
	}
	EXPECT(wait4(child, &status, 0, &usage) == child);
	EXPECT_EQUAL(status, 0);
	fd = open(output, O_RDONLY);
	EXPECT(fd >= 0 && read(fd, begins, sizeof begins - 1) >= 0);
	close(fd);
	if (strncmp(begins, expected, strlen(expected)) != 0)
		test_fail(__FILE__, __LINE__, "output is %s, expected %s", begins, expected);
	printf("%s: %ld MiB, %.1f s of processor time\n", option, usage.ru_maxrss / 1024,
	       (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
		       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	if (!TEST_SANITIZED)
		EXPECT(usage.ru_maxrss / 1024 <= MEMORY_MIB);
}

int main(int argc, char **argv)
{
	const char *be_ctl = argv[1];
	const char create[] =
		"create a/c-0: limit 5, total\ncreate a/c-3: limit 5, daily, below a/c-0\n";

	FILE *stream;

	test_begin(170);
	EXPECT(argc == 2);
	test_path(environment, "environment");
	test_path(file, "file.yaml");
	test_path(output, "output");
	declare("a", 5);
	apply(be_ctl, "--dry-run", create);
	apply(be_ctl, "--mode=600", create);
	apply(be_ctl, "--mode=600", "nothing to change\n");
	declare("a", 6);
	apply(be_ctl, "--mode=600", "set-limit a/c-0: from 5 to 6, keeping 0 spent\n");
	declare("b", 5);
	apply(be_ctl, "--json", "{\"version\": 1, \"verb\": \"apply\", \"status\": \"ok\", ");
	apply(be_ctl, "--mode=600", "nothing to change\n");
	/* All of namespace a go, but one. */
	stream = fopen(file, "w");
	EXPECT(stream &&
	       fputs("envelopes: [{category: c-0, namespace: a, limit: 6}]\n", stream) > 0);
	EXPECT(fclose(stream) == 0);
	apply(be_ctl, "--prune", "remove a/c-");
	return 0;
}
