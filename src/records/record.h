/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a storage: keys and values, and the structures they are read into.
 *
 * One ordered map holds everything. The first byte of a key says what it is, and the numbers are
 * chosen so that the records one txn changes lie close together and the ledger, which only grows,
 * comes behind all others: LMDB fills a page before it begins another only where what is added
 * comes last in its page, and halves pages wherever else it splits one.
 *
 *   1 deadline (8 bytes, big-endian) id (8)   nothing: which commits expire when
 *   2 commit id (8)                           a pending commit
 *   3                                         the header: format, and the next ids to give out
 *   3 host id (16)                            a host: the last batch of one whose commits may be in
 *                                             doubt (executor/remote.h), and its lease
 *                                             (executor/lease.h)
 *   4 namespace 0 category                    an envelope
 *   5 commit id (8)                           an ended commit, so that ending it twice is answered
 *                                             truly
 *   7 name                                    a time zone, packed (rules/zone.h)
 *   8 namespace 0 key                         a request made with a key, and its answer
 *   9 end (8, big-endian) namespace 0 key     nothing: which of these are forgotten when
 *  10 alert id (8)                            an alert
 *  11 transaction id (8)                     how much of it was given back
 *  12 type (1) id (8) place (1)               a further envelope of the commit (type 2, pending or
 *                                             ended) or transaction (type 64) with this id
 *  30 envelope id (8)                        the name of one that had another before
 *  34 type (1) id (8)                         the labels of the commit or transaction, likewise
 *  37 day (8) kind (1) number (8)             what pruning removed of this UTC day, in one sum for
 *                                             each kind and list of envelopes named
 *  38 the same, place (1)                     the rest of a list that is too long for the sum's
 *                                             record
 *  64 transaction id (8)                      a transaction
 *
 * In a storage that is being copied into there is a record of type 40 under the header's key, so
 * that nobody takes what is not whole for an environment.
 *
 * A record that is about an envelope has its name and its id. The id decides. The name is that of
 * then, and finds it at once unless it has been given another since, which 30 has.
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

#include "records/labels.h"
#include "records/name.h"
#include "sharing/owner.h"

#include <budget_enforcer_storage.h>

#define RECORD_FORMAT 10

enum record_type {
	RECORD_DEADLINE = 1,
	RECORD_COMMIT = 2,
	RECORD_HEADER = 3,
	RECORD_ENVELOPE = 4,
	RECORD_ENDED = 5,
	RECORD_ZONE = 7,
	RECORD_REQUEST = 8,
	RECORD_REQUEST_END = 9,
	RECORD_ALERT = 10,
	RECORD_GIVEN_BACK = 11,
	RECORD_FURTHER = 12,
	RECORD_RENAMED = 30,
	RECORD_LABELS = 34,
	RECORD_DAY = 37,
	RECORD_DAY_NAMES = 38,
	RECORD_FILLING = 40,
	RECORD_TRANSACTION = 64,
};

/* What such a record is, for people; NULL: no record of ours is of that type. */
const char *record_type_name(uint8_t type);

/* Records that are their key. */
static inline bool record_has_value(uint8_t type)
{
	return type != RECORD_DEADLINE && type != RECORD_REQUEST_END;
}

/* Envelopes that a commit or transaction may name beside its own. */
#define FURTHER_MAX (BE_ENVELOPES_MAX - 1)

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

/* Of a storage whose server may fall back to an earlier state, or be replaced by one that has not
 * heard of the latest changes. Where all is 0 it takes no room. */
struct histories {
	uint64_t latest;  /* that of the storage when it was last changed; 0: not known */
	uint64_t changes; /* how often another was found */
	uint64_t losses;  /* hosts that found changes missing which they had been acknowledged */
	int64_t leapt_ns; /* when ids leapt last for one of these reasons; 0: never */
};

struct header {
	uint64_t next_envelope_id;
	uint64_t next_commit_id;
	uint64_t next_transaction_id;
	uint64_t next_alert_id;
	uint64_t leapt;    /* envelope ids that leaps have skipped so far; see ledger_leap() */
	uint64_t changes;  /* write txns so far: a version of the whole environment */
	uint64_t batch;    /* the last one that group commit carried out (group.h); 0: none */
	uint64_t prunings; /* steps of be_prune() so far */
	uint64_t pruned;   /* the last transaction that it has removed; 0: none */
	uint64_t digest;   /* of all other records */
	uint64_t txn;      /* the storage's number of the txn that wrote it; 0: it tells none */
	uint64_t lapses[LAPSES];
	int64_t created_ns;
	struct histories histories;
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
	uint64_t parent_id; /* 0: none */
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
	int64_t carried;    /* into the current window */
	int64_t charged;    /* in all */
	int64_t given_back; /* of that */
	/* folded + all transactions from window_first on that name it in their chain. A correction
	 * counts where what it corrects does. */
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
	uint8_t threshold_count;
	uint16_t passed;      /* the largest threshold that gave an alert in this window; 0: none */
	uint16_t passed_then; /* the same as it was read; or 0, in a new window: not stored */
	uint16_t thresholds[BE_THRESHOLDS_MAX];
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
	uint8_t further;         /* envelopes named beside its own; none once it was released or
	                            settled */
	uint8_t labels;          /* how many it has; likewise */
	uint16_t description_size;
	char description[BE_DESCRIPTION_SIZE];
};

struct transaction {
	uint64_t id;
	uint64_t commit_id; /* 0: none */
	uint64_t corrects;  /* 0: none */
	enum be_transaction_kind kind;
	bool late;
	int64_t amount; /* 0 or less for a correction */
	int64_t held;
	int64_t at_ns;
	uint32_t depth; /* of chain */
	uint64_t chain
		/* ids of the envelopes charged: the one named, then its ancestors */
		[BE_DEPTH_MAX];
	struct name name;
	uint8_t further; /* envelopes named beside its own */
	uint8_t labels;  /* how many it has */
	uint16_t description_size;
	char description[BE_DESCRIPTION_SIZE];
};

/* The id by which it is judged whether a transaction belongs to a window. */
static inline uint64_t transaction_counts_as(const struct transaction *transaction)
{
	return transaction->corrects != 0 ? transaction->corrects : transaction->id;
}

/* A further envelope of a commit or transaction. It added `depth` envelopes to what is charged:
 * itself, then its ancestors, up to the first that was among them already. */
struct further {
	struct name name;
	uint32_t depth;               /* 0: it was among them itself */
	uint64_t chain[BE_DEPTH_MAX]; /* their ids; its own is there also if depth is 0 */
	uint64_t checksum;            /* of its record in the storage; 0: there is none */
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
	enum be_operation kind; /* commit, record, settle, charge or correct */
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

/* Who writes into a storage whose commits may be in doubt. */
#define RECORD_HOST_ID_SIZE OWNER_HOST_SIZE
struct host {
	uint8_t id[RECORD_HOST_ID_SIZE];
	uint64_t batch;       /* the last one that was committed; 0: none */
	int64_t at_ns;        /* when */
	int64_t lease_end_ns; /* until then its owners live; 0: it holds no commits */
	uint64_t checksum;    /* of its record in the storage; 0: there is none */
};

/* How much of a transaction all its corrections have given back. It stands apart, since the
 * ledger's lines never change. */
struct given_back {
	uint64_t id; /* of the transaction */
	int64_t amount;
	uint64_t checksum; /* of its record in the storage; 0: there is none */
};

/* The name of an envelope that had another before, for those who know it by that and its id; or
 * that was above one which got another parent, for those who know its id. */
struct renamed {
	uint64_t id; /* of the envelope */
	struct name name;
	uint64_t checksum; /* of its record in the storage; 0: there is none */
};

/* The names of a transaction's envelopes, packed, that named first in front. */
#define DAY_NAMES_MAX (BE_ENVELOPES_MAX * NAME_PACKED_MAX)
/* So many bytes of them lie in the record of the sum, and in each one behind it. */
#define DAY_NAMES_PART 1024

/* What pruning has removed of one day: transactions of one kind that named the same envelopes. Its
 * number is the checksum of the names, or the next one that is free: other names may have the same,
 * an envelope may be made anew, and one sum cannot hold more than an amount. */
struct day_sum {
	int64_t day; /* since 1970-01-01, UTC */
	enum be_transaction_kind kind;
	uint64_t number;
	int64_t amount;
	uint64_t count;
	int64_t first_ns; /* of the earliest and of the latest of them */
	int64_t last_ns;
	uint64_t envelope_id; /* of that named first */
	uint64_t checksum;    /* of its record in the storage; 0: there is none */
	uint16_t names_size;
	uint8_t names[DAY_NAMES_MAX];
};

/* The day that a moment lies in. */
#define DAY_NS (86400 * BE_UNIT)
static inline int64_t day_of(int64_t at_ns)
{
	return at_ns / DAY_NS - (at_ns % DAY_NS < 0);
}

struct alert {
	uint64_t id;
	uint64_t envelope_id;
	uint64_t transaction_id; /* 0: none */
	uint32_t percent;
	int64_t limit;
	int64_t spent;
	int64_t at_ns;
	int64_t period_start_ns;
	int64_t period_end_ns;
	int64_t done_ns; /* 0: it is not done */
	struct name name;
	struct name spender; /* empty: none */
	uint64_t checksum;   /* of its record in the storage; 0: there is none */
};

/* Keys. */
void record_key_header(struct record_key *key);
void record_key_host(struct record_key *key, const uint8_t id[RECORD_HOST_ID_SIZE]);
void record_key_envelope(struct record_key *key, const struct name *name);
void record_key_id(struct record_key *key, enum record_type type, uint64_t id);
void record_key_zone(struct record_key *key, const char *name, size_t size);
void record_key_deadline(struct record_key *key, int64_t deadline_ns, uint64_t id);
void record_key_request(struct record_key *key, const struct request_name *name);
void record_key_request_end(struct record_key *key, int64_t until_ns,
			    const struct request_name *name);
/* `type` is that of a pending commit, also for an ended one, or of a transaction. */
void record_key_further(struct record_key *key, enum record_type type, uint64_t id, uint32_t place);
void record_key_labels(struct record_key *key, enum record_type type, uint64_t id);
/* `place` is 0 for the sum itself. */
void record_key_day(struct record_key *key, const struct day_sum *sum, uint32_t place);
static inline struct be_bytes record_key_bytes(const struct record_key *key)
{
	return (struct be_bytes){key->bytes, key->size};
}

/* Each false when the key is not of that form. */
bool record_parse_envelope_key(struct be_bytes key, struct name *name);
bool record_parse_id_key(struct be_bytes key, enum record_type type, uint64_t *id);
bool record_parse_further_key(struct be_bytes key, enum record_type *type, uint64_t *id);
bool record_parse_labels_key(struct be_bytes key, enum record_type *type, uint64_t *id);
bool record_parse_deadline_key(struct be_bytes key, int64_t *deadline_ns, uint64_t *id);
bool record_parse_day_key(struct be_bytes key, struct day_sum *sum, uint32_t *place);
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
void record_encode_alert(struct record_value *value, const struct record_key *key,
			 const struct alert *alert);
void record_encode_given_back(struct record_value *value, const struct record_key *key,
			      const struct given_back *given_back);
void record_encode_further(struct record_value *value, const struct record_key *key,
			   const struct further *further);
void record_encode_renamed(struct record_value *value, const struct record_key *key,
			   const struct renamed *renamed);
/* `bytes` are packed labels. */
void record_encode_labels(struct record_value *value, const struct record_key *key, uint32_t count,
			  const uint8_t *bytes, size_t size);
void record_encode_day(struct record_value *value, const struct record_key *key,
		       const struct day_sum *sum);
/* Of its names those from DAY_NAMES_PART * place on. */
void record_encode_day_names(struct record_value *value, const struct record_key *key,
			     const struct day_sum *sum, uint32_t place);
void record_encode_zone(struct record_value *value, const struct record_key *key,
			const uint8_t *packed, size_t size);
void record_encode_host(struct record_value *value, const struct record_key *key,
			const struct host *host);

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
enum be_status record_decode_further(struct be_bytes key, struct be_bytes value,
				     struct further *further);
enum be_status record_decode_labels(struct be_bytes key, struct be_bytes value,
				    struct labels *labels);

/* Of the names those that lie there; the others are read where sum->names_size says that there are
 * more. record_day_is_whole() then looks at all of them. */
enum be_status record_decode_day(struct be_bytes key, struct be_bytes value, struct day_sum *sum);
enum be_status record_decode_day_names(struct be_bytes key, struct be_bytes value,
				       struct day_sum *sum);
bool record_day_is_whole(const struct day_sum *sum);

enum be_status record_decode_host(struct be_bytes key, struct be_bytes value, struct host *host);
enum be_status record_decode_alert(struct be_bytes key, struct be_bytes value, struct alert *alert);

enum be_status record_decode_renamed(struct be_bytes key, struct be_bytes value,
				     struct renamed *renamed);
enum be_status record_decode_given_back(struct be_bytes key, struct be_bytes value,
					struct given_back *given_back);

/* Points at the packed zone within the value. Whether it is one, zone_unpack() knows. */
enum be_status record_decode_zone(struct be_bytes value, struct be_bytes *packed);

/* Can these bytes be the name of a zone file? "Europe/Berlin", but no path that leads elsewhere. */
bool record_is_zone_name(const char *name, size_t size);

/* A checksum over any bytes. */
uint64_t record_sum(struct be_bytes bytes);
/* Do they ascend, within their range, and are those behind them zeroes? */
bool record_thresholds_are_valid(const uint16_t *percent, size_t count);

/* Does the value's checksum fit its key and contents? */
bool record_checksum_fits(struct be_bytes key, struct be_bytes value);

/* What a record counts for in the digest: its checksum. `part` takes a sound record's from where it
 * stands; `digest` computes it from whatever bytes, and answers another number for a record that
 * holds a checksum which does not fit. */
uint64_t record_part(struct be_bytes key, struct be_bytes value);
uint64_t record_digest(struct be_bytes key, struct be_bytes value);

bool record_is_header(struct be_bytes key);

/* What stands in the header's place as long as a storage is copied into (api/copy.c). */
struct filling {
	uint64_t id;      /* of the copy: a random number */
	uint64_t txns;    /* of it so far */
	uint64_t records; /* copied so far */
};

void record_encode_filling(struct record_value *value, const struct filling *filling);
bool record_decode_filling(struct be_bytes value, struct filling *filling);
bool record_is_filling(struct be_bytes value);

/* Where a walk goes on behind `key`. False: it is longer than a key can be. */
bool record_key_after(struct record_key *from, struct be_bytes key);

/* What the header's record says of the txn that wrote it. False when it is not one, or when its own
 * checksum does not fit. */
bool record_read_header(struct be_bytes key, struct be_bytes value, uint64_t *txn,
			uint64_t *digest);

/* The three, for a storage that has its newest txn prove itself (storage/lmdb/newest.h). */
struct vouching;
extern const struct vouching record_vouching;

#endif
