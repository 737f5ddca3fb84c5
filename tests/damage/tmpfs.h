/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system in memory, of our own and of a known size: for disks that fill up, and for tests
 * that make many files, which would otherwise wait for whatever else the machine's disk has to do.
 * It needs root or user namespaces.
 */
#ifndef TMPFS_H
#define TMPFS_H

#include <stdbool.h>
#include <stddef.h>

/* Makes the directory `path` and mounts it in a mount namespace that this process and its later
 * children share. False: only the directory was made, and errno says why. Called while there is one
 * thread. */
bool tmpfs_mount(const char *path, size_t bytes);

#endif
