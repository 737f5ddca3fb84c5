/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy.h"

#include "kind.h"
#include "server.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static proxy_hook *hook;
_Atomic int64_t *proxy_answered;

static int make_socket(const char *directory, struct sockaddr_un *address)
{
	int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT(made >= 0);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", directory,
		 server_kind.socket);
	return made;
}

int proxy_listen(const char *directory)
{
	struct sockaddr_un address;
	int made = make_socket(directory, &address);

	EXPECT_EQUAL(bind(made, (struct sockaddr *)&address, sizeof address), 0);
	EXPECT_EQUAL(listen(made, 64), 0);
	return made;
}

static int connect_to_server(void)
{
	struct sockaddr_un address;
	int made = make_socket(server_directory(), &address);

	if (connect(made, (struct sockaddr *)&address, sizeof address) == 0)
		return made;
	close(made);
	return -1;
}

bool proxy_send(int to, const char *bytes, ssize_t size)
{
	while (size > 0) {
		ssize_t sent = send(to, bytes, (size_t)size, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes += sent;
		size -= sent;
	}
	return true;
}

static void pass_on(int client, int server)
{
	struct pollfd ends[2] = {{.fd = client, .events = POLLIN},
				 {.fd = server, .events = POLLIN}};
	static _Thread_local char bytes[1 << 16];
	bool answered = true, goes_on = true;

	while (goes_on && poll(ends, 2, -1) >= 0)
		for (int i = 0; i < 2 && goes_on; i++) {
			ssize_t size;

			if (!ends[i].revents)
				continue;
			size = read(ends[i].fd, bytes, sizeof bytes);
			if (i == 1 && size > 0 && proxy_answered)
				atomic_fetch_add(proxy_answered, size);
			goes_on = size > 0 && (i == 0 ? hook(client, server, bytes, size, answered)
						      : proxy_send(client, bytes, size));
			answered = i == 1;
		}
}

static void *serve(void *context)
{
	int client = *(int *)context, server = connect_to_server();

	free(context);
	if (server >= 0) {
		pass_on(client, server);
		close(server);
	}
	close(client);
	return NULL;
}

void proxy_serve(int listening, proxy_hook *shown)
{
	hook = shown;
	for (;;) {
		int *client = malloc(sizeof *client);
		pthread_t thread;

		*client = accept(listening, NULL, NULL);
		EXPECT(*client >= 0);
		EXPECT_EQUAL(pthread_create(&thread, NULL, serve, client), 0);
		pthread_detach(thread);
	}
}
