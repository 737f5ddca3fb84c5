/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that have an environment open, and what each holds. */
#ifndef OWNERS_H
#define OWNERS_H

#include <budget_enforcer.h>

struct rows;

/* Adds a struct owner_row (fields.h) for each owner, in no particular order. */
enum be_status owners_gather(struct be_enforcer *handle, struct rows *rows);

#endif
