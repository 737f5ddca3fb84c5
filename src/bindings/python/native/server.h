/* SPDX-License-Identifier: Apache-2.0 */
/* Storages in servers, by URL. Each binding is packed by itself: the other one has the like. */
#ifndef SERVER_H
#define SERVER_H

#include <budget_enforcer_storage.h>
#include <stdbool.h>

struct py_server;

/* Or it is a directory. */
bool server_is_url(const char *path);

/* Connects, or joins those of this process that have the same URL open. May wait for the server.
 * *server is the caller's; any fault leaves NULL there, and be_last_error() says why. */
enum be_status server_open(const char *url, struct py_server **server);
struct be_storage *server_storage(const struct py_server *server);

/* When the handle on it is closed. The last one ends the connections. NULL is fine. */
void server_close(struct py_server *server);

#endif
