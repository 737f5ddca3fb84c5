/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors whose locks must end with this process. A lock of an open file description, such as
 * flock() and F_OFD_SETLK take, lasts until the last descriptor of that description is closed. A
 * fork child has a copy of every descriptor, so a child that lives longer than its parent would go
 * on holding its parent's locks. Therefore each descriptor that will carry such a lock is noted
 * here, and every fork child closes its copies before it does anything else.
 *
 * No fork may come between opening a descriptor and noting it, hence:
 *
 *     descriptors_hold_forks();
 *     made->descriptor.fd = open(...);
 *     descriptor_note(&made->descriptor);
 *     descriptors_let_forks();
 *
 * Nothing that may wait for another process belongs between the two. The lock that they take is the
 * last in every lock order.
 */
#ifndef DESCRIPTOR_H
#define DESCRIPTOR_H

struct descriptor {
	int fd; /* -1: none, as always in a fork child, of what its parent noted */
	struct descriptor *next;
};

void descriptors_hold_forks(void);
void descriptors_let_forks(void);

/* To be called before a fork handler is installed that takes a lock under which descriptors are
 * noted or closed: handlers run before a fork in the reverse order, and so take that lock first. */
void descriptors_install(void);

/* Between these two; nothing when fd is -1. */
void descriptor_note(struct descriptor *descriptor);

/* Closes it, with all locks that it carries, and forgets it. In a fork child this is harmless. */
void descriptor_close(struct descriptor *descriptor);

#endif
