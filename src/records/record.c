/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding and decoding of records; record.h describes the layout. Values are C structures copied
 * byte by byte, whose sizes are asserted below, followed by the texts they count. Nothing here
 * knows a storage.
 */
#include "records/record.h"

#include "storage/lmdb/newest.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format on disk is little-endian");

struct head {
	uint32_t reserved;
	uint8_t type;
	uint8_t format;
	uint16_t size; /* of the whole value */
	uint64_t checksum;
};

static const uint8_t magic[8] = {'b', 'u', 'd', 'g', 'e', 't', '-', 'e'};

struct header_record {
	struct head head;
	uint8_t magic[8];
	uint64_t next_envelope_id;
	uint64_t next_commit_id;
	uint64_t next_transaction_id;
	uint64_t changes;
	uint64_t batch;
	uint64_t prunings;
	int64_t created_ns;
	uint64_t lapses[LAPSES];
	uint64_t leapt;
	uint64_t digest;
	uint64_t txn;
};

/* Packed, which changes no offset, so that be_check() may read it where it lies, at any address. */
struct envelope_record {
	struct head head;
	uint64_t id;
	int64_t limit;
	int64_t spent;
	int64_t committed;
	int64_t folded;
	uint64_t window_first;
	int64_t period_start_ns;
	int64_t period_end_ns;
	int64_t created_ns;
	int64_t charged;
	uint64_t pending;
	uint64_t children;
	uint64_t granted;
	uint64_t lapses[LAPSES];
	uint64_t leapt; /* what leaps had skipped when its id was given out */
	uint8_t period;
	uint8_t suspended;
	uint8_t parent_namespace_size;
	uint8_t parent_category_size;
	uint8_t zone_size;
	uint8_t begins_on;
	uint8_t observe_only;
	uint8_t has_more; /* an envelope_more follows */
} __attribute__((packed, aligned(1)));

/* What few envelopes have. */
struct envelope_more {
	int64_t raise;
	int64_t raise_until_ns;
	int64_t roll_over;
	int64_t carried;
	uint64_t excused;
} __attribute__((packed, aligned(1)));

struct commit_record {
	struct head head;
	uint64_t id;
	uint64_t envelope_id;
	int64_t amount;
	int64_t created_ns;
	int64_t deadline_ns;
	int64_t ended_ns;
	uint64_t transaction_id;
	uint64_t owner_generation;
	uint32_t owner_slot;
	uint32_t owner_pid;
	uint8_t state;
	uint8_t reap_policy;
	uint8_t detached;
	uint8_t namespace_size;
	uint8_t category_size;
	uint8_t reserved;
	uint16_t description_size;
};

struct transaction_record {
	struct head head;
	uint64_t id;
	uint64_t commit_id;
	int64_t amount;
	int64_t held;
	int64_t at_ns;
	uint8_t kind;
	uint8_t late;
	uint8_t depth;
	uint8_t namespace_size;
	uint8_t category_size;
	uint8_t reserved;
	uint16_t description_size;
};

/* An answer follows. */
struct request_record {
	struct head head;
	uint64_t sum;
	int64_t until_ns;
	uint64_t id; /* of the commit, or of the transaction */
	uint8_t kind;
	uint8_t reserved[7];
};

/* The answer to a commit. That to others is the transaction's value. */
struct commit_answer {
	int64_t requested;
	int64_t asked;
	int64_t granted;
	int64_t available;
	int64_t limit;
	int64_t spent;
	int64_t committed;
	int64_t window_end_ns;
};

_Static_assert(sizeof(struct head) == 16 && offsetof(struct head, checksum) == 8, "head");
_Static_assert(sizeof(struct header_record) == 144, "header record");
_Static_assert(sizeof(struct envelope_record) == 176, "envelope record");
_Static_assert(sizeof(struct envelope_more) == 40, "what few envelopes have");
_Static_assert(sizeof(struct commit_record) == 96, "commit record");
_Static_assert(sizeof(struct transaction_record) == 64, "transaction record");
_Static_assert(sizeof(struct request_record) == 48, "request record");
_Static_assert(sizeof(struct commit_answer) == 64, "answer to a commit");
_Static_assert(sizeof(struct request_record) + sizeof(struct transaction_record) +
			       sizeof(uint64_t[BE_DEPTH_MAX]) + sizeof(char[2][BE_NAME_SIZE]) +
			       BE_DESCRIPTION_SIZE <=
		       BE_STORAGE_VALUE_MAX,
	       "the largest record fits");

/* ---- checksum */

/*
 * FNV-1a (Fowler, Noll, Vo; 64-bit offset basis and prime) taken over 8-byte words in place of
 * bytes, ended by the finaliser of MurmurHash3 (Appleby) so that every bit depends on all of it.
 * Every step is a bijection, so a change within one word always changes the sum.
 */
static uint64_t checksum_word(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * UINT64_C(0x100000001b3);
	return sum ^ sum >> 32;
}

static uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t size)
{
	uint64_t word;

	for (; size >= 8; size -= 8, bytes += 8) {
		memcpy(&word, bytes, 8);
		sum = checksum_word(sum, word);
	}
	word = 0;
	memcpy(&word, bytes, size);
	return (sum ^ word ^ (uint64_t)size << 56) * UINT64_C(0x100000001b3);
}

/* Over all but the checksum itself, where there is one. */
static uint64_t checksum(struct be_bytes key, const uint8_t *value, size_t size)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	uint64_t word;

	sum = checksum_add(sum, key.data, key.size);
	if (size >= sizeof(struct head)) {
		memcpy(&word, value, sizeof word);
		sum = checksum_word(sum, word);
		value += sizeof(struct head);
		size -= sizeof(struct head);
	}
	sum = checksum_add(sum, value, size);
	sum ^= sum >> 33;
	sum *= UINT64_C(0xff51afd7ed558ccd);
	sum ^= sum >> 33;
	sum *= UINT64_C(0xc4ceb9fe1a85ec53);
	return sum ^ sum >> 33;
}

static uint64_t stored_checksum(const void *value)
{
	uint64_t stored;

	memcpy(&stored, (const uint8_t *)value + offsetof(struct head, checksum), sizeof stored);
	return stored;
}

bool record_checksum_fits(struct be_bytes key, struct be_bytes value)
{
	return value.size >= sizeof(struct head) &&
	       stored_checksum(value.data) == checksum(key, value.data, value.size);
}

uint64_t record_sum(struct be_bytes bytes)
{
	return checksum(bytes, (const uint8_t *)"", 0);
}

uint64_t record_part(struct be_bytes key, struct be_bytes value)
{
	return value.size >= sizeof(struct head) ? stored_checksum(value.data)
						 : checksum(key, value.data, value.size);
}

uint64_t record_digest(struct be_bytes key, struct be_bytes value)
{
	uint64_t sum = checksum(key, value.data, value.size);

	return sum == record_part(key, value) ? sum : ~sum;
}

/* ---- keys */

static void put_big_endian(uint8_t *bytes, uint64_t number)
{
	number = __builtin_bswap64(number);
	memcpy(bytes, &number, sizeof number);
}

static uint64_t get_big_endian(const uint8_t *bytes)
{
	uint64_t number;

	memcpy(&number, bytes, sizeof number);
	return __builtin_bswap64(number);
}

void record_key_header(struct record_key *key)
{
	key->bytes[0] = RECORD_HEADER;
	key->size = 1;
}

void record_key_envelope(struct record_key *key, const struct name *name)
{
	uint8_t *bytes = key->bytes;

	*bytes++ = RECORD_ENVELOPE;
	if (name->namespace_size > 0)
		memcpy(bytes, name->namespace_name, name->namespace_size);
	bytes += name->namespace_size;
	*bytes++ = '\0';
	memcpy(bytes, name->category, name->category_size);
	bytes += name->category_size;
	key->size = (uint16_t)(bytes - key->bytes);
}

void record_key_id(struct record_key *key, enum record_type type, uint64_t id)
{
	key->bytes[0] = (uint8_t)type;
	put_big_endian(key->bytes + 1, id);
	key->size = 9;
}

void record_key_zone(struct record_key *key, const char *name, size_t size)
{
	key->bytes[0] = RECORD_ZONE;
	memcpy(key->bytes + 1, name, size);
	key->size = (uint16_t)(1 + size);
}

void record_key_deadline(struct record_key *key, int64_t deadline_ns, uint64_t id)
{
	key->bytes[0] = RECORD_DEADLINE;
	put_big_endian(key->bytes + 1, (uint64_t)deadline_ns);
	put_big_endian(key->bytes + 9, id);
	key->size = 17;
}

static uint8_t *put_request_name(uint8_t *at, const struct request_name *name)
{
	memcpy(at, name->namespace_name, name->namespace_size);
	at += name->namespace_size;
	*at++ = '\0';
	memcpy(at, name->key, name->key_size);
	return at + name->key_size;
}

void record_key_request(struct record_key *key, const struct request_name *name)
{
	key->bytes[0] = RECORD_REQUEST;
	key->size = (uint16_t)(put_request_name(key->bytes + 1, name) - key->bytes);
}

void record_key_request_end(struct record_key *key, int64_t until_ns,
			    const struct request_name *name)
{
	key->bytes[0] = RECORD_REQUEST_END;
	put_big_endian(key->bytes + 1, (uint64_t)until_ns);
	key->size = (uint16_t)(put_request_name(key->bytes + 9, name) - key->bytes);
}

/* Two texts with a NUL between them, the second of which is not empty. */
static bool take_two_texts(const char *bytes, size_t size, char *first, size_t first_room,
			   uint8_t *first_size, char *second, size_t second_room,
			   uint8_t *second_size)
{
	const char *zero = memchr(bytes, '\0', size);
	size_t before = zero ? (size_t)(zero - bytes) : 0;
	size_t behind = zero ? size - before - 1 : 0;

	if (before >= first_room || behind == 0 || behind >= second_room)
		return false;
	if (!name_text_is_valid(bytes, before) || !name_text_is_valid(zero + 1, behind))
		return false;
	*first_size = (uint8_t)before;
	memcpy(first, bytes, before);
	first[before] = '\0';
	*second_size = (uint8_t)behind;
	memcpy(second, zero + 1, behind);
	second[behind] = '\0';
	return true;
}

static bool take_request_name(const char *bytes, size_t size, struct request_name *name)
{
	return take_two_texts(bytes, size, name->namespace_name, sizeof name->namespace_name,
			      &name->namespace_size, name->key, sizeof name->key, &name->key_size);
}

bool record_parse_request_key(struct be_bytes key, struct request_name *name)
{
	const char *bytes = key.data;

	return key.size > 1 && bytes[0] == RECORD_REQUEST &&
	       take_request_name(bytes + 1, key.size - 1, name);
}

bool record_parse_request_end_key(struct be_bytes key, int64_t *until_ns, struct request_name *name)
{
	const uint8_t *bytes = key.data;

	if (key.size <= 9 || bytes[0] != RECORD_REQUEST_END)
		return false;
	*until_ns = (int64_t)get_big_endian(bytes + 1);
	return *until_ns > 0 && take_request_name((const char *)bytes + 9, key.size - 9, name);
}

bool record_parse_envelope_key(struct be_bytes key, struct name *name)
{
	const char *bytes = key.data;

	return key.size > 1 && bytes[0] == RECORD_ENVELOPE &&
	       take_two_texts(bytes + 1, key.size - 1, name->namespace_name,
			      sizeof name->namespace_name, &name->namespace_size, name->category,
			      sizeof name->category, &name->category_size);
}

bool record_parse_id_key(struct be_bytes key, enum record_type type, uint64_t *id)
{
	const uint8_t *bytes = key.data;

	if (key.size != 9 || bytes[0] != type)
		return false;
	*id = get_big_endian(bytes + 1);
	return true;
}

bool record_parse_deadline_key(struct be_bytes key, int64_t *deadline_ns, uint64_t *id)
{
	const uint8_t *bytes = key.data;

	if (key.size != 17 || bytes[0] != RECORD_DEADLINE)
		return false;
	*deadline_ns = (int64_t)get_big_endian(bytes + 1);
	*id = get_big_endian(bytes + 9);
	return true;
}

/* ---- encoding
 *
 * What is encoded would be decoded again: an amount below zero, or a commit that is pending in one
 * place and ended in another, would be money out of nothing.
 */

static uint8_t *put_text(uint8_t *at, const char *text, size_t size)
{
	memcpy(at, text, size);
	return at + size;
}

/* Writes the head, once all else is in place up to `end`. */
static void seal(struct record_value *value, struct be_bytes key, enum record_type type,
		 const uint8_t *end)
{
	struct head head = {.type = (uint8_t)type, .format = RECORD_FORMAT};

	value->size = (uint16_t)(end - value->bytes);
	head.size = value->size;
	memcpy(value->bytes, &head, sizeof head);
	head.checksum = checksum(key, value->bytes, value->size);
	memcpy(value->bytes, &head, sizeof head);
}

void record_encode_header(struct record_value *value, const struct header *header)
{
	struct header_record record = {
		.next_envelope_id = header->next_envelope_id,
		.next_commit_id = header->next_commit_id,
		.next_transaction_id = header->next_transaction_id,
		.changes = header->changes,
		.batch = header->batch,
		.prunings = header->prunings,
		.created_ns = header->created_ns,
		.leapt = header->leapt,
		.digest = header->digest,
		.txn = header->txn,
	};
	struct record_key key;

	memcpy(record.magic, magic, sizeof magic);
	memcpy(record.lapses, header->lapses, sizeof record.lapses);
	memcpy(value->bytes, &record, sizeof record);
	record_key_header(&key);
	seal(value, record_key_bytes(&key), RECORD_HEADER, value->bytes + sizeof record);
}

static bool has_more(const struct envelope *envelope)
{
	return (envelope->raise | envelope->raise_until_ns | envelope->roll_over |
		envelope->carried) != 0 ||
	       envelope->excused != 0;
}

static uint8_t *put_more(uint8_t *at, const struct envelope *envelope)
{
	struct envelope_more more = {
		.raise = envelope->raise,
		.raise_until_ns = envelope->raise_until_ns,
		.roll_over = envelope->roll_over,
		.carried = envelope->carried,
		.excused = envelope->excused,
	};

	memcpy(at, &more, sizeof more);
	return at + sizeof more;
}

void record_encode_envelope(struct record_value *value, const struct record_key *key,
			    const struct envelope *envelope)
{
	struct envelope_record record = {
		.id = envelope->id,
		.limit = envelope->limit,
		.spent = envelope->spent,
		.committed = envelope->committed,
		.folded = envelope->folded,
		.window_first = envelope->window_first,
		.period_start_ns = envelope->period_start_ns,
		.period_end_ns = envelope->period_end_ns,
		.created_ns = envelope->created_ns,
		.charged = envelope->charged,
		.pending = envelope->pending,
		.children = envelope->children,
		.granted = envelope->granted,
		.leapt = envelope->id - envelope->tally,
		.period = (uint8_t)envelope->period,
		.suspended = envelope->suspended,
		.parent_category_size = envelope->parent.category_size,
		.zone_size = envelope->zone_size,
		.begins_on = envelope->begins_on,
		.observe_only = envelope->observe_only,
		.has_more = has_more(envelope),
	};
	uint8_t *at = value->bytes + sizeof record;

	assert(envelope->limit > 0 && envelope->spent >= 0 && envelope->committed >= 0 &&
	       envelope->folded >= 0);
	memcpy(record.lapses, envelope->lapses, sizeof record.lapses);
	if (record.has_more)
		at = put_more(at, envelope);
	if (envelope->parent.category_size > 0) {
		record.parent_namespace_size = envelope->parent.namespace_size;
		at = put_text(at, envelope->parent.namespace_name, envelope->parent.namespace_size);
		at = put_text(at, envelope->parent.category, envelope->parent.category_size);
	}
	if (envelope->zone_size > 0)
		at = put_text(at, envelope->zone, envelope->zone_size);
	memcpy(value->bytes, &record, sizeof record);
	seal(value, record_key_bytes(key), RECORD_ENVELOPE, at);
}

void record_encode_commit(struct record_value *value, const struct record_key *key,
			  const struct commit *commit)
{
	struct commit_record record = {
		.id = commit->id,
		.envelope_id = commit->envelope_id,
		.amount = commit->amount,
		.created_ns = commit->created_ns,
		.deadline_ns = commit->deadline_ns,
		.ended_ns = commit->ended_ns,
		.transaction_id = commit->transaction_id,
		.owner_generation = commit->owner.generation,
		.owner_slot = commit->owner.slot,
		.owner_pid = commit->owner.pid,
		.state = (uint8_t)commit->state,
		.reap_policy = (uint8_t)commit->reap_policy,
		.detached = commit->detached,
		.namespace_size = commit->name.namespace_size,
		.category_size = commit->name.category_size,
		.description_size = commit->description_size,
	};
	uint8_t *at = value->bytes + sizeof record;

	assert(commit->amount >= 0 && commit->deadline_ns >= 0);
	assert(key->bytes[0] ==
	       (commit->state == BE_COMMIT_PENDING ? RECORD_COMMIT : RECORD_ENDED));
	assert(commit->description_size < BE_DESCRIPTION_SIZE);
	memcpy(value->bytes, &record, sizeof record);
	at = put_text(at, commit->name.namespace_name, commit->name.namespace_size);
	at = put_text(at, commit->name.category, commit->name.category_size);
	at = put_text(at, commit->description, commit->description_size);
	seal(value, record_key_bytes(key), (enum record_type)key->bytes[0], at);
}

void record_encode_transaction(struct record_value *value, const struct record_key *key,
			       const struct transaction *transaction)
{
	struct transaction_record record = {
		.id = transaction->id,
		.commit_id = transaction->commit_id,
		.amount = transaction->amount,
		.held = transaction->held,
		.at_ns = transaction->at_ns,
		.kind = (uint8_t)transaction->kind,
		.late = transaction->late,
		.depth = (uint8_t)transaction->depth,
		.namespace_size = transaction->name.namespace_size,
		.category_size = transaction->name.category_size,
		.description_size = transaction->description_size,
	};
	size_t chain_size = transaction->depth * sizeof transaction->chain[0];
	uint8_t *at = value->bytes + sizeof record;

	assert(transaction->amount >= 0 && transaction->held >= 0);
	assert(transaction->depth > 0 && transaction->depth <= BE_DEPTH_MAX);
	assert(transaction->description_size < BE_DESCRIPTION_SIZE);
	memcpy(value->bytes, &record, sizeof record);
	memcpy(at, transaction->chain, chain_size);
	at += chain_size;
	at = put_text(at, transaction->name.namespace_name, transaction->name.namespace_size);
	at = put_text(at, transaction->name.category, transaction->name.category_size);
	at = put_text(at, transaction->description, transaction->description_size);
	seal(value, record_key_bytes(key), RECORD_TRANSACTION, at);
}

/* The whole value of the transaction, as it lies in the ledger. */
static uint8_t *put_transaction(uint8_t *at, const struct transaction *transaction)
{
	struct record_value value;
	struct record_key key;

	record_key_id(&key, RECORD_TRANSACTION, transaction->id);
	record_encode_transaction(&value, &key, transaction);
	memcpy(at, value.bytes, value.size);
	return at + value.size;
}

void record_encode_request(struct record_value *value, const struct record_key *key,
			   const struct keyed_request *request)
{
	struct request_record record = {
		.sum = request->sum,
		.until_ns = request->until_ns,
		.id = request->transaction.id,
		.kind = (uint8_t)request->kind,
	};
	struct commit_answer answer = {
		.requested = request->requested,
		.asked = request->asked,
		.granted = request->granted,
		.available = request->available,
		.limit = request->limit,
		.spent = request->spent,
		.committed = request->committed,
		.window_end_ns = request->window_end_ns,
	};
	uint8_t *at = value->bytes + sizeof record;

	assert(request->until_ns > 0);
	if (request->kind == BE_OPERATION_COMMIT) {
		record.id = request->commit_id;
		memcpy(at, &answer, sizeof answer);
		at += sizeof answer;
	} else {
		at = put_transaction(at, &request->transaction);
	}
	memcpy(value->bytes, &record, sizeof record);
	seal(value, record_key_bytes(key), RECORD_REQUEST, at);
}

void record_encode_zone(struct record_value *value, const struct record_key *key,
			const uint8_t *packed, size_t size)
{
	uint8_t *at = put_text(value->bytes + sizeof(struct head), (const char *)packed, size);

	seal(value, record_key_bytes(key), RECORD_ZONE, at);
}

/* ---- decoding */

static enum be_status other_format(uint8_t format)
{
	if (format == 0)
		return BE_DAMAGED;
	return format > RECORD_FORMAT ? BE_NEWER_FORMAT : BE_OLDER_FORMAT;
}

/* Checks the head and that there is room for the fixed part. */
static enum be_status check_head(struct be_bytes value, enum record_type type, size_t record_size)
{
	struct head head;

	if (value.size < sizeof head)
		return BE_DAMAGED;
	memcpy(&head, value.data, sizeof head);
	if (head.type != type || head.size != value.size)
		return BE_DAMAGED;
	if (head.format != RECORD_FORMAT)
		return other_format(head.format);
	return value.size >= record_size ? BE_OK : BE_DAMAGED;
}

/* The same, and copies the fixed part. */
static enum be_status open_value(struct be_bytes value, enum record_type type, void *record,
				 size_t record_size)
{
	enum be_status status = check_head(value, type, record_size);

	if (status == BE_OK)
		memcpy(record, value.data, record_size);
	return status;
}

static const uint8_t *take_text(const uint8_t *at, char *text, size_t size)
{
	memcpy(text, at, size);
	text[size] = '\0';
	return at + size;
}

static bool is_flag(uint8_t byte)
{
	return byte <= 1;
}

/* Takes a namespace and a category of these sizes, which were checked to lie within the value. */
static bool take_name(const uint8_t **at, struct name *name, uint8_t namespace_size,
		      uint8_t category_size)
{
	if (namespace_size >= BE_NAME_SIZE || category_size >= BE_NAME_SIZE)
		return false;
	name->namespace_size = namespace_size;
	name->category_size = category_size;
	*at = take_text(*at, name->namespace_name, namespace_size);
	*at = take_text(*at, name->category, category_size);
	return name_text_is_valid(name->namespace_name, namespace_size) &&
	       name_text_is_valid(name->category, category_size);
}

static bool take_description(const uint8_t *at, char *description, uint16_t size)
{
	if (size >= BE_DESCRIPTION_SIZE)
		return false;
	take_text(at, description, size);
	return name_text_is_valid(description, size);
}

enum be_status record_decode_header(struct be_bytes value, struct header *header)
{
	struct header_record record;
	struct head head;
	enum be_status status;

	/* Another format may have made the header larger or smaller: its version speaks first. */
	if (value.size >= sizeof head) {
		memcpy(&head, value.data, sizeof head);
		if (head.type == RECORD_HEADER && head.size == value.size &&
		    head.format != RECORD_FORMAT)
			return other_format(head.format);
	}
	status = open_value(value, RECORD_HEADER, &record, sizeof record);
	if (status != BE_OK)
		return status;
	if (value.size != sizeof record || memcmp(record.magic, magic, sizeof magic) != 0)
		return BE_DAMAGED;
	if (record.next_envelope_id == 0 || record.next_commit_id == 0 ||
	    record.next_transaction_id == 0 || record.leapt >= record.next_envelope_id)
		return BE_DAMAGED;
	*header = (struct header){
		.next_envelope_id = record.next_envelope_id,
		.next_commit_id = record.next_commit_id,
		.next_transaction_id = record.next_transaction_id,
		.changes = record.changes,
		.batch = record.batch,
		.prunings = record.prunings,
		.created_ns = record.created_ns,
		.leapt = record.leapt,
		.digest = record.digest,
		.txn = record.txn,
	};
	memcpy(header->lapses, record.lapses, sizeof header->lapses);
	return BE_OK;
}

bool record_is_header(struct be_bytes key)
{
	return key.size == 1 && ((const uint8_t *)key.data)[0] == RECORD_HEADER;
}

bool record_read_header(struct be_bytes key, struct be_bytes value, uint64_t *txn, uint64_t *digest)
{
	struct header header;

	if (!record_is_header(key) || !record_checksum_fits(key, value) ||
	    record_decode_header(value, &header) != BE_OK)
		return false;
	*txn = header.txn;
	*digest = header.digest;
	return true;
}

static bool record_is_foreign(struct be_bytes value)
{
	struct head head;

	if (value.size < sizeof head)
		return false;
	memcpy(&head, value.data, sizeof head);
	return head.type == RECORD_HEADER && head.format != 0 && head.format != RECORD_FORMAT &&
	       head.size == value.size;
}

const struct vouching record_vouching = {
	.digest = record_digest,
	.is_header = record_is_header,
	.header_key = {"\3", 1},
	.is_foreign = record_is_foreign,
	.read_header = record_read_header,
};

bool record_is_zone_name(const char *name, size_t size)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_+-/";

	if (size == 0 || size >= BE_ZONE_SIZE || name[0] == '/' || name[size - 1] == '/')
		return false;
	/* The last is no stroke. */
	for (size_t i = 0; i < size; i++)
		if (name[i] == '\0' || !strchr(allowed, name[i]) ||
		    (name[i] == '/' && name[i + 1] == '/'))
			return false;
	return true;
}

static bool window_is_valid(const struct envelope_record *record)
{
	bool by_calendar = record->zone_size > 0;

	if (record->period == BE_PERIOD_TOTAL)
		return !by_calendar && record->period_end_ns == 0;
	return record->period_end_ns != 0 && record->period_end_ns >= record->period_start_ns &&
	       (by_calendar || record->period <= BE_PERIOD_MONTHLY);
}

/* Takes what few envelopes have. */
static const uint8_t *take_more(const uint8_t *at, struct envelope *envelope)
{
	struct envelope_more more;

	memcpy(&more, at, sizeof more);
	envelope->raise = more.raise;
	envelope->raise_until_ns = more.raise_until_ns;
	envelope->roll_over = more.roll_over;
	envelope->carried = more.carried;
	envelope->excused = more.excused;
	return at + sizeof more;
}

/* Fills in what a plain envelope, one without any of that, has not. */
static void take_no_more(struct envelope *envelope)
{
	envelope->raise = envelope->raise_until_ns = envelope->roll_over = envelope->carried = 0;
	envelope->excused = 0;
}

enum be_status record_decode_envelope(struct be_bytes value, struct envelope *envelope)
{
	const struct envelope_record *record = value.data;
	const uint8_t *at = (const uint8_t *)value.data + sizeof *record;
	enum be_status status = check_head(value, RECORD_ENVELOPE, sizeof *record);

	if (status != BE_OK)
		return status;
	if (value.size != sizeof *record + record->parent_namespace_size +
				  record->parent_category_size + record->zone_size +
				  (record->has_more ? sizeof(struct envelope_more) : 0))
		return BE_DAMAGED;
	/* One test for the signs of all amounts. */
	if ((record->limit | record->spent | record->committed | record->folded | record->charged) <
		    0 ||
	    record->limit == 0 || record->id <= record->leapt || record->window_first == 0 ||
	    record->period > BE_PERIOD_YEARLY || record->begins_on > 31 ||
	    (record->suspended | record->observe_only | record->has_more) > 1 ||
	    !window_is_valid(record))
		return BE_DAMAGED;
	if (record->has_more)
		at = take_more(at, envelope);
	else
		take_no_more(envelope);
	if ((envelope->raise | envelope->roll_over | envelope->carried) < 0)
		return BE_DAMAGED;
	if (record->parent_category_size > 0) {
		if (!take_name(&at, &envelope->parent, record->parent_namespace_size,
			       record->parent_category_size))
			return BE_DAMAGED;
	} else {
		if (record->parent_namespace_size > 0)
			return BE_DAMAGED;
		envelope->parent.namespace_size = envelope->parent.category_size = 0;
		envelope->parent.namespace_name[0] = envelope->parent.category[0] = '\0';
	}
	envelope->zone_size = record->zone_size;
	if (record->zone_size > 0) {
		if (record->zone_size >= BE_ZONE_SIZE ||
		    !record_is_zone_name((const char *)at, record->zone_size))
			return BE_DAMAGED;
		take_text(at, envelope->zone, record->zone_size);
	}
	envelope->checksum = record->head.checksum;
	envelope->id = record->id;
	envelope->tally = record->id - record->leapt;
	envelope->period = (enum be_period)record->period;
	envelope->suspended = record->suspended;
	envelope->observe_only = record->observe_only;
	envelope->begins_on = record->begins_on;
	envelope->limit = record->limit;
	envelope->limit_now = record->limit;
	if (record->has_more)
		envelope->limit_now = envelope_limit_now(envelope);
	envelope->charged = record->charged;
	envelope->spent = record->spent;
	envelope->committed = record->committed;
	envelope->folded = record->folded;
	envelope->window_first = record->window_first;
	envelope->period_start_ns = record->period_start_ns;
	envelope->period_end_ns = record->period_end_ns;
	envelope->created_ns = record->created_ns;
	envelope->pending = record->pending;
	envelope->children = record->children;
	envelope->granted = record->granted;
	memcpy(envelope->lapses, record->lapses, sizeof envelope->lapses);
	return BE_OK;
}

enum be_status record_decode_commit(struct be_bytes key, struct be_bytes value,
				    struct commit *commit)
{
	struct commit_record record;
	const uint8_t *at = value.data;
	enum record_type type =
		key.size > 0 ? (enum record_type)((const uint8_t *)key.data)[0] : RECORD_COMMIT;
	enum be_status status = open_value(value, type, &record, sizeof record);
	uint64_t id;
	bool pending, resolved;

	if (status != BE_OK)
		return status;
	if (!record_parse_id_key(key, type, &id) || (type != RECORD_COMMIT && type != RECORD_ENDED))
		return BE_DAMAGED;
	pending = record.state == BE_COMMIT_PENDING;
	resolved = record.state == BE_COMMIT_RELEASED || record.state == BE_COMMIT_SETTLED;
	if (record.id != id || id == 0 || record.envelope_id == 0 || record.amount < 0 ||
	    record.deadline_ns < 0 || record.state > BE_COMMIT_ORPHANED ||
	    pending != (type == RECORD_COMMIT) || record.reap_policy > BE_REAP_CHARGE ||
	    !is_flag(record.detached))
		return BE_DAMAGED;
	if (!resolved && record.category_size == 0)
		return BE_DAMAGED;
	if (value.size !=
	    sizeof record + record.namespace_size + record.category_size + record.description_size)
		return BE_DAMAGED;
	at += sizeof record;
	if (!take_name(&at, &commit->name, record.namespace_size, record.category_size) ||
	    !take_description(at, commit->description, record.description_size))
		return BE_DAMAGED;
	commit->checksum = record.head.checksum;
	commit->id = record.id;
	commit->state = (enum be_commit_state)record.state;
	commit->reap_policy = (enum be_reap_policy)record.reap_policy;
	commit->detached = record.detached;
	commit->owner =
		(struct owner){record.owner_generation, record.owner_slot, record.owner_pid, 0};
	commit->envelope_id = record.envelope_id;
	commit->amount = record.amount;
	commit->created_ns = record.created_ns;
	commit->deadline_ns = record.deadline_ns;
	commit->ended_ns = record.ended_ns;
	commit->transaction_id = record.transaction_id;
	commit->description_size = record.description_size;
	return BE_OK;
}

enum be_status record_decode_transaction(struct be_bytes key, struct be_bytes value,
					 struct transaction *transaction)
{
	struct transaction_record record;
	const uint8_t *at = value.data;
	enum be_status status = open_value(value, RECORD_TRANSACTION, &record, sizeof record);
	size_t chain_size;
	uint64_t id;

	if (status != BE_OK)
		return status;
	if (!record_parse_id_key(key, RECORD_TRANSACTION, &id))
		return BE_DAMAGED;
	if (record.id != id || id == 0 || record.amount < 0 || record.held < 0 ||
	    !is_flag(record.late) || record.kind < BE_TRANSACTION_RECORD ||
	    record.kind > BE_TRANSACTION_CHARGE || record.depth == 0 ||
	    record.depth > BE_DEPTH_MAX || record.category_size == 0)
		return BE_DAMAGED;
	chain_size = record.depth * sizeof transaction->chain[0];
	if (value.size != sizeof record + chain_size + record.namespace_size +
				  record.category_size + record.description_size)
		return BE_DAMAGED;
	at += sizeof record;
	memcpy(transaction->chain, at, chain_size);
	at += chain_size;
	if (!take_name(&at, &transaction->name, record.namespace_size, record.category_size) ||
	    !take_description(at, transaction->description, record.description_size))
		return BE_DAMAGED;
	transaction->id = record.id;
	transaction->commit_id = record.commit_id;
	transaction->kind = (enum be_transaction_kind)record.kind;
	transaction->late = record.late;
	transaction->amount = record.amount;
	transaction->held = record.held;
	transaction->at_ns = record.at_ns;
	transaction->depth = record.depth;
	transaction->description_size = record.description_size;
	return BE_OK;
}

static bool take_commit_answer(struct be_bytes value, uint64_t id, struct keyed_request *request)
{
	struct commit_answer answer;

	if (value.size != sizeof answer || id == 0)
		return false;
	memcpy(&answer, value.data, sizeof answer);
	request->commit_id = id;
	request->requested = answer.requested;
	request->asked = answer.asked;
	request->granted = answer.granted;
	request->available = answer.available;
	request->limit = answer.limit;
	request->spent = answer.spent;
	request->committed = answer.committed;
	request->window_end_ns = answer.window_end_ns;
	return (answer.requested | answer.asked | answer.granted | answer.available | answer.limit |
		answer.spent | answer.committed) >= 0;
}

static bool take_transaction_answer(struct be_bytes value, uint64_t id,
				    struct keyed_request *request)
{
	struct record_key key;

	request->commit_id = 0;
	record_key_id(&key, RECORD_TRANSACTION, id);
	return record_decode_transaction(record_key_bytes(&key), value, &request->transaction) ==
	       BE_OK;
}

enum be_status record_decode_request(struct be_bytes key, struct be_bytes value,
				     struct keyed_request *request)
{
	struct request_record record;
	struct be_bytes answer;
	enum be_status status = open_value(value, RECORD_REQUEST, &record, sizeof record);
	bool sound = false;

	if (status != BE_OK)
		return status;
	answer.data = (const uint8_t *)value.data + sizeof record;
	answer.size = value.size - sizeof record;
	request->kind = (enum be_operation)record.kind;
	request->sum = record.sum;
	request->until_ns = record.until_ns;
	request->checksum = record.head.checksum;
	request->transaction.id = 0;
	if (request->kind == BE_OPERATION_COMMIT)
		sound = take_commit_answer(answer, record.id, request);
	else if (request->kind == BE_OPERATION_RECORD || request->kind == BE_OPERATION_SETTLE ||
		 request->kind == BE_OPERATION_CHARGE)
		sound = take_transaction_answer(answer, record.id, request);
	return sound && record.until_ns > 0 && record_parse_request_key(key, &request->name)
		       ? BE_OK
		       : BE_DAMAGED;
}

enum be_status record_decode_zone(struct be_bytes value, struct be_bytes *packed)
{
	enum be_status status = check_head(value, RECORD_ZONE, sizeof(struct head));

	if (status != BE_OK)
		return status;
	packed->data = (const uint8_t *)value.data + sizeof(struct head);
	packed->size = value.size - sizeof(struct head);
	return packed->size > 0 && packed->size <= RECORD_ZONE_MAX ? BE_OK : BE_DAMAGED;
}
