/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fork child finds behind the handles of its parent: the environment as the parent had it
 * open, whichever handle it uses first; without what a worker before it left when it died; and
 * never another environment that has taken the place of its parent's.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct handles {
	const char *path;
	struct be_enforcer *writing, *looking;
};

static struct handles open_both(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct handles handles = {path, test_open(path, BE_DURABILITY_PROCESS), NULL};

	EXPECT_OK(be_envelope_ensure(handles.writing, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(path, &options, &handles.looking));
	return handles;
}

/* ---- whichever handle is used first */

static int look_then_commit(int index, void *context)
{
	struct handles *handles = context;
	uint64_t id;

	(void)index;
	EXPECT_BALANCE(handles->looking, "llm", 0, 0);
	EXPECT_OK(be_commit(handles->writing, "llm", 1, NULL, &id));
	EXPECT_BALANCE(handles->looking, "llm", 0, 1);
	EXPECT_STATUS(be_record(handles->looking, "llm", 1, NULL, NULL), BE_READ_ONLY);
	EXPECT_OK(be_settle(handles->writing, id, 0, NULL, NULL));
	be_close(handles->writing);
	EXPECT_BALANCE(handles->looking, "llm", 0, 0);
	return 0;
}

/* Gives up root first, if it is root. */
static int look_without_rights(int index, void *context)
{
	struct handles *handles = context;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status;

	(void)index;
	if (setgid(65534) != 0 || setuid(65534) != 0)
		return 0;
	status = be_utilization(handles->looking, "llm", &envelope);
	EXPECT_STATUS(status, BE_PERMISSION);
	return 0;
}

static void use_handles_in_any_order(void)
{
	struct handles handles;
	char path[PATH_MAX];

	test_path(path, "both");
	handles = open_both(path);
	EXPECT_EQUAL(child_wait(child_start(look_then_commit, 0, &handles)), 0);
	EXPECT_EQUAL(child_wait(child_start(look_without_rights, 0, &handles)), 0);
	be_close(handles.writing);
	be_close(handles.looking);
}

/* ---- what a worker before it left */

static int commit_and_die(int index, void *context)
{
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(context, "llm", BE_UNIT, NULL, &id));
	raise(SIGKILL);
	return 1;
}

static int expect_nothing_held(int index, void *context)
{
	(void)index;
	EXPECT_BALANCE(context, "llm", 0, 0);
	return 0;
}

static void respawn(void)
{
	struct be_enforcer *handle, *second;
	char path[PATH_MAX];

	test_path(path, "respawn");
	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_EQUAL(child_wait(child_start(commit_and_die, 0, handle)), 128 + SIGKILL);
	EXPECT_BALANCE(handle, "llm", 0, BE_UNIT);
	EXPECT_EQUAL(child_wait(child_start(expect_nothing_held, 0, handle)), 0);
	EXPECT_BALANCE(handle, "llm", 0, 0);
	EXPECT_EQUAL(child_wait(child_start(commit_and_die, 0, handle)), 128 + SIGKILL);
	second = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_BALANCE(handle, "llm", 0, 0);
	be_close(second);
	be_close(handle);
}

/* ---- another environment in its place */

static int make_another(int index, void *context)
{
	struct be_enforcer *handle = test_open(context, BE_DURABILITY_PROCESS);

	(void)index;
	EXPECT_OK(be_envelope_create(handle, "llm", 5, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	return 0;
}

static int expect_not_found(int index, void *context)
{
	struct handles *handles = context;
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_STATUS(be_utilization(index ? handles->looking : handles->writing, "llm", &envelope),
		      BE_NOT_FOUND);
	EXPECT(access(handles->path, F_OK) != 0 || strstr(be_last_error(), "forked") != NULL);
	EXPECT_STATUS(be_record(handles->writing, "llm", 1, NULL, NULL), BE_NOT_FOUND);
	return 0;
}

static int expect_one_spent(int index, void *context)
{
	(void)index;
	EXPECT_BALANCE(context, "llm", 1, 0);
	return 0;
}

static void expect_children_lost(struct handles *handles)
{
	EXPECT_EQUAL(child_wait(child_start(expect_not_found, 0, handles)), 0);
	EXPECT_EQUAL(child_wait(child_start(expect_not_found, 1, handles)), 0);
}

static void replace_the_place(void)
{
	char path[PATH_MAX], aside[PATH_MAX], data[PATH_MAX + 16], copy[PATH_MAX + 16];
	struct handles handles;
	struct stat about;

	test_path(path, "replaced");
	test_path(aside, "aside");
	handles = open_both(path);

	EXPECT(rename(path, aside) == 0);
	EXPECT_STATUS(be_record(handles.writing, "llm", 1, NULL, NULL), BE_OK);
	expect_children_lost(&handles);
	EXPECT(stat(path, &about) != 0); /* nobody has made it anew */

	EXPECT_EQUAL(child_wait(child_start(make_another, 0, path)), 0);
	expect_children_lost(&handles);
	test_remove(path);
	EXPECT(rename(aside, path) == 0);
	EXPECT_EQUAL(child_wait(child_start(expect_one_spent, 0, handles.writing)), 0);

	/* Only the file. */
	snprintf(data, sizeof data, "%s/data.mdb", path);
	snprintf(copy, sizeof copy, "%s/old.mdb", path);
	EXPECT(rename(data, copy) == 0);
	expect_children_lost(&handles);
	EXPECT(stat(data, &about) != 0);
	EXPECT(rename(copy, data) == 0);
	EXPECT_OK(be_record(handles.writing, "llm", 1, NULL, NULL));
	EXPECT_BALANCE(handles.looking, "llm", 2, 0);
	be_close(handles.writing);
	be_close(handles.looking);
}

int main(void)
{
	test_begin(60);
	use_handles_in_any_order();
	respawn();
	replace_the_place();
	printf("in any order, after a death, and in no other's place\n");
	return 0;
}
