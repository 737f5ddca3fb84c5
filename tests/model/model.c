/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model test: seeded random operations of every kind against the library, each answer and
 * everything stored compared with a simple-minded oracle. A failing seed is printed, and cut down
 * to a short list of operations.
 *
 * Each seed makes its own list of operations on a new environment. The ordinary suite uses the same
 * seeds each time, so that it fails when the library changes and not when the dice do; --seed
 * random and --minutes look further.
 */
#include "game.h"
#include "known.h"
#include "place.h"
#include "support.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS_PER_SEED 5000
#define LOOK_EVERY 10
#define SHRINK_STEPS 5000000 /* some seconds, in memory */

/* A mistake must be found within so many operations, and shown by fewer than so many. */
#define MISTAKE_SEEDS 32
#define MISTAKE_STEPS 10

struct settings {
	enum library_storage storage;
	uint64_t seed;
	uint64_t operations;
	unsigned minutes;
	bool find_mistakes;
};

static const char *const storage_names[] = {[LIBRARY_LMDB] = "lmdb",
					    [LIBRARY_LMDB_DIRECT] = "lmdb-direct",
					    [LIBRARY_MEMORY] = "memory"};

static void usage(FILE *file)
{
	fprintf(file,
		"usage: model [--storage lmdb|lmdb-direct|memory] [--seed N|random] [--operations "
		"N] "
		"[--minutes N]\n"
		"       model --find-mistakes\n"
		"\n"
		"Each seed makes %d operations; more of them take the seeds that follow.\n"
		"  --storage        where the library keeps its records (default: memory).\n"
		"                   lmdb-direct does without group commit\n"
		"  --seed           the first seed (default: TEST_SEED, else 1)\n"
		"  --operations     how many, over all seeds (default: 60000, and 2000\n"
		"                   where BE_TEST_SERVER says that memory is a server)\n"
		"  --minutes        go on for so long instead\n"
		"  --find-mistakes  let the oracle make one mistake after the other, and see each "
		"found\n",
		STEPS_PER_SEED);
}

static uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-') {
		fprintf(stderr, "not a number: %s\n", text);
		exit(2);
	}
	return number;
}

static enum library_storage parse_storage(const char *text)
{
	for (size_t i = 0; i < sizeof storage_names / sizeof storage_names[0]; i++)
		if (strcmp(text, storage_names[i]) == 0)
			return (enum library_storage)i;
	fprintf(stderr, "no such storage: %s\n", text);
	exit(2);
}

static void parse(int argc, char **argv, struct settings *settings)
{
	static const struct option options[] = {
		{"storage", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'r'},
		{"operations", required_argument, NULL, 'o'},
		{"minutes", required_argument, NULL, 'm'},
		{"find-mistakes", no_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *seed = getenv("TEST_SEED");
	int option;

	settings->seed = seed ? parse_number(seed) : 1;
	settings->operations = test_is_long() ? 2000000 : 60000;
	if (place_server())
		settings->operations = test_is_long() ? 20000 : 2000;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			settings->storage = parse_storage(optarg);
		else if (option == 'r' && strcmp(optarg, "random") == 0)
			settings->seed = (uint64_t)test_monotonic_ns();
		else if (option == 'r')
			settings->seed = parse_number(optarg);
		else if (option == 'o')
			settings->operations = parse_number(optarg);
		else if (option == 'm')
			settings->minutes = (unsigned)parse_number(optarg);
		else if (option == 'f')
			settings->find_mistakes = true;
		else {
			usage(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
	}
}

/* ---- playing seeds */

static struct rules_of_game rules_for(enum library_storage storage, uint64_t seed,
				      enum mistake mistake)
{
	return (struct rules_of_game){
		.storage = storage,
		.mistake = mistake,
		.begin_ns = steps_begin_ns(seed),
		.numbers = STEPS_PER_SEED,
		.look_every = LOOK_EVERY,
	};
}

static void print_failure(const struct failure *failure)
{
	printf("      %s: %s\n", call_names[failure->call.kind], failure->difference);
}

static void report(const struct settings *settings, uint64_t seed, struct step *steps, size_t count,
		   struct failure *failure)
{
	struct rules_of_game rules = rules_for(settings->storage, seed, MISTAKE_NONE);
	int64_t begin_ns = test_monotonic_ns();
	size_t left;

	printf("\nFAILED: seed %" PRIu64 " on %s, operation %zu of %zu\n", seed,
	       storage_names[settings->storage], failure->step + 1, count);
	print_failure(failure);
	printf("      again: model --storage %s --seed %" PRIu64 " --operations %zu\n",
	       storage_names[settings->storage], seed, count);
	left = game_shrink(&rules, steps, count, SHRINK_STEPS, failure);
	printf("It takes %zu operations (shrunk in %.1f s), beginning at %" PRId64 ":\n", left,
	       test_seconds_since(begin_ns), rules.begin_ns);
	rules.look_every = 1;
	game_play(&rules, steps, left, &(struct record){.transcript = stdout}, failure);
	print_failure(failure);
}

/* A test that meets only refusals, or never a full counter, shows little. */
static void check_tally(const struct tally *tally)
{
	static const enum be_status statuses[] = {
		BE_OK,
		BE_EXCEEDS_BUDGET,
		BE_NO_ENVELOPE,
		BE_SUSPENDED,
		BE_ENVELOPE_EXISTS,
		BE_HAS_CHILDREN,
		BE_HAS_COMMITS,
		BE_NO_PARENT,
		BE_PARENT_CYCLE,
		BE_TOO_DEEP,
		BE_NO_COMMIT,
		BE_ALREADY_RELEASED,
		BE_ALREADY_SETTLED,
		BE_ALREADY_REAPED,
		BE_ALREADY_CHARGED,
		BE_NO_ALERT,
		BE_ALREADY_DONE,
		BE_NO_TRANSACTION,
		BE_EXCEEDS_CHARGE,
		BE_INVALID_ARGUMENT,
		BE_INVALID_NAME,
		BE_INVALID_DESCRIPTION,
		BE_INVALID_LIMIT,
		BE_INVALID_PERIOD,
		BE_AMOUNT_NEGATIVE,
		BE_OVERFLOW,
		BE_STOPPED,
	};
	const struct coverage *coverage = &tally->coverage;

	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (tally->by_status[-statuses[i]] == 0)
			test_fail(__FILE__, __LINE__, "the status %s never came up",
				  be_status_name(statuses[i]));
	for (size_t kind = 0; kind < CALL_KINDS; kind++)
		if (tally->granted_by_kind[kind] == 0)
			test_fail(__FILE__, __LINE__, "%s never succeeded", call_names[kind]);
	EXPECT(tally->granted_by_kind[CALL_COMMIT] > tally->by_kind[CALL_COMMIT] / 4);
	EXPECT(coverage->deepest == BE_DEPTH_MAX);
	EXPECT(coverage->reaped_expired > 0 && coverage->reaped_orphaned > 0);
	EXPECT(coverage->reaped_on_refusal > 0 && coverage->settled_late > 0 &&
	       coverage->carried_over > 0 && coverage->over_several > 0 &&
	       coverage->granted_late > 0 && coverage->waited_in_vain > 0 && coverage->moved > 0);
}

static void print_tally(const struct settings *settings, const struct tally *tally, double seconds)
{
	const struct coverage *coverage = &tally->coverage;
	unsigned statuses = 0;

	for (size_t i = 0; i < sizeof tally->by_status / sizeof tally->by_status[0]; i++)
		statuses += tally->by_status[i] > 0;
	printf("%" PRIu64 " operations on %s in %.1f s: %" PRIu64 " of %" PRIu64
	       " commits granted, %" PRIu64 " windows ended (%" PRIu64
	       " with commits pending), %" PRIu64 " commits expired, %" PRIu64 " orphaned (%" PRIu64
	       " for a commit that was refused), %" PRIu64 " settled late, %" PRIu64
	       " waited (%" PRIu64 " in vain), %" PRIu64 " moved, %u statuses, chains up to %u\n",
	       tally->steps, storage_names[settings->storage], seconds,
	       tally->granted_by_kind[CALL_COMMIT], tally->by_kind[CALL_COMMIT], coverage->windows,
	       coverage->carried_over, coverage->reaped_expired, coverage->reaped_orphaned,
	       coverage->reaped_on_refusal, coverage->settled_late,
	       coverage->granted_late + coverage->waited_in_vain, coverage->waited_in_vain,
	       coverage->moved, statuses, coverage->deepest);
}

/* Returns how many are lost. */
static int play_known(const struct settings *settings)
{
	struct rules_of_game rules = {
		.storage = settings->storage,
		.begin_ns = KNOWN_BEGIN_NS,
		.numbers = KNOWN_STEPS,
		.look_every = 1,
	};
	struct failure failure;
	int lost = 0;

	for (size_t i = 0; i < known_game_count; i++) {
		const struct known_game *known = &known_games[i];

		if (game_play(&rules, known->steps, known->count, NULL, &failure))
			continue;
		printf("FAILED: %s\n", known->what);
		game_play(&rules, known->steps, known->count,
			  &(struct record){.transcript = stdout}, &failure);
		print_failure(&failure);
		lost++;
	}
	return lost;
}

static int play_seeds(const struct settings *settings, struct step *steps)
{
	struct tally tally = {0};
	int64_t begin_ns = test_monotonic_ns();
	uint64_t seed = settings->seed, left = settings->operations;
	struct failure failure;

	if (play_known(settings) > 0)
		return 1;
	for (;;) {
		size_t count = left < STEPS_PER_SEED && settings->minutes == 0 ? (size_t)left
									       : STEPS_PER_SEED;
		struct rules_of_game rules = rules_for(settings->storage, seed, MISTAKE_NONE);

		if (settings->minutes > 0 ? test_seconds_since(begin_ns) >= 60.0 * settings->minutes
					  : count == 0)
			break;
		/* Told beforehand, for the seed that ends the program. */
		printf("%s%" PRIu64, seed == settings->seed ? "seeds: " : " ", seed);
		fflush(stdout);
		steps_generate(seed, steps, count);
		if (!game_play(&rules, steps, count, &(struct record){.tally = &tally}, &failure)) {
			report(settings, seed, steps, count, &failure);
			return 1;
		}
		seed++;
		left -= count;
	}
	printf("\n");
	print_tally(settings, &tally, test_seconds_since(begin_ns));
	if (tally.steps >= 50000)
		check_tally(&tally);
	return 0;
}

/* ---- mistakes */

/* To shrink all games takes six minutes. Each eighth is shrunk always, which shows that lists get
 * short. */
static bool is_shrunk(enum mistake mistake)
{
	return test_is_long() || mistake % 8 == 0;
}

/* Returns in how many operations the mistake was found, 0 if it was not. */
static uint64_t find_mistake(enum mistake mistake, struct step *steps, size_t *left)
{
	enum library_storage storage =
		mistake < MISTAKE_REFUSAL_COUNTS_AT_LEAF ? LIBRARY_MEMORY : LIBRARY_LMDB;
	struct failure failure;

	for (uint64_t seed = 1; seed <= MISTAKE_SEEDS; seed++) {
		struct rules_of_game rules = rules_for(storage, seed, mistake);
		uint64_t found;

		steps_generate(seed, steps, STEPS_PER_SEED);
		if (game_play(&rules, steps, STEPS_PER_SEED, NULL, &failure))
			continue;
		found = (seed - 1) * STEPS_PER_SEED + failure.step + 1;
		if (!is_shrunk(mistake)) {
			printf("%s: found by operation %" PRIu64 "\n", mistake_texts[mistake],
			       found);
			return found;
		}
		*left = game_shrink(&rules, steps, STEPS_PER_SEED, SHRINK_STEPS, &failure);
		rules.look_every = 1;
		printf("%s: found by operation %" PRIu64 ", shown by %zu\n", mistake_texts[mistake],
		       found, *left);
		game_play(&rules, steps, *left, &(struct record){.transcript = stdout}, &failure);
		print_failure(&failure);
		return found;
	}
	printf("%s: NOT FOUND in %d operations\n", mistake_texts[mistake],
	       MISTAKE_SEEDS * STEPS_PER_SEED);
	return 0;
}

static int find_mistakes(struct step *steps)
{
	int64_t begin_ns = test_monotonic_ns();
	uint64_t latest = 0;
	size_t longest = 0;
	int failed = 0;

	for (int mistake = MISTAKE_NONE + 1; mistake < MISTAKES; mistake++) {
		size_t left = 0;
		uint64_t found = find_mistake((enum mistake)mistake, steps, &left);

		failed += found == 0 || left >= MISTAKE_STEPS;
		latest = found > latest ? found : latest;
		longest = left > longest ? left : longest;
	}
	printf("%d mistakes in %.1f s: the last was found by operation %" PRIu64
	       ", the longest list that shows one has %zu; %d failed\n",
	       MISTAKES - 1, test_seconds_since(begin_ns), latest, longest, failed);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct settings settings = {.storage = LIBRARY_MEMORY};
	struct step *steps = calloc(STEPS_PER_SEED, sizeof *steps);
	int result;

	parse(argc, argv, &settings);
	test_begin(120 + 60 * settings.minutes);
	EXPECT(steps != NULL);
	/* Without flushes a disk is no slower, but memory spares it. */
	if (!getenv("TMPDIR"))
		test_in_memory();
	result = settings.find_mistakes ? find_mistakes(steps) : play_seeds(&settings, steps);
	free(steps);
	return result;
}
