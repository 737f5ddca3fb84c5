/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels, packed: for each its key and value with their sizes, in the order of the keys' bytes, and
 * each key once. Plain data: they are stored so, and carried between processes.
 */
#ifndef LABELS_H
#define LABELS_H

#include <budget_enforcer.h>

#define LABEL_PACKED_MAX (2 + BE_LABEL_KEY_SIZE - 1 + BE_LABEL_VALUE_SIZE - 1)
#define LABELS_PACKED_MAX ((size_t)BE_LABELS_MAX * LABEL_PACKED_MAX)

struct labels {
	uint8_t count;
	uint16_t size;
	uint8_t bytes[LABELS_PACKED_MAX]; /* undefined behind `size` */
};

/* Labels as texts, and pointers to them. */
struct label_texts {
	struct be_label labels[BE_LABELS_MAX];
	char keys[BE_LABELS_MAX][BE_LABEL_KEY_SIZE];
	char values[BE_LABELS_MAX][BE_LABEL_VALUE_SIZE];
};

/* Packs what a caller gave, in any order: BE_INVALID_LABEL or BE_INVALID_ARGUMENT with an error
 * text. */
enum be_status labels_pack(const struct be_label *given, uint32_t count, struct labels *labels);

/* Are these bytes so many labels? */
bool labels_are_valid(const uint8_t *bytes, size_t size, uint32_t count);

/* Adds labels to others, in place of those that have the same keys: BE_INVALID_LABEL, with an error
 * text, when they become too many. All are valid. */
enum be_status labels_add(struct labels *labels, const uint8_t *bytes, size_t size);

/* Writes valid ones as texts. */
void labels_unpack(const struct labels *labels, struct label_texts *texts);

/* Are all that a caller looks for among these texts? */
bool labels_match(const struct label_texts *texts, uint32_t count, const struct be_label *wanted,
		  uint32_t wanted_count);

#endif
