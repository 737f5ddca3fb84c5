/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/group_line.h"

#include "base/error.h"
#include "base/futex.h"
#include "executor/batch.h"
#include "executor/group.h"

#include <assert.h>
#include <pthread.h>

/* Somebody in the line looks so often whether it has to be served: the dead tell nobody. */
#define LOOK_NS 250000000
/* And nobody more often than this, whatever is due. */
#define LOOK_LEAST_NS 5000000

/* Requests that were refused just now: one for as much of the same envelopes, or more, need not be
 * tried. */
#define REFUSED_MAX 8
struct refused {
	uint32_t count;
	uint64_t names[REFUSED_MAX]; /* sum of them */
	int64_t least[REFUSED_MAX];
	int64_t due_ns[REFUSED_MAX];
};

static bool is_in_line(const struct group_file *file, uint32_t slot)
{
	return atomic_load(&file->rows[slot / 64].line) & posted_bit(slot);
}

void line_join(struct turn *turn)
{
	struct group_file *file = turn->file;

	if (turn->waiting->ticket == 0)
		turn->waiting->ticket = atomic_fetch_add(&file->tickets, 1) + 1;
	file->marks[turn->slot].ticket = turn->waiting->ticket;
	atomic_fetch_or(&file->rows[turn->slot / 64].line, posted_bit(turn->slot));
}

void line_leave(struct group_file *file, uint32_t slot)
{
	if (is_in_line(file, slot))
		atomic_fetch_and(&file->rows[slot / 64].line, ~posted_bit(slot));
}

uint32_t line_length(struct group_file *file)
{
	uint32_t count = 0;

	for (size_t i = 0; i < ROWS; i++)
		count += (uint32_t)__builtin_popcountll(atomic_load(&file->rows[i].line));
	return count;
}

bool line_is_empty(struct group_file *file)
{
	uint64_t line = 0;

	for (size_t i = 0; i < ROWS; i++)
		line |= atomic_load(&file->rows[i].line);
	return line == 0;
}

bool line_is_due(struct group_file *file, int64_t now_ns)
{
	if (line_is_empty(file))
		return false;
	if (atomic_load(&file->untended) != atomic_load(&file->tended))
		return true;
	for (uint32_t i = 0; i < SLOTS; i++) {
		int64_t due_ns = is_in_line(file, i) ? atomic_load(&file->marks[i].due_ns) : 0;

		if (due_ns != 0 && now_ns >= due_ns)
			return true;
	}
	return false;
}

/* The slots in the line, in the order of their tickets. */
static uint32_t line_up(struct group_file *file, uint16_t order[SLOTS])
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t at = count;

		if (!is_in_line(file, i))
			continue;
		while (at > 0 && file->marks[order[at - 1]].ticket > file->marks[i].ticket) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = (uint16_t)i;
		count++;
	}
	return count;
}

static uint64_t sum_of_names(const struct operation *operation)
{
	struct record_key key;

	record_key_envelope(&key, &operation->name);
	return record_sum(record_key_bytes(&key)) ^
	       record_sum((struct be_bytes){operation->further, operation->further_size});
}

/* What would have to be available, at least. */
static int64_t least_of(const struct operation *operation)
{
	return operation->least > 0 ? operation->least : operation->amount;
}

/* Until when, if it was. One that has a key may be answered all the same. */
static bool was_refused(const struct refused *refused, const struct operation *operation,
			int64_t *due_ns)
{
	uint64_t name;

	if (refused->count == 0 || operation->key_size > 0)
		return false;
	name = sum_of_names(operation);
	for (uint32_t i = 0; i < refused->count; i++)
		if (refused->names[i] == name && least_of(operation) >= refused->least[i]) {
			*due_ns = refused->due_ns[i];
			return true;
		}
	return false;
}

static void note_refused(struct refused *refused, const struct operation *operation, int64_t due_ns)
{
	if (refused->count == REFUSED_MAX)
		return;
	refused->names[refused->count] = sum_of_names(operation);
	refused->due_ns[refused->count] = due_ns;
	refused->least[refused->count++] = least_of(operation);
}

static bool keeps_waiting(const struct result *result)
{
	return result->status == BE_EXCEEDS_BUDGET && refusal_may_pass(&result->refusal);
}

static bool user_lives(const struct group *group, const struct mark *mark)
{
	uint64_t user = atomic_load(&mark->user);

	return user == group->self.name || !lock_name_is_dead(&group->self, user);
}

static void wait_on(struct group_file *file, uint32_t index, int64_t due_ns)
{
	struct mark *mark = &file->marks[index];
	uint32_t taken = TAKEN;

	atomic_store(&mark->due_ns, due_ns);
	if (!atomic_compare_exchange_strong(&mark->state, &taken, WAITING))
		group_let_go(file, index, RETURNED);
}

/* A new one goes on waiting; one that was there may be granted now. */
static void leave_to_user(struct group_file *file, uint32_t index, bool is_new)
{
	uint32_t bits[ROWS] = {0};

	if (is_new) {
		wait_on(file, index, 0);
		return;
	}
	group_let_go(file, index, RETURNED);
	bits[index / 64] = wake_bit(index);
	wake_rows(file, bits);
}

/* Tries the operation of a slot that is TAKEN. Its user may have let it go since the line was
 * looked at, and have posted what does not wait. */
static __attribute__((noinline)) enum be_status
try_taken(struct batch *batch, uint32_t index, bool is_new, int64_t now_ns, struct refused *refused)
{
	struct group_file *file = batch->group->file;
	struct mark *mark = &file->marks[index];
	struct slot *slot = &file->slots[index];
	bool waits = is_in_line(file, index);
	struct operation operation;
	struct result result;
	enum be_status status = BE_OK;
	int64_t due_ns = 0;

	if (batch_take(slot, &operation, &result)) {
		/* The kernel is asked only for one that may be granted. */
		if (waits && ((!is_new && was_refused(refused, &operation, &due_ns)) ||
			      !user_lives(batch->group, mark))) {
			wait_on(file, index, due_ns);
			return BE_OK;
		}
		/* One of another clock than the storage's its user tries, by that. */
		if (waits && batch->attempt.has_clock && !operation.by_storage_clock) {
			leave_to_user(file, index, is_new);
			return BE_OK;
		}
		if (waits)
			operation_move_to(&operation, now_ns);
		status = batch_carry_out(batch, &operation, &result);
		if (status == BE_OK && waits && keeps_waiting(&result)) {
			note_refused(refused, &operation, result.refusal.window_end_ns);
			batch_write_result(slot, &result);
			wait_on(file, index, result.refusal.window_end_ns);
			return BE_OK;
		}
		if (status != BE_OK)
			batch_fail(&result, status);
	}
	batch_add(batch, index);
	batch_write_result(slot, &result);
	return status;
}

enum be_status line_serve(struct batch *batch, int64_t now_ns)
{
	struct group_file *file = batch->group->file;
	struct refused refused = {.count = 0};
	enum be_status status = BE_OK;
	uint16_t order[SLOTS];
	uint32_t count;

	batch->freed = false;
	atomic_store(&file->tended, atomic_load(&file->untended));
	count = line_up(file, order);
	for (uint32_t i = 0; i < count && status == BE_OK && batch->count < BATCH_MAX; i++) {
		struct mark *mark = &file->marks[order[i]];
		uint32_t state = atomic_load(&mark->state), was = state;

		if (state != WAITING && state != POSTED)
			continue;
		mark->batch = batch->number; /* before it is TAKEN: see recover() */
		if (!atomic_compare_exchange_strong(&mark->state, &state, TAKEN))
			continue;
		atomic_fetch_and(&file->rows[order[i] / 64].posted, ~posted_bit(order[i]));
		status = try_taken(batch, order[i], was == POSTED, now_ns, &refused);
	}
	return status;
}

void line_leave_untended(struct group_file *file)
{
	uint32_t bits[ROWS] = {0};

	atomic_fetch_add(&file->untended, 1);
	for (uint32_t i = 0; i < SLOTS; i++)
		if (is_in_line(file, i))
			bits[i / 64] |= wake_bit(i);
	wake_rows(file, bits);
}

/* ---- who waits */

static void post_again(struct turn *turn)
{
	uint32_t waiting = WAITING;

	turn->now_ns = turn->waiting->now_ns;
	if (atomic_compare_exchange_strong(&turn->file->marks[turn->slot].state, &waiting, POSTED))
		atomic_fetch_or(&turn->file->rows[turn->slot / 64].posted, posted_bit(turn->slot));
}

/* To try it alone, by a clock that is the caller's and not the storage's. */
static bool has_another_clock(const struct turn *turn)
{
	return turn->remote && turn->storage->ops->now && !turn->operation->by_storage_clock;
}

static void take_back(struct turn *turn)
{
	uint32_t waiting = WAITING;

	atomic_compare_exchange_strong(&turn->file->marks[turn->slot].state, &waiting, RETURNED);
}

/* What lies in the slot is its last refusal. */
void line_give_up(struct turn *turn)
{
	uint32_t waiting = WAITING;

	turn->waiting->until_ns = 0; /* also when a leader tries it just now, in vain */
	atomic_compare_exchange_strong(&turn->file->marks[turn->slot].state, &waiting, ANSWERED);
}

/* A thread is cancelled here, and not where it has more than its place in the line. */
static void be_cancelled(const struct waiting *waiting)
{
	int disabled;

	pthread_setcancelstate(waiting->cancel_state, &disabled);
	pthread_testcancel();
	pthread_setcancelstate(disabled, NULL);
}

/* One of all who wait looks every LOOK_NS or so: each the more seldom, the more they are. */
static int64_t next_look(const struct turn *turn, int64_t now_ns)
{
	uint64_t mixed = ((uint64_t)now_ns ^ turn->slot) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t length = has_another_clock(turn) ? 1 : line_length(turn->file);

	return now_ns + LOOK_NS * (int64_t)(1 + (mixed >> 32) % (length > 0 ? length : 1));
}

/* Sleeps; true when it is time to look how things stand. */
static bool sleep_in_line(struct turn *turn, uint32_t untended)
{
	struct waiting *waiting = turn->waiting;
	struct group_file *file = turn->file;
	int64_t until_ns = waiting->until_ns;
	enum futex_end end;

	if (untended != waiting->untended)
		return true;
	if (waiting->look_at_ns < until_ns)
		until_ns = waiting->look_at_ns;
	end = futex_sleep(&file->rows[turn->slot / 64].turn, turn->seen, wake_bit(turn->slot),
			  until_ns);
	return end == FUTEX_INTERRUPTED || monotonic_ns() >= waiting->look_at_ns ||
	       atomic_load(&file->untended) != waiting->untended;
}

enum step line_wait(struct turn *turn)
{
	struct waiting *waiting = turn->waiting;
	struct mark *mark = &turn->file->marks[turn->slot];
	uint32_t untended = atomic_load(&turn->file->untended);
	bool looks = sleep_in_line(turn, untended);
	enum line_word word;
	int64_t now_ns, due_ns;

	assert(turn->holds == 0);
	be_cancelled(waiting);
	if (atomic_load(&mark->state) != WAITING)
		return LOOK;
	now_ns = monotonic_ns();
	if (now_ns >= waiting->until_ns) {
		line_give_up(turn);
		return LOOK;
	}
	if (!looks)
		return LOOK;
	waiting->untended = untended;
	waiting->look_at_ns = next_look(turn, now_ns);
	due_ns = has_another_clock(turn) ? turn->result->refusal.window_end_ns
					 : atomic_load(&mark->due_ns);
	word = waiting->look(waiting->context, due_ns, &waiting->look_at_ns);
	if (waiting->look_at_ns < now_ns + LOOK_LEAST_NS)
		waiting->look_at_ns = now_ns + LOOK_LEAST_NS;
	if (word == LINE_TRY && has_another_clock(turn))
		take_back(turn);
	else if (word == LINE_TRY)
		post_again(turn);
	else if (word == LINE_GIVE_UP)
		line_give_up(turn);
	return LOOK;
}
