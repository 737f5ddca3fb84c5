/* SPDX-License-Identifier: Apache-2.0 */
/* Zone files, as the system has them below /usr/share/zoneinfo (RFC 8536). */
#ifndef TZIF_H
#define TZIF_H

#include <stddef.h>
#include <stdint.h>

/* Packs the zone that a file's bytes hold, as it is from `from_s` on, into ZONE_PACKED_MAX bytes.
 * Any bytes may be given. Returns how many bytes that is; 0 when it is no zone file, and *why (a
 * text for people) says what is wrong. */
size_t tzif_pack(const void *bytes, size_t size, int64_t from_s, uint8_t *packed, const char **why);

#endif
