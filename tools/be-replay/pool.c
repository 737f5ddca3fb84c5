/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of workers and the parent that waits for it; pool.h has the rules of memory and signals.
 * A worker ends with status 0 when there is no more work or it was told to stop, and with
 * WORKER_FAULT when the library gave anything but a grant or a refusal for lack of budget: any
 * other status means that the replay can no longer answer its question.
 */
#include "pool.h"

#include "progress.h"
#include "tool.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKER_FAULT 3

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics are shared between processes");

/* Written by one worker, read by the parent: the counters at any time, the rest once it has
 * ended. */
struct worker {
	_Alignas(64) _Atomic uint64_t permitted;
	_Atomic uint64_t refused;
	_Atomic int64_t spent;
	_Atomic int64_t refused_cost;
	/* Read once the worker has ended. */
	bool gave_back;  /* it was told to stop before the turn of the request that it had taken */
	size_t line;     /* of the request it took last */
	char fault[768]; /* what went wrong, for WORKER_FAULT */
	struct histogram latency;
};

struct shared {
	_Atomic size_t next; /* the first request that nobody has taken */
	struct worker workers[];
};

/* What the parent knows. */
struct pool {
	const struct pool_plan *plan;
	struct shared *shared;
	pid_t *pids; /* 0: ended, and waited for */
	unsigned int alive;
	bool told_to_stop;
	bool signalled;
	bool failed;
	sigset_t stop;  /* what ends a replay */
	sigset_t await; /* the same and SIGCHLD */
};

/* Notes how long a call took that began at `began_ns`. */
static void timed(struct worker *worker, int64_t began_ns)
{
	histogram_add(&worker->latency, (uint64_t)(clock_monotonic_ns() - began_ns));
}

static bool fault(struct worker *worker, const char *call, enum be_status status)
{
	const char *details = be_last_error();

	snprintf(worker->fault, sizeof worker->fault, "%s: %s", call,
		 *details ? details : be_status_text(status));
	return false;
}

/* Was it refused, and by an envelope that may refuse? One that is suspended is so because the file
 * says it. */
static bool is_refusal(const struct pool_plan *plan, enum be_status status)
{
	return status == BE_EXCEEDS_BUDGET || (status == BE_SUSPENDED && plan->budgets->file);
}

/* The number of the envelope that refused, which is that of the request or above it. */
static uint32_t refuser(const struct budgets *budgets, uint32_t asked,
			const struct be_decision *decision)
{
	uint32_t found = budgets_find(budgets, decision->namespace_name, decision->category);

	return found != BUDGET_NONE ? found : asked;
}

/* Replays one request. False on a fault. */
static bool replay(const struct pool_plan *plan, struct worker *worker, size_t number)
{
	const struct cost *cost = &plan->costs->of[number];
	uint32_t asked = plan->trace->requests[number].envelope;
	const struct budget *budget = &plan->budgets->of[asked];
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	struct verdict *verdict = &plan->verdicts[number];
	uint64_t id;
	int64_t began_ns = clock_monotonic_ns();
	enum be_status status;

	options.namespace_name = budget->namespace_name;
	status = be_commit_with(plan->handle, budget->category, cost->estimate, NULL, &options, &id,
				&decision);
	timed(worker, began_ns);
	if (is_refusal(plan, status)) {
		worker->refused_cost += cost->actual;
		worker->refused++;
		verdict->envelope = refuser(plan->budgets, asked, &decision);
		verdict->outcome = OUTCOME_REFUSED;
		return true;
	}
	if (status != BE_OK)
		return fault(worker, "be_commit", status);
	began_ns = clock_monotonic_ns();
	status = be_settle(plan->handle, id, cost->actual, NULL, NULL);
	timed(worker, began_ns);
	if (status != BE_OK)
		return fault(worker, "be_settle", status);
	worker->spent += cost->actual;
	worker->permitted++;
	verdict->outcome = OUTCOME_PERMITTED;
	return true;
}

static struct timespec span(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* Waits until the trace has come to a request. False when told to stop before that. */
static bool wait_for_turn(const struct pool *pool, int64_t at_ns)
{
	int64_t wait_ns;

	do {
		struct timespec timeout;

		wait_ns = clock_wait_ns(pool->plan->clock, at_ns);
		timeout = span(wait_ns);
		if (sigtimedwait(&pool->stop, NULL, &timeout) > 0)
			return false;
	} while (wait_ns > 0);
	return true;
}

static int work(const struct pool *pool, struct worker *worker)
{
	const struct pool_plan *plan = pool->plan;

	for (;;) {
		size_t taken = atomic_fetch_add(&pool->shared->next, 1);

		if (taken >= plan->trace->count)
			return 0;
		if (!wait_for_turn(pool, plan->trace->requests[taken].at_ns)) {
			worker->gave_back = true;
			return 0;
		}
		worker->line = plan->trace->requests[taken].line;
		if (!replay(plan, worker, taken))
			return WORKER_FAULT;
	}
}

/* Tells every worker to finish the request in its hands and end. */
static void stop_workers(struct pool *pool)
{
	if (pool->told_to_stop)
		return;
	pool->told_to_stop = true;
	for (unsigned int i = 0; i < pool->plan->workers; i++) {
		if (pool->pids[i])
			kill(pool->pids[i], SIGTERM);
	}
}

static void start_workers(struct pool *pool)
{
	pid_t parent = getpid();

	/* What is buffered would be printed by every child. */
	fflush(NULL);
	for (unsigned int i = 0; i < pool->plan->workers && !pool->failed; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			/* A worker must not outlive the parent, which may have died already. */
			if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
				_exit(0);
			_exit(work(pool, &pool->shared->workers[i]));
		}
		if (pid < 0) {
			warnx("worker %u cannot be started: %s", i + 1, strerror(errno));
			pool->failed = true;
			stop_workers(pool);
			break;
		}
		pool->pids[i] = pid;
		pool->alive++;
	}
}

/* Notes how one worker ended, and says so unless all is well. */
static void worker_ended(struct pool *pool, unsigned int i, int status)
{
	struct worker *worker = &pool->shared->workers[i];

	pool->pids[i] = 0;
	pool->alive--;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	pool->failed = true;
	progress_clear(pool->plan->progress);
	if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_FAULT) {
		warnx("worker %u, line %zu of the trace: %s", i + 1, worker->line, worker->fault);
		/* It could tell what became of its request, and the others would meet the same. */
		stop_workers(pool);
	} else if (WIFSIGNALED(status)) {
		warnx("worker %u was killed by signal %d (%s); the others go on", i + 1,
		      WTERMSIG(status), strsignal(WTERMSIG(status)));
	} else {
		warnx("worker %u ended with status %d; the others go on", i + 1,
		      WEXITSTATUS(status));
	}
}

static void collect_ended(struct pool *pool)
{
	for (unsigned int i = 0; i < pool->plan->workers; i++) {
		int status;

		if (pool->pids[i] && waitpid(pool->pids[i], &status, WNOHANG) == pool->pids[i])
			worker_ended(pool, i, status);
	}
}

/* Adds up what the workers have counted so far; without the latencies, which are not theirs to read
 * while they run. */
static void add_up(const struct pool *pool, struct pool_result *result)
{
	for (unsigned int i = 0; i < pool->plan->workers; i++) {
		const struct worker *worker = &pool->shared->workers[i];

		result->permitted += worker->permitted;
		result->refused += worker->refused;
		result->spent += worker->spent;
		result->refused_cost += worker->refused_cost;
	}
}

static void show_progress(const struct pool *pool, int64_t began_ns)
{
	struct pool_result so_far = {0};

	if (!pool->plan->progress)
		return;
	add_up(pool, &so_far);
	so_far.elapsed_ns = clock_monotonic_ns() - began_ns;
	progress_draw(&so_far, pool->plan->trace->count);
}

/* Waits until all workers have ended. */
static void await_workers(struct pool *pool, int64_t began_ns)
{
	const struct timespec interval = span(100000000);

	while (pool->alive > 0) {
		int got = sigtimedwait(&pool->await, NULL, &interval);

		if (got > 0 && got != SIGCHLD) {
			pool->signalled = true;
			stop_workers(pool);
		}
		collect_ended(pool);
		show_progress(pool, began_ns);
	}
	progress_clear(pool->plan->progress);
}

/* Blocks the signals that end a replay, for good: a second Ctrl-C must not cost the summary. SIGINT
 * and SIGHUP stay out of it where the caller has them ignored, as nohup and a shell's background
 * jobs do. */
static void block_signals(struct pool *pool)
{
	const int optional[] = {SIGINT, SIGHUP};

	sigemptyset(&pool->stop);
	sigaddset(&pool->stop, SIGTERM);
	for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
		struct sigaction action;

		if (sigaction(optional[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&pool->stop, optional[i]);
	}
	pool->await = pool->stop;
	sigaddset(&pool->await, SIGCHLD);
	/* Ignored, the kernel would do away with children before they are waited for. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &pool->await, NULL);
}

/* Works out the result when all workers have ended. */
static void finish(const struct pool *pool, struct pool_result *result)
{
	size_t requests = pool->plan->trace->count;
	size_t taken = pool->shared->next < requests ? pool->shared->next : requests;

	add_up(pool, result);
	result->unfinished = taken - result->permitted - result->refused;
	for (unsigned int i = 0; i < pool->plan->workers; i++) {
		histogram_merge(&result->latency, &pool->shared->workers[i].latency);
		result->unfinished -= pool->shared->workers[i].gave_back;
	}
	result->calls = result->latency.count;
	result->failed = pool->failed;
	result->interrupted = pool->signalled && result->permitted + result->refused < requests;
}

void pool_run(const struct pool_plan *plan, struct pool_result *result)
{
	struct pool pool = {.plan = plan};
	size_t size = sizeof *pool.shared + plan->workers * sizeof *pool.shared->workers;
	int64_t began_ns = clock_monotonic_ns();

	*result = (struct pool_result){0};
	pool.shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pool.pids = calloc(plan->workers, sizeof *pool.pids);
	if (pool.shared == MAP_FAILED || !pool.pids)
		tool_out_of_memory();
	block_signals(&pool);
	start_workers(&pool);
	await_workers(&pool, began_ns);
	finish(&pool, result);
	result->elapsed_ns = clock_monotonic_ns() - began_ns;
	munmap(pool.shared, size);
	free(pool.pids);
}
