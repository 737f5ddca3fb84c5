/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be_verify(): recomputes every balance from pending commits and ledger, and the digest of all
 * records.
 *
 * A consistent answer needs one state of everything, but a read txn that lasts as long as a walk
 * over a large ledger would keep LMDB from reusing pages while the pool writes on. The ledger only
 * grows, so most of it is added up beforehand, a page at a time: the transactions below `horizon`,
 * which is the next id at the start, each for the envelopes whose window it belonged to at the
 * start. One read txn then covers the rest: envelopes, commits, and what was charged from the
 * horizon on. An envelope whose window is the same as at the start has spent both sums. One whose
 * window began meanwhile began it at or after the horizon, and has spent the second sum only.
 *
 * Transactions do not change, and only pruning, which is noticed, removes them: so the digest of
 * those below the horizon and that of the rest make that of the last txn. Ended commits do change,
 * when they are settled late. The records of further envelopes and of labels are read with those
 * that they belong to, and walked over in the same two halves, so that one that belongs to nothing
 * is noticed.
 *
 * Reading pages is a cancellation point, and the caller's function may be one, too. A thread that
 * is cancelled there would leave its read txn behind, so cancellation is off from beginning to end.
 */
#include "api/enforcer.h"
#include "api/sized.h"
#include "base/by_id.h"
#include "base/error.h"
#include "records/ledger.h"
#include "rules/amount.h"
#include "rules/zone.h"
#include "storage/backend.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 1024

/* What is added up for one envelope. */
struct account {
	uint64_t id;
	uint64_t parent_id; /* 0: none */
	uint64_t window_first;
	int64_t before; /* transactions of its window below the horizon */
	int64_t after;  /* and from it on */
	int64_t committed;
	uint64_t pending;
	uint64_t children;
	struct name name;
	int64_t stored_spent;
	int64_t stored_folded;
	int64_t stored_committed;
	uint64_t stored_pending;
	uint64_t stored_children;
};

struct verifier {
	const struct be_storage *storage;
	void (*difference)(void *context, const char *sentence);
	void *context;
	struct be_verification found;
	bool damaged;
	bool quiet;    /* what is wrong will be told by the last txn */
	uint64_t told; /* so many differences, also in tries that others got in the way of */
	uint64_t horizon;
	uint64_t prunings;  /* at the start, as is the next one */
	uint64_t pruned;    /* up to this transaction there can be none any more */
	bool was_pruned;    /* meanwhile, so that what was added up beforehand is wrong */
	struct by_id start; /* struct account as of the start: ids, windows and `before` */
	struct by_id end;   /* the same as of the last read txn */
	uint64_t deadlines;
	uint64_t deadlines_expected;
	uint64_t further;          /* records of further envelopes */
	uint64_t further_expected; /* by those that they belong to */
	uint64_t labels;           /* likewise, records of labels */
	uint64_t labels_expected;
	uint64_t day_names;          /* records of the names of daily sums */
	uint64_t day_names_expected; /* by the sums */
	uint64_t request_ends;
	uint64_t requests;
	uint64_t digest;          /* of the records walked over so far, */
	uint64_t digest_expected; /* and of all, as the header of the last txn says */
};

__attribute__((format(printf, 2, 3))) static void report(struct verifier *verifier,
							 const char *format, ...)
{
	char sentence[640];
	va_list arguments;

	if (verifier->quiet)
		return;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	if (++verifier->found.differences <= verifier->told)
		return;
	verifier->told = verifier->found.differences;
	if (verifier->difference)
		verifier->difference(verifier->context, sentence);
}

static void report_damage(struct verifier *verifier, struct be_bytes key)
{
	const char *type = record_type_name(((const uint8_t *)key.data)[0]);
	char digits[2 * BE_STORAGE_KEY_MAX + 1] = "";

	for (size_t i = 0; i < key.size && i < BE_STORAGE_KEY_MAX; i++)
		snprintf(digits + 2 * i, 3, "%02x", ((const uint8_t *)key.data)[i]);
	verifier->damaged = true;
	report(verifier, "a record is damaged: %s, key %.80s", type ? type : "unknown", digits);
}

static void sum(struct verifier *verifier, int64_t *total, int64_t amount)
{
	if (!amount_add(*total, amount, total))
		report(verifier, "a sum is more than can be counted");
}

/* ---- walking */

/* Called for each record; a negative status ends the walk. */
typedef enum be_status visitor(struct verifier *verifier, struct ledger *ledger,
			       struct be_bytes key, struct be_bytes value);

/* Visits the records of one type from *from on, at most `most` of them. Returns 0 when there are
 * more, LEDGER_NONE behind the last, or a fault. */
static int walk(struct verifier *verifier, struct ledger *ledger, struct record_key *from,
		size_t most, visitor *visit)
{
	uint8_t type = from->bytes[0];

	for (size_t i = 0; i < most; i++) {
		struct be_bytes key, value;
		enum be_status status;
		int found = ledger_next(ledger, record_key_bytes(from), &key, &value);

		if (found != 0)
			return found;
		if (((const uint8_t *)key.data)[0] != type)
			return LEDGER_NONE;
		if (!record_key_after(from, key))
			return (int)error_set(BE_DAMAGED, "a key is too long");
		if (record_has_value(type) && !record_checksum_fits(key, value)) {
			report_damage(verifier, key);
			continue;
		}
		status = visit(verifier, ledger, key, value);
		if (status != BE_OK)
			return (int)status;
		verifier->digest += record_part(key, value);
	}
	return 0;
}

/* As it was, but for what was told. The accounts are not touched by this. */
static void restore(struct verifier *verifier, const struct verifier *before)
{
	uint64_t told = verifier->told;

	*verifier = *before;
	verifier->told = told;
}

/* Visits all records from a key on that are of its type, a page of them per read txn. When others
 * get in the way it goes on with the record that was not visited whole: visitors here add to the
 * accounts last. */
static enum be_status walk_pages(struct verifier *verifier, struct record_key from, visitor *visit)
{
	enum be_status status = BE_OK;
	unsigned tries = 0;
	int found = 0;

	while (found == 0 && status == BE_OK) {
		struct ledger ledger;

		status = ledger_begin(&ledger, verifier->storage, false);
		if (status != BE_OK)
			break;
		for (size_t i = 0; i < PAGE && found == 0; i++) {
			const struct record_key at = from;
			const struct verifier before = *verifier;

			found = walk(verifier, &ledger, &from, 1, visit);
			if (found == 0)
				tries = 0;
			if (found != BE_CONFLICT)
				continue;
			restore(verifier, &before);
			from = at;
		}
		ledger_abort(&ledger);
		status = found < 0 ? (enum be_status)found : BE_OK;
		if (ledger_reads_again(&status, &tries))
			found = 0;
	}
	return status;
}

static enum be_status walk_all(struct verifier *verifier, struct ledger *ledger,
			       enum record_type type, visitor *visit)
{
	struct record_key from = {.size = 1, .bytes = {(uint8_t)type}};
	int found = walk(verifier, ledger, &from, SIZE_MAX, visit);

	return found < 0 ? (enum be_status)found : BE_OK;
}

/* ---- what belongs to commits and transactions: further envelopes and labels */

/* Reads one of their records; *sound: it is there, and its checksum fits. */
static enum be_status read_note(struct verifier *verifier, struct ledger *ledger,
				const struct record_key *wanted, const char *what,
				struct be_bytes *value, bool *sound)
{
	struct be_bytes key;
	int answer = ledger_next(ledger, record_key_bytes(wanted), &key, value);
	enum record_type type;
	uint64_t id;

	*sound = false;
	if (answer < 0)
		return (enum be_status)answer;
	if (answer == 0 && key.size == wanted->size &&
	    memcmp(key.data, wanted->bytes, wanted->size) == 0) {
		/* What is damaged the walk over these records reports. */
		*sound = record_checksum_fits(key, *value);
		return BE_OK;
	}
	if (record_parse_labels_key(record_key_bytes(wanted), &type, &id) ||
	    record_parse_further_key(record_key_bytes(wanted), &type, &id))
		report(verifier, "%s %" PRIu64 ": the record of %s is missing",
		       type == RECORD_COMMIT ? "commit" : "transaction", id, what);
	return BE_OK;
}

static enum be_status read_further(struct verifier *verifier, struct ledger *ledger,
				   enum record_type type, uint64_t id, uint32_t place,
				   struct further *further, bool *found)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;

	further->depth = 0;
	record_key_further(&key, type, id, place);
	verifier->further_expected++;
	status = read_note(verifier, ledger, &key, "a further envelope", &value, found);
	*found = *found && record_decode_further(record_key_bytes(&key), value, further) == BE_OK;
	return status;
}

/* Looks whether the labels are there, and as many as it says. */
static enum be_status look_at_labels(struct verifier *verifier, struct ledger *ledger,
				     enum record_type type, uint64_t id, uint32_t count)
{
	struct labels labels;
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	bool found;

	if (count == 0)
		return BE_OK;
	record_key_labels(&key, type, id);
	verifier->labels_expected++;
	status = read_note(verifier, ledger, &key, "labels", &value, &found);
	if (found && record_decode_labels(record_key_bytes(&key), value, &labels) == BE_OK &&
	    labels.count != count)
		report(verifier, "%s %" PRIu64 ": it has %" PRIu32 " labels, and not %d",
		       type == RECORD_COMMIT ? "commit" : "transaction", id, count, labels.count);
	return status;
}

static enum be_status visit_note(struct verifier *verifier, struct ledger *ledger,
				 struct be_bytes key, struct be_bytes value)
{
	struct further further;
	struct labels labels;

	(void)ledger;
	if (((const uint8_t *)key.data)[0] == RECORD_LABELS) {
		if (record_decode_labels(key, value, &labels) != BE_OK)
			report_damage(verifier, key);
		verifier->labels++;
		return BE_OK;
	}
	if (record_decode_further(key, value, &further) != BE_OK)
		report_damage(verifier, key);
	verifier->further++;
	return BE_OK;
}

/* Those of transactions below the horizon. */
static enum be_status visit_old_note(struct verifier *verifier, struct ledger *ledger,
				     struct be_bytes key, struct be_bytes value)
{
	enum record_type type;
	uint64_t id;

	if ((record_parse_further_key(key, &type, &id) ||
	     record_parse_labels_key(key, &type, &id)) &&
	    id >= verifier->horizon)
		return BE_STOPPED;
	return visit_note(verifier, ledger, key, value);
}

/* Those of commits. */
static enum be_status visit_held_note(struct verifier *verifier, struct ledger *ledger,
				      struct be_bytes key, struct be_bytes value)
{
	if (key.size > 1 && ((const uint8_t *)key.data)[1] >= RECORD_TRANSACTION)
		return BE_STOPPED;
	return visit_note(verifier, ledger, key, value);
}

static enum be_status walk_old_notes(struct verifier *verifier, enum record_type type)
{
	struct record_key from = {.size = 2, .bytes = {(uint8_t)type, RECORD_TRANSACTION}};
	enum be_status status = walk_pages(verifier, from, visit_old_note);

	return status == BE_STOPPED ? BE_OK : status;
}

/* All but those of transactions below the horizon. */
static enum be_status walk_notes(struct verifier *verifier, struct ledger *ledger,
				 enum record_type type)
{
	struct record_key from = {.size = 1, .bytes = {(uint8_t)type}};
	int found = walk(verifier, ledger, &from, SIZE_MAX, visit_held_note);

	if (found < 0 && found != BE_STOPPED)
		return (enum be_status)found;
	if (verifier->horizon <= 1)
		from = (struct record_key){.size = 2, .bytes = {(uint8_t)type, RECORD_TRANSACTION}};
	else if (type == RECORD_FURTHER)
		record_key_further(&from, RECORD_TRANSACTION, verifier->horizon, 0);
	else
		record_key_labels(&from, RECORD_TRANSACTION, verifier->horizon);
	found = walk(verifier, ledger, &from, SIZE_MAX, visit_note);
	return found < 0 ? (enum be_status)found : BE_OK;
}

/* ---- before the last txn */

static enum be_status note_window(struct verifier *verifier, struct ledger *ledger,
				  struct be_bytes key, struct be_bytes value)
{
	struct envelope envelope;
	struct account *account;

	(void)ledger;
	if (record_decode_envelope(value, &envelope) != BE_OK)
		return BE_OK; /* reported by the last txn */
	(void)key;
	account = by_id_add(&verifier->start, envelope.id);
	if (!account)
		return error_set(BE_NO_MEMORY, "out of memory");
	account->window_first = envelope.window_first;
	return BE_OK;
}

static void add_to_chain(struct verifier *verifier, const struct transaction *transaction,
			 const uint64_t *chain, uint32_t depth, bool before)
{
	for (uint32_t i = 0; i < depth; i++) {
		struct account *account =
			by_id_find(before ? &verifier->start : &verifier->end, chain[i]);

		if (account && transaction_counts_as(transaction) >= account->window_first)
			sum(verifier, before ? &account->before : &account->after,
			    transaction->amount);
	}
}

/* Adds a transaction to the accounts of its chain: to `before` of those at the start, or `after` of
 * the end's. All is read before anything is added. */
static enum be_status add_transaction(struct verifier *verifier, struct ledger *ledger,
				      const struct transaction *transaction, bool before)
{
	struct further further[BE_ENVELOPES_MAX];
	bool found[BE_ENVELOPES_MAX];
	enum be_status status = BE_OK;
	uint32_t count = transaction->further;

	if (count > BE_ENVELOPES_MAX)
		count = BE_ENVELOPES_MAX;
	for (uint32_t i = 0; i < count && status == BE_OK; i++)
		status = read_further(verifier, ledger, RECORD_TRANSACTION, transaction->id, i,
				      &further[i], &found[i]);
	if (status == BE_OK)
		status = look_at_labels(verifier, ledger, RECORD_TRANSACTION, transaction->id,
					transaction->labels);
	if (status != BE_OK)
		return status;
	add_to_chain(verifier, transaction, transaction->chain, transaction->depth, before);
	for (uint32_t i = 0; i < count; i++)
		if (found[i])
			add_to_chain(verifier, transaction, further[i].chain, further[i].depth,
				     before);
	return BE_OK;
}

/* What pruning has removed is in the daily sums. */
static void look_at_pruned(struct verifier *verifier, const struct transaction *transaction,
			   uint64_t pruned)
{
	if (transaction->id <= pruned)
		report(verifier, "transaction %" PRIu64 ": it is there, and in the daily sums, too",
		       transaction->id);
}

static enum be_status visit_old_transaction(struct verifier *verifier, struct ledger *ledger,
					    struct be_bytes key, struct be_bytes value)
{
	struct transaction transaction;

	if (record_decode_transaction(key, value, &transaction) != BE_OK) {
		report_damage(verifier, key);
		return BE_OK;
	}
	if (transaction.id >= verifier->horizon)
		return BE_STOPPED;
	look_at_pruned(verifier, &transaction, verifier->pruned);
	verifier->found.transactions++;
	return add_transaction(verifier, ledger, &transaction, true);
}

static enum be_status read_start(struct verifier *verifier, struct header *header)
{
	struct ledger ledger;
	enum be_status status = ledger_begin_walk(&ledger, verifier->storage, RECORD_ENVELOPE);

	if (status != BE_OK)
		return status;
	by_id_free(&verifier->start);
	status = ledger_header(&ledger);
	verifier->quiet = true;
	if (status == BE_OK)
		status = walk_all(verifier, &ledger, RECORD_ENVELOPE, note_window);
	verifier->quiet = false;
	if (status == BE_OK)
		*header = ledger.header;
	ledger_abort(&ledger);
	return status;
}

static enum be_status before_last_txn(struct verifier *verifier)
{
	struct header header = {0};
	unsigned tries = 0;
	enum be_status status;

	do
		status = read_start(verifier, &header);
	while (ledger_reads_again(&status, &tries));
	if (status != BE_OK)
		return status;
	verifier->horizon = header.next_transaction_id;
	verifier->prunings = header.prunings;
	verifier->pruned = header.pruned;
	verifier->digest = 0;
	by_id_sort(&verifier->start);
	status = walk_pages(verifier, (struct record_key){.size = 1, .bytes = {RECORD_TRANSACTION}},
			    visit_old_transaction);
	if (status == BE_OK || status == BE_STOPPED)
		status = walk_old_notes(verifier, RECORD_FURTHER);
	return status == BE_OK ? walk_old_notes(verifier, RECORD_LABELS) : status;
}

/* ---- the last txn */

/* A look-up met a damaged record. The walk over records of that kind reports it, so this walk goes
 * on. */
static bool met_damage(int found)
{
	return found == BE_DAMAGED || found == BE_NEWER_FORMAT || found == BE_OLDER_FORMAT;
}

static enum be_status look_at_zone(struct verifier *verifier, struct ledger *ledger,
				   const struct envelope *envelope)
{
	uint8_t packed[RECORD_ZONE_MAX];
	size_t size;
	int found;

	if (envelope->zone_size == 0 || strcmp(envelope->zone, "UTC") == 0)
		return BE_OK;
	found = ledger_zone_get(ledger, envelope->zone, envelope->zone_size, packed, &size);
	if (found == LEDGER_NONE)
		report(verifier, "envelope \"%s\" in \"%s\": its time zone is missing",
		       envelope->name.category, envelope->name.namespace_name);
	return found < 0 && !met_damage(found) ? (enum be_status)found : BE_OK;
}

static enum be_status visit_envelope(struct verifier *verifier, struct ledger *ledger,
				     struct be_bytes key, struct be_bytes value)
{
	struct envelope envelope, parent;
	struct account *account;
	uint64_t parent_id = 0;
	enum be_status status;

	if (!record_parse_envelope_key(key, &envelope.name) ||
	    record_decode_envelope(value, &envelope) != BE_OK) {
		report_damage(verifier, key);
		return BE_OK;
	}
	if (envelope.parent.category_size > 0) {
		int found = ledger_envelope_known(ledger, &envelope.parent, envelope.parent_id,
						  &parent);

		if (found == LEDGER_NONE)
			report(verifier, "envelope \"%s\" in \"%s\": its parent is missing",
			       envelope.name.category, envelope.name.namespace_name);
		else if (found == 0)
			parent_id = parent.id;
		else if (!met_damage(found))
			return (enum be_status)found;
	}
	status = look_at_zone(verifier, ledger, &envelope);
	if (status != BE_OK)
		return status;
	if (envelope.charged < envelope.spent)
		report(verifier, "envelope \"%s\" in \"%s\": less is charged in all than spent now",
		       envelope.name.category, envelope.name.namespace_name);
	if (envelope.id >= ledger->header.next_envelope_id)
		report(verifier, "envelope \"%s\" in \"%s\": its id was never given out",
		       envelope.name.category, envelope.name.namespace_name);
	account = by_id_add(&verifier->end, envelope.id);
	if (!account)
		return error_set(BE_NO_MEMORY, "out of memory");
	verifier->found.envelopes++;
	account->parent_id = parent_id;
	account->window_first = envelope.window_first;
	account->stored_spent = envelope.spent;
	account->stored_folded = envelope.folded;
	account->stored_committed = envelope.committed;
	account->stored_pending = envelope.pending;
	account->stored_children = envelope.children;
	name_copy(&account->name, &envelope.name);
	return BE_OK;
}

/* Adds what a commit holds to the account of an envelope; NULL: that is missing. */
static struct account *add_commit(struct verifier *verifier, const struct commit *commit,
				  uint64_t id, const char *category)
{
	struct account *account = by_id_find(&verifier->end, id);

	if (!account) {
		report(verifier, "commit %" PRIu64 ": its envelope \"%s\" is missing", commit->id,
		       category);
		return NULL;
	}
	sum(verifier, &account->committed, commit->amount);
	account->pending++;
	return account;
}

/* The same for its further envelopes; for an ended one (`held` is false) only looks at them. And
 * looks at its labels. */
static enum be_status add_further(struct verifier *verifier, struct ledger *ledger,
				  const struct commit *commit, bool held)
{
	enum be_status status = BE_OK;
	struct further further;
	bool found;

	for (uint32_t i = 0; i < commit->further && status == BE_OK; i++) {
		status = read_further(verifier, ledger, RECORD_COMMIT, commit->id, i, &further,
				      &found);
		for (uint32_t k = 0; status == BE_OK && found && held && k < further.depth; k++)
			(void)add_commit(verifier, commit, further.chain[k], further.name.category);
	}
	return status == BE_OK
		       ? look_at_labels(verifier, ledger, RECORD_COMMIT, commit->id, commit->labels)
		       : status;
}

static enum be_status visit_commit(struct verifier *verifier, struct ledger *ledger,
				   struct be_bytes key, struct be_bytes value)
{
	struct commit commit;
	uint64_t id;

	if (record_decode_commit(key, value, &commit) != BE_OK) {
		report_damage(verifier, key);
		return BE_OK;
	}
	verifier->found.commits++;
	verifier->deadlines_expected += commit.deadline_ns != 0;
	if (commit.id >= ledger->header.next_commit_id)
		report(verifier, "commit %" PRIu64 ": its id was never given out", commit.id);
	id = commit.envelope_id;
	for (int depth = 0; id != 0 && depth < BE_DEPTH_MAX; depth++) {
		struct account *account = add_commit(verifier, &commit, id, commit.name.category);

		id = account ? account->parent_id : 0;
	}
	return add_further(verifier, ledger, &commit, true);
}

static enum be_status visit_ended(struct verifier *verifier, struct ledger *ledger,
				  struct be_bytes key, struct be_bytes value)
{
	struct commit commit;

	if (record_decode_commit(key, value, &commit) == BE_OK)
		return add_further(verifier, ledger, &commit, false);
	report_damage(verifier, key);
	return BE_OK;
}

static enum be_status visit_deadline(struct verifier *verifier, struct ledger *ledger,
				     struct be_bytes key, struct be_bytes value)
{
	struct commit commit;
	int64_t deadline_ns;
	uint64_t id;
	int found;

	if (!record_parse_deadline_key(key, &deadline_ns, &id) || value.size > 0) {
		report_damage(verifier, key);
		return BE_OK;
	}
	verifier->deadlines++;
	found = ledger_commit_get(ledger, id, &commit);
	if (found < 0 && !met_damage(found))
		return (enum be_status)found;
	if (found != 0 || commit.state != BE_COMMIT_PENDING || commit.deadline_ns != deadline_ns)
		report(verifier,
		       "a deadline is noted for commit %" PRIu64 ", which has another or none", id);
	return BE_OK;
}

static enum be_status visit_new_transaction(struct verifier *verifier, struct ledger *ledger,
					    struct be_bytes key, struct be_bytes value)
{
	struct transaction transaction;

	if (record_decode_transaction(key, value, &transaction) != BE_OK) {
		report_damage(verifier, key);
		return BE_OK;
	}
	if (transaction.id >= ledger->header.next_transaction_id)
		report(verifier, "transaction %" PRIu64 ": its id was never given out",
		       transaction.id);
	look_at_pruned(verifier, &transaction, ledger->header.pruned);
	verifier->found.transactions++;
	return add_transaction(verifier, ledger, &transaction, false);
}

static enum be_status visit_zone(struct verifier *verifier, struct ledger *ledger,
				 struct be_bytes key, struct be_bytes value)
{
	const char *bytes = key.data;
	struct be_bytes packed;
	struct zone zone;

	(void)ledger;
	if (!record_is_zone_name(bytes + 1, key.size - 1) ||
	    record_decode_zone(value, &packed) != BE_OK ||
	    !zone_unpack(packed.data, packed.size, &zone))
		report_damage(verifier, key);
	return BE_OK;
}

static enum be_status visit_host(struct verifier *verifier, struct ledger *ledger,
				 struct be_bytes key, struct be_bytes value)
{
	struct host host;

	(void)ledger;
	if (record_decode_host(key, value, &host) != BE_OK || !record_checksum_fits(key, value))
		report_damage(verifier, key);
	return BE_OK;
}

static enum be_status visit_request(struct verifier *verifier, struct ledger *ledger,
				    struct be_bytes key, struct be_bytes value)
{
	struct keyed_request request;

	(void)ledger;
	if (record_decode_request(key, value, &request) != BE_OK)
		report_damage(verifier, key);
	verifier->requests++;
	return BE_OK;
}

static enum be_status visit_request_end(struct verifier *verifier, struct ledger *ledger,
					struct be_bytes key, struct be_bytes value)
{
	struct keyed_request request;
	int64_t until_ns;
	int found;

	if (!record_parse_request_end_key(key, &until_ns, &request.name) || value.size > 0) {
		report_damage(verifier, key);
		return BE_OK;
	}
	verifier->request_ends++;
	found = ledger_request_get(ledger, &request.name, &request);
	if (found < 0 && !met_damage(found))
		return (enum be_status)found;
	if (found != 0 || request.until_ns != until_ns)
		report(verifier,
		       "an end is noted for the key \"%s\" in \"%s\", which has another or is none",
		       request.name.key, request.name.namespace_name);
	return BE_OK;
}

static enum be_status visit_alert(struct verifier *verifier, struct ledger *ledger,
				  struct be_bytes key, struct be_bytes value)
{
	struct alert alert;

	if (record_decode_alert(key, value, &alert) != BE_OK)
		report_damage(verifier, key);
	else if (alert.id >= ledger->header.next_alert_id)
		report(verifier, "alert %" PRIu64 ": its id was never given out", alert.id);
	return BE_OK;
}

/* Of a transaction that pruning has removed nothing can be said. */
static enum be_status visit_given_back(struct verifier *verifier, struct ledger *ledger,
				       struct be_bytes key, struct be_bytes value)
{
	struct transaction transaction;
	struct given_back given_back;
	int found;

	if (record_decode_given_back(key, value, &given_back) != BE_OK) {
		report_damage(verifier, key);
		return BE_OK;
	}
	found = ledger_transaction_get(ledger, given_back.id, &transaction);
	if (found == 0 && given_back.amount > transaction.amount)
		report(verifier, "transaction %" PRIu64 ": more was given back than it charged",
		       transaction.id);
	return found < 0 && !met_damage(found) ? (enum be_status)found : BE_OK;
}

static enum be_status visit_renamed(struct verifier *verifier, struct ledger *ledger,
				    struct be_bytes key, struct be_bytes value)
{
	const struct account *account;
	struct renamed renamed;

	(void)ledger;
	if (record_decode_renamed(key, value, &renamed) != BE_OK) {
		report_damage(verifier, key);
		return BE_OK;
	}
	account = by_id_find(&verifier->end, renamed.id);
	if (!account || !name_equal(&account->name, &renamed.name))
		report(verifier,
		       "envelope \"%s\" in \"%s\": it is said to be called so by now, and is not",
		       renamed.name.category, renamed.name.namespace_name);
	return BE_OK;
}

static enum be_status visit_day(struct verifier *verifier, struct ledger *ledger,
				struct be_bytes key, struct be_bytes value)
{
	struct day_sum sum;
	int found;

	if (record_decode_day(key, value, &sum) != BE_OK) {
		report_damage(verifier, key);
		return BE_OK;
	}
	verifier->day_names_expected += (uint64_t)(sum.names_size - 1) / DAY_NAMES_PART;
	found = ledger_day_get(ledger, &sum);
	if (met_damage(found))
		report_damage(verifier, key);
	return found < 0 && !met_damage(found) ? (enum be_status)found : BE_OK;
}

/* What they hold is looked at with their sums. */
static enum be_status visit_day_names(struct verifier *verifier, struct ledger *ledger,
				      struct be_bytes key, struct be_bytes value)
{
	struct day_sum sum;
	uint32_t place;

	(void)ledger;
	(void)value;
	if (!record_parse_day_key(key, &sum, &place))
		report_damage(verifier, key);
	verifier->day_names++;
	return BE_OK;
}

static enum be_status visit_unknown(struct verifier *verifier, struct ledger *ledger,
				    struct be_bytes key, struct be_bytes value)
{
	(void)ledger;
	(void)value;
	report_damage(verifier, key);
	return BE_OK;
}

/* They lie behind the header, whose own record has no part in the digest. */
static enum be_status walk_hosts(struct verifier *verifier, struct ledger *ledger)
{
	struct record_key from = {.size = 2, .bytes = {RECORD_HEADER, 0}};
	int found = walk(verifier, ledger, &from, SIZE_MAX, visit_host);

	return found < 0 ? (enum be_status)found : BE_OK;
}

/* What lies under keys that no record of ours has. */
static enum be_status walk_unknown(struct verifier *verifier, struct ledger *ledger)
{
	struct record_key from = {.size = 1, .bytes = {0}};
	enum be_status status = BE_OK;
	struct be_bytes key, value;

	while (status == BE_OK) {
		int found = ledger_next(ledger, record_key_bytes(&from), &key, &value);
		uint8_t type = found == 0 ? ((const uint8_t *)key.data)[0] : UINT8_MAX;

		if (found < 0)
			return (enum be_status)found;
		if (found == 0 && !record_type_name(type))
			status = walk_all(verifier, ledger, (enum record_type)type, visit_unknown);
		if (type == UINT8_MAX)
			break;
		from = (struct record_key){.size = 1, .bytes = {(uint8_t)(type + 1)}};
	}
	return status;
}

/* Everything but the ledger below the horizon, in one state. */
static enum be_status read_last_txn(struct verifier *verifier, struct ledger *ledger)
{
	struct record_key from;
	enum be_status status = ledger_header(ledger);
	int found;

	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_ENVELOPE, visit_envelope);
	if (status != BE_OK)
		return status;
	by_id_sort(&verifier->end);
	status = walk_all(verifier, ledger, RECORD_COMMIT, visit_commit);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_DEADLINE, visit_deadline);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_ENDED, visit_ended);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_ZONE, visit_zone);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_REQUEST, visit_request);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_REQUEST_END, visit_request_end);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_ALERT, visit_alert);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_GIVEN_BACK, visit_given_back);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_RENAMED, visit_renamed);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_DAY, visit_day);
	if (status == BE_OK)
		status = walk_all(verifier, ledger, RECORD_DAY_NAMES, visit_day_names);
	if (status == BE_OK)
		status = walk_hosts(verifier, ledger);
	if (status == BE_OK)
		status = walk_notes(verifier, ledger, RECORD_FURTHER);
	if (status == BE_OK)
		status = walk_notes(verifier, ledger, RECORD_LABELS);
	if (status == BE_OK)
		status = walk_unknown(verifier, ledger);
	if (status != BE_OK)
		return status;
	record_key_id(&from, RECORD_TRANSACTION, verifier->horizon);
	found = walk(verifier, ledger, &from, SIZE_MAX, visit_new_transaction);
	return found < 0 ? (enum be_status)found : BE_OK;
}

static enum be_status try_last_txn(struct verifier *verifier)
{
	struct ledger ledger;
	/* Nobody else begins with this record, so that what was enough for others is not for it. */
	enum be_status status = ledger_begin_walk(&ledger, verifier->storage, RECORD_COMMIT);

	if (status != BE_OK)
		return status;
	status = ledger_header(&ledger);
	verifier->digest_expected = ledger.header.digest;
	verifier->was_pruned = status == BE_OK && verifier->horizon > 1 &&
			       ledger.header.prunings != verifier->prunings;
	if (status == BE_OK && !verifier->was_pruned)
		status = read_last_txn(verifier, &ledger);
	ledger_abort(&ledger);
	return status;
}

static enum be_status last_txn(struct verifier *verifier)
{
	struct verifier before = *verifier;
	unsigned tries = 0;
	enum be_status status = try_last_txn(verifier);

	while (ledger_reads_again(&status, &tries)) {
		by_id_free(&verifier->end);
		before.end = verifier->end;
		restore(verifier, &before);
		status = try_last_txn(verifier);
	}
	return status;
}

/* Reads all transactions in the last txn, because some were pruned while they were added up
 * beforehand. */
static enum be_status only_last_txn(struct verifier *verifier)
{
	by_id_free(&verifier->start);
	verifier->found.transactions = 0;
	verifier->further = verifier->further_expected = 0;
	verifier->labels = verifier->labels_expected = 0;
	verifier->horizon = 1;
	verifier->digest = 0;
	return last_txn(verifier);
}

/* ---- the comparison */

static void compare_amounts(struct verifier *verifier, const struct account *account,
			    const char *what, const char *parts, int64_t stored, int64_t expected)
{
	char stored_text[BE_AMOUNT_TEXT_SIZE] = "", expected_text[BE_AMOUNT_TEXT_SIZE] = "";

	if (stored == expected)
		return;
	if (be_amount_format(stored, stored_text, sizeof stored_text) != BE_OK ||
	    be_amount_format(expected, expected_text, sizeof expected_text) != BE_OK)
		return;
	report(verifier, "envelope \"%s\" in \"%s\": %s is %s, but its %s add up to %s",
	       account->name.category, account->name.namespace_name, what, stored_text, parts,
	       expected_text);
}

static void compare_counts(struct verifier *verifier, const struct account *account,
			   const char *what, uint64_t stored, uint64_t expected)
{
	if (stored != expected)
		report(verifier,
		       "envelope \"%s\" in \"%s\": it counts %" PRIu64
		       " %s, and there are %" PRIu64,
		       account->name.category, account->name.namespace_name, stored, what,
		       expected);
}

static void compare_balances(struct verifier *verifier)
{
	struct account *accounts = verifier->end.rows;

	for (size_t i = 0; i < verifier->end.count; i++) {
		struct account *parent = by_id_find(&verifier->end, accounts[i].parent_id);

		if (parent)
			parent->children++;
		if (i > 0 && accounts[i].id == accounts[i - 1].id)
			report(verifier, "envelope \"%s\" in \"%s\": another has the same id",
			       accounts[i].name.category, accounts[i].name.namespace_name);
	}
	for (size_t i = 0; i < verifier->end.count; i++) {
		struct account *account = &accounts[i];
		struct account *start = by_id_find(&verifier->start, account->id);
		int64_t spent = account->stored_folded;

		/* In this order: corrections are below 0, and what was folded and what was charged
		 * before were a balance once. */
		if (start && start->window_first == account->window_first)
			sum(verifier, &spent, start->before);
		sum(verifier, &spent, account->after);
		compare_amounts(verifier, account, "spent", "transactions", account->stored_spent,
				spent);
		compare_amounts(verifier, account, "committed", "pending commits",
				account->stored_committed, account->committed);
		compare_counts(verifier, account, "pending commits", account->stored_pending,
			       account->pending);
		compare_counts(verifier, account, "children", account->stored_children,
			       account->children);
	}
	compare_counts(verifier, &(struct account){.name = {.category = "(all)"}}, "deadlines",
		       verifier->deadlines, verifier->deadlines_expected);
	compare_counts(verifier, &(struct account){.name = {.category = "(all)"}},
		       "further envelopes", verifier->further_expected, verifier->further);
	compare_counts(verifier, &(struct account){.name = {.category = "(all)"}},
		       "records of labels", verifier->labels_expected, verifier->labels);
	compare_counts(verifier, &(struct account){.name = {.category = "(all)"}},
		       "names of daily sums", verifier->day_names_expected, verifier->day_names);
	compare_counts(verifier, &(struct account){.name = {.category = "(all)"}}, "ends of keys",
		       verifier->request_ends, verifier->requests);
}

/* Where single records are damaged the digest differs because of them, and that is told already. */
static void compare_digest(struct verifier *verifier)
{
	if (verifier->damaged || verifier->digest == verifier->digest_expected)
		return;
	verifier->damaged = true;
	report(verifier, "records have vanished, were added, or are old ones: each by itself is "
			 "sound, but the digest of all is not the header's");
}

/* LMDB can crash on a damaged page, so nothing is read through it then. */
static enum be_status check_pages(struct verifier *verifier)
{
	const struct backend *backend = backend_of(verifier->storage);
	enum be_status status = backend->check ? backend->check(verifier->storage->self) : BE_OK;

	if (status == BE_DAMAGED)
		report(verifier, "%s", be_last_error());
	return status;
}

static enum be_status verify(struct verifier *verifier)
{
	enum be_status status = check_pages(verifier);

	if (status == BE_OK)
		status = before_last_txn(verifier);
	if (status == BE_OK)
		status = last_txn(verifier);
	if (status == BE_OK && verifier->was_pruned)
		status = only_last_txn(verifier);
	if (status != BE_OK)
		return status;
	compare_balances(verifier);
	compare_digest(verifier);
	if (verifier->damaged)
		return error_set(BE_DAMAGED, "records are damaged or missing: restore a backup");
	if (verifier->found.differences > 0)
		return error_set(BE_UNBALANCED,
				 "%" PRIu64 " balances differ from commits and ledger",
				 verifier->found.differences);
	return BE_OK;
}

enum be_status be_verify(struct be_enforcer *handle,
			 void (*difference)(void *context, const char *sentence), void *context,
			 struct be_verification *verification)
{
	struct verifier verifier = {
		.difference = difference,
		.context = context,
		.start = BY_ID_OF(struct account),
		.end = BY_ID_OF(struct account),
	};
	struct environment *environment;
	enum be_status status;
	int cancel_state;

	error_clear();
	status = sized_clear(verification);
	if (!handle)
		return error_set(BE_INVALID_ARGUMENT, "no handle was given");
	if (status == BE_OK)
		status = enforcer_environment(handle, &environment);
	if (status != BE_OK)
		return error_default(status);
	verifier.storage = environment->executor.storage;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = verify(&verifier);
	if (status == BE_OK || status == BE_UNBALANCED || status == BE_DAMAGED)
		sized_write(verification, &verifier.found);
	by_id_free(&verifier.start);
	by_id_free(&verifier.end);
	pthread_setcancelstate(cancel_state, NULL);
	return error_default(status);
}
