/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/remote/link.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS_MAX 1024
#define IDLE_MAX 8
#define REACH_PAUSE_NS 50000000

/* Open sockets: a number may have been closed by the client library and be another file by now. */
static struct noted {
	_Atomic int number; /* plus 1; 0: a free place */
	ino_t inode;
} sockets[SOCKETS_MAX];
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

struct links {
	const struct link_kind *kind;
	pid_t pid;
	pthread_mutex_t lock;
	struct link *idle;
	int count;
};

int link_fail(int status, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	for (char *at = text; *at; at++)
		if (*at == '\n')
			*at = at[1] ? ' ' : '\0';
	be_storage_explain(text);
	return status;
}

int64_t link_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * BE_UNIT + now.tv_nsec;
}

bool link_try_again(int64_t since_ns)
{
	if (link_clock() - since_ns >= LINK_REACH_NS)
		return false;
	nanosleep(&(struct timespec){0, REACH_PAUSE_NS}, NULL);
	return true;
}

/* ---- fork */

static void close_sockets_in_child(void)
{
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		int socket = atomic_exchange(&sockets[i].number, 0) - 1;
		struct stat about;

		if (socket >= 0 && fstat(socket, &about) == 0 && S_ISSOCK(about.st_mode) &&
		    about.st_ino == sockets[i].inode)
			close(socket);
	}
}

static void watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, close_sockets_in_child);
}

int link_note_socket(int socket)
{
	struct stat about;

	pthread_once(&fork_once, watch_forks);
	if (fstat(socket, &about) != 0)
		return -1;
	for (int i = 0; i < SOCKETS_MAX; i++) {
		int free = 0;

		if (!atomic_compare_exchange_strong(&sockets[i].number, &free, INT_MIN))
			continue;
		sockets[i].inode = about.st_ino;
		atomic_store(&sockets[i].number, socket + 1);
		return i;
	}
	return -1;
}

void link_forget_socket(int place)
{
	if (place >= 0)
		atomic_store(&sockets[place].number, 0);
}

/* ---- those that wait */

struct links *links_make(const struct link_kind *kind)
{
	struct links *links = calloc(1, sizeof *links);

	if (links) {
		links->kind = kind;
		links->pid = getpid();
		pthread_mutex_init(&links->lock, NULL);
	}
	return links;
}

/* What the parent of a fork child had is left as it is. */
struct links *links_find(_Atomic(struct links *) *place)
{
	struct links *found = atomic_load(place), *made;

	if (!found || found->pid == getpid())
		return found;
	made = links_make(found->kind);
	if (made && !atomic_compare_exchange_strong(place, &found, made)) {
		free(made);
		return found;
	}
	return made;
}

static struct link *take_any(struct links *links)
{
	struct link *taken;

	pthread_mutex_lock(&links->lock);
	taken = links->idle;
	if (taken) {
		links->idle = taken->next;
		links->count--;
	}
	pthread_mutex_unlock(&links->lock);
	return taken;
}

struct link *links_take(struct links *links)
{
	struct link *taken;

	while ((taken = take_any(links)) && !links->kind->is_good(taken))
		links->kind->close(taken);
	return taken;
}

void links_give_back(struct links *links, const struct link_kind *kind, struct link *link)
{
	if (link && links && kind->is_good(link)) {
		pthread_mutex_lock(&links->lock);
		if (links->count < IDLE_MAX) {
			link->next = links->idle;
			links->idle = link;
			links->count++;
			link = NULL;
		}
		pthread_mutex_unlock(&links->lock);
	}
	kind->close(link);
}

void links_free(struct links *links)
{
	struct link *idle;

	if (!links)
		return;
	while ((idle = take_any(links)))
		links->kind->close(idle);
	pthread_mutex_destroy(&links->lock);
	free(links);
}
