/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/lmdb/reader_number.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>
#include <unistd.h>

/* So many that two are never the same but by intent. LMDB locks the byte, so that even then the
 * second one is told. */
#define REGISTERED (INT32_C(1) << 30) /* and as many numbers from there on */
#define DRAWN (INT32_C(1) << 29)      /* likewise */

/* How struct MDB_env begins. */
struct env_head {
	int data_fd;
	int lock_fd;
	int meta_fd;
	uint32_t flags;
	unsigned page_size; /* 0 until it is opened */
	unsigned system_page_size;
	unsigned max_readers;
	int close_readers;
	unsigned databases;
	unsigned max_databases;
	pid_t pid;
	char *path; /* NULL until it is opened */
};

_Static_assert(sizeof(pid_t) == sizeof(int32_t), "a number takes the place of a pid");
_Static_assert(offsetof(struct env_head, pid) == 40, "where me_pid is in all of 0.9");

int32_t reader_number_of(uint64_t generation)
{
	return (int32_t)(generation % REGISTERED) | REGISTERED;
}

int32_t reader_number_draw(void)
{
	uint32_t number;
	ssize_t got;

	do
		got = getrandom(&number, sizeof number, 0);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof number ? (int32_t)(number % DRAWN) | DRAWN : 0;
}

static bool is_known(const struct env_head *head, unsigned max_readers)
{
	return head->data_fd == -1 && head->lock_fd == -1 && head->meta_fd == -1 &&
	       head->flags == 0 && head->page_size == 0 &&
	       head->system_page_size == (unsigned)sysconf(_SC_PAGESIZE) &&
	       head->max_readers == max_readers && head->close_readers == 0 &&
	       head->databases == 2 && head->max_databases == 2 && head->pid == getpid() &&
	       head->path == NULL;
}

bool reader_number_put(struct MDB_env *env, int major, int minor, unsigned max_readers,
		       int32_t number)
{
	struct env_head head;

	if (major != 0 || minor != 9 || number == 0)
		return false;
	memcpy(&head, env, sizeof head);
	if (!is_known(&head, max_readers))
		return false;
	memcpy((char *)env + offsetof(struct env_head, pid), &number, sizeof number);
	return true;
}
