/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a storage: keys and values, and the structures they are read into.
 *
 * One ordered map holds everything. The first byte of a key says what it is, and the numbers are
 * chosen so that the records one txn changes lie close together and the ledger, which only grows,
 * comes behind them:
 *
 *   1 deadline (8 bytes, big-endian) id (8)   nothing: which commits expire when
 *   2 commit id (8)                           a pending commit
 *   3                                         the header: format, and the next ids to give out
 *   4 namespace 0 category                    an envelope
 *   5 commit id (8)                           an ended commit, so that ending it twice is answered
 *                                             truly
 *   6 transaction id (8)                      a transaction
 *   7 name                                    a time zone, packed (rules/zone.h)
 *   8 namespace 0 key                         a request made with a key, and its answer
 *   9 end (8, big-endian) namespace 0 key     nothing: which of these are forgotten when
 *
 * Every value but those of 1 and 9 begins with its type, its format version, its size, and a
 * checksum over its key and the rest of it. Type, format and size lie where they lay in all formats
 * so far. Numbers are little-endian and of fixed width; ids in keys are big-endian, so that they
 * ascend. Decoding believes nothing: sizes, ranges and combinations are checked before a structure
 * is filled.
 *
 * A record's own checksum cannot show that a whole record has vanished, or was added, or is an old
 * one. For that the header vouches for all other records with a digest: the sum of their checksums,
 * modulo 2^64. The sum does not depend on an order, so a txn changes it by what the txn writes. The
 * checksums are not linear, so that changes do not cancel each other. What has no value counts with
 * a checksum over its key.
 */
#ifndef RECORD_H
#define RECORD_H

#include "records/name.h"
#include "sharing/owner.h"

#include <budget_enforcer_storage.h>

#define RECORD_FORMAT 3

enum record_type {
	RECORD_DEADLINE = 1,
	RECORD_COMMIT = 2,
	RECORD_HEADER = 3,
	RECORD_ENVELOPE = 4,
	RECORD_ENDED = 5,
	RECORD_TRANSACTION = 6,
	RECORD_ZONE = 7,
	RECORD_REQUEST = 8,
	RECORD_REQUEST_END = 9,
	RECORD_LAST = RECORD_REQUEST_END,
};

/* Records that are their key. */
static inline bool record_has_value(uint8_t type)
{
	return type != RECORD_DEADLINE && type != RECORD_REQUEST_END;
}

/* Bytes of a packed zone. */
#define RECORD_ZONE_MAX 512

struct record_key {
	uint16_t size;
	uint8_t bytes[BE_STORAGE_KEY_MAX];
};

struct record_value {
	uint16_t size;
	_Alignas(8) uint8_t bytes[BE_STORAGE_VALUE_MAX];
};

/* How commits ended that were not ended in time; each way is counted. */
enum lapse {
	LAPSE_EXPIRED_RELEASED,
	LAPSE_EXPIRED_CHARGED,
	LAPSE_ORPHANED_RELEASED,
	LAPSE_ORPHANED_CHARGED,
	LAPSE_SETTLED_LATE, /* after it had been reaped */
	LAPSES,
};

struct header {
	uint64_t next_envelope_id;
	uint64_t next_commit_id;
	uint64_t next_transaction_id;
	uint64_t leapt;    /* envelope ids that leaps have skipped so far; see ledger_leap() */
	uint64_t changes;  /* write txns so far: a version of the whole environment */
	uint64_t batch;    /* the last one that group commit carried out (group.h); 0: none */
	uint64_t prunings; /* steps of be_prune() so far */
	uint64_t digest;   /* of all other records */
	uint64_t txn;      /* the storage's number of the txn that wrote it; 0: it tells none */
	uint64_t lapses[LAPSES];
	int64_t created_ns;
};

/* Commits reaped so far. It grows whenever reaping frees something. */
static inline uint64_t header_reaped(const struct header *header)
{
	return header->lapses[LAPSE_EXPIRED_RELEASED] + header->lapses[LAPSE_EXPIRED_CHARGED] +
	       header->lapses[LAPSE_ORPHANED_RELEASED] + header->lapses[LAPSE_ORPHANED_CHARGED];
}

struct envelope {
	struct name name;
	struct name parent; /* parent.category_size is 0: none */
	uint64_t id;
	uint64_t tally; /* its place in be-counts: like its id, but without what leaps have
		          skipped */
	enum be_period period;
	bool suspended;
	bool observe_only;
	uint8_t begins_on;
	uint8_t zone_size; /* 0: windows follow no calendar */
	int64_t limit;
	int64_t limit_now; /* limit + raise + carried: not stored */
	int64_t raise;     /* until raise_until_ns; 0: none */
	int64_t raise_until_ns;
	int64_t roll_over;
	int64_t carried; /* into the current window */
	int64_t charged; /* in all */
	/* folded + all transactions from window_first on that name it in their chain */
	int64_t spent;
	int64_t committed;
	int64_t folded;        /* charged in this window by transactions that pruning has removed */
	uint64_t window_first; /* id of the first transaction that counts for the current window */
	int64_t period_start_ns;
	int64_t period_end_ns; /* 0: never; as it was worked out when the window began */
	int64_t created_ns;
	uint64_t excused;        /* commits granted so far that only observe_only let through */
	uint64_t pending;        /* commits pending here and in all descendants */
	uint64_t children;       /* envelopes that name this one as their parent */
	uint64_t granted;        /* commits granted so far, here and in all descendants */
	uint64_t lapses[LAPSES]; /* likewise */
	uint64_t checksum;       /* of its record in the storage; 0: there is none */
	char zone[BE_ZONE_SIZE];
};

/* A sum of amounts of 0 or more, INT64_MAX where it would be more. */
static inline int64_t record_add(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static inline int64_t envelope_limit_now(const struct envelope *envelope)
{
	return record_add(record_add(envelope->limit, envelope->raise), envelope->carried);
}

struct commit {
	uint64_t id;
	enum be_commit_state state;
	enum be_reap_policy reap_policy;
	bool detached;
	struct owner owner;
	struct name name; /* of its envelope; empty once it was released or settled */
	uint64_t envelope_id;
	int64_t amount;
	int64_t created_ns;
	int64_t deadline_ns;     /* 0: none */
	int64_t ended_ns;        /* 0 while pending */
	uint64_t transaction_id; /* 0: nothing was charged */
	uint64_t checksum;       /* of its record in the storage; 0: there is none */
	uint16_t description_size;
	char description[BE_DESCRIPTION_SIZE];
};

struct transaction {
	uint64_t id;
	uint64_t commit_id; /* 0: none */
	enum be_transaction_kind kind;
	bool late;
	int64_t amount;
	int64_t held;
	int64_t at_ns;
	uint32_t depth; /* of chain */
	uint64_t chain
		/* ids of the envelopes charged: the one named, then its ancestors */
		[BE_DEPTH_MAX];
	struct name name;
	uint16_t description_size;
	char description[BE_DESCRIPTION_SIZE];
};

/* The key of a request, within a namespace. */
struct request_name {
	uint8_t namespace_size;
	uint8_t key_size;
	char namespace_name[BE_NAME_SIZE];
	char key[BE_KEY_SIZE];
};

/* A request that was made with a key, and what it was answered. */
struct keyed_request {
	struct request_name name;
	enum be_operation kind; /* commit, record, settle or charge */
	uint64_t sum;           /* of all that was asked for */
	int64_t until_ns;       /* when it is forgotten; 1 or more */
	uint64_t checksum;      /* of its record in the storage; 0: there is none */
	/* The answer. */
	uint64_t commit_id; /* commit, as are the next ones */
	int64_t requested;
	int64_t asked;
	int64_t granted;
	int64_t available;
	int64_t limit;
	int64_t spent;
	int64_t committed;
	int64_t window_end_ns;
	struct transaction transaction; /* the others */
};

/* Keys. */
void record_key_header(struct record_key *key);
void record_key_envelope(struct record_key *key, const struct name *name);
void record_key_id(struct record_key *key, enum record_type type, uint64_t id);
void record_key_zone(struct record_key *key, const char *name, size_t size);
void record_key_deadline(struct record_key *key, int64_t deadline_ns, uint64_t id);
void record_key_request(struct record_key *key, const struct request_name *name);
void record_key_request_end(struct record_key *key, int64_t until_ns,
			    const struct request_name *name);
static inline struct be_bytes record_key_bytes(const struct record_key *key)
{
	return (struct be_bytes){key->bytes, key->size};
}

/* Each false when the key is not of that form. */
bool record_parse_envelope_key(struct be_bytes key, struct name *name);
bool record_parse_id_key(struct be_bytes key, enum record_type type, uint64_t *id);
bool record_parse_deadline_key(struct be_bytes key, int64_t *deadline_ns, uint64_t *id);
bool record_parse_request_key(struct be_bytes key, struct request_name *name);
bool record_parse_request_end_key(struct be_bytes key, int64_t *until_ns,
				  struct request_name *name);

/* Values, encoded for the key they will lie under. */
void record_encode_header(struct record_value *value, const struct header *header);
void record_encode_envelope(struct record_value *value, const struct record_key *key,
			    const struct envelope *envelope);
void record_encode_commit(struct record_value *value, const struct record_key *key,
			  const struct commit *commit);
void record_encode_transaction(struct record_value *value, const struct record_key *key,
			       const struct transaction *transaction);
void record_encode_request(struct record_value *value, const struct record_key *key,
			   const struct keyed_request *request);
void record_encode_zone(struct record_value *value, const struct record_key *key,
			const uint8_t *packed, size_t size);

/* Each checks form and ranges, but not the checksum, and answers BE_OK, BE_DAMAGED,
 * BE_NEWER_FORMAT or BE_OLDER_FORMAT. What is filled on failure is undefined. */
enum be_status record_decode_header(struct be_bytes value, struct header *header);
enum be_status record_decode_envelope(struct be_bytes value,
				      struct envelope *envelope); /* leaves name alone */
enum be_status record_decode_commit(struct be_bytes key, struct be_bytes value,
				    struct commit *commit);
enum be_status record_decode_transaction(struct be_bytes key, struct be_bytes value,
					 struct transaction *transaction);
enum be_status record_decode_request(struct be_bytes key, struct be_bytes value,
				     struct keyed_request *request);

/* Points at the packed zone within the value. Whether it is one, zone_unpack() knows. */
enum be_status record_decode_zone(struct be_bytes value, struct be_bytes *packed);

/* Can these bytes be the name of a zone file? "Europe/Berlin", but no path that leads elsewhere. */
bool record_is_zone_name(const char *name, size_t size);

/* A checksum over any bytes. */
uint64_t record_sum(struct be_bytes bytes);

/* Does the value's checksum fit its key and contents? */
bool record_checksum_fits(struct be_bytes key, struct be_bytes value);

/* What a record counts for in the digest: its checksum. `part` takes a sound record's from where it
 * stands; `digest` computes it from whatever bytes, and answers another number for a record that
 * holds a checksum which does not fit. */
uint64_t record_part(struct be_bytes key, struct be_bytes value);
uint64_t record_digest(struct be_bytes key, struct be_bytes value);

bool record_is_header(struct be_bytes key);

/* What the header's record says of the txn that wrote it. False when it is not one, or when its own
 * checksum does not fit. */
bool record_read_header(struct be_bytes key, struct be_bytes value, uint64_t *txn,
			uint64_t *digest);

/* The three, for a storage that has its newest txn prove itself (storage/lmdb/newest.h). */
struct vouching;
extern const struct vouching record_vouching;

#endif
