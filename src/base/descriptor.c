/* SPDX-License-Identifier: Apache-2.0 */
/* The list of noted descriptors; descriptor.h says what for. */
#include "base/descriptor.h"

#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct descriptor *noted;

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
	while (noted) {
		struct descriptor *one = noted;

		noted = one->next;
		close(one->fd);
		one->fd = -1;
	}
	pthread_mutex_unlock(&lock);
}

static void install_handlers(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void descriptors_install(void)
{
	pthread_once(&once, install_handlers);
}

void descriptors_hold_forks(void)
{
	descriptors_install();
	pthread_mutex_lock(&lock);
}

void descriptors_let_forks(void)
{
	pthread_mutex_unlock(&lock);
}

void descriptor_note(struct descriptor *descriptor)
{
	if (descriptor->fd < 0)
		return;
	descriptor->next = noted;
	noted = descriptor;
}

void descriptor_close(struct descriptor *descriptor)
{
	descriptors_hold_forks();
	for (struct descriptor **at = &noted; *at; at = &(*at)->next)
		if (*at == descriptor) {
			*at = descriptor->next;
			break;
		}
	if (descriptor->fd >= 0)
		close(descriptor->fd);
	descriptor->fd = -1;
	descriptors_let_forks();
}
