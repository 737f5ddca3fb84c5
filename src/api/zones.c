/* SPDX-License-Identifier: Apache-2.0 */
/* Time zones that a call names; see zones.h. */
#include "api/zones.h"

#include "base/error.h"
#include "base/zone_file.h"
#include "records/record.h"
#include "rules/tzif.h"
#include "rules/zone.h"

#include <stdlib.h>
#include <string.h>

/* A window that begins now, or that now lies in, began less than so long ago. */
#define LONGEST_WINDOW_S (INT64_C(400) * 86400)

_Static_assert(ZONE_PACKED_MAX == RECORD_ZONE_MAX && ZONE_PACKED_MAX < BE_DESCRIPTION_SIZE,
	       "a packed zone fits everywhere");

struct zones {
	struct zones *next;
	char name[BE_ZONE_SIZE];
	size_t size;
	uint8_t packed[ZONE_PACKED_MAX];
};

static enum be_status read_zone(struct zones *zone, int64_t now_ns)
{
	const char *why;
	uint8_t *bytes = malloc(ZONE_FILE_MAX);
	size_t size;
	enum be_status status;

	if (!bytes)
		return error_set(BE_NO_MEMORY, "out of memory");
	status = zone_file_read(zone->name, bytes, &size);
	if (status == BE_OK) {
		zone->size = tzif_pack(bytes, size, floor_div(now_ns, BE_UNIT) - LONGEST_WINDOW_S,
				       zone->packed, &why);
		if (zone->size == 0)
			status = error_set(BE_INVALID_ZONE, "the file of the time zone \"%s\": %s",
					   zone->name, why);
	}
	free(bytes);
	return status;
}

static enum be_status find_zone(struct zones **zones, const char *name, int64_t now_ns,
				struct zones **zone)
{
	enum be_status status;

	for (*zone = *zones; *zone; *zone = (*zone)->next)
		if (strcmp((*zone)->name, name) == 0)
			return BE_OK;
	*zone = calloc(1, sizeof **zone);
	if (!*zone)
		return error_set(BE_NO_MEMORY, "out of memory");
	memcpy((*zone)->name, name, strlen(name) + 1);
	status = read_zone(*zone, now_ns);
	if (status != BE_OK) {
		free(*zone);
		return status;
	}
	(*zone)->next = *zones;
	*zones = *zone;
	return BE_OK;
}

enum be_status zones_take(struct zones **zones, const char *name, struct operation *operation)
{
	size_t size = strnlen(name, BE_ZONE_SIZE);
	struct zones *zone;
	enum be_status status;

	if (!record_is_zone_name(name, size))
		return error_set(BE_INVALID_ZONE,
				 "that is no time zone's name: UTC or Europe/Berlin, say");
	memcpy(operation->zone, name, size + 1);
	operation->zone_size = (uint8_t)size;
	if (strcmp(name, "UTC") == 0)
		return BE_OK;
	status = find_zone(zones, name, operation->now_ns, &zone);
	if (status != BE_OK)
		return status;
	memcpy(operation->description, zone->packed, zone->size);
	operation->description[zone->size] = '\0';
	operation->description_size = (uint16_t)zone->size;
	return BE_OK;
}

void zones_free(struct zones *zones)
{
	while (zones) {
		struct zones *next = zones->next;

		free(zones);
		zones = next;
	}
}
