/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget-enforcer: says before each model or tool call whether the money is there, reserves it, and
 * charges what it really cost. Every worker process of a machine links this library and opens the
 * same environment, a directory holding an LMDB database; LMDB's single writer serialises the
 * changes, so a reservation made by one process holds against all others. There is no server.
 *
 * THE MODEL
 *
 *   envelope        a limit for one (namespace, category): limit, period, spent, committed.
 *   pending commit  capacity reserved by be_commit(), not yet released, settled or reaped.
 *   transaction     one line of the ledger: what be_record() or be_settle() charged.
 *   available       max(0, limit - spent - committed). A commit is granted only when its amount is
 *                   at most what is available in its envelope and in every ancestor of it.
 *   owner           the process that made a commit. An orphan is a pending commit whose owner died.
 *
 * FAIL CLOSED
 *
 *   Every call returns an enum be_status. Only BE_OK, which is 0, lets the caller go on; all others
 *   are negative. Refusals (-1 to -99) mean that all works and the answer is no; faults (-100 and
 *   below) mean that the call, the environment or the machine is wrong. On any failure nothing has
 *   changed and the outputs are zeroed, their `size` apart (a decision explains refusals, and is
 *   filled for them too). be_last_error() has the details. The statuses named at a call are in the
 *   order in which it looks for them. Any call on a handle may also answer with a fault of the
 *   environment or the machine, and one that changes something with BE_READ_ONLY, before it looks
 *   at commits and envelopes.
 *
 *   BE_EXCEEDS_BUDGET is true. Nobody is told so by be_check(), be_commit() or be_extend() because
 *   of commits whose owner was dead, or whose deadline had passed, at a moment during the call:
 *   they are ended first, by this call or another, each by its own policy. A fault that is met
 *   meanwhile, such as BE_DISK_FULL, is answered instead. Handles opened read-only cannot end
 *   anything, and do not.
 *
 * AMOUNTS AND TIMES
 *
 *   Amounts are int64_t nanos: 10^-9 of your unit (a dollar, say), 0 to 9223372036854775807. Use
 *   be_amount_parse() and be_amount_format() at the borders, or be_cost_add() for tokens. A call
 *   with a float or double where an amount belongs, which would be cut to whole nanos, does not
 *   compile: be_commit(handle, "llm", 0.4, ...). Times are int64_t nanoseconds since
 *   1970-01-01 UTC, and their names end in _ns; a time of 0 means "none".
 *
 * NAMES
 *
 *   Categories are 1 to 127 bytes, namespaces 0 to 127 (the default is the empty one), descriptions
 *   0 to 512, keys 1 to 64: valid UTF-8 without control characters (U+0000 to U+001F, U+007F to
 *   U+009F). What is longer or malformed is refused, never cut. A NULL description is an empty one.
 *
 * LABELS
 *
 *   A commit or a cost may have labels, up to BE_LABELS_MAX: for what, or for whom, it is (model,
 *   customer, task). They decide nothing; listings show them, sorted by key, and filter by them.
 *   Keys are 1 to 48 bytes, values 0 to 128, such texts as names are, and a key is there once: else
 *   they are INVALID_LABEL. Every line of the ledger that is charged for a commit, also when it is
 *   reaped, has the commit's labels. What is given when it is settled or charged is added to them
 *   for that line, and its value counts where both have a key: together they may not be more than
 *   BE_LABELS_MAX, either, or nothing is done. A correction has those of what it corrects.
 *
 * SEVERAL AT ONCE
 *
 *   A commit may be over several envelopes, such as a customer's, a model's and the day's: up to
 *   BE_ENVELOPES_MAX with the one that it names first. It has one id and one amount, which must be
 *   available in each of them and in every ancestor, and is held in all of these, or in none. An
 *   envelope that is among them more than once, as an ancestor that they share, holds it once. What
 *   ends or changes the commit does so in all of them: it is settled, charged, extended, released
 *   and reaped as one. When it was reaped, and one of them removed since, it cannot be settled
 *   late: NO_ENVELOPE. A refusal names the first that refuses: the envelope named first, its
 *   ancestors, the next one and so on. A cost can be recorded in several likewise. Figures shown
 *   with the answer are those of the envelope named first.
 *
 * RETRIES
 *
 *   Who cannot know whether a call was carried out (its process was killed, its answer was lost)
 *   may send it again, if it had a key: a text of the caller's own that names this one request in
 *   the handle's namespace, such as "task-7/step-3". What was carried out under a key is not
 *   carried out again, by whatever process: the same request gets the answer of the first time,
 *   word for word, and another request under that key is KEY_REUSED. The same are requests of one
 *   kind that agree in all their arguments and options, but for how long the key is kept and how
 *   long they wait. A call that was refused, or failed, was not carried out, and leaves nothing
 *   under its key. So that only who holds money goes on, a commit that has ended meanwhile answers
 *   how, as be_release() does, in place of OK; a commit belongs to the process that made it, not to
 *   one that asks again, so those that are to outlive it are detached. A key is kept for as long as
 *   the first call said, after that it may be used anew, and is forgotten by the next calls with
 *   keys, or be_prune().
 *
 * WAITING
 *
 *   A commit may wait (be_commit_options.wait_ms) where it would be EXCEEDS_BUDGET. Those that wait
 *   are served first come, first served: as soon as money is freed, in the same txn, and before any
 *   other commit, each that fits is granted in the order in which they came. One that does not fit
 *   is passed over, and keeps its place. One that asks for more than the limit of the envelope that
 *   refuses first is refused at once; and while it waits, SUSPENDED, NO_ENVELOPE and faults end the
 *   waiting with that answer. What processes free by dying is noticed within about a second, all
 *   else at once. A thread that waits sleeps; it may be cancelled, and a process that waits be
 *   killed. A ttl begins when it is granted. At most 384 wait in an environment: more are
 *   TOO_MANY_WAITING. In a storage that was given as a value they wait for their own handle, and
 *   see what others free within a second.
 *
 * THREADS, PROCESSES, FORK
 *
 *   A handle may be used by any number of threads at once, but be_close() must be the last call on
 *   it. One process may open one environment many times. A program that opens and then forks goes
 *   on using the handle on both sides: the child's first call opens the environment anew, in the
 *   way in which its parent had it open, and reaps what dead owners left, as be_open() does; the
 *   child owns what it commits. When the environment has been removed or replaced meanwhile, the
 *   child's calls answer BE_NOT_FOUND. (Children made by a raw clone() system call are not seen;
 *   use fork(). A child that is forked in a callback of the library must not return from it.) Never
 *   call the library from a signal handler. Calls that change an environment block while another
 *   process writes to it, normally for a few microseconds plus the flushes of the disk; one that is
 *   stopped or dumps core just then is waited for. A call needs at most 48 KiB of stack. A thread
 *   may be cancelled at any time: be_backup() and be_restore(), which take long, end first.
 *
 *   In the directory of an environment, data.mdb and lock.mdb are LMDB's. In be-owners each process
 *   holds a lock for as long as it lives; it ceases to be the owner of its commits when it ends or
 *   becomes another program by exec. In be-group waiting changes meet, so that one thread carries
 *   out those of many in one txn; a fault that it meets in this is answered to its own process
 *   only, which then writes by itself for a while. be-boot is there while something is not flushed.
 *   be-counts has the counts of refusals. Leave these files alone while anybody has the environment
 *   open, and copy it with be_backup() only.
 *
 * WHOM TO TRUST
 *
 *   Who may write the directory, or its files, can spoil balances, stop the pool and fill the disk.
 *   It cannot lead a process elsewhere: files are found by the directory's descriptor, no link is
 *   followed, and what is no regular file of one name, or belongs to a user who cannot be expected,
 *   is NOT_AN_ENVIRONMENT. Expected are this process's user, the directory's owner and root; and
 *   anybody, for a file with the directory's group that this group may read and write, in a
 *   directory that it may write (or the same for all users). What is there and does not begin as a
 *   file of ours does is not written over. The path to the directory itself may have links, and is
 *   believed. In be-group, and in be-owners but for its hints, any bytes are borne. Not promised:
 *   LMDB believes the pages that it maps, beyond what be_open() checks, and the reader table in
 *   lock.mdb; the C library keeps pointers in the mutexes of lock.mdb and in the hints of
 *   be-owners; a file that is cut short, or given holes on a full disk, is SIGBUS. Who does that to
 *   files in use can crash the processes that use them, or worse.
 *
 * DURABILITY
 *
 *   When a call that changes something returns BE_OK, the change survives the death of any process,
 *   and with BE_DURABILITY_FULL (the default) the loss of power. So does what an answer of such a
 *   call was computed on. Readers may see a change a moment before it is on the disk; they and the
 *   change go down together. Each batch of changes costs one flush. When the machine went down in
 *   the middle of one, the next opening recognises that the batch is not whole, and drops it
 *   (struct be_statistics, went_back): nobody had been told of it. BE_UNKNOWN_OUTCOME: the flush
 *   failed, and so did another try; the change is there to be seen, but may be lost with the
 *   machine. Nobody is told OK again before all of it is on the disk.
 *
 *   A storage in a server keeps what the server keeps. A standby that takes over without having
 *   heard of the latest changes, a server that starts again from older files, or one that was
 *   restored, lacks changes that were acknowledged. Each handle through which such a change was
 *   made is told so once: its next call that changes something is answered BE_CHANGES_LOST, and did
 *   nothing; what comes after it counts as ever. Of what the handle has changed the latest is gone,
 *   and how much before it the ledger shows: settling a commit that is gone says BE_NO_COMMIT, and
 *   a charge that is gone has to be recorded again. Other threads that are in a call at that moment
 *   may be told, too. Readers are told nothing, nor be_reap(); nor is a handle whose host wrote for
 *   the first time after the state that is left, and then nothing for half a lease: of that host
 *   there is no record, which may have another reason. Ids leap, so that none that was given out is
 *   given out again (struct be_statistics: history_changes, losses).
 *
 * COUNTS OF REFUSALS
 *
 *   Each be_check(), be_commit() and be_extend() that ends in BE_EXCEEDS_BUDGET or BE_SUSPENDED is
 *   counted once, in the envelope that refused, which may be an ancestor of the one asked for; one
 *   that ends in BE_NO_ENVELOPE is counted for the environment. A call through a handle opened
 *   read-only changes nothing, not even these counts. They are statistics, not money: they survive
 *   the death of any process, but are never flushed and may fall back when power is lost; a backup
 *   does not hold them; and where be-counts cannot be used nothing is counted, the figures are 0,
 *   and all else goes on. An envelope that is removed takes its counts with it. A storage given as
 *   a value has none.
 *
 * GROWTH
 *
 *   The ledger, and how each commit ended, are kept until be_prune() removes them. What was charged
 *   stays as daily sums.
 *
 *   Structures that may grow begin with `size`. Initialise them with their macro, as in
 *   `struct be_options options = BE_OPTIONS_INIT;`, and programs built against this header keep
 *   working with later libraries. A size that is too small or too large for any release is
 *   BE_INVALID_SIZE, and so is, in what you pass, a member named `reserved` that is not 0. Enums
 *   have four bytes: do not compile with -fshort-enums.
 */
#ifndef BUDGET_ENFORCER_H
#define BUDGET_ENFORCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#include <cstring>
#include <type_traits>
extern "C" {
#endif

#define BE_VERSION_MAJOR 0
#define BE_VERSION_MINOR 1
#define BE_VERSION_PATCH 0

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#define BE_MUST_USE __attribute__((warn_unused_result))
#else
#define BE_MUST_USE
#endif

/* One whole unit in nanos. */
#define BE_UNIT INT64_C(1000000000)
/* Bytes of a namespace or category with its terminating NUL. */
#define BE_NAME_SIZE 128
/* Bytes of a description with its terminating NUL. */
#define BE_DESCRIPTION_SIZE 513
/* Bytes that hold any amount as text, with sign and NUL: "-9223372036.854775808". */
#define BE_AMOUNT_TEXT_SIZE 24
/* Envelopes in a chain from a leaf to its topmost ancestor, both counted. */
#define BE_DEPTH_MAX 8
/* Most envelopes that one commit or record is over, the one named first included. */
#define BE_ENVELOPES_MAX 16
/* Bytes of a request's key with its terminating NUL. */
#define BE_KEY_SIZE 65
/* Labels of one commit or transaction, at most. */
#define BE_LABELS_MAX 8
/* Bytes of a label's key, and of its value, each with its terminating NUL. */
#define BE_LABEL_KEY_SIZE 49
#define BE_LABEL_VALUE_SIZE 129
/* Bytes of a time zone's name with its terminating NUL. */
#define BE_ZONE_SIZE 64
/* Percentages of its limit at which one envelope gives alerts, at most, and the largest of them. */
#define BE_THRESHOLDS_MAX 8
#define BE_THRESHOLD_MAX 1000

/* The version of the library that is loaded, as opposed to this header's: "0.1.0". Static
 * storage. */
const char *be_version(void);

/* ---------------------------------------------------------------- statuses */

enum be_status {
	BE_OK = 0,

	/* Refusals, -1 to -99: all works, and the answer is no. */
	BE_EXCEEDS_BUDGET = -1,    /* the amount is more than what is available */
	BE_NO_ENVELOPE = -2,       /* no envelope of that namespace and category */
	BE_SUSPENDED = -3,         /* an operator suspended the envelope */
	BE_ENVELOPE_EXISTS = -4,   /* create: it is there already (see be_envelope_ensure); set:
	                              another has the new name */
	BE_HAS_CHILDREN = -5,      /* remove: other envelopes name it as their parent */
	BE_HAS_COMMITS = -6,       /* remove, another parent: commits are pending against it */
	BE_NO_PARENT = -7,         /* create, ensure, set: the parent named does not exist */
	BE_PARENT_CYCLE = -8,      /* likewise: the envelope would be its own ancestor */
	BE_TOO_DEEP = -9,          /* likewise: more than BE_DEPTH_MAX envelopes in a chain */
	BE_NO_COMMIT = -10,        /* no commit of that id was ever made, or it was pruned long
	                              ago */
	BE_ALREADY_RELEASED = -11, /* the commit was released before */
	BE_ALREADY_SETTLED = -12,  /* the commit was settled before */
	BE_ALREADY_REAPED = -13,   /* the commit expired or was orphaned, and its amount was
	                              freed */
	BE_ALREADY_CHARGED = -14,  /* the same, and by its policy its held amount was charged */
	BE_KEY_REUSED = -15,       /* the key was given before, with another request */
	BE_NO_ALERT = -16,         /* no alert of that id was ever given, or it was pruned */
	BE_ALREADY_DONE = -17,     /* the alert was marked as done before */
	BE_NO_TRANSACTION = -18,   /* no transaction of that id was ever written, or it was
	                              pruned */
	BE_EXCEEDS_CHARGE = -19,   /* more would be given back than the transaction charged */
	BE_TOO_MANY_WAITING = -20, /* as many commits wait already as can */

	/* Faults of the call, -100 to -129. */
	BE_INVALID_ARGUMENT = -100,    /* NULL where not allowed, an unknown option or
	                                  combination */
	BE_INVALID_SIZE = -101,        /* a structure without its initialiser, or of an unknown
	                                  size */
	BE_INVALID_NAME = -102,        /* a namespace or category: length, UTF-8 or control
	                                  characters */
	BE_INVALID_DESCRIPTION = -103, /* the same of a description */
	BE_INVALID_LIMIT = -104,       /* a limit of 0 or less */
	BE_INVALID_PERIOD = -105,      /* no such period, its start lies in the future, or the
	                                  calendar has no such windows */
	BE_AMOUNT_NEGATIVE = -106,     /* an amount below zero */
	BE_AMOUNT_EMPTY = -107,        /* text: nothing there */
	BE_AMOUNT_SPACE = -108,        /* text: white space in or around it */
	BE_AMOUNT_EXPONENT = -109,     /* text: an exponent; write the digits out */
	BE_AMOUNT_NOT_A_NUMBER = -110, /* text: anything else that is not digits with one point */
	BE_AMOUNT_TOO_PRECISE = -111,  /* text: more than nine decimals; never rounded */
	BE_AMOUNT_TOO_LARGE = -112,    /* text: more than 9223372036.854775807 */
	BE_OVERFLOW = -113,            /* a balance would leave the range of int64_t */
	BE_READ_ONLY = -114,           /* a change through a handle opened read-only */
	BE_STOPPED = -115,             /* a callback returned false, and the listing ended there */
	BE_INVALID_ZONE = -116,        /* no such time zone, or its file is none */
	BE_INVALID_KEY = -117,         /* a key: length, UTF-8 or control characters */
	BE_INVALID_LABEL = -118,       /* a label: the same of its key or value, a key given twice,
	                                  or too many */

	/* Faults of the environment, -130 to -159. */
	BE_NOT_FOUND = -130,           /* the directory or its files are missing */
	BE_NOT_AN_ENVIRONMENT = -131,  /* what is there is no LMDB environment of ours */
	BE_NEWER_FORMAT = -132,        /* written by a later version of this library */
	BE_DAMAGED = -133,             /* a file or record is damaged; restore a backup */
	BE_UNBALANCED = -134,          /* be_verify() found balances that differ from the ledger */
	BE_OTHER_BOOT = -136,          /* process durability, and the machine went down with it */
	BE_BAD_FILE_SYSTEM = -137,     /* a network file system, say; shared maps are unsafe */
	BE_SECOND_COPY = -138,         /* another copy of this library in this process has it
	                                  open */
	BE_OTHER_DURABILITY = -139,    /* the environment is in use with the other durability */
	BE_ALREADY_THERE = -140,       /* backup, restore: something has that name; nothing is
	                                  written over */
	BE_OLDER_FORMAT = -141,        /* written by an earlier version, which this one cannot
	                                  read */

	/* Faults of the machine, -160 to -199. */
	BE_PERMISSION = -160,       /* be_last_error() names the file and the permission */
	BE_DISK_FULL = -161,        /* no space; the same call works once there is some */
	BE_MAP_FULL = -162,         /* the environment has reached be_options.map_size */
	BE_IO_ERROR = -163,         /* the system could not read or write */
	BE_NO_MEMORY = -164,        /* out of memory */
	BE_TOO_MANY_PROCESSES = -165, /* all reader or owner slots of the environment are taken */
	BE_STORAGE_FAILED = -166,   /* a storage supplied by the caller broke its contract */
	BE_MUST_REOPEN = -167,      /* LMDB could not end a write in this process, which must close
	                               all its handles on the environment and open it again. The
	                               files are sound */
	BE_UNKNOWN_OUTCOME = -168,  /* the disk or the server failed while it kept the change, which
	                               may or may not be there when it works again: look it up
	                               then */
	BE_CONFLICT = -169,         /* others changed the storage first, again and again: nothing
	                               was done, and the same call may work now */
	BE_UNREACHABLE = -170,      /* the server of the storage did not answer: nothing was
	                               done */
	BE_CHANGES_LOST = -171,     /* the server, or one that took over from it, lacks changes that
	                               it had acknowledged to this handle: see DURABILITY. This call
	                               did nothing, and the next one goes on */
};

/* The constant's name without BE_, in lower case: "exceeds_budget". Never NULL; "unknown" for a
 * number that is no status. Static storage. */
const char *be_status_name(enum be_status status);

/* One sentence for people, without a full stop. Never NULL. Static storage. */
const char *be_status_text(enum be_status status);

/* True for -1 to -99: the enforcer works, and the answer is no. */
bool be_status_is_refusal(enum be_status status);

/* What went wrong in this thread's last failed call, for people: the file, the errno and what to
 * do; for a refusal the envelope, the figures and what would help. "" when nothing has. Valid until
 * this thread's next call. */
const char *be_last_error(void);

/* ----------------------------------------------------------------- amounts */

/* Parses decimal digits with at most one point and nine decimals, as in "0.40", into nanos. Never
 * rounds. Statuses: the BE_AMOUNT_ ones, each naming what is wrong; BE_INVALID_ARGUMENT for
 * NULL. */
BE_MUST_USE enum be_status be_amount_parse(const char *text, int64_t *amount);

/* Writes an amount as the shortest exact decimal text: 400000000 is "0.4". `size` is that of
 * `text`; BE_AMOUNT_TEXT_SIZE always suffices, less may be BE_INVALID_ARGUMENT. */
BE_MUST_USE enum be_status be_amount_format(int64_t amount, char *text, size_t size);

/* What a call costs, added up exactly from its tokens and their prices. Begin with BE_COST_INIT. */
struct be_cost {
	uint64_t low; /* of one number, in millionths of a nano */
	uint64_t high;
};

/* Adds `tokens` at a price in nanos per million of them; once for each kind of token that has a
 * price of its own. Nothing is rounded. On failure the cost is as it was. Statuses:
 * INVALID_ARGUMENT, AMOUNT_NEGATIVE, OVERFLOW. */
BE_MUST_USE enum be_status be_cost_add(struct be_cost *cost, uint64_t tokens,
                                       int64_t price_per_million);

/* The cost as an amount, rounded up once, to the next nano. Statuses: INVALID_ARGUMENT,
 * OVERFLOW. */
BE_MUST_USE enum be_status be_cost_total(const struct be_cost *cost, int64_t *amount);

/* ----------------------------------------------------------------- periods */

enum be_period {
	BE_PERIOD_TOTAL = 0, /* never starts again */
	BE_PERIOD_HOURLY = 1,
	BE_PERIOD_DAILY = 2,
	BE_PERIOD_WEEKLY = 3,
	BE_PERIOD_MONTHLY = 4,   /* 30 days, or by the calendar of a zone */
	BE_PERIOD_QUARTERLY = 5, /* by the calendar only */
	BE_PERIOD_YEARLY = 6,    /* likewise */
};

/* "total", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"; "unknown" for any other
 * number. */
const char *be_period_name(enum be_period period);

/* The period of that name; BE_INVALID_PERIOD when there is none. */
BE_MUST_USE enum be_status be_period_parse(const char *name, enum be_period *period);

/* Length in seconds of windows that follow no calendar; 0 for total, for quarterly and yearly, and
 * for numbers that are no period. */
int64_t be_period_seconds(enum be_period period);

/* -------------------------------------------------- what the calls fill in */

/* An envelope as it stands, its window rolled over to the time of the call. */
struct be_envelope {
	uint32_t size;
	enum be_period period;
	uint64_t id;              /* never reused in an environment */
	int64_t limit;            /* nanos, as are the next three */
	int64_t spent;            /* in the current window */
	int64_t committed;        /* sum of the pending commits; those that are expired or orphaned
	                             are among them until they are reaped: be_commits_each()
	                             tells */
	int64_t available;        /* max(0, limit - spent - committed) */
	int64_t utilization_ppm;  /* (spent + committed) / limit in millionths, rounded down;
	                             INT64_MAX when it would be more */
	int64_t period_start_ns;  /* when the current window began */
	int64_t period_end_ns;    /* when it ends; 0 for total, INT64_MAX when that is after 2262 */
	int64_t created_ns;
	uint64_t pending_commits; /* how many, its descendants' included */
	uint64_t children;        /* envelopes naming this one as parent */
	uint64_t commits_granted; /* since it was created, its descendants' included; never goes
	                             back */
	uint64_t refused_exceeds_budget; /* checks, commits and extensions that this envelope
	                                    refused since */
	uint64_t refused_suspended;      /* it was created, by reason: see COUNTS OF REFUSALS */
	uint64_t expired_released;  /* commits that were reaped since it was created, its
	                               descendants' */
	uint64_t expired_charged;   /* included: because their deadline had passed, and their
	                               amount */
	uint64_t orphaned_released; /* was freed or charged; and because their owner had died */
	uint64_t orphaned_charged;
	uint64_t settled_late;      /* commits that were settled after they had been reaped;
	                               likewise */
	bool suspended;
	bool has_parent;
	uint8_t reserved[6];
	char namespace_name[BE_NAME_SIZE];
	char category[BE_NAME_SIZE];
	char parent_namespace[BE_NAME_SIZE];
	char parent_category[BE_NAME_SIZE];
	int64_t limit_now;      /* limit + raise + carried: what may be spent in this window */
	int64_t raise;          /* by how much the limit is raised until raise_until_ns; 0: it is
	                           not */
	int64_t raise_until_ns;
	int64_t roll_over;      /* the most that a window carries into the next; 0: nothing */
	int64_t carried;        /* what it got from the last one */
	int64_t charged;        /* in all since it was created, its descendants' included; no window
	                           and no reset takes anything from it. INT64_MAX when it would be
	                           more */
	uint64_t excused;       /* observe_only: commits and extensions that it would have
	                           refused */
	uint32_t begins_on;     /* see struct be_envelope_options, as for the next two */
	bool observe_only;
	uint8_t reserved_too[3];
	char zone[BE_ZONE_SIZE]; /* "": the windows follow no calendar */
	uint16_t thresholds[BE_THRESHOLDS_MAX]; /* see struct be_settings */
	uint32_t passed; /* the largest of them that gave an alert in this window; 0: none */
	uint32_t reserved_three;
	int64_t given_back; /* nanos: in all, of what was charged, by be_correct(); likewise */
};

/* Why a check or commit was permitted or refused. The figures are of the envelope named: the one
 * that refused, or the one asked for when it was permitted. They are those that the decision was
 * made on, but after a commit or extend that was granted those that hold from then on. After
 * BE_NO_ENVELOPE only `status`, `requested` and the names are set. */
struct be_decision {
	uint32_t size;
	enum be_status status;
	int64_t requested; /* nanos, as are the next four */
	int64_t available;
	int64_t limit; /* in this window: be_envelope.limit_now */
	int64_t spent;
	int64_t committed;
	char namespace_name[BE_NAME_SIZE];
	char category[BE_NAME_SIZE];
	int64_t asked;         /* what had to be available: of an extension only what is more than
	                          before. A commit with a `least` that is refused has requested
	                          that */
	int64_t granted;       /* commit: what it holds from then on; extend: likewise */
	int64_t window_end_ns; /* when the envelope's window ends; 0: never */
};

/* Bytes that hold any decision as text, with its NUL. */
#define BE_DECISION_TEXT_SIZE 1024

/* Writes a decision as one sentence for people: the envelope, the figures and, when it was refused,
 * what there is to wait for, as be_last_error() says it. Names with a slash in them are quoted,
 * and those that begin with a quotation mark. `size` is that of `text`; BE_DECISION_TEXT_SIZE
 * always suffices, less may be INVALID_ARGUMENT. Statuses: INVALID_ARGUMENT, INVALID_SIZE. */
BE_MUST_USE enum be_status be_decision_text(const struct be_decision *decision, char *text,
                                            size_t size);

enum be_commit_state {
	BE_COMMIT_PENDING = 0,
	BE_COMMIT_RELEASED = 1,
	BE_COMMIT_SETTLED = 2,
	BE_COMMIT_EXPIRED = 3,  /* its deadline passed */
	BE_COMMIT_ORPHANED = 4, /* its owner died */
};

/* What becomes of a commit's amount when it expires or its owner dies. */
enum be_reap_policy {
	BE_REAP_RELEASE = 0, /* freed */
	BE_REAP_CHARGE = 1,  /* charged: a transaction of the held amount is written. Where that
	                        would be BE_OVERFLOW, the commit stays pending */
};

/* See LABELS. */
struct be_label {
	const char *key;
	const char *value; /* of a filter NULL: any */
};

/* A commit that holds money, as be_commits_each() lists them. */
struct be_commit_info {
	uint32_t size;
	enum be_commit_state state; /* pending; or expired or orphaned: it will be reaped as that by
	                               the first who needs the money, and holds it until then */
	enum be_reap_policy reap_policy;
	uint32_t owner_pid; /* in its own pid namespace */
	uint64_t id;
	uint64_t owner_id; /* as be_owners_each() has it; 0: nobody, the storage knows no owners */
	int64_t amount; /* nanos held */
	int64_t created_ns;
	int64_t deadline_ns; /* 0: none */
	bool detached;       /* not tied to its owner's life */
	bool owner_alive;    /* as the kernel says now, of this environment: false in a copy until
	                        it is opened to write; true where the storage cannot know */
	char namespace_name[BE_NAME_SIZE];
	char category[BE_NAME_SIZE];
	char description[BE_DESCRIPTION_SIZE];
	uint8_t reserved[5];
	const struct be_envelope_name *also; /* its further envelopes, valid until `each` returns;
	                                        NULL: none */
	uint32_t also_count;
	uint32_t reserved_too;
	const struct be_label *labels; /* sorted by key, valid until `each` returns; NULL: none */
	uint32_t label_count;
	uint32_t reserved_three;
};

enum be_transaction_kind {
	BE_TRANSACTION_RECORD = 1,   /* be_record() */
	BE_TRANSACTION_SETTLE = 2,   /* be_settle() */
	BE_TRANSACTION_EXPIRED = 3,  /* reaped with BE_REAP_CHARGE: the deadline had passed */
	BE_TRANSACTION_ORPHANED = 4, /* reaped with BE_REAP_CHARGE: the owner had died */
	BE_TRANSACTION_CHARGE = 5,   /* be_charge() */
	BE_TRANSACTION_CORRECTION = 6, /* be_correct() */
};

/* "record", "settle", "expired", "orphaned", "charge", "correction"; "unknown" for any other
 * number. */
const char *be_transaction_kind_name(enum be_transaction_kind kind);

/* One line of the ledger. */
struct be_transaction {
	uint32_t size;
	enum be_transaction_kind kind;
	uint64_t id;        /* ascending, never reused */
	uint64_t commit_id; /* 0 for be_record() */
	int64_t amount;     /* nanos charged; of a correction, which gives back, 0 or less */
	int64_t held;       /* nanos that the commit had reserved just before; 0 for be_record() */
	int64_t at_ns;
	bool late; /* settled after the commit had been reaped */
	char namespace_name[BE_NAME_SIZE];
	char category[BE_NAME_SIZE];
	char description[BE_DESCRIPTION_SIZE];
	uint8_t reserved[6];
	uint64_t corrects; /* of a correction: the transaction that it takes from; 0: none */
	const struct be_envelope_name *also; /* further envelopes that it was charged to, valid
	                                        until `each` returns; NULL where no listing shows
	                                        it */
	uint32_t also_count; /* it has, also where they are not shown */
	uint32_t reserved_too;
	uint64_t envelope_id; /* of the envelope that was charged, which may have another name by
	                         now */
	const struct be_label *labels; /* sorted by key, valid until `each` returns; NULL: none, or
	                                  no listing shows it */
	uint32_t label_count;          /* it has, also where they are not shown */
	uint32_t reserved_three;
};

/* A threshold of an envelope was crossed: what is spent in the window came to so many percent of
 * limit_now. Written once for each threshold and window (or reset, which begins anew), in the txn
 * of the change that crossed it, of any process: a charge to the envelope or to one below it,
 * also by reaping; a lower limit; or thresholds set to less than what is spent already. */
struct be_alert {
	uint32_t size;
	uint32_t percent;
	uint64_t id;             /* ascending, never reused */
	uint64_t envelope_id;
	uint64_t transaction_id; /* the charge that crossed it; 0: another change did */
	int64_t limit;           /* nanos, as is the next one; limit_now when it was crossed */
	int64_t spent;           /* in the window, that charge included */
	int64_t at_ns;
	int64_t period_start_ns;
	int64_t period_end_ns;   /* 0 for total */
	int64_t done_ns;         /* when be_alert_done() was called; 0: not yet */
	char namespace_name[BE_NAME_SIZE]; /* of the envelope */
	char category[BE_NAME_SIZE];
	char spender_namespace[BE_NAME_SIZE]; /* of the envelope that was charged: this one, or one
	                                         below it; of several at once the one named first */
	char spender_category[BE_NAME_SIZE];  /* "": none was */
};

/* ---------------------------------------------------- opening and closing */

struct be_enforcer;
struct be_storage; /* <budget_enforcer_storage.h> */

enum be_operation {
	BE_OPERATION_CHECK = 1,
	BE_OPERATION_COMMIT = 2,
	BE_OPERATION_RELEASE = 3,
	BE_OPERATION_RECORD = 4,
	BE_OPERATION_SETTLE = 5,
	BE_OPERATION_EXTEND = 6,
	BE_OPERATION_REAP = 7,
	BE_OPERATION_CREATE = 8,
	BE_OPERATION_ENSURE = 9,
	BE_OPERATION_SET_LIMIT = 10,
	BE_OPERATION_SUSPEND = 11,
	BE_OPERATION_RESUME = 12,
	BE_OPERATION_RESET = 13,
	BE_OPERATION_REMOVE = 14,
	BE_OPERATION_SET = 15,
	BE_OPERATION_CHARGE = 16,
	BE_OPERATION_ALERT = 17, /* of events only: a threshold was crossed */
	BE_OPERATION_ALERT_DONE = 18,
	BE_OPERATION_CORRECT = 19,
};

/* "check", "commit", ...; "unknown" for any other number. */
const char *be_operation_name(enum be_operation operation);

/* One outcome, as an observer receives it. */
struct be_event {
	uint32_t size;
	enum be_operation operation;
	enum be_status status;
	bool repeated;                 /* nothing was done: the answer is that of the same request
	                                  before, see RETRIES */
	uint8_t reserved[3];
	uint64_t commit_id;            /* 0: none */
	uint64_t transaction_id;       /* 0: none was written */
	int64_t amount;                /* nanos asked for or charged; a limit for create, ensure and
	                                  set-limit; what was held for release and reap */
	int64_t at_ns;
	const char *namespace_name;    /* "" where a commit id was unknown, or the commit had
	                                  ended */
	const char *category;          /* "" likewise */
	const struct be_envelope *envelope; /* as it is afterwards, without its counts of refusals,
	                                       which are 0; NULL when there is none */
	const struct be_alert *alert; /* BE_OPERATION_ALERT; NULL otherwise. `amount` is then what
	                                 was spent, and the names are the envelope's */
};

enum be_durability {
	BE_DURABILITY_FULL = 0,    /* what was acknowledged survives the loss of power */
	BE_DURABILITY_PROCESS = 1, /* it survives the death of any process, not of the machine */
};

/* For be_options.flags. */
enum be_open_flags {
	BE_OPEN_EXISTING = 1,  /* create nothing; BE_NOT_FOUND when it is not there */
	BE_OPEN_READ_ONLY = 2, /* the same, and refuse every change. Readers take locks, too:
	                          lock.mdb must be writable, else BE_PERMISSION */
	BE_OPEN_DIRECT = 4,    /* no group commit: each change flushes by itself. The first handle
	                          that a process opens on an environment decides for all of its
	                          own */
	BE_OPEN_OWNING = 8,    /* this handle is the owner of what it commits, within its process:
	                          be_close() ends that, as the end of the process would */
};

struct be_options {
	uint32_t size;
	uint32_t flags;             /* enum be_open_flags */
	const char *namespace_name; /* of this handle; copied. NULL is "" */
	enum be_durability durability; /* the same in all processes that have it open */
	uint32_t mode;     /* permission bits of files made; 0 is 0600. 0660 shares with the
	                      directory's group, which the files get; 0666 with all. Who may read
	                      must be able to write: readers write to lock.mdb. A directory that is
	                      made gets the matching execute bits and keeps the setgid bit of the
	                      one above; one that is there keeps its mode */
	uint64_t map_size; /* bytes of address space, the most the environment can grow to; 0 is 64
	                      GiB. A process with less takes over the largest that others use, once
	                      it is needed. The file is only as large as what was written */
	/* The clock: nanoseconds since 1970-01-01 UTC. NULL is the system's. It is called by any
	   thread, before a txn begins, and must not call the library. */
	int64_t (*now)(void *context);
	void *now_context;
	/* The observer: called after each operation on this handle, and for each commit that one
	   reaped, in the thread that called, outside every lock and txn; `event` is valid during
	   the call. It may call the library. be_open() calls it, too, for what it reaps. It is not
	   called when arguments are refused (-100 to -113, -116 to -118), nor when a check could
	   not begin to read, nor for queries and upkeep. After each operation that could change
	   something it is called once more for each alert, given since the handle was opened, of an
	   envelope in the handle's namespace, or for what was charged to one: by this operation or
	   by another process meanwhile. */
	void (*observe)(void *context, const struct be_event *event);
	void *observe_context;
	/* A storage in place of a path. It belongs to the caller and must outlive the handle. An
	   empty one is made an environment even with BE_OPEN_EXISTING; with BE_OPEN_READ_ONLY it is
	   NOT_AN_ENVIRONMENT. Durability, mode and map_size mean nothing to it. Its commits have
	   owners if it keeps a clock, and what it needs to find out what became of a txn
	   (BE_STORAGE_MAY_DOUBT), as a server does; see lease_ms. */
	struct be_storage *storage;
	/* In front of a storage that other hosts use, too: the processes of this one count as alive
	   there until nothing was heard of it for so many milliseconds; then what they hold is
	   ended as orphans' is. 0 is 60 000; 1 000 to 3 600 000. It is renewed when a third of it
	   is over, also by a thread of this process where nothing else is written. The longest of
	   those that the processes of a host ask for counts.

	   It is over when the storage's clock says so and another host has itself seen for half of
	   it that nothing is heard of this one: so no clock that leaps ends what live hosts hold,
	   and no server that was away does, where a lease has 40 000 or more (a shorter one can be
	   over before a host that was cut off has found its way back). Processes that hold commits,
	   or were refused, keep looking, and see it at once; a host of which none did takes half a
	   lease more, from its first refusal, be_open() or be_reap() on. One that never looks for
	   so long, as programs that soon end, waits until the storage's clock says that it is over
	   for a day.

	   A process without group commit is a host by itself, for as long as any of its handles on
	   the storage is open: what it holds ends a lease after the last one was closed. */
	int64_t lease_ms;
	/* For a storage in a server: be_check() may permit without a trip there what this handle
	   has read less than so many milliseconds ago, by a clock that nobody sets; 0, the
	   default, to 60 000. Windows, raises and amounts are those of now, only what others have
	   changed meanwhile is not seen: money that they took, a suspension, a lower limit. What
	   was changed through this handle, by any thread, is always seen: the next check reads
	   again. All but BE_OK is answered by a trip, so that refusals are as true as without, and
	   all other calls, be_commit() first of all, are as they were. A fork child begins with
	   nothing. In a directory, in memory, and for storages without `prefetch`, this has no
	   effect and costs nothing. */
	int64_t check_age_ms;
};

/* Opens the environment in the directory `path`, creating directory and files where missing (not
 * its parent directories). NULL options are the defaults. With options->storage, `path` must be
 * NULL. Cheap when this process has the environment open already. On success *handle is the
 * caller's, to be given back with be_close(). Commits of dead owners and expired ones are reaped.
 * Statuses: INVALID_ARGUMENT for no place for the handle; INVALID_SIZE; INVALID_ARGUMENT for the
 * options; NOT_FOUND for a path that is empty or too long; INVALID_SIZE or INVALID_ARGUMENT for the
 * functions of a storage; INVALID_NAME; then the environment's and the machine's. READ_ONLY or
 * OTHER_DURABILITY: this process has it open so, and all its handles share that; the first one also
 * decides map_size and mode. */
BE_MUST_USE enum be_status be_open(const char *path, const struct be_options *options,
                                   struct be_enforcer **handle);

/* Opens a handle of another namespace from one at hand: with the same environment, clock, observer
 * and flags, without looking at the path again, and for as good as nothing. The two may be closed
 * in any order. (On a storage that was given as a value it is a second opening, which shares that.)
 * Statuses: INVALID_ARGUMENT, INVALID_NAME; in a fork child that has not used `handle` yet those of
 * its first call; NO_MEMORY. */
BE_MUST_USE enum be_status be_open_namespace(struct be_enforcer *handle,
                                             const char *namespace_name,
                                             struct be_enforcer **other);

/* Gives a handle back. NULL is allowed. Pending commits stay as they are: they belong to the
 * process for as long as it lives. But with BE_OPEN_OWNING those that this handle has made, and
 * that are not detached, are ended as orphans are, each by its own policy, no matter who else knows
 * their ids: for threads of a pool that end, and languages that collect garbage. What cannot be
 * ended then, on a full disk, say, is when the process ends; and a fork child that closes ends
 * nothing of its parent's. Waits for a renewal of this host's lease that is under way: some 12 s,
 * when a server does not answer. */
void be_close(struct be_enforcer *handle);

/* --------------------------------------------------------------- spending */

/* Would a commit of `amount` be granted now? By the time of the answer another process may have
 * taken the money: be_commit() reserves it. One that is permitted changes nothing, makes no system
 * call and takes no lock, and so does one that is refused, unless something is due to be reaped
 * that it could be refused for: that it reaps, as be_commit() does, and asks again. Through a
 * handle opened read-only it reaps nothing, and what the dead and the expired hold counts until
 * somebody else has. Of a storage in a server it is a trip, unless be_options.check_age_ms lets it
 * be permitted without. `decision` may be NULL. Statuses in order: INVALID_ARGUMENT, INVALID_SIZE,
 * INVALID_NAME, AMOUNT_NEGATIVE, NO_ENVELOPE; then, from the envelope up its ancestors, SUSPENDED,
 * EXCEEDS_BUDGET. */
BE_MUST_USE enum be_status be_check(struct be_enforcer *handle, const char *category,
                                    int64_t amount, struct be_decision *decision);

/* Names an envelope of any namespace. */
struct be_envelope_name {
	const char *namespace_name; /* in what you pass NULL is the handle's */
	const char *category;
};

/* How long a commit is held, and what becomes of it when nobody ends it. */
struct be_commit_options {
	uint32_t size;
	enum be_reap_policy reap_policy; /* for an orphan or an expired commit */
	uint64_t ttl_ms; /* milliseconds from now until it expires; 0: never */
	bool detached;   /* outlives its owner: another process settles it. Best with a ttl */
	uint8_t reserved[7];
	int64_t least; /* nanos: when the amount is not available, as much of it as is will do, but
	                  not less than this; decision.granted tells how much. What the dead hold
	                  is not ended to get more. 0: the whole amount or nothing */
	const char *key; /* of the request, see RETRIES; NULL: it has none */
	uint64_t key_ms; /* milliseconds from now for which the key is kept; 0: for a day */
	int64_t wait_ms; /* when it would be refused for lack of budget, it waits for so many
	                    milliseconds at most: see WAITING. 0: not at all */
	bool (*keep_waiting)(void *context); /* may be NULL. Asked about once a second, and when a
	                                        signal was handled: false ends the waiting */
	void *wait_context;
	const struct be_envelope_name *also; /* further envelopes, see SEVERAL AT ONCE */
	uint32_t also_count; /* up to BE_ENVELOPES_MAX - 1; 0: none */
	uint32_t reserved_too;
	const struct be_label *labels; /* in any order, see LABELS */
	uint32_t label_count;          /* up to BE_LABELS_MAX; 0: none */
	uint32_t reserved_three;
	const char *namespace_name; /* of the envelope, and of the key; NULL: the handle's */
};

/* Values of wait_ms: until the window ends of the envelope that refused, and once more then (one
 * that has no windows refuses at once); and for as long as it takes. */
#define BE_WAIT_WINDOW (-1)
#define BE_WAIT_FOREVER INT64_MAX

/* Checks and reserves in one write txn. On BE_OK *id is the commit's id, and the amount is held
 * until it is released, settled or reaped: one past its deadline can still be ended, or extended,
 * as long as nobody has reaped it. Durable on return. When it would be refused for lack of budget,
 * orphans and expired commits are reaped and it is tried again. Statuses as be_check(), with
 * INVALID_DESCRIPTION, INVALID_LABEL and INVALID_KEY after AMOUNT_NEGATIVE, then KEY_REUSED; a ttl
 * that ends after 2262 is INVALID_ARGUMENT, and so are a least above the amount and too many
 * envelopes. */
BE_MUST_USE enum be_status be_commit(struct be_enforcer *handle, const char *category,
                                     int64_t amount, const char *description, uint64_t *id);

/* The same with options (NULL: the defaults) and the figures behind the answer (may be NULL). */
BE_MUST_USE enum be_status be_commit_with(struct be_enforcer *handle, const char *category,
                                          int64_t amount, const char *description,
                                          const struct be_commit_options *options, uint64_t *id,
                                          struct be_decision *decision);

/* Gives a pending commit back. Any process may end any commit, in any namespace. Harmless when it
 * was ended before: ALREADY_RELEASED, ALREADY_SETTLED, ALREADY_REAPED or ALREADY_CHARGED say how.
 * NO_COMMIT for an id that was never given. Durable on return. */
BE_MUST_USE enum be_status be_release(struct be_enforcer *handle, uint64_t id);

/* What else may be said of a charge. */
struct be_charge_options {
	uint32_t size;
	uint32_t reserved;
	const char *key; /* of the request, see RETRIES; NULL: it has none */
	uint64_t key_ms; /* milliseconds from now for which the key is kept; 0: for a day */
	const struct be_envelope_name *also; /* be_record_with(): further envelopes, see SEVERAL
	                                        AT ONCE. A commit has its own */
	uint32_t also_count; /* up to BE_ENVELOPES_MAX - 1; 0: none */
	uint32_t reserved_too;
	const struct be_label *labels; /* in any order, see LABELS; not of a correction */
	uint32_t label_count;          /* up to BE_LABELS_MAX; 0: none */
	uint32_t reserved_three;
	const char *namespace_name; /* be_record_with(): of the envelope, and of the key; NULL: the
	                               handle's */
};

/* Charges an actual cost. Never refused for lack of budget and never for suspension: the money is
 * gone. `transaction` may be NULL. Durable on return. Statuses: INVALID_ARGUMENT, INVALID_SIZE,
 * INVALID_NAME, AMOUNT_NEGATIVE, INVALID_DESCRIPTION, NO_ENVELOPE, OVERFLOW. */
BE_MUST_USE enum be_status be_record(struct be_enforcer *handle, const char *category,
                                     int64_t amount, const char *description,
                                     struct be_transaction *transaction);

/* The same with options (NULL: the defaults). Statuses beside those, here and for those below:
 * INVALID_LABEL and INVALID_KEY after INVALID_DESCRIPTION, and KEY_REUSED before it looks at
 * envelopes and commits; INVALID_LABEL also last, where a commit's labels would become too
 * many. */
BE_MUST_USE enum be_status be_record_with(struct be_enforcer *handle, const char *category,
                                          int64_t amount, const char *description,
                                          const struct be_charge_options *options,
                                          struct be_transaction *transaction);

/* Ends a commit and charges the actual cost, which may be less or more than what was held, in one
 * txn. A NULL description keeps the commit's. A commit reaped before is still charged, and the
 * transaction is flagged `late`; one reaped with BE_REAP_CHARGE is not charged twice:
 * ALREADY_CHARGED. `transaction` may be NULL. Durable on return. Statuses: INVALID_ARGUMENT,
 * INVALID_SIZE, AMOUNT_NEGATIVE, INVALID_DESCRIPTION; as be_release(), but for ALREADY_REAPED;
 * NO_ENVELOPE, when it was reaped and an envelope of it was removed since; OVERFLOW. */
BE_MUST_USE enum be_status be_settle(struct be_enforcer *handle, uint64_t id, int64_t amount,
                                     const char *description, struct be_transaction *transaction);
BE_MUST_USE enum be_status be_settle_with(struct be_enforcer *handle, uint64_t id, int64_t amount,
                                          const char *description,
                                          const struct be_charge_options *options,
                                          struct be_transaction *transaction);

/* Charges a part of a pending commit, which holds so much less from then on, and stays pending: for
 * the many calls of one task. More than it holds is charged, too, and then it holds nothing: never
 * refused for lack of budget. What is left is settled, released or reaped as ever. A NULL
 * description keeps the commit's. `transaction` may be NULL. Durable on return. Statuses:
 * INVALID_ARGUMENT, INVALID_SIZE, AMOUNT_NEGATIVE, INVALID_DESCRIPTION; as be_release() when it has
 * ended (be_settle() charges one that was reaped); OVERFLOW. */
BE_MUST_USE enum be_status be_charge(struct be_enforcer *handle, uint64_t id, int64_t amount,
                                     const char *description, struct be_transaction *transaction);
BE_MUST_USE enum be_status be_charge_with(struct be_enforcer *handle, uint64_t id, int64_t amount,
                                          const char *description,
                                          const struct be_charge_options *options,
                                          struct be_transaction *transaction);

/* Gives back what a transaction has charged too much: another line of the ledger, of an amount
 * below zero, that names the wrong one. All corrections of a transaction together give back at most
 * what it charged. They take from spent of the envelope and of all that were above it what the
 * wrong one added, where its window still runs: a charge of yesterday frees nothing today.
 * Thresholds that were passed stay passed. `transaction` (may be NULL) is the new line. Durable on
 * return. Statuses: INVALID_ARGUMENT, INVALID_SIZE, AMOUNT_NEGATIVE, INVALID_DESCRIPTION;
 * NO_TRANSACTION; EXCEEDS_CHARGE, also for a correction, which cannot be corrected; NO_ENVELOPE,
 * when its envelope was removed since. */
BE_MUST_USE enum be_status be_correct(struct be_enforcer *handle, uint64_t id, int64_t amount,
                                      const char *description, struct be_transaction *transaction);
BE_MUST_USE enum be_status be_correct_with(struct be_enforcer *handle, uint64_t id, int64_t amount,
                                           const char *description,
                                           const struct be_charge_options *options,
                                           struct be_transaction *transaction);

/* For be_extend(): what the commit holds at that moment. */
#define BE_HELD_AMOUNT INT64_MIN

/* Changes what a pending commit holds and until when: `amount` replaces the amount held (more is
 * checked like a commit for the difference, and may be refused; less never is; BE_HELD_AMOUNT is
 * what it holds at that moment, whatever others charge of it meanwhile), and it expires `ttl_ms`
 * milliseconds from now (0: never). `decision` may be NULL; its `requested` is the new
 * amount as a whole, and for a commit that has ended only its `status` is set. Durable on return.
 * Statuses: INVALID_ARGUMENT, also for the ttl; INVALID_SIZE; AMOUNT_NEGATIVE; as be_release() when
 * it has ended; SUSPENDED and EXCEEDS_BUDGET as be_check(). */
BE_MUST_USE enum be_status be_extend(struct be_enforcer *handle, uint64_t id, int64_t amount,
                                     uint64_t ttl_ms, struct be_decision *decision);

/* Ends the pending commits of dead owners and those past their deadline, each by its own policy, in
 * all namespaces. *reaped (may be NULL) is how many. Worth a call by a supervisor that has waited
 * for a dead worker (waitpid), so that what that one held is shown as free at once; opening, the
 * first call of a fork child and those who would be refused otherwise do it, too. */
BE_MUST_USE enum be_status be_reap(struct be_enforcer *handle, uint64_t *reaped);

/* -------------------------------------------------------------- envelopes */

struct be_envelope_options {
	uint32_t size;
	bool suspended;               /* begin suspended */
	uint8_t reserved[3];
	const char *parent_namespace; /* NULL: the handle's */
	const char *parent_category;  /* NULL: no parent */
	int64_t period_start_ns;      /* a moment at which a window began; 0 is now. Not in the
	                                 future, and not with a zone */
	const char *zone; /* NULL: windows are as long as be_period_seconds() says, from now on.
	                     Else they follow the calendar of that time zone, with its summer time:
	                     "UTC", or the name of a file of the system's, such as "Europe/Berlin".
	                     Hours, days, weeks from Monday, months, quarters and years then. For
	                     quarters and years NULL is "UTC" */
	uint32_t begins_on; /* with a zone: weeks begin on this day, 1 (Monday) to 7; months on
	                       this one, 1 to 31, or on their last where that is earlier; 0: 1 */
	bool observe_only; /* refuse nothing for lack of budget, but count what would have been
	                      refused: to try a limit out. A suspended one grants nothing all the
	                      same */
	uint8_t reserved_too[3];
	int64_t roll_over; /* nanos: what a window has left of limit and carried when it ends is
	                      added to the next one, up to this; 0: nothing is */
};

/* Creates an envelope in the handle's namespace. `limit` in nanos, 1 or more. NULL options: not
 * suspended, no parent, window from now; be_envelope_set() can give it another parent later. The
 * environment keeps the zone as this process's file has it, and goes by that in all processes,
 * until another call names the zone; a window that has begun ends when it was to end. Statuses:
 * INVALID_ARGUMENT, INVALID_SIZE, INVALID_NAME, INVALID_LIMIT, INVALID_PERIOD, AMOUNT_NEGATIVE,
 * INVALID_ZONE, ENVELOPE_EXISTS, PARENT_CYCLE, NO_PARENT, TOO_DEEP. */
BE_MUST_USE enum be_status be_envelope_create(struct be_enforcer *handle, const char *category,
                                              int64_t limit, enum be_period period,
                                              const struct be_envelope_options *options);

/* The same, but an envelope that exists is left wholly as it is, and that is BE_OK: what every
 * worker may call at its start. */
BE_MUST_USE enum be_status be_envelope_ensure(struct be_enforcer *handle, const char *category,
                                              int64_t limit, enum be_period period,
                                              const struct be_envelope_options *options);

/* The same, and shows the envelope as it then is (may be NULL). *made (may be NULL): this call has
 * made it; false when it was there, perhaps with another limit, period or parent. Statuses as
 * be_envelope_create(), but for ENVELOPE_EXISTS. */
BE_MUST_USE enum be_status be_envelope_ensure_with(struct be_enforcer *handle,
                                                   const char *category, int64_t limit,
                                                   enum be_period period,
                                                   const struct be_envelope_options *options,
                                                   struct be_envelope *envelope, bool *made);

/* Changes the limit, keeping what is spent and committed; nothing may then be available. Statuses
 * of this and the three below: INVALID_ARGUMENT, INVALID_NAME, INVALID_LIMIT, NO_ENVELOPE. */
BE_MUST_USE enum be_status be_envelope_set_limit(struct be_enforcer *handle, const char *category,
                                                 int64_t limit);

/* A suspended envelope, and all below it, grants no commit; what is pending can be ended and costs
 * are still recorded. Suspending or resuming twice is BE_OK. */
BE_MUST_USE enum be_status be_envelope_suspend(struct be_enforcer *handle, const char *category);
BE_MUST_USE enum be_status be_envelope_resume(struct be_enforcer *handle, const char *category);

/* Begins a new window now with nothing spent, and nothing carried. Pending commits stay; ancestors
 * are not touched. One that follows a calendar ends when it was to end; BE_SET_SPENT keeps any
 * window's end. */
BE_MUST_USE enum be_status be_envelope_reset(struct be_enforcer *handle, const char *category);

/* Removes an envelope; its transactions stay in the ledger, and in what its ancestors have spent.
 * Statuses: INVALID_ARGUMENT, INVALID_NAME, NO_ENVELOPE, HAS_CHILDREN, HAS_COMMITS. */
BE_MUST_USE enum be_status be_envelope_remove(struct be_enforcer *handle, const char *category);

/* For be_settings.mask: what is to be changed. */
enum be_setting {
	BE_SET_LIMIT = 1,
	BE_SET_PERIOD = 2, /* period, zone and begins_on. What is spent stays; by the calendar the
	                      window is then the one that now lies in, else it began when it began,
	                      or now if it would be over */
	BE_SET_SUSPENDED = 4,
	BE_SET_SPENT = 8,     /* nothing is spent any more, as be_envelope_reset() does it, but the
	                         window stays as it is */
	BE_SET_RAISE = 16,    /* raise and raise_until_ns */
	BE_SET_ROLL_OVER = 32,
	BE_SET_OBSERVE_ONLY = 64,
	BE_SET_THRESHOLDS = 128,
	BE_SET_NAME = 256,
	BE_SET_PARENT = 512, /* parent_namespace and parent_category */
};

/* What an envelope is set to. Members whose bit is not in the mask are not looked at. */
struct be_settings {
	uint32_t size;
	uint32_t mask; /* enum be_setting */
	int64_t limit;
	enum be_period period;
	uint32_t begins_on;     /* see struct be_envelope_options, as for zone */
	const char *zone;
	int64_t raise;          /* nanos that may be spent beyond the limit until raise_until_ns; 0
	                           ends an earlier raise */
	int64_t raise_until_ns; /* in the future, unless raise is 0 */
	int64_t roll_over;
	bool suspended;
	bool observe_only;
	uint8_t reserved[6];
	uint16_t thresholds[BE_THRESHOLDS_MAX]; /* percentages of limit_now, 1 to BE_THRESHOLD_MAX,
	                                           ascending: when spent comes to one of them, an
	                                           alert is given (struct be_alert). The first 0
	                                           ends them; all 0: none */
	const char *new_namespace; /* NULL: it stays in its own; as for new_category, below */
	const char *new_category;
	const char *parent_namespace; /* NULL: its own, as it is called so far */
	const char *parent_category;  /* NULL: no parent */
};

/* Changes what the mask names, in one txn, and keeps all else: what is spent and committed, too.
 *
 * BE_SET_NAME gives the envelope another name, under which its pending commits and its children are
 * from then on: they can be ended, and grant, as if it had always been called so. Commits that were
 * reaped can still be settled late, and what was charged be corrected. The ledger and the alerts
 * are history, and show the name of then; be_transaction.envelope_id, which stays, tells that it
 * was this one. The old name is free: who asks under it gets NO_ENVELOPE, or the next one made
 * there. However many commits and children it has, two records are written.
 *
 * BE_SET_PARENT gives it another parent, in any namespace, or none: those above it then, and it
 * itself, are asked from then on, and hold and count what is spent in it and below it. What was
 * spent before stays where it was charged, in the old ancestors and not in the new ones: each line
 * of the ledger belongs to those that were above it when it was written, and a correction of it
 * takes from these, as far as they are there still. What was reaped before and is settled late is
 * charged to those above it by then. Since what is held is held in all of them, there is none
 * other while a commit is pending against it, or against one below it: HAS_COMMITS, and
 * be_last_error() says how many; end them, or suspend it and wait. The parent that it has already
 * is no change, and OK. Where it has children and comes to lie deeper than before, all envelopes
 * are read, to find those below it: a million take a second or two, in which others go on. Then
 * they wait until those below it were read again, some 2 ms for a thousand. In
 * be_envelopes_apply(), and in a storage that excludes writers while it is read, they wait for all
 * of it.
 *
 * `envelope` (may be NULL) is filled with the envelope as it is then. Durable on return. Statuses:
 * INVALID_ARGUMENT, also for an empty or unknown mask, a raise that has ended or thresholds that do
 * not ascend; INVALID_SIZE; INVALID_NAME, also for the new one; INVALID_LIMIT, INVALID_PERIOD,
 * AMOUNT_NEGATIVE, INVALID_ZONE, NO_ENVELOPE; ENVELOPE_EXISTS: another has that name; of another
 * parent PARENT_CYCLE, NO_PARENT, TOO_DEEP and HAS_COMMITS. */
BE_MUST_USE enum be_status be_envelope_set(struct be_enforcer *handle, const char *category,
                                           const struct be_settings *settings,
                                           struct be_envelope *envelope);

/* One of the changes that be_envelopes_apply() makes together. */
struct be_envelope_change {
	uint32_t size;
	enum be_operation operation; /* create, ensure, set-limit, suspend, resume, reset, set
	                                or remove */
	const char *namespace_name;  /* NULL: the handle's */
	const char *category;
	int64_t limit;         /* nanos: create, ensure, set-limit */
	enum be_period period; /* create, ensure */
	uint32_t reserved;
	const struct be_envelope_options *options; /* the same; NULL: the defaults */
	const struct be_settings *settings;        /* set */
};

/* Makes `count` changes in their order, all in one txn, or none of them. Each sees those before it,
 * so a parent may be created just before its children; a parent without a namespace is in the
 * child's. All changes have the same `size`. Statuses: INVALID_ARGUMENT, INVALID_SIZE, then what
 * the call for the single change would answer. *failed (may be NULL) is the index of the change
 * that could not be made, or `count` when it was none of them. The observer is told of all, or of
 * that one. Durable on return. */
BE_MUST_USE enum be_status be_envelopes_apply(struct be_enforcer *handle,
                                              const struct be_envelope_change *changes,
                                              size_t count, size_t *failed);

enum be_end_flags {
	BE_END_RELEASE = 1, /* and release what is committed */
};

/* Removes all envelopes of the handle's namespace; the ledger keeps what was charged. HAS_COMMITS
 * when commits are pending against one of them, HAS_CHILDREN when one is the parent of an envelope
 * in another namespace; then nothing has changed, since all are removed in one txn. (So an envelope
 * of another namespace may have its parent there, and the namespace does not end before it does.)
 *
 * With BE_END_RELEASE all its envelopes are suspended first, in one txn, so that nobody commits
 * anew; then all that is committed in one of them is released, commit by commit, also what a commit
 * over several holds elsewhere; then the envelopes are removed, in one txn. Who still has one of
 * these commits is answered ALREADY_RELEASED, and what it has cost is charged with be_record(),
 * elsewhere. A process that is killed meanwhile, or a call that fails, leaves a namespace that is
 * suspended: call again.
 *
 * Nobody needs to stand still: when others make, remove or commit meanwhile, it is all looked at
 * again, some times, before the answer is what they did. *removed and *released (may be NULL) count
 * envelopes and commits, on failure, too. The observer is told of each change. Durable on return.
 * Statuses: INVALID_ARGUMENT, READ_ONLY, HAS_CHILDREN, HAS_COMMITS. */
BE_MUST_USE enum be_status be_namespace_end(struct be_enforcer *handle, uint32_t flags,
                                            uint64_t *removed, uint64_t *released);

/* ---------------------------------------------------------------- queries */

/* One envelope of the handle's namespace as it stands now. No lock, and no system call but one
 * where its refusals must be read from the file: through handles opened read-only, and for ids from
 * 2048 on of which this process has counted none. */
BE_MUST_USE enum be_status be_utilization(struct be_enforcer *handle, const char *category,
                                          struct be_envelope *envelope);

/* What a listing shows; fields left at their initial value let everything through. */
struct be_filter {
	uint32_t size;
	uint32_t reserved;
	const char *namespace_name; /* NULL: all; "" is the default namespace */
	const char *category;       /* NULL: all */
	int64_t since_ns;           /* created (or charged) at this time or later; 0: no bound */
	int64_t until_ns;           /* before this time; 0: no bound */
	int64_t min_amount;         /* nanos: the limit of an envelope, what a commit holds, what
	                               a transaction charged, what was spent at an alert; */
	int64_t max_amount;         /* both included; 0: no bound */
	uint64_t after_id;          /* commits, transactions, alerts: only ids above it; UINT64_MAX
	                               is INVALID_ARGUMENT */
	uint64_t max_count;         /* at most so many; 0: all. Where more match, the first ones */
	const char *after_namespace; /* envelopes: only those behind this one in the order of the */
	const char *after_category;  /* listing, whether it exists or not. NULL namespace: the
	                                default one; NULL category: from the first on */
	const struct be_label *labels; /* commits, transactions: only those that have all of these,
	                                  a key with that value or, where it is NULL, with any */
	uint32_t label_count;          /* up to BE_LABELS_MAX; 0: all */
	uint32_t reserved_too;
};

/* Each calls `each` once per match, in order of namespace and category, or of id. Records are
 * copied a page at a time, so that no txn is open while `each` runs: it may take its time and may
 * call the library, but for be_close() on this handle. A long listing therefore sees changes made
 * meanwhile. `each` returns false to stop, which makes the result BE_STOPPED. NULL filter: all, in
 * every namespace. To list in pages, set max_count, and after_id or after_namespace and
 * after_category to the last of the page before. Statuses: INVALID_ARGUMENT, INVALID_SIZE;
 * INVALID_NAME for what envelopes are to come after. */
BE_MUST_USE enum be_status be_envelopes_each(struct be_enforcer *handle,
                                             const struct be_filter *filter,
                                             bool (*each)(void *context,
                                                          const struct be_envelope *envelope),
                                             void *context);
BE_MUST_USE enum be_status be_commits_each(struct be_enforcer *handle,
                                           const struct be_filter *filter,
                                           bool (*each)(void *context,
                                                        const struct be_commit_info *commit),
                                           void *context);
BE_MUST_USE enum be_status be_transactions_each(struct be_enforcer *handle,
                                                const struct be_filter *filter,
                                                bool (*each)(void *context,
                                                             const struct be_transaction *one),
                                                void *context);

/* Alerts, in the order in which they were given; a filter's names are those of the envelope. They
 * are kept until be_prune() removes them. */
BE_MUST_USE enum be_status be_alerts_each(struct be_enforcer *handle,
                                          const struct be_filter *filter,
                                          bool (*each)(void *context,
                                                       const struct be_alert *alert),
                                          void *context);

/* Marks an alert as done: somebody has been told, say. The first call is BE_OK, later ones are
 * ALREADY_DONE: of those who are at it at the same time one learns that it was the first. Durable
 * on return. NO_ALERT for an id that was never given. */
BE_MUST_USE enum be_status be_alert_done(struct be_enforcer *handle, uint64_t id);

/* A process that has the environment open to change it, or one that died so, until what it held was
 * reaped. */
struct be_owner_info {
	uint32_t size;
	uint32_t pid;           /* in its own pid namespace */
	uint32_t pid_namespace; /* which has this number (/proc/PID/ns/pid); 0: not known */
	uint32_t pid_here;      /* its pid as this process would see it; 0: it is not seen from the
	                           pid namespace of this process, or is dead */
	uint64_t id;            /* never that of another owner; commits have it, too */
	bool alive;             /* as the kernel says now */
	uint8_t reserved[7];
};

/* Calls `each` once per owner, in no particular order; it returns false to stop (BE_STOPPED) and
 * may call the library. In a storage that was given as a value nobody is an owner but, in front of
 * a server, the processes of this host that share group commit there. */
BE_MUST_USE enum be_status be_owners_each(struct be_enforcer *handle,
                                          bool (*each)(void *context,
                                                       const struct be_owner_info *owner),
                                          void *context);

/* An environment from outside. What is about files, pages and readers is 0 for a storage that was
 * given as a value. */
struct be_statistics {
	uint32_t size;
	uint32_t format_version; /* of the records */
	enum be_durability durability;
	uint32_t owners; /* live processes that have it open to change it */
	int64_t created_ns;
	uint64_t changes; /* write txns so far */
	uint64_t next_envelope_id; /* one more than the last id given out, as are the next two */
	uint64_t next_commit_id;
	uint64_t next_transaction_id;
	uint64_t expired_released;  /* commits that were reaped so far, or settled late, in all
	                               envelopes */
	uint64_t expired_charged;   /* that there ever were: see struct be_envelope */
	uint64_t orphaned_released;
	uint64_t orphaned_charged;
	uint64_t settled_late;
	uint64_t file_size; /* bytes of data.mdb */
	uint64_t map_size;  /* bytes it can grow to, as this process has it open */
	uint64_t page_size; /* bytes */
	uint64_t pages;     /* in use so far, the free ones included */
	uint64_t free_pages;
	uint64_t records; /* of all kinds */
	uint64_t readers; /* slots of the reader table that are taken, one for each thread that
	                     reads */
	uint64_t readers_max;
	uint64_t stale_readers; /* those of dead processes: found and freed now, or when this
	                           process opened it */
	uint64_t reader_lag; /* write txns since the oldest state that is being read now. Pages
	                        freed since stay out of use: a large lag that lasts is a process
	                        stopped while it read */
	uint64_t refused_no_envelope; /* checks and commits so far that named no envelope: see
	                                 COUNTS OF REFUSALS */
	uint32_t lagging_pid; /* the process that reads it; 0: nobody reads, or one that is not
	                         seen from the pid namespace of this process */
	bool refusals_known; /* false: be-counts is missing or cannot be used, and all counts of
	                        refusals are 0 */
	bool went_back;      /* when it was first opened since the machine came up, the newest txn
	                        was not whole on the disk, and was dropped. Nobody had been told of
	                        it, and the next change took its place */
	bool reads_exclude_writes; /* this process's do, and be_check() is slow: liblmdb is one
	                              whose reader table this library cannot make true for several
	                              containers. Of 0.9 it can */
	uint8_t reserved[1];
	uint32_t waiting; /* commits that wait for money now, see WAITING */
	uint32_t reserved_too;
	uint64_t pruned_id; /* the last transaction that be_prune() has removed; 0: none */
	/* Of a storage in a server. */
	uint64_t history_changes; /* how often its history was found to be another: a standby took
	                             over, the server was restored, or Redis was started again. Ids
	                             leapt then */
	uint64_t losses; /* hosts, or handles that work directly, that found changes gone which had
	                    been acknowledged to them: see DURABILITY */
};

/* Fills in *stats. Reads the list of free pages, otherwise a few pages only; no lock is held while
 * it reads. Statuses: INVALID_ARGUMENT, INVALID_SIZE. */
BE_MUST_USE enum be_status be_stats(struct be_enforcer *handle, struct be_statistics *stats);

/* What be_verify() found. */
struct be_verification {
	uint32_t size;
	uint32_t reserved;
	uint64_t envelopes;    /* looked at, as are the next two */
	uint64_t commits;
	uint64_t transactions;
	uint64_t differences;  /* balances that do not add up, records that are damaged or
	                          missing */
};

/* Recomputes every balance from pending commits and ledger, checks every record's checksum, and
 * compares the digest of all records with that which every change keeps, so that one that has
 * vanished is noticed, too; in all namespaces, while the pool runs. First every page of the data
 * file is read and checked, in one read txn; then the ledger, a few records at a time; then in one
 * read txn the envelopes, all commits and what was charged meanwhile (all of the ledger, when
 * be_prune() ran at the same time). A read txn holds up nobody, but the data file may grow for as
 * long as it lasts. `difference` (may be NULL) is called with a sentence for each finding; a read
 * txn may be open then, so it must not call the library and should return soon. A thread is
 * cancelled when the call returns, not within. BE_OK when all adds up, BE_UNBALANCED or BE_DAMAGED
 * otherwise; `verification` (may be NULL) is filled in these three cases. Statuses otherwise:
 * INVALID_ARGUMENT, INVALID_SIZE. */
BE_MUST_USE enum be_status be_verify(struct be_enforcer *handle,
                                     void (*difference)(void *context, const char *sentence),
                                     void *context, struct be_verification *verification);

/* --------------------------------------------------------------- upkeep */

/* What be_prune() has removed. */
struct be_pruning {
	uint32_t size;
	uint32_t reserved;
	uint64_t transactions;
	uint64_t commits; /* ended ones */
	uint64_t alerts;
	uint64_t daily_sums;
};

/* Removes the transactions charged and the alerts given, and forgets the commits ended, before
 * `before_ns`, in all namespaces, while the pool works: in many txns, each as large as makes its
 * work last about as long as its flushes, with pauses ten times as long. On a full disk, or map, it
 * makes room within the file. Balances stay as they are: what still counts for a window is kept in
 * the envelope as a sum. What was charged stays, too, as daily sums (be_daily_sums_each()), which
 * change in the txn that removes it. Pruning ends at the first transaction, and at the first alert,
 * that is younger. A forgotten commit answers NO_COMMIT when it is ended again, and one that was
 * reaped can no longer be settled late. `progress` (may be NULL) is called between the txns; it
 * returns false to stop, which makes the result BE_STOPPED. Keys of requests are forgotten when
 * their own time is over, as of now. `pruning` (may be NULL) is filled on failure, too: what was
 * removed is removed. */
BE_MUST_USE enum be_status be_prune(struct be_enforcer *handle, int64_t before_ns,
                                    bool (*progress)(void *context, const struct be_pruning *done),
                                    void *context, struct be_pruning *pruning);

/* What is to be pruned. */
struct be_prune_options {
	uint32_t size;
	bool dry_run; /* remove nothing, but count what would be removed: also through a handle
	                 opened read-only */
	uint8_t reserved[3];
	int64_t before_ns;
	uint64_t below_id; /* transactions: only those with smaller ids, such as have been written
	                      elsewhere before; 0: all */
	int64_t sums_before_ns; /* daily sums: those of days that had ended by then; 0: none. Such a
	                           day leaves nothing but the totals of its envelopes */
	bool (*progress)(void *context, const struct be_pruning *done); /* may be NULL */
	void *context;
};

/* The same as the options say. */
BE_MUST_USE enum be_status be_prune_with(struct be_enforcer *handle,
                                         const struct be_prune_options *options,
                                         struct be_pruning *pruning);

/* What be_prune() has removed of one UTC day: transactions of one kind that named the same
 * envelopes. There may be several sums of that, since one holds no more than an amount can be. */
struct be_daily_sum {
	uint32_t size;
	enum be_transaction_kind kind;
	int64_t day_ns;   /* when the day began */
	int64_t amount;   /* nanos; of corrections 0 or less */
	uint64_t count;   /* of transactions */
	int64_t first_ns; /* when the earliest of them was charged, */
	int64_t last_ns;  /* and the latest */
	char namespace_name[BE_NAME_SIZE]; /* as in struct be_transaction, as are the next ones */
	char category[BE_NAME_SIZE];
	const struct be_envelope_name *also;
	uint32_t also_count;
	uint32_t reserved;
	uint64_t envelope_id;
};

/* Calls `each` once per daily sum, by day, after all were read in one txn; it may call the library,
 * and returns false to stop (BE_STOPPED). A filter's names are looked for among all envelopes that
 * were named, and its times let through what may have transactions between them; amounts and
 * `after_...` are not looked at. *last_id (may be NULL) is the last transaction that is in the sums
 * of that moment: all that were charged are these sums and the transactions with larger ids.
 * Statuses: INVALID_ARGUMENT, INVALID_SIZE. */
BE_MUST_USE enum be_status be_daily_sums_each(struct be_enforcer *handle,
                                              const struct be_filter *filter,
                                              bool (*each)(void *context,
                                                           const struct be_daily_sum *sum),
                                              void *context, uint64_t *last_id);

/* Copies the whole environment, as it is at one moment, to the file `path`, while the pool works.
 * The file must not exist (ALREADY_THERE), appears under its name only when it is whole, and is
 * flushed. A read txn is open for as long as that takes, so the data file may grow meanwhile.
 * Pending commits are copied, too; where the copy is restored their owners count as dead. The file
 * has mode 0600. Until it is whole it has no name, so that a process that is killed meanwhile
 * leaves nothing; only on file systems that have no such files does it leave one named `path`, a
 * point and six characters more, which is of no use. When the call fails the name is not there.
 * What lies in a storage that was given as a value becomes such a file, too, and takes twice its
 * space meanwhile. */
BE_MUST_USE enum be_status be_backup(struct be_enforcer *handle, const char *path);

/* Makes an environment of a backup in `directory`, which must not exist or be empty
 * (ALREADY_THERE): nothing is written over, and a live environment least of all. It appears when it
 * is whole, and flushed; the directory has mode 0700, its file 0600. When the call fails it is not
 * there. A process that is killed meanwhile leaves a directory named `directory`, a point and six
 * characters more, which is of no use and may be removed.
 *
 * The ids of commits, transactions and envelopes leap: those that the original gives out after the
 * backup are never given out here, nor those of another copy that was restored before (in an
 * earlier second), so that nobody who comes back with an id of theirs ends a stranger's commit;
 * NO_COMMIT is the answer. Ids still ascend, so that `after_id` of an exporter skips nothing. They
 * go on from the seconds since 1970 times 2^21, and at least 2^32 further on; they stay below 2^53
 * until 2106.
 *
 * Needs no handle. NOT_FOUND, NOT_AN_ENVIRONMENT, DAMAGED, NEWER_FORMAT or OLDER_FORMAT say what is
 * wrong with the backup. */
BE_MUST_USE enum be_status be_restore(const char *backup, const char *directory);

/* Copies the whole environment, as it is at one moment, into a storage, such as a table of a server
 * (budget_enforcer_storage.h), in txns of 1 000 records. What is spent here meanwhile is not
 * copied: stop the pool to move an environment. Back from a server goes by be_backup() and
 * be_restore(). Pending commits are copied, too; their owners count as dead there, and be_reap()
 * ends what they hold; those of a server's hosts count as dead when their leases have ended. Ids
 * leap as be_restore() says. Nothing is written over: a storage that holds an environment is
 * ALREADY_THERE, one that holds anything else NOT_AN_ENVIRONMENT. As long as the copy is not whole
 * nobody can open it (NOT_AN_ENVIRONMENT); one that was broken off is removed by the next call.
 * CONFLICT: another copy into this storage has taken the place of this one. `progress` (may be
 * NULL) is called after each txn with the number of records so far, must not call the library, and
 * returns false to stop, which makes the result STOPPED. As durable on return as the storage is. A
 * thread is cancelled when the call returns, not within. Statuses: INVALID_ARGUMENT, INVALID_SIZE,
 * and what the storage answers. */
BE_MUST_USE enum be_status be_copy(struct be_enforcer *handle, const struct be_storage *storage,
                                   bool (*progress)(void *context, uint64_t records),
                                   void *context);

/* ------------------------------------------------------------ sizes of enums */

#ifdef __cplusplus
#define BE_ENUM_HAS_4_BYTES(type) \
	static_assert(sizeof(type) == 4, "enums have 4 bytes: compile without -fshort-enums")
#else
#define BE_ENUM_HAS_4_BYTES(type) \
	_Static_assert(sizeof(type) == 4, "enums have 4 bytes: compile without -fshort-enums")
#endif
BE_ENUM_HAS_4_BYTES(enum be_status);
BE_ENUM_HAS_4_BYTES(enum be_period);
BE_ENUM_HAS_4_BYTES(enum be_setting);
BE_ENUM_HAS_4_BYTES(enum be_commit_state);
BE_ENUM_HAS_4_BYTES(enum be_reap_policy);
BE_ENUM_HAS_4_BYTES(enum be_transaction_kind);
BE_ENUM_HAS_4_BYTES(enum be_operation);
BE_ENUM_HAS_4_BYTES(enum be_durability);
BE_ENUM_HAS_4_BYTES(enum be_open_flags);
BE_ENUM_HAS_4_BYTES(enum be_end_flags);
#undef BE_ENUM_HAS_4_BYTES

/* ------------------------------------------------------------ initialisers */

#ifdef __cplusplus
} /* extern "C" */
template <typename T> static inline T be_sized() {
	T value;
	std::memset(&value, 0, sizeof value);
	value.size = static_cast<uint32_t>(sizeof value);
	return value;
}
#define BE_SIZED(type) be_sized<type>()
#else
#define BE_SIZED(type) { .size = sizeof(type) }
#endif
#define BE_COST_INIT { 0, 0 }
#define BE_OPTIONS_INIT BE_SIZED(struct be_options)
#define BE_COMMIT_OPTIONS_INIT BE_SIZED(struct be_commit_options)
#define BE_CHARGE_OPTIONS_INIT BE_SIZED(struct be_charge_options)
#define BE_ENVELOPE_OPTIONS_INIT BE_SIZED(struct be_envelope_options)
#define BE_SETTINGS_INIT BE_SIZED(struct be_settings)
#define BE_ENVELOPE_CHANGE_INIT BE_SIZED(struct be_envelope_change)
#define BE_FILTER_INIT BE_SIZED(struct be_filter)
#define BE_DECISION_INIT BE_SIZED(struct be_decision)
#define BE_ENVELOPE_INIT BE_SIZED(struct be_envelope)
#define BE_TRANSACTION_INIT BE_SIZED(struct be_transaction)
#define BE_ALERT_INIT BE_SIZED(struct be_alert)
#define BE_VERIFICATION_INIT BE_SIZED(struct be_verification)
#define BE_STATISTICS_INIT BE_SIZED(struct be_statistics)
#define BE_PRUNING_INIT BE_SIZED(struct be_pruning)
#define BE_PRUNE_OPTIONS_INIT BE_SIZED(struct be_prune_options)

/* ------------------------------------------------- amounts are whole numbers */

/* The compiler would cut 0.4 to 0 nanos, and that is granted. So these calls refuse floating point
 * while they are compiled (C from C11 on, and C++). The functions behind them are there as ever:
 * (be_commit)(...) calls one, and &be_commit is its address. */
#define BE_NANOS_TEXT "amounts are int64_t nanos, not floating point: see be_amount_parse()"
#ifdef __cplusplus
template <typename T> static inline T be_nanos(T amount) {
	static_assert(!std::is_floating_point<T>::value, BE_NANOS_TEXT);
	return amount;
}
#define BE_NANOS(amount) be_nanos(amount)
#elif __STDC_VERSION__ >= 201112L
#define BE_NANOS(amount) \
	((amount) + 0 * (int64_t)sizeof(struct { \
		_Static_assert(_Generic(+(amount), float: 0, double: 0, long double: 0, \
		                        default: 1), BE_NANOS_TEXT); \
		char be_unused; \
	}))
#endif
#ifdef BE_NANOS
#define be_amount_format(amount, ...) be_amount_format(BE_NANOS(amount), __VA_ARGS__)
#define be_cost_add(cost, tokens, price) be_cost_add(cost, BE_NANOS(tokens), BE_NANOS(price))
#define be_check(handle, category, amount, ...) \
	be_check(handle, category, BE_NANOS(amount), __VA_ARGS__)
#define be_commit(handle, category, amount, ...) \
	be_commit(handle, category, BE_NANOS(amount), __VA_ARGS__)
#define be_commit_with(handle, category, amount, ...) \
	be_commit_with(handle, category, BE_NANOS(amount), __VA_ARGS__)
#define be_record(handle, category, amount, ...) \
	be_record(handle, category, BE_NANOS(amount), __VA_ARGS__)
#define be_settle(handle, id, amount, ...) be_settle(handle, id, BE_NANOS(amount), __VA_ARGS__)
#define be_charge(handle, id, amount, ...) be_charge(handle, id, BE_NANOS(amount), __VA_ARGS__)
#define be_record_with(handle, category, amount, ...) \
	be_record_with(handle, category, BE_NANOS(amount), __VA_ARGS__)
#define be_settle_with(handle, id, amount, ...) \
	be_settle_with(handle, id, BE_NANOS(amount), __VA_ARGS__)
#define be_charge_with(handle, id, amount, ...) \
	be_charge_with(handle, id, BE_NANOS(amount), __VA_ARGS__)
#define be_correct(handle, id, amount, ...) be_correct(handle, id, BE_NANOS(amount), __VA_ARGS__)
#define be_correct_with(handle, id, amount, ...) \
	be_correct_with(handle, id, BE_NANOS(amount), __VA_ARGS__)
#define be_extend(handle, id, amount, ...) be_extend(handle, id, BE_NANOS(amount), __VA_ARGS__)
#define be_envelope_create(handle, category, limit, ...) \
	be_envelope_create(handle, category, BE_NANOS(limit), __VA_ARGS__)
#define be_envelope_ensure(handle, category, limit, ...) \
	be_envelope_ensure(handle, category, BE_NANOS(limit), __VA_ARGS__)
#define be_envelope_ensure_with(handle, category, limit, ...) \
	be_envelope_ensure_with(handle, category, BE_NANOS(limit), __VA_ARGS__)
#define be_envelope_set_limit(handle, category, limit) \
	be_envelope_set_limit(handle, category, BE_NANOS(limit))
#endif

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
