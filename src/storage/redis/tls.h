/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on a connection to a Redis server, where hiredis was built with it. */
#ifndef TLS_H
#define TLS_H

#include "storage/redis/address.h"

#include <hiredis/hiredis.h>

/* Shakes hands on a connection that blocks, and sees to it that the server is the one that its
 * certificate names. Returns 0, LINK_LOST, or a fault. */
int tls_begin(redisContext *redis, const struct address *address);

#endif
