/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy in front of the test's server, which sees what clients send. */
#ifndef PROXY_H
#define PROXY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Is shown what a client has sent, and passes it on by proxy_send(), or does what it likes. False:
 * the connection is cut. `answered`: the server has sent something since the client did before. */
typedef bool proxy_hook(int client, int server, const char *bytes, ssize_t size, bool answered);

/* A socket in `directory` for clients to connect to, and then for ever what they send. */
int proxy_listen(const char *directory);
_Noreturn void proxy_serve(int listening, proxy_hook *hook);

/* Counts the bytes that the server answers, in shared memory; NULL: nobody wants to know. */
extern _Atomic int64_t *proxy_answered;

bool proxy_send(int to, const char *bytes, ssize_t size);

#endif
