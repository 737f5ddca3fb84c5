/* SPDX-License-Identifier: Apache-2.0 */
/* transactions --follow: the latest ones, then each as it comes, until a signal or the reader's
 * end. */
#include "inspects.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct reader {
	int fd;
	pid_t program;
	char line[256];
};

/* The next line without its end; the test's deadline bounds the wait. */
static const char *next_line(struct reader *reader)
{
	size_t used = 0;
	char byte;

	while (read(reader->fd, &byte, 1) == 1 && byte != '\n' && used + 1 < sizeof reader->line)
		reader->line[used++] = byte;
	reader->line[used] = '\0';
	return reader->line;
}

#define START(reader, ...)                                                                         \
	do {                                                                                       \
		int start_ends[2];                                                                 \
		EXPECT(pipe2(start_ends, O_CLOEXEC) == 0);                                         \
		(reader)->fd = start_ends[0];                                                      \
		(reader)->program = inspect_start(start_ends[1], __VA_ARGS__, NULL);               \
		close(start_ends[1]);                                                              \
	} while (0)

static void check_latest_and_new(struct be_enforcer *handle, const char *path)
{
	struct reader reader;
	char expected[64];

	START(&reader, path, "transactions", "--follow", "-o", "id,amount,category", "--category",
	      "llm");
	EXPECT_TEXT(next_line(&reader), "ID      AMOUNT CATEGORY");
	for (int i = 11; i <= 20; i++) {
		snprintf(expected, sizeof expected, "%d 0.0000000%d llm", i, i);
		EXPECT_TEXT(next_line(&reader), i == 20 ? "20  0.00000002 llm" : expected);
	}
	/* 21 is of another category. */
	EXPECT_OK(be_record(handle, "web", 1, NULL, NULL));
	EXPECT_OK(be_record(handle, "llm", BE_UNIT, NULL, NULL));
	EXPECT_TEXT(next_line(&reader), "22           1 llm");
	EXPECT_OK(be_record(handle, "llm", 2 * BE_UNIT, NULL, NULL));
	EXPECT_OK(be_record(handle, "llm", 3 * BE_UNIT, NULL, NULL));
	EXPECT_TEXT(next_line(&reader), "23           2 llm");
	EXPECT_TEXT(next_line(&reader), "24           3 llm");
	kill(reader.program, SIGINT);
	EXPECT_TEXT(next_line(&reader), "");
	EXPECT_EQUAL(child_wait(reader.program), 128 + SIGINT);
	close(reader.fd);
}

static void check_documents(struct be_enforcer *handle, const char *path)
{
	struct reader reader;

	START(&reader, path, "transactions", "-fj", "-o", "id,amount", "--limit", "1");
	EXPECT_TEXT(next_line(&reader), "{\"id\": 24, \"amount\": \"3\"}");
	EXPECT_OK(be_record(handle, "web", 1, NULL, NULL));
	EXPECT_TEXT(next_line(&reader), "{\"id\": 25, \"amount\": \"0.000000001\"}");
	kill(reader.program, SIGTERM);
	EXPECT_EQUAL(child_wait(reader.program), 128 + SIGTERM);
	close(reader.fd);
}

/* Since a time: all of them, not only the latest. And a reader that goes away while nothing
 * happens. */
static void check_since(struct be_enforcer *handle, const char *path)
{
	struct reader reader;

	START(&reader, path, "transactions", "--follow", "--csv", "-H", "-o", "id", "--since",
	      "2023-11-16");
	for (int i = 1; i <= 25; i++) {
		char expected[16];

		snprintf(expected, sizeof expected, "%d", i);
		EXPECT_TEXT(next_line(&reader), expected);
	}
	EXPECT_OK(be_record(handle, "web", 1, NULL, NULL));
	EXPECT_TEXT(next_line(&reader), "26");
	close(reader.fd);
	EXPECT_EQUAL(child_wait(reader.program), 128 + SIGPIPE);
}

/* With nothing there yet, the headings still come at once. */
static void check_beginning(const char *path)
{
	struct reader reader;

	START(&reader, path, "transactions", "-fr", "-o", "id", "--category", "none");
	EXPECT_TEXT(next_line(&reader), "ID");
	close(reader.fd);
	EXPECT_EQUAL(child_wait(reader.program), 128 + SIGPIPE);
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;
	char path[PATH_MAX];

	inspects_begin(argc, argv, 120);
	handle = inspected_open(NULL, &now_ns, path);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "web", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 1; i <= 20; i++)
		EXPECT_OK(be_record(handle, "llm", i, NULL, NULL));
	check_latest_and_new(handle, path);
	check_documents(handle, path);
	check_since(handle, path);
	check_beginning(path);
	be_close(handle);
	return 0;
}
