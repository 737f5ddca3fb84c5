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
	uint64_t next_alert_id;
	uint64_t pruned;
};

/* Behind the header's record where there is something in it. */
struct histories_part {
	uint64_t latest;
	uint64_t changes;
	uint64_t losses;
	int64_t leapt_ns;
};

struct host_record {
	struct head head;
	uint64_t batch;
	int64_t at_ns;
	int64_t lease_end_ns;
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
	uint8_t parts; /* which follow: PART_... */
} __attribute__((packed, aligned(1)));

/* What few envelopes have. */
struct envelope_more {
	int64_t raise;
	int64_t raise_until_ns;
	int64_t roll_over;
	int64_t carried;
	uint64_t excused;
	int64_t given_back;
} __attribute__((packed, aligned(1)));

struct envelope_thresholds {
	uint16_t percent[BE_THRESHOLDS_MAX];
	uint16_t passed;
	uint8_t count;
	uint8_t reserved[5];
} __attribute__((packed, aligned(1)));

/* The parts that may follow an envelope's record, in this order. */
enum {
	PART_MORE = 1,
	PART_THRESHOLDS = 2,
};
static const uint8_t parts_size[] = {
	0,
	sizeof(struct envelope_more),
	sizeof(struct envelope_thresholds),
	sizeof(struct envelope_more) + sizeof(struct envelope_thresholds),
};

struct alert_record {
	struct head head;
	uint64_t id;
	uint64_t envelope_id;
	uint64_t transaction_id;
	int64_t limit;
	int64_t spent;
	int64_t at_ns;
	int64_t period_start_ns;
	int64_t period_end_ns;
	int64_t done_ns;
	uint16_t percent;
	uint8_t namespace_size;
	uint8_t category_size;
	uint8_t spender_namespace_size;
	uint8_t spender_category_size;
	uint16_t reserved;
};

struct renamed_record {
	struct head head;
	uint64_t id;
	uint8_t namespace_size;
	uint8_t category_size;
	uint8_t reserved[6];
};

struct given_back_record {
	struct head head;
	uint64_t id;
	int64_t amount;
};

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
	uint8_t marks; /* MARK_... */
	uint8_t namespace_size;
	uint8_t category_size;
	uint8_t further : 4;
	uint8_t labels : 4;
	uint16_t description_size;
};

/* Of a commit. The id of its owner's host follows where there is one. */
enum {
	MARK_DETACHED = 1,
	MARK_HOST = 2,
};

struct transaction_record {
	struct head head;
	uint64_t id;
	uint64_t commit_id; /* of a correction the transaction that it corrects */
	int64_t amount;
	int64_t held;
	int64_t at_ns;
	uint8_t kind;
	uint8_t late;
	uint8_t depth;
	uint8_t namespace_size;
	uint8_t category_size;
	uint8_t further : 4;
	uint8_t labels : 4;
	uint16_t description_size;
};

struct further_record {
	struct head head;
	uint8_t depth;
	uint8_t namespace_size;
	uint8_t category_size;
	uint8_t reserved[5];
};

struct filling_record {
	struct head head;
	struct filling filling;
};

/* Packed labels follow. */
struct labels_record {
	struct head head;
	uint8_t count;
	uint8_t reserved[7];
};

struct day_record {
	struct head head;
	int64_t amount;
	uint64_t count;
	int64_t first_ns;
	int64_t last_ns;
	uint64_t envelope_id;
	uint16_t names_size;
	uint8_t reserved[6];
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
_Static_assert(sizeof(struct header_record) == 160, "header record");
_Static_assert(sizeof(struct histories_part) == 32, "histories part");
_Static_assert(sizeof(struct envelope_record) == 176, "envelope record");
_Static_assert(sizeof(struct envelope_more) == 48, "what few envelopes have");
_Static_assert(sizeof(struct envelope_thresholds) == 24, "thresholds");
_Static_assert(sizeof(struct alert_record) == 96, "alert record");
_Static_assert(sizeof(struct renamed_record) == 32, "record of a new name");
_Static_assert(sizeof(struct given_back_record) == 32, "record of what was given back");
_Static_assert(sizeof(struct commit_record) == 96, "commit record");
_Static_assert(sizeof(struct transaction_record) == 64, "transaction record");
_Static_assert(sizeof(struct further_record) == 24, "record of a further envelope");
_Static_assert(sizeof(struct labels_record) == 24, "record of labels");
_Static_assert(FURTHER_MAX <= 15 && BE_LABELS_MAX <= 15, "each count fits into half a byte");
_Static_assert(sizeof(struct labels_record) + LABELS_PACKED_MAX <= BE_STORAGE_VALUE_MAX,
	       "all labels fit into one record");
_Static_assert(sizeof(struct filling_record) == 40, "mark of a copy");
_Static_assert(sizeof(struct day_record) == 64, "record of a daily sum");
_Static_assert(sizeof(struct day_record) + DAY_NAMES_PART <= BE_STORAGE_VALUE_MAX, "it fits");
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

void record_key_host(struct record_key *key, const uint8_t id[RECORD_HOST_ID_SIZE])
{
	key->bytes[0] = RECORD_HEADER;
	memcpy(key->bytes + 1, id, RECORD_HOST_ID_SIZE);
	key->size = 1 + RECORD_HOST_ID_SIZE;
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

void record_key_further(struct record_key *key, enum record_type type, uint64_t id, uint32_t place)
{
	assert((type == RECORD_COMMIT || type == RECORD_TRANSACTION) && place < FURTHER_MAX);
	key->bytes[0] = RECORD_FURTHER;
	key->bytes[1] = (uint8_t)type;
	put_big_endian(key->bytes + 2, id);
	key->bytes[10] = (uint8_t)place;
	key->size = 11;
}

void record_key_labels(struct record_key *key, enum record_type type, uint64_t id)
{
	assert(type == RECORD_COMMIT || type == RECORD_TRANSACTION);
	key->bytes[0] = RECORD_LABELS;
	key->bytes[1] = (uint8_t)type;
	put_big_endian(key->bytes + 2, id);
	key->size = 10;
}

void record_key_day(struct record_key *key, const struct day_sum *sum, uint32_t place)
{
	key->bytes[0] = place > 0 ? RECORD_DAY_NAMES : RECORD_DAY;
	/* So that days before 1970 come before those after it. */
	put_big_endian(key->bytes + 1, (uint64_t)sum->day ^ UINT64_C(1) << 63);
	key->bytes[9] = (uint8_t)sum->kind;
	put_big_endian(key->bytes + 10, sum->number);
	key->bytes[18] = (uint8_t)place;
	key->size = place > 0 ? 19 : 18;
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

/* The commit or transaction that a record belongs to. */
static bool take_whole(const uint8_t *bytes, enum record_type *type, uint64_t *id)
{
	*type = (enum record_type)bytes[1];
	*id = get_big_endian(bytes + 2);
	return (*type == RECORD_COMMIT || *type == RECORD_TRANSACTION) && *id != 0;
}

bool record_parse_further_key(struct be_bytes key, enum record_type *type, uint64_t *id)
{
	const uint8_t *bytes = key.data;

	return key.size == 11 && bytes[0] == RECORD_FURTHER && bytes[10] < FURTHER_MAX &&
	       take_whole(bytes, type, id);
}

bool record_parse_labels_key(struct be_bytes key, enum record_type *type, uint64_t *id)
{
	const uint8_t *bytes = key.data;

	return key.size == 10 && bytes[0] == RECORD_LABELS && take_whole(bytes, type, id);
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

/* How many records the names of a sum take beside its own. */
static uint32_t places_of(const struct day_sum *sum)
{
	return (uint32_t)(sum->names_size - 1) / DAY_NAMES_PART;
}

bool record_parse_day_key(struct be_bytes key, struct day_sum *sum, uint32_t *place)
{
	const uint8_t *bytes = key.data;

	if (key.size != 18 && key.size != 19)
		return false;
	*place = key.size == 19 ? bytes[18] : 0;
	if (bytes[0] != (key.size == 19 ? RECORD_DAY_NAMES : RECORD_DAY) ||
	    (key.size == 19 && (*place == 0 || *place > (DAY_NAMES_MAX - 1) / DAY_NAMES_PART)) ||
	    bytes[9] < BE_TRANSACTION_RECORD || bytes[9] > BE_TRANSACTION_CORRECTION)
		return false;
	sum->day = (int64_t)(get_big_endian(bytes + 1) ^ UINT64_C(1) << 63);
	sum->kind = (enum be_transaction_kind)bytes[9];
	sum->number = get_big_endian(bytes + 10);
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

static uint8_t *put_histories(uint8_t *at, const struct histories *histories)
{
	struct histories_part part = {
		.latest = histories->latest,
		.changes = histories->changes,
		.losses = histories->losses,
		.leapt_ns = histories->leapt_ns,
	};

	if ((part.latest | part.changes | part.losses) == 0)
		return at;
	memcpy(at, &part, sizeof part);
	return at + sizeof part;
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
		.next_alert_id = header->next_alert_id,
		.pruned = header->pruned,
	};
	struct record_key key;

	memcpy(record.magic, magic, sizeof magic);
	memcpy(record.lapses, header->lapses, sizeof record.lapses);
	memcpy(value->bytes, &record, sizeof record);
	record_key_header(&key);
	seal(value, record_key_bytes(&key), RECORD_HEADER,
	     put_histories(value->bytes + sizeof record, &header->histories));
}

static uint8_t parts_of(const struct envelope *envelope)
{
	uint8_t parts = 0;

	if ((envelope->raise | envelope->raise_until_ns | envelope->roll_over | envelope->carried |
	     envelope->given_back) != 0 ||
	    envelope->excused != 0)
		parts |= PART_MORE;
	if ((envelope->threshold_count | envelope->passed) != 0)
		parts |= PART_THRESHOLDS;
	return parts;
}

static uint8_t *put_more(uint8_t *at, const struct envelope *envelope)
{
	struct envelope_more more = {
		.raise = envelope->raise,
		.raise_until_ns = envelope->raise_until_ns,
		.roll_over = envelope->roll_over,
		.carried = envelope->carried,
		.excused = envelope->excused,
		.given_back = envelope->given_back,
	};

	memcpy(at, &more, sizeof more);
	return at + sizeof more;
}

static uint8_t *put_thresholds(uint8_t *at, const struct envelope *envelope)
{
	struct envelope_thresholds thresholds = {
		.passed = envelope->passed,
		.count = envelope->threshold_count,
	};

	assert(envelope->threshold_count <= BE_THRESHOLDS_MAX);
	memcpy(thresholds.percent, envelope->thresholds,
	       envelope->threshold_count * sizeof envelope->thresholds[0]);
	memcpy(at, &thresholds, sizeof thresholds);
	return at + sizeof thresholds;
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
		.parts = parts_of(envelope),
	};
	uint8_t *at = value->bytes + sizeof record;

	assert(envelope->limit > 0 && envelope->spent >= 0 && envelope->committed >= 0 &&
	       envelope->folded >= 0);
	memcpy(record.lapses, envelope->lapses, sizeof record.lapses);
	if (record.parts & PART_MORE)
		at = put_more(at, envelope);
	if (record.parts & PART_THRESHOLDS)
		at = put_thresholds(at, envelope);
	assert((envelope->parent.category_size > 0) == (envelope->parent_id > 0));
	if (envelope->parent.category_size > 0) {
		record.parent_namespace_size = envelope->parent.namespace_size;
		memcpy(at, &envelope->parent_id, sizeof envelope->parent_id);
		at += sizeof envelope->parent_id;
		at = put_text(at, envelope->parent.namespace_name, envelope->parent.namespace_size);
		at = put_text(at, envelope->parent.category, envelope->parent.category_size);
	}
	if (envelope->zone_size > 0)
		at = put_text(at, envelope->zone, envelope->zone_size);
	memcpy(value->bytes, &record, sizeof record);
	seal(value, record_key_bytes(key), RECORD_ENVELOPE, at);
}

/* For assertions. */
static inline __attribute__((unused)) bool has_its_ranges(const struct commit *commit)
{
	return commit->amount >= 0 && commit->deadline_ns >= 0 &&
	       commit->description_size < BE_DESCRIPTION_SIZE && commit->further <= FURTHER_MAX &&
	       commit->labels <= BE_LABELS_MAX;
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
		.marks = commit->detached ? MARK_DETACHED : 0,
		.namespace_size = commit->name.namespace_size,
		.category_size = commit->name.category_size,
		.further = commit->further & 15,
		.labels = commit->labels & 15,
		.description_size = commit->description_size,
	};
	uint8_t *at = value->bytes + sizeof record;

	assert(has_its_ranges(commit));
	assert(key->bytes[0] ==
	       (commit->state == BE_COMMIT_PENDING ? RECORD_COMMIT : RECORD_ENDED));
	if (owner_has_host(&commit->owner)) {
		record.marks |= MARK_HOST;
		memcpy(at, commit->owner.host, sizeof commit->owner.host);
		at += sizeof commit->owner.host;
	}
	memcpy(value->bytes, &record, sizeof record);
	at = put_text(at, commit->name.namespace_name, commit->name.namespace_size);
	at = put_text(at, commit->name.category, commit->name.category_size);
	at = put_text(at, commit->description, commit->description_size);
	seal(value, record_key_bytes(key), (enum record_type)key->bytes[0], at);
}

/* Corrections give back, and nothing else does. For assertions. */
static inline __attribute__((unused)) bool has_its_sign(const struct transaction *transaction)
{
	if (transaction->kind == BE_TRANSACTION_CORRECTION)
		return transaction->amount <= 0 && transaction->corrects != 0;
	return transaction->amount >= 0 && transaction->corrects == 0;
}

void record_encode_transaction(struct record_value *value, const struct record_key *key,
			       const struct transaction *transaction)
{
	struct transaction_record record = {
		.id = transaction->id,
		.commit_id = transaction->corrects ? transaction->corrects : transaction->commit_id,
		.amount = transaction->amount,
		.held = transaction->held,
		.at_ns = transaction->at_ns,
		.kind = (uint8_t)transaction->kind,
		.late = transaction->late,
		.depth = (uint8_t)transaction->depth,
		.namespace_size = transaction->name.namespace_size,
		.category_size = transaction->name.category_size,
		.further = transaction->further & 15,
		.labels = transaction->labels & 15,
		.description_size = transaction->description_size,
	};
	size_t chain_size = transaction->depth * sizeof transaction->chain[0];
	uint8_t *at = value->bytes + sizeof record;

	assert(transaction->held >= 0 && has_its_sign(transaction));
	assert(transaction->depth > 0 && transaction->depth <= BE_DEPTH_MAX);
	assert(transaction->description_size < BE_DESCRIPTION_SIZE);
	assert(transaction->further <= FURTHER_MAX && transaction->labels <= BE_LABELS_MAX);
	memcpy(value->bytes, &record, sizeof record);
	memcpy(at, transaction->chain, chain_size);
	at += chain_size;
	at = put_text(at, transaction->name.namespace_name, transaction->name.namespace_size);
	at = put_text(at, transaction->name.category, transaction->name.category_size);
	at = put_text(at, transaction->description, transaction->description_size);
	seal(value, record_key_bytes(key), RECORD_TRANSACTION, at);
}

static size_t further_ids(uint32_t depth)
{
	return depth > 0 ? depth : 1;
}

void record_encode_further(struct record_value *value, const struct record_key *key,
			   const struct further *further)
{
	struct further_record record = {
		.depth = (uint8_t)further->depth,
		.namespace_size = further->name.namespace_size,
		.category_size = further->name.category_size,
	};
	size_t chain_size = further_ids(further->depth) * sizeof further->chain[0];
	uint8_t *at = value->bytes + sizeof record;

	assert(further->depth <= BE_DEPTH_MAX && further->name.category_size > 0);
	memcpy(value->bytes, &record, sizeof record);
	memcpy(at, further->chain, chain_size);
	at += chain_size;
	at = put_text(at, further->name.namespace_name, further->name.namespace_size);
	at = put_text(at, further->name.category, further->name.category_size);
	seal(value, record_key_bytes(key), RECORD_FURTHER, at);
}

void record_encode_labels(struct record_value *value, const struct record_key *key, uint32_t count,
			  const uint8_t *bytes, size_t size)
{
	struct labels_record record = {.count = (uint8_t)count};

	assert(count > 0 && labels_are_valid(bytes, size, count));
	memcpy(value->bytes, &record, sizeof record);
	memcpy(value->bytes + sizeof record, bytes, size);
	seal(value, record_key_bytes(key), RECORD_LABELS, value->bytes + sizeof record + size);
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

void record_encode_alert(struct record_value *value, const struct record_key *key,
			 const struct alert *alert)
{
	struct alert_record record = {
		.id = alert->id,
		.envelope_id = alert->envelope_id,
		.transaction_id = alert->transaction_id,
		.limit = alert->limit,
		.spent = alert->spent,
		.at_ns = alert->at_ns,
		.period_start_ns = alert->period_start_ns,
		.period_end_ns = alert->period_end_ns,
		.done_ns = alert->done_ns,
		.percent = (uint16_t)alert->percent,
		.namespace_size = alert->name.namespace_size,
		.category_size = alert->name.category_size,
		.spender_namespace_size = alert->spender.namespace_size,
		.spender_category_size = alert->spender.category_size,
	};
	uint8_t *at = value->bytes + sizeof record;

	assert(alert->limit > 0 && alert->spent >= 0 && alert->percent <= BE_THRESHOLD_MAX);
	memcpy(value->bytes, &record, sizeof record);
	at = put_text(at, alert->name.namespace_name, alert->name.namespace_size);
	at = put_text(at, alert->name.category, alert->name.category_size);
	at = put_text(at, alert->spender.namespace_name, alert->spender.namespace_size);
	at = put_text(at, alert->spender.category, alert->spender.category_size);
	seal(value, record_key_bytes(key), RECORD_ALERT, at);
}

void record_encode_given_back(struct record_value *value, const struct record_key *key,
			      const struct given_back *given_back)
{
	struct given_back_record record = {.id = given_back->id, .amount = given_back->amount};

	assert(given_back->id > 0 && given_back->amount >= 0);
	memcpy(value->bytes, &record, sizeof record);
	seal(value, record_key_bytes(key), RECORD_GIVEN_BACK, value->bytes + sizeof record);
}

void record_encode_renamed(struct record_value *value, const struct record_key *key,
			   const struct renamed *renamed)
{
	struct renamed_record record = {
		.id = renamed->id,
		.namespace_size = renamed->name.namespace_size,
		.category_size = renamed->name.category_size,
	};
	uint8_t *at = value->bytes + sizeof record;

	assert(renamed->id > 0 && renamed->name.category_size > 0);
	memcpy(value->bytes, &record, sizeof record);
	at = put_text(at, renamed->name.namespace_name, renamed->name.namespace_size);
	at = put_text(at, renamed->name.category, renamed->name.category_size);
	seal(value, record_key_bytes(key), RECORD_RENAMED, at);
}

/* How many bytes of the names lie in the record of that place. */
static size_t names_at(const struct day_sum *sum, uint32_t place)
{
	size_t left = sum->names_size - (size_t)place * DAY_NAMES_PART;

	return left < DAY_NAMES_PART ? left : DAY_NAMES_PART;
}

void record_encode_day(struct record_value *value, const struct record_key *key,
		       const struct day_sum *sum)
{
	struct day_record record = {
		.amount = sum->amount,
		.count = sum->count,
		.first_ns = sum->first_ns,
		.last_ns = sum->last_ns,
		.envelope_id = sum->envelope_id,
		.names_size = sum->names_size,
	};
	size_t size = names_at(sum, 0);

	assert(sum->count > 0 && record_day_is_whole(sum));
	memcpy(value->bytes, &record, sizeof record);
	memcpy(value->bytes + sizeof record, sum->names, size);
	seal(value, record_key_bytes(key), RECORD_DAY, value->bytes + sizeof record + size);
}

void record_encode_day_names(struct record_value *value, const struct record_key *key,
			     const struct day_sum *sum, uint32_t place)
{
	size_t size = names_at(sum, place);

	assert(place > 0 && place <= places_of(sum));
	memcpy(value->bytes + sizeof(struct head), sum->names + (size_t)place * DAY_NAMES_PART,
	       size);
	seal(value, record_key_bytes(key), RECORD_DAY_NAMES,
	     value->bytes + sizeof(struct head) + size);
}

void record_encode_zone(struct record_value *value, const struct record_key *key,
			const uint8_t *packed, size_t size)
{
	uint8_t *at = put_text(value->bytes + sizeof(struct head), (const char *)packed, size);

	seal(value, record_key_bytes(key), RECORD_ZONE, at);
}

void record_encode_host(struct record_value *value, const struct record_key *key,
			const struct host *host)
{
	struct host_record record = {
		.batch = host->batch, .at_ns = host->at_ns, .lease_end_ns = host->lease_end_ns};

	memcpy(value->bytes, &record, sizeof record);
	seal(value, record_key_bytes(key), RECORD_HEADER, value->bytes + sizeof record);
}

void record_encode_filling(struct record_value *value, const struct filling *filling)
{
	struct filling_record record = {.filling = *filling};
	struct record_key key;

	memcpy(value->bytes, &record, sizeof record);
	record_key_header(&key);
	seal(value, record_key_bytes(&key), RECORD_FILLING, value->bytes + sizeof record);
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

static bool take_histories(struct be_bytes value, struct histories *histories)
{
	struct histories_part part;

	*histories = (struct histories){0};
	if (value.size == sizeof(struct header_record))
		return true;
	if (value.size != sizeof(struct header_record) + sizeof part)
		return false;
	memcpy(&part, (const uint8_t *)value.data + sizeof(struct header_record), sizeof part);
	*histories = (struct histories){part.latest, part.changes, part.losses, part.leapt_ns};
	return (part.latest | part.changes | part.losses) != 0;
}

enum be_status record_decode_header(struct be_bytes value, struct header *header)
{
	struct histories histories;
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
	if (memcmp(record.magic, magic, sizeof magic) != 0 || !take_histories(value, &histories))
		return BE_DAMAGED;
	if (record.next_envelope_id == 0 || record.next_commit_id == 0 ||
	    record.next_transaction_id == 0 || record.next_alert_id == 0 ||
	    record.leapt >= record.next_envelope_id || record.pruned >= record.next_transaction_id)
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
		.next_alert_id = record.next_alert_id,
		.pruned = record.pruned,
		.histories = histories,
	};
	memcpy(header->lapses, record.lapses, sizeof header->lapses);
	return BE_OK;
}

bool record_key_after(struct record_key *from, struct be_bytes key)
{
	if (key.size >= sizeof from->bytes)
		return false;
	memcpy(from->bytes, key.data, key.size);
	from->bytes[key.size] = 0;
	from->size = (uint16_t)(key.size + 1);
	return true;
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

bool record_is_filling(struct be_bytes value)
{
	return check_head(value, RECORD_FILLING, sizeof(struct filling_record)) == BE_OK;
}

bool record_decode_filling(struct be_bytes value, struct filling *filling)
{
	struct filling_record record;

	if (open_value(value, RECORD_FILLING, &record, sizeof record) != BE_OK)
		return false;
	*filling = record.filling;
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
	envelope->given_back = more.given_back;
	return at + sizeof more;
}

bool record_thresholds_are_valid(const uint16_t *percent, size_t count)
{
	if (count > BE_THRESHOLDS_MAX)
		return false;
	for (size_t i = 0; i < BE_THRESHOLDS_MAX; i++)
		if (i >= count ? percent[i] != 0
			       : percent[i] <= (i > 0 ? percent[i - 1] : 0) ||
					 percent[i] > BE_THRESHOLD_MAX)
			return false;
	return true;
}

static bool take_thresholds(const uint8_t **at, struct envelope *envelope)
{
	struct envelope_thresholds thresholds;

	memcpy(&thresholds, *at, sizeof thresholds);
	*at += sizeof thresholds;
	memcpy(envelope->thresholds, thresholds.percent, sizeof envelope->thresholds);
	envelope->threshold_count = thresholds.count;
	envelope->passed = thresholds.passed;
	return (thresholds.count | thresholds.passed) != 0 &&
	       thresholds.passed <= BE_THRESHOLD_MAX &&
	       record_thresholds_are_valid(envelope->thresholds, thresholds.count);
}

/* The parts that follow the record; of those that do not, what a plain envelope has. */
static bool take_parts(const uint8_t **at, uint8_t parts, struct envelope *envelope)
{
	if (parts & PART_MORE) {
		*at = take_more(*at, envelope);
	} else {
		envelope->raise = envelope->raise_until_ns = 0;
		envelope->roll_over = envelope->carried = envelope->given_back = 0;
		envelope->excused = 0;
	}
	envelope->threshold_count = 0;
	envelope->passed = 0;
	return (envelope->raise | envelope->roll_over | envelope->carried | envelope->given_back) >=
		       0 &&
	       (!(parts & PART_THRESHOLDS) || take_thresholds(at, envelope));
}

static size_t parent_size(const struct envelope_record *record)
{
	return record->parent_category_size == 0
		       ? record->parent_namespace_size
		       : sizeof(uint64_t) + record->parent_namespace_size +
				 record->parent_category_size;
}

static bool take_parent(const uint8_t **at, const struct envelope_record *record,
			struct envelope *envelope)
{
	if (record->parent_category_size > 0) {
		memcpy(&envelope->parent_id, *at, sizeof envelope->parent_id);
		*at += sizeof envelope->parent_id;
		return envelope->parent_id > 0 &&
		       take_name(at, &envelope->parent, record->parent_namespace_size,
				 record->parent_category_size);
	}
	envelope->parent_id = 0;
	envelope->parent.namespace_size = envelope->parent.category_size = 0;
	envelope->parent.namespace_name[0] = envelope->parent.category[0] = '\0';
	return record->parent_namespace_size == 0;
}

enum be_status record_decode_envelope(struct be_bytes value, struct envelope *envelope)
{
	const struct envelope_record *record = value.data;
	const uint8_t *at = (const uint8_t *)value.data + sizeof *record;
	enum be_status status = check_head(value, RECORD_ENVELOPE, sizeof *record);

	if (status != BE_OK)
		return status;
	if (record->parts >= sizeof parts_size ||
	    value.size != sizeof *record + parent_size(record) + record->zone_size +
				  parts_size[record->parts])
		return BE_DAMAGED;
	/* One test for the signs of all amounts. */
	if ((record->limit | record->spent | record->committed | record->folded | record->charged) <
		    0 ||
	    record->limit == 0 || record->id <= record->leapt || record->window_first == 0 ||
	    record->period > BE_PERIOD_YEARLY || record->begins_on > 31 ||
	    (record->suspended | record->observe_only) > 1 || !window_is_valid(record) ||
	    !take_parts(&at, record->parts, envelope))
		return BE_DAMAGED;
	envelope->passed_then = envelope->passed;
	if (!take_parent(&at, record, envelope))
		return BE_DAMAGED;
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
	if (record->parts & PART_MORE)
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
	size_t host_size;

	if (status != BE_OK)
		return status;
	if (!record_parse_id_key(key, type, &id) || (type != RECORD_COMMIT && type != RECORD_ENDED))
		return BE_DAMAGED;
	pending = record.state == BE_COMMIT_PENDING;
	resolved = record.state == BE_COMMIT_RELEASED || record.state == BE_COMMIT_SETTLED;
	if (record.id != id || id == 0 || record.envelope_id == 0 || record.amount < 0 ||
	    record.deadline_ns < 0 || record.state > BE_COMMIT_ORPHANED ||
	    pending != (type == RECORD_COMMIT) || record.reap_policy > BE_REAP_CHARGE ||
	    record.marks > (MARK_DETACHED | MARK_HOST))
		return BE_DAMAGED;
	if (resolved ? (record.further | record.labels) > 0 : record.category_size == 0)
		return BE_DAMAGED;
	if (record.labels > BE_LABELS_MAX)
		return BE_DAMAGED;
	host_size = record.marks & MARK_HOST ? sizeof commit->owner.host : 0;
	if (value.size != sizeof record + host_size + record.namespace_size + record.category_size +
				  record.description_size)
		return BE_DAMAGED;
	at += sizeof record;
	commit->owner = (struct owner){.generation = record.owner_generation,
				       .slot = record.owner_slot,
				       .pid = record.owner_pid};
	memcpy(commit->owner.host, at, host_size);
	at += host_size;
	if (!take_name(&at, &commit->name, record.namespace_size, record.category_size) ||
	    !take_description(at, commit->description, record.description_size))
		return BE_DAMAGED;
	commit->checksum = record.head.checksum;
	commit->id = record.id;
	commit->state = (enum be_commit_state)record.state;
	commit->reap_policy = (enum be_reap_policy)record.reap_policy;
	commit->detached = record.marks & MARK_DETACHED;
	commit->envelope_id = record.envelope_id;
	commit->amount = record.amount;
	commit->created_ns = record.created_ns;
	commit->deadline_ns = record.deadline_ns;
	commit->ended_ns = record.ended_ns;
	commit->transaction_id = record.transaction_id;
	commit->further = record.further;
	commit->labels = record.labels;
	commit->description_size = record.description_size;
	return BE_OK;
}

enum be_status record_decode_transaction(struct be_bytes key, struct be_bytes value,
					 struct transaction *transaction)
{
	struct transaction_record record;
	const uint8_t *at = value.data;
	enum be_status status = open_value(value, RECORD_TRANSACTION, &record, sizeof record);
	bool corrects;
	size_t chain_size;
	uint64_t id;

	if (status != BE_OK)
		return status;
	if (!record_parse_id_key(key, RECORD_TRANSACTION, &id))
		return BE_DAMAGED;
	corrects = record.kind == BE_TRANSACTION_CORRECTION;
	if (record.id != id || id == 0 || (corrects ? record.amount > 0 : record.amount < 0) ||
	    record.held < 0 || (corrects && (record.commit_id == 0 || record.commit_id >= id)) ||
	    !is_flag(record.late) || record.kind < BE_TRANSACTION_RECORD ||
	    record.kind > BE_TRANSACTION_CORRECTION || record.depth == 0 ||
	    record.depth > BE_DEPTH_MAX || record.category_size == 0 ||
	    record.labels > BE_LABELS_MAX)
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
	transaction->commit_id = corrects ? 0 : record.commit_id;
	transaction->corrects = corrects ? record.commit_id : 0;
	transaction->kind = (enum be_transaction_kind)record.kind;
	transaction->late = record.late;
	transaction->amount = record.amount;
	transaction->held = record.held;
	transaction->at_ns = record.at_ns;
	transaction->depth = record.depth;
	transaction->further = record.further;
	transaction->labels = record.labels;
	transaction->description_size = record.description_size;
	return BE_OK;
}

enum be_status record_decode_further(struct be_bytes key, struct be_bytes value,
				     struct further *further)
{
	struct further_record record;
	const uint8_t *at = value.data;
	enum be_status status = open_value(value, RECORD_FURTHER, &record, sizeof record);
	enum record_type owner;
	size_t chain_size;
	uint64_t id;

	if (status != BE_OK)
		return status;
	if (!record_parse_further_key(key, &owner, &id) || record.depth > BE_DEPTH_MAX ||
	    record.category_size == 0)
		return BE_DAMAGED;
	chain_size = further_ids(record.depth) * sizeof further->chain[0];
	if (value.size != sizeof record + chain_size + record.namespace_size + record.category_size)
		return BE_DAMAGED;
	at += sizeof record;
	memcpy(further->chain, at, chain_size);
	if (further->chain[0] == 0)
		return BE_DAMAGED;
	at += chain_size;
	if (!take_name(&at, &further->name, record.namespace_size, record.category_size))
		return BE_DAMAGED;
	further->depth = record.depth;
	further->checksum = record.head.checksum;
	return BE_OK;
}

enum be_status record_decode_labels(struct be_bytes key, struct be_bytes value,
				    struct labels *labels)
{
	struct labels_record record;
	const uint8_t *at = (const uint8_t *)value.data + sizeof record;
	enum be_status status = open_value(value, RECORD_LABELS, &record, sizeof record);
	enum record_type type;
	uint64_t id;

	if (status != BE_OK)
		return status;
	if (!record_parse_labels_key(key, &type, &id) || record.count == 0 ||
	    !labels_are_valid(at, value.size - sizeof record, record.count))
		return BE_DAMAGED;
	labels->count = record.count;
	labels->size = (uint16_t)(value.size - sizeof record);
	memcpy(labels->bytes, at, labels->size);
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
		 request->kind == BE_OPERATION_CHARGE || request->kind == BE_OPERATION_CORRECT)
		sound = take_transaction_answer(answer, record.id, request);
	return sound && record.until_ns > 0 && record_parse_request_key(key, &request->name)
		       ? BE_OK
		       : BE_DAMAGED;
}

enum be_status record_decode_alert(struct be_bytes key, struct be_bytes value, struct alert *alert)
{
	struct alert_record record;
	const uint8_t *at = value.data;
	enum be_status status = open_value(value, RECORD_ALERT, &record, sizeof record);
	uint64_t id;

	if (status != BE_OK)
		return status;
	if (!record_parse_id_key(key, RECORD_ALERT, &id) || record.id != id || id == 0 ||
	    record.envelope_id == 0 || (record.spent | record.done_ns) < 0 || record.limit <= 0 ||
	    record.percent == 0 || record.percent > BE_THRESHOLD_MAX || record.category_size == 0 ||
	    (record.spender_category_size == 0 &&
	     (record.spender_namespace_size != 0 || record.transaction_id != 0)) ||
	    value.size != sizeof record + record.namespace_size + record.category_size +
				  record.spender_namespace_size + record.spender_category_size)
		return BE_DAMAGED;
	at += sizeof record;
	if (!take_name(&at, &alert->name, record.namespace_size, record.category_size) ||
	    !take_name(&at, &alert->spender, record.spender_namespace_size,
		       record.spender_category_size))
		return BE_DAMAGED;
	alert->id = record.id;
	alert->envelope_id = record.envelope_id;
	alert->transaction_id = record.transaction_id;
	alert->percent = record.percent;
	alert->limit = record.limit;
	alert->spent = record.spent;
	alert->at_ns = record.at_ns;
	alert->period_start_ns = record.period_start_ns;
	alert->period_end_ns = record.period_end_ns;
	alert->done_ns = record.done_ns;
	alert->checksum = record.head.checksum;
	return BE_OK;
}

enum be_status record_decode_renamed(struct be_bytes key, struct be_bytes value,
				     struct renamed *renamed)
{
	struct renamed_record record;
	const uint8_t *at = value.data;
	enum be_status status = open_value(value, RECORD_RENAMED, &record, sizeof record);
	uint64_t id;

	if (status != BE_OK)
		return status;
	at += sizeof record;
	if (!record_parse_id_key(key, RECORD_RENAMED, &id) || record.id != id || id == 0 ||
	    record.category_size == 0 ||
	    value.size != sizeof record + record.namespace_size + record.category_size ||
	    !take_name(&at, &renamed->name, record.namespace_size, record.category_size))
		return BE_DAMAGED;
	renamed->id = id;
	renamed->checksum = record.head.checksum;
	return BE_OK;
}

enum be_status record_decode_given_back(struct be_bytes key, struct be_bytes value,
					struct given_back *given_back)
{
	struct given_back_record record;
	enum be_status status = open_value(value, RECORD_GIVEN_BACK, &record, sizeof record);
	uint64_t id;

	if (status != BE_OK)
		return status;
	if (!record_parse_id_key(key, RECORD_GIVEN_BACK, &id) || record.id != id || id == 0 ||
	    record.amount < 0 || value.size != sizeof record)
		return BE_DAMAGED;
	*given_back = (struct given_back){record.id, record.amount, record.head.checksum};
	return BE_OK;
}

enum be_status record_decode_day(struct be_bytes key, struct be_bytes value, struct day_sum *sum)
{
	struct day_record record;
	enum be_status status = open_value(value, RECORD_DAY, &record, sizeof record);
	uint32_t place;

	if (status != BE_OK)
		return status;
	if (!record_parse_day_key(key, sum, &place) || place != 0 || record.count == 0 ||
	    (sum->kind == BE_TRANSACTION_CORRECTION ? record.amount > 0 : record.amount < 0) ||
	    record.first_ns > record.last_ns || day_of(record.first_ns) != sum->day ||
	    day_of(record.last_ns) != sum->day || record.envelope_id == 0 ||
	    record.names_size == 0 || record.names_size > DAY_NAMES_MAX)
		return BE_DAMAGED;
	sum->amount = record.amount;
	sum->count = record.count;
	sum->first_ns = record.first_ns;
	sum->last_ns = record.last_ns;
	sum->envelope_id = record.envelope_id;
	sum->names_size = record.names_size;
	sum->checksum = record.head.checksum;
	if (value.size != sizeof record + names_at(sum, 0))
		return BE_DAMAGED;
	memcpy(sum->names, (const uint8_t *)value.data + sizeof record, names_at(sum, 0));
	return places_of(sum) > 0 || record_day_is_whole(sum) ? BE_OK : BE_DAMAGED;
}

enum be_status record_decode_day_names(struct be_bytes key, struct be_bytes value,
				       struct day_sum *sum)
{
	enum be_status status = check_head(value, RECORD_DAY_NAMES, sizeof(struct head));
	struct day_sum other;
	uint32_t place;

	if (status != BE_OK)
		return status;
	if (!record_parse_day_key(key, &other, &place) || place == 0 || place > places_of(sum) ||
	    value.size != sizeof(struct head) + names_at(sum, place))
		return BE_DAMAGED;
	memcpy(sum->names + (size_t)place * DAY_NAMES_PART,
	       (const uint8_t *)value.data + sizeof(struct head), names_at(sum, place));
	return BE_OK;
}

bool record_day_is_whole(const struct day_sum *sum)
{
	const uint8_t *at = sum->names, *end = sum->names + sum->names_size;
	struct name name;
	int count = 0;

	while (at < end && count < BE_ENVELOPES_MAX && name_unpack(&at, end, &name))
		count++;
	return count > 0 && at == end;
}

const char *record_type_name(uint8_t type)
{
	static const char *const names[] = {
		[RECORD_DEADLINE] = "deadline",
		[RECORD_COMMIT] = "commit",
		[RECORD_HEADER] = "header",
		[RECORD_ENVELOPE] = "envelope",
		[RECORD_ENDED] = "ended commit",
		[RECORD_TRANSACTION] = "transaction",
		[RECORD_ZONE] = "zone",
		[RECORD_REQUEST] = "key",
		[RECORD_REQUEST_END] = "end of a key",
		[RECORD_ALERT] = "alert",
		[RECORD_GIVEN_BACK] = "what was given back",
		[RECORD_FURTHER] = "further envelope",
		[RECORD_RENAMED] = "new name of an envelope",
		[RECORD_LABELS] = "labels",
		[RECORD_DAY] = "daily sum",
		[RECORD_DAY_NAMES] = "names of a daily sum",
	};

	return type < sizeof names / sizeof *names ? names[type] : NULL;
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

enum be_status record_decode_host(struct be_bytes key, struct be_bytes value, struct host *host)
{
	const uint8_t *bytes = key.data;
	struct host_record record;
	enum be_status status;

	if (key.size != 1 + RECORD_HOST_ID_SIZE || bytes[0] != RECORD_HEADER)
		return BE_DAMAGED;
	status = open_value(value, RECORD_HEADER, &record, sizeof record);
	if (status != BE_OK)
		return status;
	if (value.size != sizeof record || record.lease_end_ns < 0)
		return BE_DAMAGED;
	memcpy(host->id, bytes + 1, sizeof host->id);
	host->batch = record.batch;
	host->at_ns = record.at_ns;
	host->lease_end_ns = record.lease_end_ns;
	host->checksum = record.head.checksum;
	return BE_OK;
}
