/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an environment, which lie in a directory that several processes share, and perhaps
 * several users: how they are opened, made, allocated and mapped. A user who may write the
 * directory can put anything there under the name of a file of ours. What is opened here is
 * therefore found by a descriptor of the directory and by a name without links, and is
 *
 *   a regular file: neither a link, which would lead elsewhere, nor a FIFO or a device, of which
 *                   even the opening can hang or do something;
 *   of one name:    with a second hard link it might be a file of something else;
 *   of an owner who can be expected, which is
 *                   - this process's user, the directory's owner, or root; or
 *                   - anybody, if all who may put files into the directory may write this file
 *                     anyway: it has the directory's group, and read and write permission for
 *                     that, in a directory that the group may write (or the same for everybody).
 *                     Users who share an environment are of one group, and each file belongs to
 *                     the user who came first. Writing to a planted file then does nothing that
 *                     the user who planted it could not do without us.
 *
 * A file that is made here gets a mode and a group; a file that is found keeps its own. A file of
 * this process's user that was moved here from elsewhere passes all of this; its first bytes tell
 * it from ours (shared_file_begins()).
 */
#ifndef SHARED_FILE_H
#define SHARED_FILE_H

#include <budget_enforcer.h>
#include <stdbool.h>
#include <sys/types.h>

struct shared_directory {
	int fd;          /* O_PATH: for openat() and the like, and for fstat() */
	bool is_layered; /* on an overlay: see SHARED_LOOK */
	char path[];     /* as it was given, for texts and for LMDB */
};

/* Opens a directory that exists; the way to it may have links. Statuses: NOT_AN_ENVIRONMENT when it
 * is none, NOT_FOUND, PERMISSION, NO_MEMORY, IO_ERROR. */
enum be_status shared_directory_open(const char *path, struct shared_directory **directory);

/* NULL is allowed. */
void shared_directory_close(struct shared_directory *directory);

/* Flushes a file or a directory, however often a signal comes. Returns an errno. */
int shared_flush(int fd);

/* Flushes the directory `path`, seen from the directory `at` (AT_FDCWD), so that the names in it
 * are there after the loss of power. Returns an errno. */
int shared_flush_names(int at, const char *path);

/* On an overlay, such as a container's root, a file may still lie in a lower layer. It is copied
 * when it is first opened for writing, and a process that opened it before, to read, goes on
 * reading the old one. So a look begins with opening for writing there, and all processes see one
 * file. The status is PERMISSION when the process may not write. */
enum shared_access {
	SHARED_LOOK,   /* to read; it must be there */
	SHARED_CHANGE, /* to read and write; it must be there */
	SHARED_MAKE,   /* the same; made where missing */
	SHARED_NEW,    /* the same; it must not be there */
};

/* Opens the file `name`. One that is made has exactly `mode`, whatever the umask, and the
 * directory's group where that may write the directory. NOT_FOUND where it is missing,
 * NOT_AN_ENVIRONMENT for what it must not be, ALREADY_THERE, PERMISSION, DISK_FULL, IO_ERROR. */
enum be_status shared_file_open(const struct shared_directory *directory, const char *name,
				enum shared_access access, mode_t mode, int *fd);

/* Is there something of that name that could be opened so? Does not open it. */
bool shared_file_exists(const struct shared_directory *directory, const char *name);

/* Is this open file the one of that name? */
bool shared_file_is_named(const struct shared_directory *directory, const char *name, int fd);

/* Makes the file at least `size` bytes long, and gives all of these their place on the disk, the
 * holes of a file that was there among them: a page of a map for which the disk has no room would
 * be SIGBUS. DISK_FULL, IO_ERROR. */
enum be_status shared_file_allocate(const struct shared_directory *directory, const char *name,
				    int fd, off_t size);

/* Maps the first `size` bytes, shared. DAMAGED when the file is shorter. */
enum be_status shared_file_map(const struct shared_directory *directory, const char *name, int fd,
			       size_t size, bool writable, void **map);

/* May this file be written to, as one that begins with this magic? It may if it begins with the
 * magic of any version (the last of its eight characters), or with zeros, or is empty: then it was
 * made, and not yet written. Anything else is not ours, and must be replaced, not written over. */
bool shared_file_begins(int fd, uint64_t magic);

/* The path of a file, for texts. */
#define SHARED_PATH_SIZE 4128
const char *shared_file_path(const struct shared_directory *directory, const char *name,
			     char path[SHARED_PATH_SIZE]);

#endif
