/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that have an environment open, and what each holds. A pid may stand for several, in
 * several pid namespaces (containers), dead and alive: a commit belongs to the owner that has its
 * owner_id.
 *
 * An owner may appear or end between the two listings, so either may have one that the other lacks.
 */
#include "owners.h"

#include "fields.h"
#include "rows.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct owner_rows {
	struct owner_row *owners;
	size_t count;
	size_t room;
};

static struct owner_row *find_or_add(struct owner_rows *rows, uint64_t id, uint32_t pid, bool alive)
{
	struct owner_row *owner;
	size_t i;

	for (i = 0; i < rows->count; i++)
		if (rows->owners[i].id == id)
			return &rows->owners[i];
	rows->owners = tool_grow(rows->owners, rows->count, &rows->room, sizeof *owner);
	owner = &rows->owners[rows->count++];
	*owner = (struct owner_row){.id = id, .pid = pid, .alive = alive};
	return owner;
}

static bool add_owner(void *context, const struct be_owner_info *owner)
{
	struct owner_row *row = find_or_add(context, owner->id, owner->pid, owner->alive);

	row->pid_namespace = owner->pid_namespace;
	row->pid_here = owner->pid_here;
	return true;
}

static bool add_commit(void *context, const struct be_commit_info *commit)
{
	struct owner_row *owner =
		find_or_add(context, commit->owner_id, commit->owner_pid, commit->owner_alive);

	owner->commits++;
	field_add_amount(&owner->held, commit->amount);
	if (owner->oldest_ns == 0 || commit->created_ns < owner->oldest_ns)
		owner->oldest_ns = commit->created_ns;
	return true;
}

/* The name that the kernel has for a process; left empty when it cannot be read. */
static void read_command(struct owner_row *owner)
{
	char path[32];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%u/comm", owner->pid_here);
	file = owner->alive && owner->pid_here != 0 ? fopen(path, "re") : NULL;
	if (!file)
		return;
	if (fgets(owner->command, sizeof owner->command, file))
		owner->command[strcspn(owner->command, "\n")] = '\0';
	fclose(file);
}

enum be_status owners_gather(struct be_enforcer *handle, struct rows *rows)
{
	struct owner_rows found = {0};
	enum be_status status = be_owners_each(handle, add_owner, &found);
	size_t i;

	if (status == BE_OK)
		status = be_commits_each(handle, NULL, add_commit, &found);
	for (i = 0; i < found.count; i++) {
		/* It is only waiting for the next opening, or reaping, to be forgotten. */
		if (!found.owners[i].alive && found.owners[i].commits == 0)
			continue;
		read_command(&found.owners[i]);
		rows_add(rows, &found.owners[i]);
	}
	free(found.owners);
	return status;
}
