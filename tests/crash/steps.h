/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process is killed in, for kill-at-every-step: one operation of each kind, the environment
 * it finds, and the text that says all there is to know about an environment afterwards.
 */
#ifndef STEPS_H
#define STEPS_H

#include "crash.h"

#include <stdatomic.h>

/* In shared memory: the clock, which stands still so that texts can be compared, and the victim's
 * answer. */
struct stage {
	_Atomic int64_t now_ns;
	atomic_bool answered;
};

struct trial {
	char path[PATH_MAX];
	char backup[PATH_MAX]; /* a file, and */
	char restored
		[PATH_MAX]; /* a directory: beside the environment, of the steps that make them */
	enum be_durability durability;
	struct stage *stage;
	struct be_enforcer
		*handle; /* the victim's; when it begins, the keeper's, if there is one */
};

struct step {
	const char *name;
	/* By the victim, before it can be killed: beyond what every environment holds. May be
	 * NULL. */
	void (*prepare)(struct trial *trial);
	/* By the victim. It returns when the operation has succeeded. */
	void (*run)(struct trial *trial);
	/* By another process, after the kill and whatever it has found: about other files. May be
	 * NULL. */
	void (*check)(struct trial *trial);
	bool is_long;        /* it makes very many system calls */
	bool is_direct;      /* the victim takes no part in group commit */
	bool is_in_parts;    /* several txns, and each is visible by itself */
	bool opens;          /* the victim has nothing open before */
	bool is_new;         /* the directory does not exist */
	bool inherits;       /* the victim uses the keeper's handle, across its fork */
	bool is_invisible;   /* done or not done, the text is the same */
	bool keeper_forbids; /* not while another process has it open */
};

extern const struct step steps[];
extern const int step_count;

struct be_enforcer *stage_open(const struct trial *trial, const char *path,
			       enum be_durability durability, uint32_t flags);

/* Makes the environment that a victim finds. */
void stage_make(struct trial *trial);

/* Makes the victim ready for its operation. */
void stage_prepare(const struct step *step, struct trial *trial);

/* Writes down all that the handle can tell, and what a settle of each commit is answered; the
 * environment is changed by that. Freed by the caller. */
char *stage_describe(const struct trial *trial, struct be_enforcer *handle);

#endif
