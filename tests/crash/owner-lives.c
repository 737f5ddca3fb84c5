/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose commits are reaped, and whose are not. A process that lives keeps what it holds, whether it
 * is stopped, has lost the thread that made its first call, or has closed its last handle; one that
 * has ended, by any way of ending, does not, whatever its children still have open. Detached
 * commits survive their owner. Deadlines end commits at an opening, by be_reap(), and before a
 * refusal, unless they are pushed out.
 */
#include "crash.h"

#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t limit = 10 * BE_UNIT;
static const int64_t held = 9 * BE_UNIT;

struct scene {
	char path[PATH_MAX];
	struct gate ready;       /* opened by an owner when it is in the state to be tested */
	struct gate go;          /* opened by the main process when the owner shall end */
	uint64_t *id;            /* shared: the commit of the owner */
	_Atomic int64_t *now_ns; /* shared: the clock of those who use it */
};

static struct be_enforcer *make_scene(struct scene *scene, const char *name)
{
	struct be_enforcer *handle;

	test_path(scene->path, "%s", name);
	scene->ready = gate_make();
	scene->go = gate_make();
	scene->id = shared_make(sizeof *scene->id);
	handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", limit, BE_PERIOD_TOTAL, NULL));
	return handle;
}

static pid_t start_owner(struct scene *scene, child_function *owner)
{
	pid_t child = child_start(owner, 0, scene);

	gate_wait(&scene->ready);
	return child;
}

static bool note_commit(void *context, const struct be_commit_info *commit)
{
	*(struct be_commit_info *)context = *commit;
	return true;
}

/* The one pending commit is the owner's, who lives; neither a refusal nor be_reap() takes it
 * away. */
static void expect_kept(struct be_enforcer *handle, const struct scene *scene, const char *what)
{
	struct be_commit_info commit = {0};
	uint64_t id, reaped;
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_STATUS(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
		EXPECT_OK(be_reap(handle, &reaped));
		EXPECT_EQUAL(reaped, 0);
	}
	EXPECT_BALANCE(handle, "llm", 0, held);
	EXPECT_OK(be_commits_each(handle, NULL, note_commit, &commit));
	EXPECT_EQUAL(commit.id, *scene->id);
	EXPECT(commit.owner_alive);
	printf("kept: %s\n", what);
}

/* The owner has ended: a commit that there was no room for is granted, because the owner's is
 * reaped. */
static void expect_reaped(struct be_enforcer *handle, const struct scene *scene, const char *what)
{
	struct be_commit_info commit = {0};
	uint64_t id;

	EXPECT_OK(be_commits_each(handle, NULL, note_commit, &commit));
	EXPECT_EQUAL(commit.id, *scene->id);
	EXPECT(!commit.owner_alive);
	EXPECT_OK(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &id));
	EXPECT_STATUS(be_release(handle, *scene->id), BE_ALREADY_REAPED);
	EXPECT_BALANCE(handle, "llm", 0, 2 * BE_UNIT);
	EXPECT_OK(be_release(handle, id));
	EXPECT_VERIFIED(handle);
	printf("reaped: %s\n", what);
}

/* ---- owners that live */

static int hold(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", held, NULL, scene->id));
	gate_open(&scene->ready);
	gate_wait(&scene->go);
	return 0; /* without closing anything */
}

static void test_live_owner_keeps_its_commits(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_scene(&scene, "live");
	pid_t owner = start_owner(&scene, hold);

	expect_kept(handle, &scene, "the owner runs");
	stop_child(owner);
	expect_kept(handle, &scene, "the owner is stopped");
	EXPECT(kill(owner, SIGCONT) == 0);
	expect_kept(handle, &scene, "the owner runs again");
	gate_open(&scene.go);
	EXPECT_EQUAL(child_wait(owner), 0);
	expect_reaped(handle, &scene, "the owner has exited by itself, closing nothing");
	be_close(handle);
}

static void *open_and_commit(void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);

	EXPECT_OK(be_commit(handle, "llm", held, NULL, scene->id));
	return handle;
}

/* All its calls were made by a thread that has ended. */
static int hold_by_thread(int index, void *context)
{
	struct scene *scene = context;
	pthread_t thread;
	void *handle;

	(void)index;
	EXPECT(pthread_create(&thread, NULL, open_and_commit, scene) == 0);
	EXPECT(pthread_join(thread, &handle) == 0);
	gate_open(&scene->ready);
	gate_wait(&scene->go);
	/* Another thread takes over: the process goes on as if nothing had happened. */
	EXPECT_OK(be_extend(handle, *scene->id, held, 0, NULL));
	gate_open(&scene->ready);
	wait_for_death();
}

static void test_owner_without_its_first_thread_lives(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_scene(&scene, "thread");
	pid_t owner = start_owner(&scene, hold_by_thread);

	expect_kept(handle, &scene, "the thread that opened and committed has ended");
	gate_open(&scene.go);
	gate_wait(&scene.ready);
	expect_kept(handle, &scene, "another thread has gone on");
	kill_child(owner);
	expect_reaped(handle, &scene, "the process was killed after all");
	be_close(handle);
}

static int close_and_live(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	struct be_enforcer *second = test_open(scene->path, BE_DURABILITY_PROCESS);

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", held, NULL, scene->id));
	be_close(handle);
	be_close(second);
	gate_open(&scene->ready);
	gate_wait(&scene->go);
	handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	gate_open(&scene->ready);
	gate_wait(&scene->go);
	be_close(handle);
	gate_open(&scene->ready);
	wait_for_death();
}

static void test_closing_does_not_end_an_owner(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_scene(&scene, "closed");
	pid_t owner = start_owner(&scene, close_and_live);

	expect_kept(handle, &scene, "the owner has closed its last handle");
	gate_open(&scene.go);
	gate_wait(&scene.ready);
	expect_kept(handle, &scene, "the owner has opened the environment again");
	gate_open(&scene.go);
	gate_wait(&scene.ready);
	expect_kept(handle, &scene, "the owner has closed it once more");
	kill_child(owner);
	expect_reaped(handle, &scene, "the owner that had closed its handles was killed");
	be_close(handle);
}

static int empty_and_begin_anew(int index, void *context)
{
	static const char *const names[] = {"data.mdb", "lock.mdb", "be-owners", "be-group",
					    "be-boot"};
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	char file[PATH_MAX + 16];

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", held, NULL, scene->id));
	be_close(handle);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(file, sizeof file, "%s/%s", scene->path, names[i]);
		EXPECT(unlink(file) == 0);
	}
	handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", limit, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", held, NULL, scene->id));
	gate_open(&scene->ready);
	wait_for_death();
}

/* A process that had closed all is still the owner of what is pending in files that were removed
 * since. In those that it makes in their place it must be one that others see. */
static void test_owner_begins_anew_in_an_emptied_directory(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_scene(&scene, "emptied");
	pid_t owner;

	be_close(handle);
	owner = start_owner(&scene, empty_and_begin_anew);
	handle = test_open(scene.path, BE_DURABILITY_PROCESS);
	expect_kept(handle, &scene, "the owner emptied the directory and made an environment anew");
	kill_child(owner);
	expect_reaped(handle, &scene, "the owner that had done so was killed");
	be_close(handle);
}

/* ---- owners that end */

/* The same process, another program: it holds nothing any more. `cat` ends when its input does. */
static int become_another_program(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", held, NULL, scene->id));
	EXPECT(dup2(scene->go.ends[0], STDIN_FILENO) == STDIN_FILENO);
	EXPECT(dup2(scene->ready.ends[1], STDOUT_FILENO) == STDOUT_FILENO);
	execlp("cat", "cat", (char *)NULL);
	return 1;
}

static void test_exec_ends_an_owner(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_scene(&scene, "exec");
	pid_t owner = child_start(become_another_program, 0, &scene);

	/* That the other program copies a byte tells that it runs. */
	gate_open(&scene.go);
	gate_wait(&scene.ready);
	expect_reaped(handle, &scene, "the owner has become another program, which lives");
	kill_child(owner);
	be_close(handle);
}

/* Starts a program that outlives it, as by popen(), and is killed. */
static int spawn_and_die(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	char name[] = "cat";
	char *const arguments[] = {name, NULL};
	posix_spawn_file_actions_t actions;
	pid_t child;

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", held, NULL, scene->id));
	EXPECT(posix_spawn_file_actions_init(&actions) == 0);
	EXPECT(posix_spawn_file_actions_adddup2(&actions, scene->go.ends[0], STDIN_FILENO) == 0);
	EXPECT(posix_spawn_file_actions_adddup2(&actions, scene->ready.ends[1], STDOUT_FILENO) ==
	       0);
	EXPECT(posix_spawnp(&child, "cat", &actions, NULL, arguments, environ) == 0);
	raise(SIGKILL);
	return 0;
}

static void test_spawned_program_keeps_nothing_alive(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_scene(&scene, "spawn");
	pid_t owner = child_start(spawn_and_die, 0, &scene);

	gate_open(&scene.go);
	gate_wait(&scene.ready);
	EXPECT_EQUAL(child_wait(owner), 128 + SIGKILL);
	expect_reaped(handle, &scene,
		      "the owner was killed, and a program that it had started lives");
	be_close(handle);
	/* Our end is the last one that can write, so the program's input ends with it. */
	close(scene.go.ends[1]);
}

/* ---- detached commits */

static int commit_detached_and_die(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	(void)index;
	options.detached = true;
	EXPECT_OK(be_commit_with(handle, "llm", held, NULL, &options, scene->id, NULL));
	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	raise(SIGKILL);
	return 0;
}

static void test_detached_commit_survives_its_owner(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_scene(&scene, "detached");
	uint64_t id, reaped;

	EXPECT_EQUAL(child_wait(child_start(commit_detached_and_die, 0, &scene)), 128 + SIGKILL);
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 1);
	EXPECT_STATUS(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	be_close(handle);
	handle = test_open(scene.path, BE_DURABILITY_PROCESS);
	EXPECT_BALANCE(handle, "llm", 0, held);
	EXPECT_OK(be_settle(handle, *scene.id, BE_UNIT, NULL, NULL));
	EXPECT_BALANCE(handle, "llm", BE_UNIT, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("kept: a detached commit, by whose end another process settles it\n");
}

/* ---- deadlines */

static int64_t shared_clock(void *context)
{
	return atomic_load((_Atomic int64_t *)context);
}

static struct be_enforcer *open_at(struct scene *scene)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.durability = BE_DURABILITY_PROCESS;
	options.now = shared_clock;
	options.now_context = scene->now_ns;
	EXPECT_OK(be_open(scene->path, &options, &handle));
	return handle;
}

static struct be_enforcer *make_timed_scene(struct scene *scene, const char *name)
{
	be_close(make_scene(scene, name));
	scene->now_ns = shared_make(sizeof *scene->now_ns);
	atomic_store(scene->now_ns, INT64_C(2000000000) * BE_UNIT);
	return open_at(scene);
}

static void pass(struct scene *scene, int64_t milliseconds)
{
	atomic_fetch_add(scene->now_ns, milliseconds * 1000000);
}

static uint64_t commit_for(struct be_enforcer *handle, uint64_t ttl_ms, enum be_reap_policy policy)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	options.ttl_ms = ttl_ms;
	options.reap_policy = policy;
	EXPECT_OK(be_commit_with(handle, "llm", held, "timed", &options, &id, NULL));
	return id;
}

static void test_expired_commit_is_reaped_wherever_it_matters(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_timed_scene(&scene, "deadline");
	struct be_enforcer *second;
	uint64_t id, other, reaped;

	/* Before a refusal, and not a nanosecond early. */
	id = commit_for(handle, 1000, BE_REAP_RELEASE);
	pass(&scene, 1000);
	atomic_fetch_sub(scene.now_ns, 1);
	EXPECT_STATUS(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &other), BE_EXCEEDS_BUDGET);
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 0);
	atomic_fetch_add(scene.now_ns, 1);
	EXPECT_OK(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &other));
	EXPECT_STATUS(be_release(handle, id), BE_ALREADY_REAPED);
	EXPECT_OK(be_release(handle, other));

	/* By be_reap(), and at an opening. */
	id = commit_for(handle, 1000, BE_REAP_RELEASE);
	pass(&scene, 1000);
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 1);
	EXPECT_STATUS(be_release(handle, id), BE_ALREADY_REAPED);
	id = commit_for(handle, 1000, BE_REAP_RELEASE);
	pass(&scene, 1000);
	second = open_at(&scene);
	EXPECT_BALANCE(handle, "llm", 0, 0);
	EXPECT_STATUS(be_release(handle, id), BE_ALREADY_REAPED);
	be_close(second);

	/* Nobody needs the room: it may be ended after its deadline as before. */
	id = commit_for(handle, 1000, BE_REAP_RELEASE);
	pass(&scene, 5000);
	EXPECT_OK(be_settle(handle, id, BE_UNIT, NULL, NULL));
	EXPECT_BALANCE(handle, "llm", BE_UNIT, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("expired: reaped before a refusal, by be_reap(), at an opening, and not before its "
	       "time\n");
}

static void test_extension_pushes_the_deadline_out(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_timed_scene(&scene, "extend");
	uint64_t id = commit_for(handle, 1000, BE_REAP_RELEASE);
	uint64_t other, reaped;

	pass(&scene, 900);
	EXPECT_OK(be_extend(handle, id, held, 1000, NULL));
	pass(&scene, 900);
	EXPECT_STATUS(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &other), BE_EXCEEDS_BUDGET);
	pass(&scene, 100);
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 1);
	EXPECT_STATUS(be_extend(handle, id, held, 1000, NULL), BE_ALREADY_REAPED);

	/* Past its deadline, but not yet reaped: it is pending, and the deadline goes. */
	id = commit_for(handle, 1000, BE_REAP_RELEASE);
	pass(&scene, 2000);
	EXPECT_OK(be_extend(handle, id, held, 0, NULL));
	pass(&scene, 1000000);
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 0);
	EXPECT_OK(be_release(handle, id));
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("extended: the old deadline passes, the new one counts\n");
}

static void test_expired_commit_is_charged_by_policy(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_timed_scene(&scene, "charge");
	uint64_t id = commit_for(handle, 1000, BE_REAP_CHARGE);
	uint64_t other;

	pass(&scene, 1000);
	EXPECT_STATUS(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &other), BE_EXCEEDS_BUDGET);
	EXPECT_BALANCE(handle, "llm", held, 0);
	EXPECT_STATUS(be_settle(handle, id, 1, NULL, NULL), BE_ALREADY_CHARGED);
	EXPECT_EQUAL(count_transactions(handle), 1);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("expired: charged where the policy says so\n");
}

int main(void)
{
	test_begin(60);
	test_live_owner_keeps_its_commits();
	test_owner_without_its_first_thread_lives();
	test_closing_does_not_end_an_owner();
	test_owner_begins_anew_in_an_emptied_directory();
	test_exec_ends_an_owner();
	test_spawned_program_keeps_nothing_alive();
	test_detached_commit_survives_its_owner();
	test_expired_commit_is_reaped_wherever_it_matters();
	test_extension_pushes_the_deadline_out();
	test_expired_commit_is_charged_by_policy();
	return 0;
}
