/* SPDX-License-Identifier: Apache-2.0 */
#include "records/labels.h"

#include "base/error.h"
#include "records/name.h"

#include <assert.h>
#include <string.h>

/* One label within packed ones. */
struct packed {
	const uint8_t *bytes;
	size_t size;
	const char *key;
	const char *value;
	uint8_t key_size;
	uint8_t value_size;
};

/* Takes one from *at and moves on; false: what lies there is none. */
static bool take(const uint8_t **at, const uint8_t *end, struct packed *label)
{
	const uint8_t *bytes = *at;

	if (end - bytes < 2 || end - bytes < 2 + bytes[0] + bytes[1])
		return false;
	*label = (struct packed){
		.bytes = bytes,
		.size = 2U + bytes[0] + bytes[1],
		.key = (const char *)bytes + 2,
		.value = (const char *)bytes + 2 + bytes[0],
		.key_size = bytes[0],
		.value_size = bytes[1],
	};
	*at += label->size;
	return label->key_size > 0 && label->key_size < BE_LABEL_KEY_SIZE &&
	       label->value_size < BE_LABEL_VALUE_SIZE &&
	       name_text_is_valid(label->key, label->key_size) &&
	       name_text_is_valid(label->value, label->value_size);
}

/* As strcmp() has it. */
static int compare(const struct packed *a, const struct packed *b)
{
	size_t both = a->key_size < b->key_size ? a->key_size : b->key_size;
	int order = memcmp(a->key, b->key, both);

	return order != 0 ? order : a->key_size - b->key_size;
}

bool labels_are_valid(const uint8_t *bytes, size_t size, uint32_t count)
{
	const uint8_t *at = bytes, *end = bytes + size;
	struct packed label, before;

	if (count > BE_LABELS_MAX || size > LABELS_PACKED_MAX)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (!take(&at, end, &label) || (i > 0 && compare(&before, &label) >= 0))
			return false;
		before = label;
	}
	return at == end;
}

static enum be_status too_many(void)
{
	return error_set(BE_INVALID_LABEL, "more than %d labels, which are the most",
			 BE_LABELS_MAX);
}

static void append(struct labels *labels, const struct packed *label)
{
	assert(labels->count < BE_LABELS_MAX && label->size <= LABEL_PACKED_MAX);
	memcpy(labels->bytes + labels->size, label->bytes, label->size);
	labels->size = (uint16_t)(labels->size + label->size);
	labels->count++;
}

enum be_status labels_add(struct labels *labels, const uint8_t *bytes, size_t size)
{
	struct labels own;
	const uint8_t *own_at = own.bytes, *own_end, *at = bytes, *end = bytes + size;
	struct packed first, second;
	bool has_own, has_more = take(&at, end, &second);

	own.size = labels->size;
	memcpy(own.bytes, labels->bytes, own.size);
	own_end = own.bytes + own.size;
	has_own = take(&own_at, own_end, &first);
	labels->count = 0;
	labels->size = 0;
	while (has_own || has_more) {
		int order = !has_own ? 1 : !has_more ? -1 : compare(&first, &second);

		if (labels->count == BE_LABELS_MAX)
			return too_many();
		append(labels, order < 0 ? &first : &second);
		if (order <= 0)
			has_own = take(&own_at, own_end, &first);
		if (order >= 0)
			has_more = take(&at, end, &second);
	}
	return BE_OK;
}

/* Copies a text behind the sizes; NULL, or what is wrong with it. */
static const char *put(const char *text, size_t room, uint8_t **at, uint8_t *size)
{
	size_t length = strnlen(text, room);

	if (length == room)
		return "it is too long";
	if (!name_text_is_valid(text, length))
		return "it is not valid UTF-8, or has a control character";
	memcpy(*at, text, length);
	*at += length;
	*size = (uint8_t)length;
	return NULL;
}

enum be_status labels_pack(const struct be_label *given, uint32_t count, struct labels *labels)
{
	enum be_status status = BE_OK;

	labels->count = 0;
	labels->size = 0;
	if (count > BE_LABELS_MAX)
		return too_many();
	if (!given)
		return error_set(BE_INVALID_ARGUMENT, "no options.labels were given");
	for (uint32_t i = 0; i < count && status == BE_OK; i++) {
		uint8_t one[LABEL_PACKED_MAX], *at = one + 2;
		uint32_t before = labels->count;
		const char *wrong;

		if (!given[i].key || !given[i].value)
			return error_set(BE_INVALID_ARGUMENT, "a label has no %s",
					 given[i].key ? "value" : "key");
		wrong = put(given[i].key, BE_LABEL_KEY_SIZE, &at, &one[0]);
		if (!wrong && one[0] == 0)
			wrong = "it is empty";
		if (wrong)
			return error_set(BE_INVALID_LABEL,
					 "the key of a label: %s; it must be 1 to %d bytes of "
					 "UTF-8",
					 wrong, BE_LABEL_KEY_SIZE - 1);
		wrong = put(given[i].value, BE_LABEL_VALUE_SIZE, &at, &one[1]);
		if (wrong)
			return error_set(BE_INVALID_LABEL,
					 "the value of the label \"%s\": %s; it may be %d bytes "
					 "of UTF-8 at most",
					 given[i].key, wrong, BE_LABEL_VALUE_SIZE - 1);
		status = labels_add(labels, one, (size_t)(at - one));
		if (status == BE_OK && labels->count == before)
			return error_set(BE_INVALID_LABEL, "the label \"%s\" is given twice",
					 given[i].key);
	}
	return status;
}

static void copy_text(char *to, const char *from, size_t size)
{
	memcpy(to, from, size);
	to[size] = '\0';
}

void labels_unpack(const struct labels *labels, struct label_texts *texts)
{
	const uint8_t *at = labels->bytes, *end = at + labels->size;
	struct packed label;

	for (uint32_t i = 0; i < BE_LABELS_MAX && take(&at, end, &label); i++) {
		copy_text(texts->keys[i], label.key, label.key_size);
		copy_text(texts->values[i], label.value, label.value_size);
		texts->labels[i] = (struct be_label){texts->keys[i], texts->values[i]};
	}
}

static bool has(const struct label_texts *texts, uint32_t count, const struct be_label *wanted)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(texts->keys[i], wanted->key) == 0)
			return !wanted->value || strcmp(texts->values[i], wanted->value) == 0;
	return false;
}

bool labels_match(const struct label_texts *texts, uint32_t count, const struct be_label *wanted,
		  uint32_t wanted_count)
{
	for (uint32_t i = 0; i < wanted_count; i++)
		if (!has(texts, count, &wanted[i]))
			return false;
	return true;
}
