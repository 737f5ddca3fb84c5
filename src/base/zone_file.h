/* SPDX-License-Identifier: Apache-2.0 */
/* The system's time zone files: found, and read as bytes. */
#ifndef ZONE_FILE_H
#define ZONE_FILE_H

#include <budget_enforcer.h>

/* Larger ones are none: those of all zones there are have less than 8 KiB. */
#define ZONE_FILE_MAX 65536

/* Reads the file of a zone, whose name leads nowhere else, into ZONE_FILE_MAX bytes: below
 * $TZDIR, as the C library does it, else in the usual places. TZ itself is not looked at. Statuses:
 * INVALID_ZONE, with a text that says what is wrong. */
enum be_status zone_file_read(const char *name, uint8_t *bytes, size_t *size);

#endif
