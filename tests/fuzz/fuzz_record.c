/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: any key and value are either refused, or read into a structure that, written again,
 * gives a record that is accepted, whose checksum fits, and that means the same. Keys are read and
 * written alike.
 *
 * The first byte is the size of the key; the value follows it.
 */
#include "fuzz.h"

#include "records/record.h"
#include "rules/calendar.h"

/* Bytes in an allocation of their own, so that a read behind them is seen. */
static struct be_bytes copy(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size > 0 ? size : 1);

	assert(bytes);
	if (size > 0)
		memcpy(bytes, data, size);
	return (struct be_bytes){bytes, size};
}

static bool is_same(struct be_bytes a, struct be_bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void expect_name(const struct name *name)
{
	assert(name->namespace_size < BE_NAME_SIZE && name->category_size < BE_NAME_SIZE);
	assert(name->namespace_name[name->namespace_size] == '\0');
	assert(name->category[name->category_size] == '\0');
}

static void expect_key(struct be_bytes key)
{
	struct record_key again;
	struct request_name request;
	struct day_sum day;
	struct name name;
	int64_t deadline_ns;
	uint32_t place;
	uint64_t id;

	if (record_parse_envelope_key(key, &name)) {
		record_key_envelope(&again, &name);
		assert(is_same(record_key_bytes(&again), key));
	}
	if (record_parse_deadline_key(key, &deadline_ns, &id)) {
		record_key_deadline(&again, deadline_ns, id);
		assert(is_same(record_key_bytes(&again), key));
	}
	if (record_parse_request_key(key, &request)) {
		record_key_request(&again, &request);
		assert(is_same(record_key_bytes(&again), key));
	}
	if (record_parse_request_end_key(key, &deadline_ns, &request)) {
		record_key_request_end(&again, deadline_ns, &request);
		assert(is_same(record_key_bytes(&again), key));
	}
	if (record_parse_day_key(key, &day, &place)) {
		record_key_day(&again, &day, place);
		assert(is_same(record_key_bytes(&again), key));
	}
	for (int type = 0; type <= UINT8_MAX; type++)
		if (record_parse_id_key(key, (enum record_type)type, &id)) {
			record_key_id(&again, (enum record_type)type, id);
			assert(is_same(record_key_bytes(&again), key));
		}
}

/* Whatever a record has for a zone, windows are where they should be. */
static void use_zone(struct be_bytes packed)
{
	int64_t start_ns, end_ns, now_ns = 0;
	struct zone zone;

	if (!zone_unpack(packed.data, packed.size, &zone))
		return;
	memcpy(&now_ns, packed.data, packed.size < sizeof now_ns ? packed.size : sizeof now_ns);
	for (int period = BE_PERIOD_HOURLY; period <= BE_PERIOD_YEARLY; period++) {
		calendar_window((enum be_period)period, period == BE_PERIOD_MONTHLY ? 31 : 0, &zone,
				now_ns, &start_ns, &end_ns);
		assert(start_ns <= now_ns && (now_ns < end_ns || end_ns == INT64_MAX));
		(void)calendar_windows_between((enum be_period)period, &zone, start_ns, end_ns);
	}
}

/* Whatever a record has for labels, they end, ascend, and stay what they are when they are added to
 * themselves. */
static void use_labels(const struct labels *labels)
{
	struct labels twice = *labels;
	struct label_texts texts;

	assert(labels->count > 0 && labels->count <= BE_LABELS_MAX);
	labels_unpack(labels, &texts);
	for (uint32_t i = 0; i < labels->count; i++) {
		assert(strlen(texts.labels[i].key) < BE_LABEL_KEY_SIZE);
		assert(strlen(texts.labels[i].value) < BE_LABEL_VALUE_SIZE);
		assert(i == 0 || strcmp(texts.labels[i - 1].key, texts.labels[i].key) < 0);
	}
	assert(labels_add(&twice, labels->bytes, labels->size) == BE_OK);
	assert(twice.count == labels->count && twice.size == labels->size);
	assert(memcmp(twice.bytes, labels->bytes, twice.size) == 0);
}

/* Reads what comes with transactions, or another name, and writes it again. False when it was
 * refused. */
static bool rewrite_note(struct be_bytes key, struct be_bytes value, const struct record_key *where,
			 struct record_value *written)
{
	struct given_back given_back;
	struct renamed renamed;
	struct further further;
	struct labels labels;
	struct alert alert;
	struct day_sum day;

	if (where->bytes[0] == RECORD_RENAMED) {
		if (record_decode_renamed(key, value, &renamed) != BE_OK)
			return false;
		expect_name(&renamed.name);
		record_encode_renamed(written, where, &renamed);
		return true;
	}
	if (where->bytes[0] == RECORD_LABELS) {
		if (record_decode_labels(key, value, &labels) != BE_OK)
			return false;
		use_labels(&labels);
		record_encode_labels(written, where, labels.count, labels.bytes, labels.size);
		return true;
	}
	if (where->bytes[0] == RECORD_DAY) {
		/* Of one whose names lie in other records, too, nothing can be written again. */
		if (record_decode_day(key, value, &day) != BE_OK || day.names_size > DAY_NAMES_PART)
			return false;
		assert(day.count > 0 && record_day_is_whole(&day));
		record_encode_day(written, where, &day);
		return true;
	}
	if (where->bytes[0] == RECORD_FURTHER) {
		if (record_decode_further(key, value, &further) != BE_OK)
			return false;
		expect_name(&further.name);
		assert(further.depth <= BE_DEPTH_MAX);
		record_encode_further(written, where, &further);
		return true;
	}
	if (where->bytes[0] == RECORD_ALERT) {
		if (record_decode_alert(key, value, &alert) != BE_OK)
			return false;
		expect_name(&alert.name);
		expect_name(&alert.spender);
		assert(alert.percent > 0 && alert.spent >= 0 && alert.limit > 0);
		record_encode_alert(written, where, &alert);
		return true;
	}
	if (record_decode_given_back(key, value, &given_back) != BE_OK)
		return false;
	assert(given_back.id > 0 && given_back.amount >= 0);
	record_encode_given_back(written, where, &given_back);
	return true;
}

/* Reads a record of whichever type the key says and writes it again. False when it was refused. */
static bool rewrite(struct be_bytes key, struct be_bytes value, struct record_value *written)
{
	struct record_key where = {.size = (uint16_t)key.size};
	struct transaction transaction;
	struct keyed_request request;
	struct envelope envelope;
	struct be_bytes packed;
	struct header header;
	struct commit commit;
	struct host host;

	memcpy(where.bytes, key.data, key.size);
	switch (where.bytes[0]) {
	case RECORD_HEADER:
		if (record_decode_host(key, value, &host) == BE_OK) {
			record_encode_host(written, &where, &host);
			return true;
		}
		if (key.size != 1 || record_decode_header(value, &header) != BE_OK)
			return false;
		record_encode_header(written, &header);
		return true;
	case RECORD_ENVELOPE:
		if (!record_parse_envelope_key(key, &envelope.name) ||
		    record_decode_envelope(value, &envelope) != BE_OK)
			return false;
		expect_name(&envelope.parent);
		assert(envelope.limit > 0 && envelope.spent >= 0 && envelope.committed >= 0);
		record_encode_envelope(written, &where, &envelope);
		return true;
	case RECORD_COMMIT:
	case RECORD_ENDED:
		if (record_decode_commit(key, value, &commit) != BE_OK)
			return false;
		expect_name(&commit.name);
		assert(commit.amount >= 0 && commit.description_size < BE_DESCRIPTION_SIZE);
		assert((commit.state == BE_COMMIT_PENDING) == (where.bytes[0] == RECORD_COMMIT));
		record_encode_commit(written, &where, &commit);
		return true;
	case RECORD_TRANSACTION:
		if (record_decode_transaction(key, value, &transaction) != BE_OK)
			return false;
		expect_name(&transaction.name);
		assert((transaction.amount >= 0 || transaction.corrects > 0) &&
		       transaction.depth <= BE_DEPTH_MAX);
		record_encode_transaction(written, &where, &transaction);
		return true;
	case RECORD_REQUEST:
		if (record_decode_request(key, value, &request) != BE_OK)
			return false;
		assert(request.until_ns > 0);
		record_encode_request(written, &where, &request);
		return true;
	case RECORD_DAY:
	case RECORD_FURTHER:
	case RECORD_LABELS:
	case RECORD_ALERT:
	case RECORD_GIVEN_BACK:
	case RECORD_RENAMED:
		return rewrite_note(key, value, &where, written);
	case RECORD_ZONE:
		if (!record_is_zone_name((const char *)where.bytes + 1, where.size - 1) ||
		    record_decode_zone(value, &packed) != BE_OK)
			return false;
		use_zone(packed);
		record_encode_zone(written, &where, packed.data, packed.size);
		return true;
	default:
		return false;
	}
}

static struct be_bytes bytes_of(const struct record_value *value)
{
	return (struct be_bytes){value->bytes, value->size};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_value once, twice;
	struct be_bytes key, value;
	size_t key_size;

	if (size < 2)
		return 0;
	key_size = data[0];
	if (key_size == 0 || key_size > size - 1 || size - 1 - key_size > BE_STORAGE_VALUE_MAX)
		return 0;
	key = copy(data + 1, key_size);
	value = copy(data + 1 + key_size, size - 1 - key_size);
	expect_key(key);
	if (rewrite(key, value, &once)) {
		assert(record_checksum_fits(key, bytes_of(&once)));
		assert(rewrite(key, bytes_of(&once), &twice));
		assert(is_same(bytes_of(&once), bytes_of(&twice)));
		/* What the library wrote is not changed by being read. */
		assert(once.size == value.size);
	}
	(void)record_checksum_fits(key, value);
	free((void *)key.data);
	free((void *)value.data);
	return 0;
}
