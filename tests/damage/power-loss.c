/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power fails at a random moment, and what was flushed by then is on the disk, and of the rest
 * any part (image.h). In full durability every acknowledged operation is there: for one process,
 * the whole state is that after the last acknowledged operation, or after the one under way; for a
 * pool, nothing acknowledged is missing and nothing else is there but what was under way.
 * Everything adds up, and the environment serves on. In process durability the environment is
 * refused, without a look at what lies in it.
 *
 * A failure names the image by which it can be made again with the same seed. The pool's log is
 * another one each time; with TEST_KEEP set to a directory, a failed image is kept there.
 */
#include "disk.h"
#include "image.h"
#include "support.h"
#include "tmpfs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGES (TEST_SANITIZED ? 150 : 300)
#define IMAGES_LONG 5000
#define OPERATIONS 300
#define WORKERS 4
#define WORKER_OPERATIONS 60
#define CATEGORIES 4
#define PENDING_MAX 32
#define START_NS (INT64_C(1700000000) * BE_UNIT)

static const char *const categories[CATEGORIES] = {"all", "llm", "tool", "disk"};

/* Both with a struct acknowledged. */
enum note {
	NOTE_OPENED = 1,   /* be_open() has returned, with process durability */
	NOTE_OPENED_FULL,  /* and with full durability */
	NOTE_ACKNOWLEDGED, /* an operation has returned */
};

enum deed {
	DEED_NOTHING,
	DEED_COMMIT,
	DEED_SETTLE, /* or a record */
	DEED_RELEASE,
};

struct acknowledged {
	enum deed deed;
	uint64_t commit;
	uint64_t transaction;
	int64_t amount;
	uint64_t state; /* of everything, for one process: a digest */
};

static uint64_t seed;
static unsigned images; /* at so many moments does the power fail in each run */
static char environment[PATH_MAX], image_directory[PATH_MAX];
static pthread_barrier_t *all_done; /* before a worker ends, and what it holds may be reaped */

static int64_t fixed_clock(void *context)
{
	(void)context;
	return START_NS;
}

static enum be_status open_environment(const char *path, enum be_durability durability,
				       uint32_t flags, struct be_enforcer **handle)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.durability = durability;
	options.flags = flags;
	options.now = fixed_clock;
	return be_open(path, &options, handle);
}

/* ---- the state of everything, as one number */

static void add(uint64_t *digest, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		*digest = (*digest ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
}

static bool add_envelope(void *context, const struct be_envelope *envelope)
{
	uint64_t numbers[] = {envelope->id,
			      (uint64_t)envelope->limit,
			      (uint64_t)envelope->spent,
			      (uint64_t)envelope->committed,
			      envelope->pending_commits,
			      envelope->children,
			      (uint64_t)envelope->period,
			      (uint64_t)envelope->period_start_ns,
			      envelope->suspended};

	add(context, numbers, sizeof numbers);
	add(context, envelope->category, strlen(envelope->category) + 1);
	add(context, envelope->parent_category, strlen(envelope->parent_category) + 1);
	return true;
}

static bool add_commit(void *context, const struct be_commit_info *commit)
{
	uint64_t numbers[] = {commit->id, (uint64_t)commit->amount, (uint64_t)commit->deadline_ns,
			      commit->detached, (uint64_t)commit->reap_policy};

	add(context, numbers, sizeof numbers);
	add(context, commit->category, strlen(commit->category) + 1);
	add(context, commit->description, strlen(commit->description) + 1);
	return true;
}

static bool add_transaction(void *context, const struct be_transaction *transaction)
{
	uint64_t numbers[] = {transaction->id, transaction->commit_id,
			      (uint64_t)transaction->amount, (uint64_t)transaction->held,
			      (uint64_t)transaction->kind};

	add(context, numbers, sizeof numbers);
	add(context, transaction->category, strlen(transaction->category) + 1);
	add(context, transaction->description, strlen(transaction->description) + 1);
	return true;
}

static uint64_t digest(struct be_enforcer *handle)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	EXPECT_OK(be_envelopes_each(handle, NULL, add_envelope, &sum));
	EXPECT_OK(be_commits_each(handle, NULL, add_commit, &sum));
	EXPECT_OK(be_transactions_each(handle, NULL, add_transaction, &sum));
	return sum;
}

/* ---- what is run */

struct worker {
	struct be_enforcer *handle;
	uint64_t random;
	uint64_t pending[PENDING_MAX];
	size_t count;
};

/* The last one is used by nobody but for being suspended. */
static void create_envelope(struct be_enforcer *handle, int which)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_category = which == 0 ? NULL : categories[0];
	EXPECT_OK(be_envelope_ensure(handle, which < CATEGORIES ? categories[which] : "idle",
				     1000000 * BE_UNIT,
				     which % 2 ? BE_PERIOD_MONTHLY : BE_PERIOD_TOTAL, &options));
}

static void commit(struct worker *worker, const char *category, int64_t amount,
		   struct acknowledged *done)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;

	options.detached = test_random(&worker->random) % 2;
	options.ttl_ms = test_random(&worker->random) % 2 ? 0 : 3600 * 1000;
	EXPECT_OK(be_commit_with(worker->handle, category, amount, "a commit", &options,
				 &done->commit, NULL));
	worker->pending[worker->count++] = done->commit;
	done->deed = DEED_COMMIT;
}

static uint64_t take_pending(struct worker *worker)
{
	size_t at = test_random(&worker->random) % worker->count;
	uint64_t id = worker->pending[at];

	worker->pending[at] = worker->pending[--worker->count];
	return id;
}

static void charge(struct worker *worker, const char *category, int64_t amount,
		   struct acknowledged *done)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	char description[BE_DESCRIPTION_SIZE];
	size_t size = test_random(&worker->random) % sizeof description;

	memset(description, 'd', size);
	description[size] = '\0';
	if (worker->count > 0 && test_random(&worker->random) % 2) {
		done->commit = take_pending(worker);
		EXPECT_OK(
			be_settle(worker->handle, done->commit, amount, description, &transaction));
	} else {
		EXPECT_OK(be_record(worker->handle, category, amount, description, &transaction));
	}
	done->transaction = transaction.id;
	done->deed = DEED_SETTLE;
}

/* What changes envelopes. One call each, so that there is no state between two that are noted. */
static void change_envelope(struct worker *worker, unsigned choice, int64_t amount)
{
	const char *category = categories[test_random(&worker->random) % CATEGORIES];

	if (choice == 8)
		EXPECT_OK(be_envelope_set_limit(worker->handle, category,
						1000000 * BE_UNIT + amount));
	else if (choice == 9)
		EXPECT_OK(be_envelope_reset(worker->handle, category));
	else if (amount % 2)
		EXPECT_OK(be_envelope_suspend(worker->handle, "idle"));
	else
		EXPECT_OK(be_envelope_resume(worker->handle, "idle"));
}

/* One operation of any kind; what it has done must be there from now on. */
static struct acknowledged operate(struct worker *worker, bool alone)
{
	const char *category = categories[test_random(&worker->random) % CATEGORIES];
	unsigned choice = (unsigned)(test_random(&worker->random) % 16);
	struct acknowledged done = {.amount = (int64_t)(test_random(&worker->random) % BE_UNIT)};

	if (choice < 6 && worker->count < PENDING_MAX) {
		commit(worker, category, done.amount, &done);
	} else if (choice < 8 && worker->count > 0) {
		done.commit = take_pending(worker);
		EXPECT_OK(be_release(worker->handle, done.commit));
		done.deed = DEED_RELEASE;
	} else if (alone && choice >= 8 && choice <= 10) {
		change_envelope(worker, choice, done.amount);
	} else {
		charge(worker, category, done.amount, &done);
	}
	return done;
}

static struct be_enforcer *open_noted(enum be_durability durability, uint32_t flags)
{
	struct acknowledged opened = {.deed = DEED_NOTHING};
	struct be_enforcer *handle;

	EXPECT_OK(open_environment(environment, durability, flags, &handle));
	opened.state = digest(handle);
	disk_note(durability == BE_DURABILITY_FULL ? NOTE_OPENED_FULL : NOTE_OPENED, &opened,
		  sizeof opened);
	disk_snapshot();
	return handle;
}

/* Works alone; every state is noted. */
static void work_alone(struct worker *worker, int operations)
{
	for (int i = 0; i < operations; i++) {
		struct acknowledged done = {.deed = DEED_NOTHING};

		if (i <= CATEGORIES)
			create_envelope(worker->handle, i);
		else
			done = operate(worker, true);
		done.state = digest(worker->handle);
		disk_note(NOTE_ACKNOWLEDGED, &done, sizeof done);
		if (i % (OPERATIONS / 8) == 0)
			disk_snapshot();
	}
	be_close(worker->handle);
}

static int run_alone(int index, void *context)
{
	struct worker worker = {.random = seed};

	(void)index;
	(void)context;
	worker.handle = open_noted(BE_DURABILITY_FULL, 0);
	work_alone(&worker, OPERATIONS);
	return 0;
}

/* Full durability leaves pages behind that are sound and out of date; then nothing is flushed for a
 * while. */
static int run_unflushed(int index, void *context)
{
	struct worker worker = {.random = seed};

	(void)index;
	(void)context;
	for (int i = 0; i < 4; i++) {
		worker.handle = open_noted(i % 2 ? BE_DURABILITY_PROCESS : BE_DURABILITY_FULL, 0);
		work_alone(&worker, OPERATIONS / 4);
	}
	worker.handle = open_noted(BE_DURABILITY_FULL, 0);
	be_close(worker.handle);
	return 0;
}

/* One of a pool that makes the environment together. */
static int run_worker(int index, void *flags)
{
	struct worker worker = {.random = seed + (uint64_t)index * 1000};

	worker.handle = open_noted(BE_DURABILITY_FULL, *(const uint32_t *)flags);
	for (int i = 0; i <= CATEGORIES; i++)
		create_envelope(worker.handle, i);
	for (int i = 0; i < WORKER_OPERATIONS; i++) {
		struct acknowledged done = operate(&worker, false);

		disk_note(NOTE_ACKNOWLEDGED, &done, sizeof done);
	}
	disk_snapshot();
	pthread_barrier_wait(all_done);
	be_close(worker.handle);
	return 0;
}

/* ---- one process: the state is one of two */

static const struct acknowledged *note_at(size_t event)
{
	if (disk_event(event)->kind != DISK_NOTE)
		return NULL;
	return (const struct acknowledged *)disk_event(event)->data;
}

/* The state acknowledged last before the event, and the next one. False: nothing was acknowledged
 * yet. */
static bool expected_states(size_t event, uint64_t states[2])
{
	bool any = false;

	for (size_t i = 0; i < event; i++)
		if (note_at(i)) {
			states[0] = note_at(i)->state;
			any = true;
		}
	states[1] = states[0];
	for (size_t i = event; i < disk_events(); i++)
		if (note_at(i)) {
			states[1] = note_at(i)->state;
			break;
		}
	return any;
}

/* ---- a pool: everything acknowledged is there, and little else */

struct found {
	const struct acknowledged *acknowledged[WORKERS * WORKER_OPERATIONS];
	size_t count;
	size_t transactions, charged; /* in the image, and acknowledged */
	size_t commits;               /* of the acknowledged ones, still pending or settled */
	size_t *present;              /* of each acknowledged: times it was found */
};

static bool find_transaction(void *context, const struct be_transaction *transaction)
{
	struct found *found = context;

	found->transactions++;
	for (size_t i = 0; i < found->count; i++) {
		const struct acknowledged *one = found->acknowledged[i];

		if (one->deed == DEED_SETTLE && one->transaction == transaction->id) {
			EXPECT_EQUAL(transaction->amount, one->amount);
			EXPECT_EQUAL(transaction->commit_id, one->commit);
			found->present[i]++;
		}
		/* Settled while the power failed. */
		if (one->deed == DEED_COMMIT && one->commit == transaction->commit_id)
			found->present[i]++;
	}
	return true;
}

static bool find_commit(void *context, const struct be_commit_info *commit)
{
	struct found *found = context;

	for (size_t i = 0; i < found->count; i++) {
		const struct acknowledged *one = found->acknowledged[i];

		if (one->commit != commit->id)
			continue;
		EXPECT(one->deed == DEED_COMMIT); /* one that was ended is not pending */
		EXPECT_EQUAL(commit->amount, one->amount);
		found->present[i]++;
	}
	return true;
}

static bool is_ended(const struct found *found, uint64_t commit)
{
	for (size_t i = 0; i < found->count; i++)
		if (found->acknowledged[i]->commit == commit &&
		    found->acknowledged[i]->deed != DEED_COMMIT)
			return true;
	return false;
}

static void expect_pool(struct be_enforcer *handle, size_t event)
{
	static size_t present[WORKERS * WORKER_OPERATIONS];
	struct found found = {.present = present};
	size_t released_meanwhile = 0;

	for (size_t i = 0; i < event; i++)
		if (note_at(i) && disk_event(i)->note == NOTE_ACKNOWLEDGED) {
			found.acknowledged[found.count++] = note_at(i);
			found.charged += note_at(i)->deed == DEED_SETTLE;
		}
	EXPECT_OK(be_transactions_each(handle, NULL, find_transaction, &found));
	EXPECT_OK(be_commits_each(handle, NULL, find_commit, &found));
	for (size_t i = 0; i < found.count; i++) {
		const struct acknowledged *one = found.acknowledged[i];

		if (one->deed == DEED_SETTLE)
			EXPECT_EQUAL(present[i], 1);
		if (one->deed == DEED_COMMIT && present[i] == 0 && !is_ended(&found, one->commit))
			released_meanwhile++;
	}
	/* What was under way when the power failed: one operation per process. */
	EXPECT(released_meanwhile <= WORKERS);
	EXPECT(found.transactions <= found.charged + WORKERS);
}

/* ---- looking at an image */

enum verdict {
	VERDICT_SERVES = 0,
	VERDICT_REFUSED = 10, /* where it may be */
	VERDICT_WENT_BACK = 11,
};

enum mode {
	MODE_ALONE,
	MODE_POOL,
	MODE_UNFLUSHED,
};

/* The process that made it is dead, and so it was reaped if it was to live no longer. */
static bool expect_detached(void *context, const struct be_commit_info *commit)
{
	(void)context;
	if (!commit->detached)
		test_fail(__FILE__, __LINE__, "commit %" PRIu64 " outlived the loss of power",
			  commit->id);
	return true;
}

/* For those who write. */
static void expect_usable(void)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_enforcer *handle;
	uint64_t id;

	EXPECT_OK(open_environment(image_directory, BE_DURABILITY_FULL, 0, &handle));
	EXPECT_VERIFIED(handle);
	EXPECT_OK(be_commits_each(handle, NULL, expect_detached, NULL));
	EXPECT_OK(be_envelope_ensure(handle, "afterwards", BE_UNIT, BE_PERIOD_TOTAL, &options));
	EXPECT_OK(be_commit(handle, "afterwards", BE_UNIT, "", &id));
	EXPECT_OK(be_settle(handle, id, BE_UNIT / 2, "", NULL));
	EXPECT_BALANCE(handle, "afterwards", BE_UNIT / 2, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

/* Nothing is acknowledged before the environment is made. And once it was opened with process
 * durability it may be refused, until it has been opened with full durability again. */
static bool may_be_refused(size_t event)
{
	bool may_be = true;

	for (size_t i = 0; i < disk_events(); i++) {
		const struct disk_event *one = disk_event(i);

		if (i < event && one->kind == DISK_NOTE && one->note == NOTE_OPENED_FULL)
			may_be = false;
		/* The mark is made before the opening is acknowledged. */
		if (i < event && one->kind == DISK_MARKED)
			may_be = true;
	}
	return may_be;
}

/* And it must be refused from the opening with process durability to the next that is
 * acknowledged. */
static bool must_be_refused(size_t event)
{
	bool must_be = false;

	for (size_t i = 0; i < event; i++) {
		const struct disk_event *one = disk_event(i);

		if (one->kind == DISK_NOTE && one->note == NOTE_OPENED)
			must_be = true;
		if (one->kind == DISK_UNMARKED)
			must_be = false;
	}
	return must_be;
}

static bool went_back(struct be_enforcer *handle)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	EXPECT_OK(be_stats(handle, &stats));
	return stats.went_back;
}

/* The newest txn is not whole: the first that opens it drops it, and so long as the machine is up
 * everybody is told. */
static int expect_report(int index, void *context)
{
	struct be_enforcer *handle;

	(void)index;
	(void)context;
	disk_record_end();
	disk_be_quick();
	disk_boot_anew();
	for (int i = 0; i < 2; i++) {
		EXPECT_OK(open_environment(image_directory, BE_DURABILITY_FULL, 0, &handle));
		EXPECT(went_back(handle));
		be_close(handle);
	}
	return 0;
}

static int look(int mode, void *context)
{
	const struct image *image = context;
	struct be_enforcer *handle;
	uint64_t states[2] = {0, 0}, state;
	bool acknowledged = expected_states(image->event, states);
	enum be_status status;
	enum verdict verdict;

	disk_record_end();
	disk_be_quick();
	disk_boot_anew();
	status = open_environment(image_directory, BE_DURABILITY_FULL, BE_OPEN_READ_ONLY, &handle);
	if (!acknowledged &&
	    status != BE_OK) /* what is half made is made whole by those who write */
		status = open_environment(image_directory, BE_DURABILITY_FULL, 0, &handle);
	if (status != BE_OK && may_be_refused(image->event)) {
		if (acknowledged)
			expect_status(__FILE__, __LINE__, "to open the image", status,
				      BE_OTHER_BOOT);
		return VERDICT_REFUSED;
	}
	expect_status(__FILE__, __LINE__, "to open the image", status, BE_OK);
	EXPECT(!must_be_refused(image->event));
	verdict = went_back(handle) ? VERDICT_WENT_BACK : VERDICT_SERVES;
	EXPECT_VERIFIED(handle);
	state = digest(handle);
	if (acknowledged && mode != MODE_POOL && state != states[0] && state != states[1])
		test_fail(__FILE__, __LINE__,
			  "the image is in no state that was acknowledged or under way");
	if (mode == MODE_POOL)
		expect_pool(handle, image->event);
	be_close(handle);
	expect_usable();
	return verdict;
}

/* ---- failing */

static int ascending(const void *a, const void *b)
{
	size_t left = *(const size_t *)a, right = *(const size_t *)b;

	return (left > right) - (left < right);
}

/* The moment before the next flush has ended, when most is under way. */
static size_t before_flush(size_t moment)
{
	while (moment < disk_events() && disk_event(moment)->kind != DISK_FLUSH)
		moment++;
	return moment;
}

/* Moments at which the power fails: anywhere, half of them before a flush, and some of them while
 * the environment is made. */
static void choose_moments(size_t *moments, uint64_t *random)
{
	size_t opened = 0;

	while (!note_at(opened))
		opened++;
	for (unsigned i = 0; i < images; i++) {
		moments[i] =
			test_random(random) % (i < images / 10 ? opened + 2 : disk_events() + 1);
		if (i % 2)
			moments[i] = before_flush(moments[i]);
	}
	qsort(moments, images, sizeof *moments, ascending);
}

static _Noreturn void image_failed(const struct image *image, unsigned number, int status)
{
	const char *keep = getenv("TEST_KEEP");

	if (keep)
		rename(image_directory, keep);
	test_fail(__FILE__, __LINE__,
		  "image %u of TEST_SEED=%" PRIu64
		  ": %d; the power failed before event %zu of %zu, and of %u "
		  "sectors under way %u arrived (%s)",
		  number, seed, status, image->event, disk_events(), image->pending, image->arrived,
		  image->how);
}

static void fail_often(const char *what, enum mode mode, uint64_t *random)
{
	static size_t moments[IMAGES_LONG];
	unsigned refused = 0, gone_back = 0;
	int64_t start = test_monotonic_ns();
	struct image image;

	choose_moments(moments, random);
	image_begin();
	for (unsigned i = 0; i < images; i++) {
		uint64_t again = *random;
		int status;

		image_make(image_directory, moments[i], random, &image);
		status = child_wait(child_start(look, (int)mode, &image));
		if (status != VERDICT_SERVES && status != VERDICT_REFUSED &&
		    status != VERDICT_WENT_BACK)
			image_failed(&image, i, status);
		refused += status == VERDICT_REFUSED;
		if (status == VERDICT_WENT_BACK && gone_back++ == 0) {
			image_make(image_directory, moments[i], &again, &image);
			status = child_wait(child_start(expect_report, 0, NULL));
			if (status != 0)
				image_failed(&image, i, status);
		}
	}
	EXPECT(gone_back > 0 || mode == MODE_UNFLUSHED);
	printf("%s: %d of %d images are as they must be, %u of them refused, %u went back by a "
	       "txn; "
	       "%zu events, %.1f s\n",
	       what, images, images, refused, gone_back, disk_events(), test_seconds_since(start));
}

static void record(const char *name, int processes, child_function *run, uint32_t flags)
{
	pid_t workers[WORKERS];

	test_path(environment, "memory/%s", name);
	disk_record(environment);
	children_start(workers, processes, run, &flags);
	children_expect_success(workers, processes);
	disk_record_end();
}

int main(void)
{
	char path[PATH_MAX];
	uint64_t random;

	test_begin(180);
	random = seed = test_seed();
	images = test_is_long() ? IMAGES_LONG : IMAGES;
	all_done = barrier_make(WORKERS);
	test_path(path, "memory");
	tmpfs_mount(path, 256 << 20); /* if it can be: the test is slower on a disk, and the same */
	test_path(image_directory, "memory/image");
	record("alone", 1, run_alone, 0);
	fail_often("one process", MODE_ALONE, &random);
	record("pool", WORKERS, run_worker, 0);
	fail_often("a pool that shares its flushes", MODE_POOL, &random);
	record("direct", WORKERS, run_worker, BE_OPEN_DIRECT);
	fail_often("a pool of which each flushes for itself", MODE_POOL, &random);
	record("unflushed", 1, run_unflushed, 0);
	fail_often("process durability now and then", MODE_UNFLUSHED, &random);
	return 0;
}
