/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Liveness of owners; owner.h has the model.
 *
 * The file is mapped shared. Its words are changed by atomic operations only, but for those that
 * are written by one who is alone with the opening lock. Generations start from a random number and
 * ascend, so that a file made anew never gives out one that an old commit carries. (Nor does a
 * clock tell a file from the one before it: it may stand still, or step back.)
 */
#include "sharing/owner.h"

#include "base/descriptor.h"
#include "base/error.h"
#include "sharing/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWNERS_FILE "be-owners"
#define OWNERS_MAGIC UINT64_C(0x33736e776f2d6562) /* "be-owns3" */
/* How often a file is opened again that was replaced meanwhile. */
#define LOOKS 16
#define OPENING_BYTE ((off_t)1 << 30)
#define PROCESS_BYTES ((off_t)1 << 31) /* and more; held by those who only look */
#define PID_BITS 23                    /* the kernel's pids are below 2^22 */

struct owner_slot {
	_Atomic uint64_t generation; /* 0: free */
	_Atomic uint32_t pid;        /* in its own namespace, which is */
	_Atomic uint32_t pid_namespace;
	pthread_mutex_t alive;         /* robust, shared; the hint */
	_Atomic uint64_t first_commit; /* see owners_first_commit() */
};

/* What was pending when the file was made, for owners that it never knew. */
enum unknown_owners {
	UNKNOWN_LEFT = 0,
	UNKNOWN_CLAIMED = 1, /* one process reaps it */
	UNKNOWN_REAPED = 2,
};

enum settled {
	UNSETTLED, /* nobody has opened it to write since the machine came up */
	SETTLED,
	SETTLED_AFTER_GOING_BACK,
};

struct owners_file {
	_Atomic uint64_t magic; /* written last */
	_Atomic uint64_t next_generation;
	_Atomic uint32_t durability;
	_Atomic uint32_t used;      /* slots from this one on have never been taken */
	char boot_id[BOOT_ID_SIZE]; /* when it was made */
	_Atomic uint32_t unknown;   /* enum unknown_owners */
	_Atomic uint32_t settled;   /* enum settled */
	uint8_t padding[4096 - 32 - BOOT_ID_SIZE];
	struct owner_slot slots[OWNER_SLOTS];
};

_Static_assert(sizeof(struct owner_slot) == 64, "one slot per cache line");
_Static_assert(sizeof(struct owners_file) == 4096 + 64 * OWNER_SLOTS, "layout of be-owners");

struct owners {
	struct descriptor file_locks; /* carries all locks; another one is mapped */
	bool is_alone;
	bool registered;
	uint32_t slot;
	uint64_t generation;
	uint32_t pid;
	uint32_t pid_namespace;
	struct owners_file *file;
	char path[];
};

/* ---- locks */

static struct flock lock_of(short type, off_t start, off_t length)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

static int lock_wait(int fd, short type, off_t byte)
{
	struct flock lock = lock_of(type, byte, 1);
	int rc;

	do
		rc = fcntl(fd, F_OFD_SETLKW, &lock);
	while (rc < 0 && errno == EINTR);
	return rc;
}

static bool lock_try(int fd, off_t byte)
{
	struct flock lock = lock_of(F_WRLCK, byte, 1);

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Does another descriptor hold a lock in the range? A failure counts as yes: nobody is declared
 * dead for it.
 * */
static bool lock_is_held(int fd, off_t start, off_t length)
{
	struct flock lock = lock_of(F_RDLCK, start, length);

	return fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

/* ---- the hint
 *
 * Only the slot's own process locks the mutex, and makes it anew when it takes the slot. All others
 * read the word that the kernel marks when the thread that has locked it ends: however many look at
 * once, they neither disturb each other nor believe anything else that the file holds. */

/* Does a live thread of the slot's process hold the mutex? False where that is not known: then the
 * kernel is asked. */
static bool hint_is_held(const struct owner_slot *slot)
{
#ifdef __GLIBC__
	int word = __atomic_load_n(&slot->alive.__data.__lock, __ATOMIC_ACQUIRE);

	return (word & FUTEX_TID_MASK) != 0 && (word & (int)FUTEX_OWNER_DIED) == 0;
#else
	(void)slot; /* another libc may keep the word elsewhere */
	return false;
#endif
}

static void hint_make(struct owner_slot *slot)
{
	pthread_mutexattr_t attributes;

	memset(&slot->alive, 0, sizeof slot->alive);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&slot->alive, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

/* Of the own slot: held until this thread ends, unless another thread holds it already. */
static void hint_take(struct owner_slot *slot)
{
	if (hint_is_held(slot))
		return;
	if (pthread_mutex_trylock(&slot->alive) == EOWNERDEAD)
		pthread_mutex_consistent(&slot->alive);
}

/* Of the own slot. False: another thread of this process holds it. */
static bool hint_give_back(struct owner_slot *slot)
{
	int rc;

	if (pthread_mutex_unlock(&slot->alive) == 0)
		return true;
	rc = pthread_mutex_trylock(&slot->alive);
	if (rc == EOWNERDEAD)
		pthread_mutex_consistent(&slot->alive);
	else if (rc != 0)
		return false;
	pthread_mutex_unlock(&slot->alive);
	return true;
}

/* ---- the file
 *
 * A process that may write the directory may write any bytes into it, at any moment. Numbers are
 * read once and looked at before they are used; which slot is ours is never read from it. What it
 * says of who made which commits is believed, which can spoil balances and nothing else. */

static uint32_t used_slots(const struct owners_file *file)
{
	uint32_t used = file->used;

	return used < OWNER_SLOTS ? used : OWNER_SLOTS;
}

/* Neither half can overflow, nor is the lower one 0, in a file's life. */
static enum be_status first_generation(uint64_t *generation)
{
	ssize_t got;

	do
		got = getrandom(generation, sizeof *generation, 0);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof *generation)
		return error_errno(BE_IO_ERROR, errno, "the system gives no random numbers");
	*generation = (*generation & UINT64_C(0x7fffffff7fffffff)) + 1;
	return BE_OK;
}

static enum be_status initialise(struct owners_file *file, const char id[BOOT_ID_SIZE])
{
	uint64_t generation;
	enum be_status status = first_generation(&generation);

	if (status != BE_OK)
		return status;
	memset(file, 0, sizeof *file);
	file->next_generation = generation;
	memcpy(file->boot_id, id, BOOT_ID_SIZE);
	file->magic = OWNERS_MAGIC;
	return BE_OK;
}

static enum be_status damaged(const struct owners *owners)
{
	return error_set(BE_DAMAGED, "%s is damaged: stop the pool and remove that file",
			 owners->path);
}

/* Takes the file as it is, or makes it anew. One of another boot may hold any of its pages as it
 * was at some moment, and would give out generations that pending commits carry. But while somebody
 * holds a slot it is of this boot, whatever id it has: that could perhaps not be read when it was
 * made, or cannot now. A process that shares the opening lock (is not alone) makes nothing. */
static enum be_status accept_file(struct owners *owners, bool read_only)
{
	struct owners_file *file = owners->file;
	bool in_use =
		read_only ? lock_is_held(owners->file_locks.fd, 0, OWNER_SLOTS) : !owners->is_alone;
	char id[BOOT_ID_SIZE] = "";
	bool is_of_this_boot;

	if (boot_id(id) != BE_OK)
		error_clear();
	is_of_this_boot = in_use || (*id && strncmp(file->boot_id, id, sizeof id) == 0);
	if (file->magic == OWNERS_MAGIC && is_of_this_boot)
		return BE_OK;
	if (in_use)
		return damaged(owners);
	return read_only ? BE_NOT_FOUND : initialise(file, id);
}

/* Maps the file; under the opening lock when it may be written. To a reader, a file that nobody
 * uses and that would be made anew is BE_NOT_FOUND. */
static enum be_status map_file(struct owners *owners, const struct shared_directory *directory,
			       bool read_only)
{
	enum be_status status = BE_OK;
	struct stat about;
	void *map;
	int fd;

	if (read_only && fstat(owners->file_locks.fd, &about) == 0 &&
	    (size_t)about.st_size < sizeof(struct owners_file))
		return BE_NOT_FOUND;
	if (owners->is_alone)
		status = shared_file_allocate(directory, OWNERS_FILE, owners->file_locks.fd,
					      sizeof(struct owners_file));
	if (status != BE_OK)
		return status;
	/* A map keeps the open file description that it was made from, and the locks of that. A
	 * fork child inherits the map and must not keep its parent's lock by it: so another
	 * description is mapped. */
	status = shared_file_open(directory, OWNERS_FILE, read_only ? SHARED_LOOK : SHARED_CHANGE,
				  0, &fd);
	if (status != BE_OK)
		return status;
	if (shared_file_is_named(directory, OWNERS_FILE, owners->file_locks.fd) &&
	    shared_file_is_named(directory, OWNERS_FILE, fd))
		status = shared_file_map(directory, OWNERS_FILE, fd, sizeof(struct owners_file),
					 !read_only, &map);
	else
		status = error_set(BE_IO_ERROR, "%s was replaced while it was being opened",
				   owners->path);
	close(fd);
	if (status != BE_OK)
		return status;
	owners->file = map;
	return accept_file(owners, read_only);
}

static enum be_status open_file(const struct shared_directory *directory, bool read_only,
				mode_t mode, struct owners **owners)
{
	char path[SHARED_PATH_SIZE];
	size_t size = strlen(shared_file_path(directory, OWNERS_FILE, path)) + 1;
	struct owners *made = calloc(1, sizeof *made + size);
	enum be_status status;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	memcpy(made->path, path, size);
	descriptors_hold_forks();
	status = shared_file_open(directory, OWNERS_FILE, read_only ? SHARED_LOOK : SHARED_MAKE,
				  mode, &made->file_locks.fd);
	descriptor_note(&made->file_locks);
	descriptors_let_forks();
	if (status == BE_OK)
		*owners = made;
	else
		free(made);
	return status;
}

static void discard(struct owners *owners)
{
	if (owners->file)
		munmap(owners->file, sizeof *owners->file);
	descriptor_close(&owners->file_locks);
	free(owners);
}

/* ---- registration */

/* The number that the kernel has for this process's pid namespace: that of an inode, which has 32
 * bits. 0 where /proc is not there. */
static uint32_t own_pid_namespace(void)
{
	struct stat about;

	return stat("/proc/self/ns/pid", &about) == 0 ? (uint32_t)about.st_ino : 0;
}

static void name_process(struct owners *owners)
{
	owners->pid = (uint32_t)getpid();
	owners->pid_namespace = own_pid_namespace();
}

/* Takes the opening lock. One that finds the environment in use shares it, and only while it
 * registers, since all that an opening makes is there. Else each of a crowd would sleep until the
 * one before it had been given a processor, opened, and let go. */
static enum be_status lock_opening(struct owners *owners)
{
	int rc = lock_wait(owners->file_locks.fd, F_RDLCK, OPENING_BYTE);

	owners->is_alone = !lock_is_held(owners->file_locks.fd, 0, OWNER_SLOTS);
	if (rc == 0 && owners->is_alone) {
		/* Of two that kept their share and waited to be alone with it, neither would get
		 * it. */
		lock_wait(owners->file_locks.fd, F_UNLCK, OPENING_BYTE);
		rc = lock_wait(owners->file_locks.fd, F_WRLCK, OPENING_BYTE);
		owners->is_alone = !lock_is_held(owners->file_locks.fd, 0, OWNER_SLOTS);
		if (rc == 0 && !owners->is_alone)
			rc = lock_wait(owners->file_locks.fd, F_RDLCK, OPENING_BYTE);
	}
	if (rc < 0)
		return error_errno(BE_IO_ERROR, errno, "%s: cannot lock it", owners->path);
	return BE_OK;
}

/* What all who have the environment open must agree on. The first one decides. */
static enum be_status agree(struct owners *owners, enum be_durability durability)
{
	struct owners_file *file = owners->file;

	if (owners->is_alone) {
		file->durability = (uint32_t)durability;
		return BE_OK;
	}
	if (file->durability != (uint32_t)durability)
		return error_set(BE_OTHER_DURABILITY,
				 "%s: the processes that have the environment open use the other "
				 "durability: "
				 "give all the same",
				 owners->path);
	return BE_OK;
}

static void raise_used(struct owners_file *file, uint32_t used)
{
	uint32_t old = file->used;

	while (old < used && !atomic_compare_exchange_weak(&file->used, &old, used))
		;
}

static enum be_status take_slot(struct owners *owners)
{
	struct owners_file *file = owners->file;

	for (uint32_t i = 0; i < OWNER_SLOTS; i++) {
		struct owner_slot *slot = &file->slots[i];

		if (slot->generation != 0 || !lock_try(owners->file_locks.fd, i))
			continue;
		/* Another may have taken it, and died, since. */
		if (slot->generation != 0) {
			lock_wait(owners->file_locks.fd, F_UNLCK, i);
			continue;
		}
		owners->slot = i;
		do
			owners->generation = file->next_generation++;
		while (owners->generation == 0);
		slot->pid = owners->pid;
		slot->pid_namespace = owners->pid_namespace;
		slot->first_commit = 0;
		raise_used(file, i + 1);
		hint_make(slot);
		hint_take(slot);
		slot->generation = owners->generation;
		owners->registered = true;
		return BE_OK;
	}
	return error_set(BE_TOO_MANY_PROCESSES, "%s: all %d slots for processes are taken",
			 owners->path, OWNER_SLOTS);
}

/* Ends the registration. False: another thread of this process holds the hint, and all stays. */
static bool give_slot_back(struct owners *owners)
{
	struct owner_slot *slot = &owners->file->slots[owners->slot];

	if (!hint_give_back(slot))
		return false;
	slot->generation = 0;
	lock_wait(owners->file_locks.fd, F_UNLCK, owners->slot);
	owners->registered = false;
	return true;
}

/* The byte that stands for this process, even if others have its pid elsewhere. */
static off_t process_byte(const struct owners *owners)
{
	return PROCESS_BYTES + ((off_t)owners->pid_namespace << PID_BITS) + (off_t)owners->pid;
}

/* Shows this process to other copies of the library in it: those who write are known by their
 * slots, those who look by a lock on a byte for them. */
static enum be_status show(struct owners *owners, bool read_only)
{
	struct flock looking = lock_of(F_RDLCK, process_byte(owners), 1);

	if (!read_only)
		return take_slot(owners);
	if (fcntl(owners->file_locks.fd, F_OFD_SETLK, &looking) < 0)
		return error_errno(BE_IO_ERROR, errno, "%s: cannot lock it", owners->path);
	return BE_OK;
}

static void hide(struct owners *owners, bool read_only)
{
	if (read_only)
		lock_wait(owners->file_locks.fd, F_UNLCK, process_byte(owners));
	else
		give_slot_back(owners); /* this thread has just taken it */
}

static bool sees_second_copy(struct owners *owners)
{
	struct owners_file *file = owners->file;
	struct flock looking = lock_of(F_WRLCK, process_byte(owners), 1);
	uint32_t used;

	if (fcntl(owners->file_locks.fd, F_OFD_GETLK, &looking) < 0 || looking.l_type != F_UNLCK)
		return true;
	used = used_slots(file);
	for (uint32_t i = 0; i < used; i++)
		if (file->slots[i].generation != 0 && file->slots[i].pid == owners->pid &&
		    file->slots[i].pid_namespace == owners->pid_namespace &&
		    lock_is_held(owners->file_locks.fd, i, 1))
			return true;
	return false;
}

/* LMDB would lose its locks if two copies of the library in one process opened its files. Each
 * shows itself before it looks for others, so that of two at least one sees the other. Where both
 * do, both hide, and try again one after the other, so that the one that is last has it. (flock()
 * is for those who may only read the file, too, and independent of the other locks.) */
static enum be_status show_alone(struct owners *owners, bool read_only)
{
	enum be_status status = show(owners, read_only);

	if (status != BE_OK || !sees_second_copy(owners))
		return status;
	hide(owners, read_only);
	while (flock(owners->file_locks.fd, LOCK_EX) < 0 && errno == EINTR)
		;
	status = show(owners, read_only);
	if (status == BE_OK && sees_second_copy(owners)) {
		hide(owners, read_only);
		status = error_set(BE_SECOND_COPY,
				   "%s: another copy of this library in this process has the "
				   "environment open: link one copy only",
				   owners->path);
	}
	flock(owners->file_locks.fd, LOCK_UN);
	return status;
}

/* Is the file that was locked the one that others find, and one that may be written to? One that
 * is not ours is removed by the process that is alone with it, so that the next look makes a new
 * one. */
static bool is_usable(struct owners *owners, const struct shared_directory *directory)
{
	if (!shared_file_is_named(directory, OWNERS_FILE, owners->file_locks.fd))
		return false;
	if (!owners->is_alone || shared_file_begins(owners->file_locks.fd, OWNERS_MAGIC))
		return true;
	unlinkat(directory->fd, OWNERS_FILE, 0);
	return false;
}

/* Opens the file and takes its opening lock. */
static enum be_status open_locked(const struct shared_directory *directory, mode_t mode,
				  struct owners **owners)
{
	enum be_status status;

	for (int looks = 0; looks < LOOKS; looks++) {
		status = open_file(directory, false, mode, owners);
		if (status != BE_OK)
			return status;
		name_process(*owners);
		status = lock_opening(*owners);
		if (status == BE_OK && is_usable(*owners, directory))
			return BE_OK;
		discard(*owners);
		if (status != BE_OK)
			return status;
	}
	return error_set(BE_IO_ERROR, "%s: be-owners is replaced all the time", directory->path);
}

enum be_status owners_open(const struct shared_directory *directory, mode_t mode,
			   enum be_durability durability, struct owners **owners)
{
	struct owners *made;
	enum be_status status = open_locked(directory, mode, &made);

	if (status != BE_OK)
		return status;
	status = map_file(made, directory, false);
	if (status == BE_OK)
		status = agree(made, durability);
	if (status == BE_OK)
		status = show_alone(made, false);
	if (status != BE_OK) {
		discard(made);
		return status;
	}
	if (!made->is_alone)
		owners_opened(made);
	*owners = made;
	return BE_OK;
}

static enum be_status open_to_look(const struct shared_directory *directory, bool shows,
				   struct owners **owners)
{
	struct owners *made;
	enum be_status status = open_file(directory, true, 0, &made);

	*owners = NULL;
	if (status == BE_NOT_FOUND)
		error_clear();
	if (status != BE_OK)
		return status == BE_NOT_FOUND ? BE_OK : status;
	name_process(made);
	status = map_file(made, directory, true);
	if (status == BE_NOT_FOUND) {
		discard(made);
		return BE_OK;
	}
	if (status == BE_OK && shows)
		status = show_alone(made, true);
	if (status != BE_OK) {
		discard(made);
		return status;
	}
	*owners = made;
	return BE_OK;
}

enum be_status owners_open_read_only(const struct shared_directory *directory,
				     struct owners **owners)
{
	return open_to_look(directory, true, owners);
}

enum be_status owners_open_unseen(const struct shared_directory *directory, struct owners **owners)
{
	return open_to_look(directory, false, owners);
}

enum be_status owners_reopen(struct owners *owners, enum be_durability durability)
{
	enum be_status status = lock_opening(owners);

	if (status == BE_OK)
		status = agree(owners, durability);
	if (status != BE_OK || !owners->is_alone)
		owners_opened(owners);
	return status;
}

bool owners_exist(const struct shared_directory *directory)
{
	return shared_file_exists(directory, OWNERS_FILE);
}

bool owners_are_in(const struct owners *owners, const struct shared_directory *directory)
{
	return shared_file_is_named(directory, OWNERS_FILE, owners->file_locks.fd);
}

void owners_opened(struct owners *owners)
{
	lock_wait(owners->file_locks.fd, F_UNLCK, OPENING_BYTE);
}

bool owners_are_registered(const struct owners *owners)
{
	return owners->registered;
}

bool owners_are_in_use(const struct owners *owners)
{
	return lock_is_held(owners->file_locks.fd, 0, OWNER_SLOTS);
}

uint64_t owners_generation(const struct owners *owners)
{
	return owners->generation;
}

uint32_t owners_pid_namespace(const struct owners *owners)
{
	return owners->pid_namespace;
}

bool owners_were_alone(const struct owners *owners)
{
	return owners->is_alone;
}

bool owners_are_settled(const struct owners *owners)
{
	return owners && owners->file->settled != UNSETTLED;
}

bool owners_went_back(const struct owners *owners)
{
	return owners->file->settled == SETTLED_AFTER_GOING_BACK;
}

void owners_settle(struct owners *owners, bool went_back)
{
	if (owners->file->settled == UNSETTLED)
		owners->file->settled = went_back ? SETTLED_AFTER_GOING_BACK : SETTLED;
}

bool owners_claim_unknown(struct owners *owners)
{
	uint32_t left = UNKNOWN_LEFT;

	if (owners->file->unknown != UNKNOWN_LEFT)
		return false;
	/* Who finds this process dead is to look at all commits. Before the claim, after which
	 * it may die at once. */
	owners->file->slots[owners->slot].first_commit = 1;
	return atomic_compare_exchange_strong(&owners->file->unknown, &left, UNKNOWN_CLAIMED);
}

void owners_leave_unknown(struct owners *owners)
{
	owners->file->unknown = UNKNOWN_LEFT;
}

void owners_reaped_unknown(struct owners *owners)
{
	owners->file->unknown = UNKNOWN_REAPED;
}

bool owners_have_unknown(const struct owners *owners)
{
	return owners->file->unknown != UNKNOWN_REAPED;
}

bool owners_close(struct owners *owners)
{
	if (owners->registered && !give_slot_back(owners))
		return false;
	discard(owners);
	return true;
}

/* ---- who is alive */

struct owner owners_self(struct owners *owners)
{
	/* Held already, but for the first change after the thread that held it has ended. */
	hint_take(&owners->file->slots[owners->slot]);
	return (struct owner){.generation = owners->generation,
			      .slot = owners->slot,
			      .pid = owners->pid,
			      .pid_namespace = owners->pid_namespace};
}

void owners_commits_from(struct owners *owners, uint64_t id)
{
	uint64_t none = 0;

	atomic_compare_exchange_strong(&owners->file->slots[owners->slot].first_commit, &none, id);
}

uint64_t owners_first_commit(struct owners *owners, const struct owner *owner)
{
	uint64_t first;

	if (owner->slot >= OWNER_SLOTS)
		return 0;
	first = owners->file->slots[owner->slot].first_commit;
	return owners_registered(owners, owner) ? first : 0;
}

bool owners_registered(struct owners *owners, const struct owner *owner)
{
	return owner->slot < OWNER_SLOTS &&
	       owners->file->slots[owner->slot].generation == owner->generation;
}

bool owners_alive(struct owners *owners, const struct owner *owner)
{
	if (!owners_registered(owners, owner))
		return false;
	return (owners->registered && owner->slot == owners->slot) ||
	       lock_is_held(owners->file_locks.fd, owner->slot, 1);
}

bool owners_alive_named(struct owners *owners, uint32_t slot, uint32_t generation)
{
	struct owner owner = {.slot = slot};

	if (slot >= OWNER_SLOTS)
		return false;
	owner.generation = owners->file->slots[slot].generation;
	return owner.generation != 0 && (uint32_t)owner.generation == generation &&
	       owners_alive(owners, &owner);
}

static struct owner read_slot(const struct owners *owners, uint32_t index)
{
	const struct owner_slot *slot = &owners->file->slots[index];

	return (struct owner){.generation = slot->generation,
			      .slot = index,
			      .pid = slot->pid,
			      .pid_namespace = slot->pid_namespace};
}

size_t owners_find_dead(struct owners *owners, struct owner *dead, size_t count)
{
	struct owners_file *file = owners->file;
	uint32_t used = used_slots(file);
	size_t found = 0;

	for (uint32_t i = 0; i < used && found < count; i++) {
		const struct owner_slot *slot = &file->slots[i];
		struct owner owner = read_slot(owners, i);

		if (owner.generation == 0 || i == owners->slot || hint_is_held(slot))
			continue;
		if (!owners_alive(owners, &owner) && owners_registered(owners, &owner))
			dead[found++] = owner;
	}
	return found;
}

bool owners_each(struct owners *owners,
		 bool (*each)(void *context, const struct owner *owner, bool alive), void *context)
{
	struct owners_file *file = owners->file;
	uint32_t used = used_slots(file);
	bool more = true;

	for (uint32_t i = 0; more && i < used; i++) {
		struct owner owner = read_slot(owners, i);
		bool alive = owner.generation != 0 && owners_alive(owners, &owner);

		/* One that ended and was forgotten meanwhile is none any more. */
		if (owner.generation != 0 && owners_registered(owners, &owner))
			more = each(context, &owner, alive);
	}
	return more;
}

void owners_forget(struct owners *owners, const struct owner *dead)
{
	uint64_t generation = dead->generation;

	atomic_compare_exchange_strong(&owners->file->slots[dead->slot].generation, &generation, 0);
}

/* ---- fork */

void owners_abandon(struct owners *owners)
{
	discard(owners);
}
