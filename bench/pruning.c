/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does pruning keep ahead of a pool that is as busy as it can be, and what does the pool lose by
 * it? Workers, each a process, charge as fast as they can with flushes, so that each operation adds
 * to the ledger: alone, while another process prunes an old ledger, and alone again. What is
 * printed for each round, and as the medians in the end: how much is pruned to how much is charged
 * meanwhile, and what the pool does then to what it does alone.
 *
 *     pruning [DIRECTORY [WORKERS [ROUNDS]]]
 *
 * The directory is made in DIRECTORY, which is . by default.
 */
#include <budget_enforcer.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 512
#define ENVELOPES 8
#define TURN_NS 1500000000
/* Charged before each round, without flushes: more than can be pruned in a turn. */
#define OLD_LEDGER 300000

enum turn {
	WAITING,
	FILLING,
	WORKING,
	OVER,
};

static struct shared {
	_Atomic enum turn turn;
	_Atomic unsigned idle;
	atomic_bool prunes;
	atomic_ullong charged;
	atomic_ullong pruned;
} * shared;

static char place[PATH_MAX];

static void must(enum be_status status)
{
	if (status == BE_OK)
		return;
	fprintf(stderr, "%s: %s\n", be_status_name(status), be_last_error());
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_ns(int64_t ns)
{
	nanosleep(&(struct timespec){ns / 1000000000, ns % 1000000000}, NULL);
}

static struct be_enforcer *open_place(enum be_durability durability)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.durability = durability;
	must(be_open(place, &options, &handle));
	return handle;
}

static void category_of(unsigned number, char category[16])
{
	snprintf(category, 16, "envelope-%u", number % ENVELOPES);
}

static void work(unsigned worker)
{
	struct be_enforcer *handle = open_place(BE_DURABILITY_FULL);
	char category[16];

	category_of(worker, category);
	atomic_fetch_add(&shared->idle, 1);
	for (;;) {
		enum turn turn = atomic_load(&shared->turn);

		if (turn == OVER)
			break;
		if (turn != WORKING) {
			sleep_ns(1000000);
			continue;
		}
		must(be_record(handle, category, 1, "answer a letter", NULL));
		atomic_fetch_add(&shared->charged, 1);
	}
	be_close(handle);
}

static bool note_pruning(void *context, const struct be_pruning *done)
{
	uint64_t *seen = context;

	atomic_fetch_add(&shared->pruned, done->transactions - *seen);
	*seen = done->transactions;
	return atomic_load(&shared->prunes);
}

static void prune(void)
{
	struct be_enforcer *handle = open_place(BE_DURABILITY_FULL);

	atomic_fetch_add(&shared->idle, 1);
	while (atomic_load(&shared->turn) != OVER) {
		uint64_t seen = 0;

		if (!atomic_load(&shared->prunes)) {
			sleep_ns(1000000);
			continue;
		}
		enum be_status status = be_prune(handle, INT64_MAX, note_pruning, &seen, NULL);
		if (status != BE_STOPPED)
			must(status);
	}
	be_close(handle);
}

static void start(unsigned worker, unsigned workers)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pid < 0 || getppid() != parent)
		_exit(1);
	if (worker < workers)
		work(worker);
	else
		prune();
	_exit(0);
}

static void fill(void)
{
	struct be_enforcer *handle = open_place(BE_DURABILITY_PROCESS);
	char category[16];

	for (unsigned i = 0; i < ENVELOPES; i++) {
		category_of(i, category);
		must(be_envelope_ensure(handle, category, INT64_MAX, BE_PERIOD_TOTAL, NULL));
	}
	for (unsigned i = 0; i < OLD_LEDGER; i++) {
		category_of(i, category);
		must(be_record(handle, category, 1, "answer a letter", NULL));
	}
	be_close(handle);
	be_close(open_place(BE_DURABILITY_FULL)); /* flushed */
}

/* Charges a second; *pruned is how many times as much was pruned. */
static double take_turn(bool prunes, double *pruned)
{
	uint64_t charged, removed;
	int64_t begun_ns, took_ns;

	atomic_store(&shared->prunes, prunes);
	atomic_store(&shared->turn, WORKING);
	sleep_ns(TURN_NS / 5); /* warms up */
	charged = atomic_load(&shared->charged);
	removed = atomic_load(&shared->pruned);
	begun_ns = now_ns();
	sleep_ns(TURN_NS);
	took_ns = now_ns() - begun_ns;
	charged = atomic_load(&shared->charged) - charged;
	removed = atomic_load(&shared->pruned) - removed;
	atomic_store(&shared->turn, WAITING);
	atomic_store(&shared->prunes, false);
	if (pruned)
		*pruned = (double)removed / (double)(charged > 0 ? charged : 1);
	return (double)charged * 1e9 / (double)took_ns;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double *numbers, unsigned count)
{
	qsort(numbers, count, sizeof *numbers, compare);
	return numbers[count / 2];
}

static void run_round(unsigned workers, double *pruned, double *left)
{
	double before, meanwhile, after;
	int status;

	memset(shared, 0, sizeof *shared);
	fill();
	for (unsigned i = 0; i <= workers; i++)
		start(i, workers);
	while (atomic_load(&shared->idle) <= workers)
		sleep_ns(1000000);
	before = take_turn(false, NULL);
	meanwhile = take_turn(true, pruned);
	after = take_turn(false, NULL);
	atomic_store(&shared->turn, OVER);
	for (unsigned i = 0; i <= workers; i++)
		if (wait(&status) < 0 || status != 0)
			exit(1);
	*left = 2 * meanwhile / (before + after);
	printf("%.0f charged a second alone, %.0f while %.0f are pruned, %.0f alone again\n",
	       before, meanwhile, meanwhile * *pruned, after);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned workers = argc > 2 ? (unsigned)atoi(argv[2]) : 64;
	unsigned rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 5;
	double pruned[64], left[64];
	char command[PATH_MAX + 16];

	if (workers < 1 || workers > WORKERS_MAX || rounds < 1 || rounds > 64)
		return 2;
	snprintf(place, sizeof place - 16, "%s/be-XXXXXX", argc > 1 ? argv[1] : ".");
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || !mkdtemp(place)) {
		fprintf(stderr, "%s: %s\n", place, strerror(errno));
		return 1;
	}
	for (unsigned i = 0; i < rounds; i++)
		run_round(workers, &pruned[i], &left[i]);
	printf("%u workers: pruned to charged %.2f (>= 2), throughput of the pool %.2f (>= 0.8)\n",
	       workers, median(pruned, rounds), median(left, rounds));
	snprintf(command, sizeof command, "rm -rf '%s'", place);
	return system(command) == 0 ? 0 : 1;
}
