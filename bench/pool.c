/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of worker processes; pool.h says what for.
 *
 * The parent makes a piece of shared memory and three pipes, and starts itself again once per
 * worker. A worker opens its connection and writes a byte to `ready`. When all have, the parent
 * sets the times and closes `start`, on which all wait. A worker runs until the end, writes to
 * `ready` again and waits for `finish` to be closed, so that all still share what they share while
 * each counts its private memory. A worker that dies closes its end of `ready`, so that the parent
 * never waits for the dead; workers die with their parent.
 *
 * What counts: an operation that ended within the measured time, which begins after a time of
 * warming up. Latencies also hold the one operation that each worker had under way at the end,
 * since one that takes long is what they are to show.
 */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 1024
/* Checks are timed so many at a time: reading the clock takes as long as half a check. */
#define CHECKS_AT_ONCE 64
/* Latencies are counted in buckets, 64 to each power of two: they are known to 1.6 percent. */
#define BUCKET_BITS 6
#define BUCKETS ((64 - BUCKET_BITS) << BUCKET_BITS)

enum operation {
	MAKE,
	RESERVE,
	CHECK,
	SETTLE,
	OPEN, /* and what follows: done once by each of `repeats` processes, one after the other */
	PRUNE,
	VERIFY,
};

static const char *const operations[] = {"make", "reserve", "check", "settle",
					 "open", "prune",   "verify"};

struct report {
	uint64_t operations; /* in the measured time */
	uint64_t all;        /* warming up included */
	uint64_t
		/* what `operations` took: differs from the measured time for blocks of checks */
		elapsed_ns;
	uint64_t max_ns; /* as is what the buckets count: of CHECKS_AT_ONCE, for checks */
	uint64_t cpu_ns; /* used for `all` */
	uint64_t private_kib;
	uint64_t anonymous_kib;
	uint32_t buckets[BUCKETS];
};

struct shared {
	int64_t begin_ns; /* on the monotonic clock; when measuring begins and ends */
	int64_t end_ns;
	struct report reports[WORKERS_MAX];
	char categories[][POOL_CATEGORY_SIZE]; /* of all envelopes, shuffled */
};

struct options {
	struct run run;
	enum operation operation;
	unsigned workers;
	double seconds;
	double warm_seconds;
	bool spread;      /* RESERVE: on all envelopes, not worker i on number i */
	unsigned repeats; /* of OPEN and what follows */
	bool held;        /* OPEN: while another process has it open */
	int worker;       /* -1: the parent */
	int memory;       /* descriptors that a worker inherits, as are the next three */
	int ready;
	int start;
	int finish;
};

void die(const char *format, ...)
{
	va_list list;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	_exit(1);
}

const char *pool_category(uint64_t number, char text[POOL_CATEGORY_SIZE])
{
	snprintf(text, POOL_CATEGORY_SIZE, "envelope-%06u", (unsigned)(number % 1000000));
	return text;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t pool_now_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

/* ---- latencies */

static unsigned bucket_of(uint64_t ns)
{
	unsigned power;

	if (ns < 1U << BUCKET_BITS)
		return (unsigned)ns;
	power = 63 - (unsigned)__builtin_clzll(ns) - BUCKET_BITS;
	return ((power + 1) << BUCKET_BITS) + (unsigned)((ns >> power) & ((1U << BUCKET_BITS) - 1));
}

/* The least value that falls into the bucket. */
static uint64_t bucket_value(unsigned bucket)
{
	unsigned power = bucket >> BUCKET_BITS;
	uint64_t rest = bucket & ((1U << BUCKET_BITS) - 1);

	return power == 0 ? rest : (rest | 1U << BUCKET_BITS) << (power - 1);
}

static void note(struct report *report, uint64_t ns)
{
	report->buckets[bucket_of(ns)]++;
	if (ns > report->max_ns)
		report->max_ns = ns;
}

static double quantile(const uint64_t *buckets, uint64_t total, double part)
{
	uint64_t wanted = (uint64_t)((double)total * part);
	uint64_t seen = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += buckets[i];
		if (seen > wanted)
			return (double)bucket_value(i);
	}
	return 0;
}

/* ---- workers */

/* Counts memory that is this process's alone: pages of mapped files are, while no other process has
 * them mapped; anonymous ones always. */
static void count_memory(struct report *report)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	unsigned long kib;
	char line[256];

	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "Private_Clean: %lu", &kib) == 1 ||
		    sscanf(line, "Private_Dirty: %lu", &kib) == 1)
			report->private_kib += kib;
		else if (sscanf(line, "Anonymous: %lu", &kib) == 1)
			report->anonymous_kib = kib;
	}
	if (file)
		fclose(file);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t must_be_id(uint64_t id)
{
	if (id == 0)
		die("a reserve was refused");
	return id;
}

struct loop {
	const struct driver *driver;
	void *self;
	const struct options *options;
	const struct shared *shared;
	uint64_t next_category; /* walks through the shuffled names, or stays */
	uint64_t random;
	uint64_t pending;
	uint64_t *ids; /* SETTLE: of pending commits */
};

static void next_category(struct loop *loop)
{
	if (++loop->next_category == loop->options->run.envelopes)
		loop->next_category = 0;
}

/* One timed step; returns how many operations it was. *began_ns is moved where something comes
 * first that is not measured. */
static uint64_t step(struct loop *loop, int64_t *began_ns)
{
	const struct driver *driver = loop->driver;
	const char(*categories)[POOL_CATEGORY_SIZE] = loop->shared->categories;
	uint64_t id;
	uint64_t at;

	switch (loop->options->operation) {
	case RESERVE:
		must_be_id(driver->reserve(loop->self, categories[loop->next_category]));
		if (loop->options->spread)
			next_category(loop);
		return 1;
	case SETTLE:
		/* A new commit takes the place of the one that is settled, so that as many stay
		 * pending. */
		id = must_be_id(driver->reserve(loop->self, categories[loop->next_category]));
		next_category(loop);
		if (loop->pending > 0) {
			uint64_t *old;

			at = random_next(&loop->random) % loop->pending;
			old = &loop->ids[at];
			at = *old;
			*old = id;
			id = at;
		}
		*began_ns = clock_ns(CLOCK_MONOTONIC);
		driver->settle(loop->self, id);
		return 1;
	default:
		for (unsigned i = 0; i < CHECKS_AT_ONCE; i++) {
			if (!driver->check(loop->self, categories[loop->next_category]))
				die("a check was refused");
			next_category(loop);
		}
		return CHECKS_AT_ONCE;
	}
}

static void run_loop(struct loop *loop, struct report *report)
{
	int64_t begin_ns = loop->shared->begin_ns;
	int64_t end_ns = loop->shared->end_ns;
	int64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	int64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	while (now_ns < end_ns) {
		int64_t began_ns = now_ns;
		uint64_t count = step(loop, &began_ns);

		now_ns = clock_ns(CLOCK_MONOTONIC);
		report->all += count;
		if (now_ns < begin_ns)
			continue;
		note(report, (uint64_t)(now_ns - began_ns));
		if (now_ns < end_ns) {
			report->operations += count;
			report->elapsed_ns += (uint64_t)(now_ns - began_ns);
		}
	}
	report->cpu_ns = (uint64_t)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns);
}

static void wait_for_close(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
}

static void say_ready(int fd)
{
	if (write(fd, "", 1) != 1)
		die("the parent is gone");
}

static void run_once(const struct driver *driver, const struct options *options,
		     struct report *report)
{
	int64_t began_ns = clock_ns(CLOCK_MONOTONIC);
	void *self = driver->open(&options->run);

	if (options->operation != OPEN)
		began_ns = clock_ns(CLOCK_MONOTONIC);
	if (options->operation == PRUNE)
		driver->prune(self);
	else if (options->operation == VERIFY)
		driver->verify(self);
	report->elapsed_ns = (uint64_t)(clock_ns(CLOCK_MONOTONIC) - began_ns);
	report->operations = report->all = 1;
	note(report, report->elapsed_ns);
	driver->close(self);
}

static int worker_main(const struct driver *driver, const struct options *options,
		       struct shared *shared)
{
	struct report *report = &shared->reports[options->worker];
	struct loop loop = {.driver = driver, .options = options, .shared = shared};

	if (options->operation >= OPEN) {
		run_once(driver, options, report);
		return 0;
	}
	loop.random = 0x9e3779b97f4a7c15U * (uint64_t)(options->worker + 1);
	loop.next_category = (uint64_t)options->worker % options->run.envelopes;
	if (options->operation != RESERVE || options->spread) /* far from where the others walk */
		loop.next_category = (uint64_t)options->worker * 7919 % options->run.envelopes;
	loop.self = driver->open(&options->run);
	if (options->operation == SETTLE) {
		loop.pending = options->run.pending;
		loop.ids = calloc(loop.pending + 1, sizeof *loop.ids);
		if (!loop.ids)
			die("out of memory");
		loop.pending = driver->list(loop.self, loop.ids, loop.pending);
	}
	say_ready(options->ready);
	wait_for_close(options->start);
	run_loop(&loop, report);
	count_memory(report);
	say_ready(options->ready);
	wait_for_close(options->finish);
	driver->close(loop.self);
	free(loop.ids);
	return 0;
}

/* ---- the parent */

static int make_shared(const struct options *options, struct shared **shared)
{
	size_t size = sizeof **shared + options->run.envelopes * POOL_CATEGORY_SIZE;
	int fd = options->memory;

	if (options->worker < 0) {
		fd = memfd_create("pool", 0);
		if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
			die("shared memory: %s", strerror(errno));
	}
	*shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*shared == MAP_FAILED)
		die("shared memory: %s", strerror(errno));
	return fd;
}

static void name_categories(const struct options *options, struct shared *shared)
{
	uint64_t random = 88172645463325252U;

	for (uint64_t i = 0; i < options->run.envelopes; i++) {
		uint64_t j = random_next(&random) % (i + 1);

		memcpy(shared->categories[i], shared->categories[j], POOL_CATEGORY_SIZE);
		pool_category(i, shared->categories[j]);
	}
}

/* Starts this program again as a worker. */
static pid_t start_worker(int argc, char **argv, const struct options *options, unsigned index)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	char worker[80];
	char **args;

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	args = calloc((size_t)argc + 2, sizeof *args);
	if (getppid() != parent || !args)
		_exit(1);
	memcpy(args, argv, (size_t)argc * sizeof *args);
	snprintf(worker, sizeof worker, "--worker=%u,%d,%d,%d,%d", index, options->memory,
		 options->ready, options->start, options->finish);
	args[argc] = worker;
	execv("/proc/self/exe", args);
	_exit(1);
}

static void reap_workers(unsigned count)
{
	int status;

	for (unsigned i = 0; i < count; i++)
		if (wait(&status) < 0 || status != 0)
			die("a worker failed");
}

/* Waits until every worker has written one byte. */
static void wait_for_ready(int fd, unsigned workers)
{
	char bytes[WORKERS_MAX];
	size_t seen = 0;

	while (seen < workers) {
		ssize_t got = read(fd, bytes, workers - seen);

		if (got == 0 || (got < 0 && errno != EINTR))
			die("a worker failed");
		seen += got > 0 ? (size_t)got : 0;
	}
}

static void make_pipe(int *parents, int *workers, bool parent_reads)
{
	int ends[2];

	if (pipe(ends) < 0)
		die("pipe: %s", strerror(errno));
	*parents = ends[parent_reads ? 0 : 1];
	*workers = ends[parent_reads ? 1 : 0];
	fcntl(*parents, F_SETFD, FD_CLOEXEC);
}

/* What all envelopes have committed. */
static int64_t sum_committed(const struct driver *driver, void *self, const struct options *options)
{
	char category[POOL_CATEGORY_SIZE];
	int64_t sum = 0;

	for (uint64_t i = 0; i < options->run.envelopes; i++)
		sum += driver->committed(self, pool_category(i, category));
	return sum;
}

/* Is all committed that the workers say they reserved? Asked while they live, for what a dead
 * process has reserved may be taken back. */
static void verify(const struct options *options, const struct shared *shared, int64_t committed)
{
	uint64_t reserved = 0;

	for (unsigned i = 0; i < options->workers; i++)
		reserved += shared->reports[i].all;
	if ((uint64_t)committed != reserved * (uint64_t)POOL_AMOUNT)
		die("%llu reserves were reported, but %lld is committed",
		    (unsigned long long)reserved, (long long)committed);
}

static void run_workers(int argc, char **argv, const struct driver *driver, struct options *options,
			struct shared *shared)
{
	bool verified = options->operation == RESERVE && driver->committed;
	int64_t committed = 0;
	void *self = NULL;
	int ready, start, finish;

	make_pipe(&ready, &options->ready, true);
	make_pipe(&start, &options->start, false);
	make_pipe(&finish, &options->finish, false);
	for (unsigned i = 0; i < options->workers; i++)
		start_worker(argc, argv, options, i);
	close(options->ready);
	wait_for_ready(ready, options->workers);
	if (verified) {
		self = driver->open(&options->run);
		committed = sum_committed(driver, self, options);
	}
	shared->begin_ns = clock_ns(CLOCK_MONOTONIC) + (int64_t)(options->warm_seconds * 1e9);
	shared->end_ns = shared->begin_ns + (int64_t)(options->seconds * 1e9);
	close(start);
	wait_for_ready(ready, options->workers);
	if (verified) {
		verify(options, shared, sum_committed(driver, self, options) - committed);
		driver->close(self);
	}
	close(finish);
	reap_workers(options->workers);
}

static void print(const struct driver *driver, const struct options *options,
		  const struct shared *shared)
{
	static uint64_t buckets[BUCKETS];
	double per = options->operation == CHECK ? CHECKS_AT_ONCE : 1;
	uint64_t samples = 0, done = 0, elapsed_ns = 0, all = 0, cpu_ns = 0, max_ns = 0;

	for (unsigned i = 0; i < options->workers; i++) {
		const struct report *report = &shared->reports[i];

		for (unsigned j = 0; j < BUCKETS; j++) {
			buckets[j] += report->buckets[j];
			samples += report->buckets[j];
		}
		done += report->operations;
		elapsed_ns += report->elapsed_ns;
		all += report->all;
		cpu_ns += report->cpu_ns;
		max_ns = report->max_ns > max_ns ? report->max_ns : max_ns;
	}
	if (done == 0) /* nothing ended in time, but each worker's first has taken so long */
		elapsed_ns = max_ns;
	printf("{\"system\":\"%s\",\"mode\":\"%s\",\"operation\":\"%s\",\"workers\":%u,\"seconds\":"
	       "%g,",
	       driver->name, options->run.mode, operations[options->operation], options->workers,
	       options->seconds);
	printf("\"operations\":%llu,\"mean_ns\":%.1f,\"cpu_ns\":%.1f,\"max_ns\":%.1f",
	       (unsigned long long)done, (double)elapsed_ns / (double)(done ? done : 1),
	       (double)cpu_ns / (double)all, (double)max_ns / per);
	printf(",\"p50_ns\":%.1f,\"p99_ns\":%.1f,\"p999_ns\":%.1f,\"per_worker\":[",
	       quantile(buckets, samples, 0.5) / per, quantile(buckets, samples, 0.99) / per,
	       quantile(buckets, samples, 0.999) / per);
	for (unsigned i = 0; i < options->workers; i++)
		printf("%s%llu", i ? "," : "", (unsigned long long)shared->reports[i].operations);
	printf("],\"private_kib\":[");
	for (unsigned i = 0; i < options->workers; i++)
		printf("%s%llu", i ? "," : "", (unsigned long long)shared->reports[i].private_kib);
	printf("],\"anonymous_kib\":[");
	for (unsigned i = 0; i < options->workers; i++)
		printf("%s%llu", i ? "," : "",
		       (unsigned long long)shared->reports[i].anonymous_kib);
	printf("]}\n");
}

/* ---- the command line */

static _Noreturn void usage(void)
{
	fprintf(stderr,
		"usage: %s make|reserve|check|settle|open|prune|verify --place DIRECTORY --mode "
		"MODE "
		"[--envelopes N]\n"
		"       [--pending N] [--ledger N] [--workers N] [--seconds N] [--warm SECONDS]\n"
		"       [--spread] [--repeats N] [--held]\n",
		program_invocation_short_name);
	exit(2);
}

static enum operation parse_operation(const char *name)
{
	for (unsigned i = 0; name && i < sizeof operations / sizeof *operations; i++)
		if (strcmp(name, operations[i]) == 0)
			return (enum operation)i;
	usage();
}

static void parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"place", required_argument, NULL, 'p'},
		{"mode", required_argument, NULL, 'm'},
		{"envelopes", required_argument, NULL, 'e'},
		{"pending", required_argument, NULL, 'c'},
		{"ledger", required_argument, NULL, 'l'},
		{"workers", required_argument, NULL, 'w'},
		{"seconds", required_argument, NULL, 's'},
		{"warm", required_argument, NULL, 'a'},
		{"spread", no_argument, NULL, 'd'},
		{"repeats", required_argument, NULL, 'r'},
		{"held", no_argument, NULL, 'h'},
		{"worker", required_argument, NULL, 'W'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'p')
			options->run.place = optarg;
		else if (option == 'm')
			options->run.mode = optarg;
		else if (option == 'e')
			options->run.envelopes = strtoull(optarg, NULL, 10);
		else if (option == 'c')
			options->run.pending = strtoull(optarg, NULL, 10);
		else if (option == 'l')
			options->run.ledger = strtoull(optarg, NULL, 10);
		else if (option == 'w')
			options->workers = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 's')
			options->seconds = strtod(optarg, NULL);
		else if (option == 'a')
			options->warm_seconds = strtod(optarg, NULL);
		else if (option == 'r')
			options->repeats = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'd')
			options->spread = true;
		else if (option == 'h')
			options->held = true;
		else if (option != 'W' ||
			 sscanf(optarg, "%d,%d,%d,%d,%d", &options->worker, &options->memory,
				&options->ready, &options->start, &options->finish) != 5)
			usage();
	}
	options->operation = parse_operation(argv[optind]);
	if (!options->run.place || !options->run.mode || options->run.envelopes < 1 ||
	    options->run.envelopes > 1000000 || options->workers < 1 ||
	    options->workers > WORKERS_MAX || options->repeats > WORKERS_MAX)
		usage();
}

int pool_main(int argc, char **argv, const struct driver *driver)
{
	struct options options = {
		.run.envelopes = 8,
		.workers = 1,
		.seconds = 1,
		.warm_seconds = 0.1,
		.repeats = 20,
		.worker = -1,
	};
	struct shared *shared;
	void *held = NULL;

	parse(argc, argv, &options);
	if (options.operation == MAKE) {
		driver->make(&options.run);
		return 0;
	}
	options.memory = make_shared(&options, &shared);
	if (options.worker >= 0)
		return worker_main(driver, &options, shared);
	name_categories(&options, shared);
	if (options.operation >= OPEN) {
		if (options.held)
			held = driver->open(&options.run);
		for (unsigned i = 0; i < options.repeats; i++) {
			start_worker(argc, argv, &options, i);
			reap_workers(1);
		}
		if (held)
			driver->close(held);
		options.workers = options.repeats;
	} else {
		run_workers(argc, argv, driver, &options, shared);
	}
	print(driver, &options, shared);
	return 0;
}
