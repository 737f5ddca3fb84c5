/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include <string.h>

/* None is stored as 0: what has no end ends last. */
static uint64_t key_of_time(int64_t at_ns)
{
	return at_ns == 0 ? UINT64_MAX : (uint64_t)at_ns ^ INT64_MIN;
}

/* What is shown as a word, or is put together, comes in the order of what is shown. */
static void order_text(const struct field *field, const void *record, int64_t now_ns,
		       char text[FIELD_TEXT_SIZE])
{
	if (field->kind == FIELD_TEXT)
		strcpy(text, (const char *)record + field->offset);
	else
		field_text(field, record, now_ns, text);
}

static uint64_t key_of_text(const char *text)
{
	uint64_t key = 0;

	for (size_t i = 0; i < sizeof key; i++) {
		key = key << 8 | (unsigned char)*text;
		text += *text != '\0';
	}
	return key;
}

uint64_t order_key(const struct field *field, const void *record, int64_t now_ns)
{
	const void *value = (const char *)record + field->offset;
	char text[FIELD_TEXT_SIZE];

	switch (field->kind) {
	case FIELD_AMOUNT:
	case FIELD_PERCENT:
	case FIELD_TIME:
		return (uint64_t) * (const int64_t *)value ^ INT64_MIN;
	case FIELD_AGE:
		/* What was never made has the least age. */
		return ~key_of_time(*(const int64_t *)value);
	case FIELD_TIME_LEFT:
		return key_of_time(*(const int64_t *)value);
	case FIELD_COUNT:
	case FIELD_ID:
		return *(const uint64_t *)value;
	case FIELD_PID:
	case FIELD_SMALL_COUNT:
		return *(const uint32_t *)value;
	case FIELD_PERIOD:
		return *(const enum be_period *)value;
	case FIELD_YES:
	case FIELD_SUSPENDED:
		return *(const bool *)value;
	case FIELD_REFUSED:
		return field_refusals(record);
	default:
		order_text(field, record, now_ns, text);
		return key_of_text(text);
	}
}

bool order_key_is_whole(const struct field *field, uint64_t key)
{
	switch (field->kind) {
	case FIELD_TEXT:
	case FIELD_PARENT:
	case FIELD_COMMIT_STATE:
	case FIELD_REAP_POLICY:
	case FIELD_KIND:
	case FIELD_DURABILITY:
	case FIELD_ALSO:
	case FIELD_LABELS:
		return (key & 0xff) == 0;
	default:
		return true;
	}
}

int order_compare(const struct field *field, const void *a, const void *b, int64_t now_ns)
{
	char texts[2][FIELD_TEXT_SIZE];

	order_text(field, a, now_ns, texts[0]);
	order_text(field, b, now_ns, texts[1]);
	return strcmp(texts[0], texts[1]);
}
