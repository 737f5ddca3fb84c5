/* SPDX-License-Identifier: Apache-2.0 */
/* What passes between JavaScript and C: amounts, ids, texts, figures, errors. */
#include "addon.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- in */

static enum be_status read_double(double number, int64_t *nanos)
{
	if (isnan(number))
		return BE_AMOUNT_NOT_A_NUMBER;
	if (number < 0)
		return BE_AMOUNT_NEGATIVE;
	if (number >= 9223372036.0)
		return BE_AMOUNT_TOO_LARGE;
	/* Exact in a long double: the nearest nano, so that 0.1 + 0.2 is 0.3. */
	*nanos = llrintl((long double)number * 1e9L);
	return BE_OK;
}

enum be_status read_amount(napi_env env, napi_value value, int64_t *nanos)
{
	napi_valuetype type = napi_undefined;
	const char *text = NULL;
	char room[64] = "";
	double number = 0;
	bool lossless = false;

	*nanos = 0;
	napi_typeof(env, value, &type);
	switch (type) {
	case napi_number:
		napi_get_value_double(env, value, &number);
		return read_double(number, nanos);
	case napi_string:
		if (read_text(env, value, room, sizeof room, &text) != BE_OK)
			return BE_AMOUNT_NOT_A_NUMBER;
		/* It may have been cut, and has more digits than any amount. */
		if (strlen(room) >= sizeof room - 4)
			return BE_AMOUNT_TOO_PRECISE;
		return be_amount_parse(room, nanos);
	case napi_bigint:
		napi_get_value_bigint_int64(env, value, nanos, &lossless);
		if (!lossless)
			return BE_AMOUNT_TOO_LARGE;
		return *nanos < 0 ? BE_AMOUNT_NEGATIVE : BE_OK;
	default:
		return BE_INVALID_ARGUMENT;
	}
}

static enum be_status read_digits(const char *text, uint64_t *id)
{
	*id = 0;
	if (!*text)
		return BE_INVALID_ARGUMENT;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(*id, 10, id) ||
		    __builtin_add_overflow(*id, (uint64_t)(*text - '0'), id))
			return BE_INVALID_ARGUMENT;
	}
	return BE_OK;
}

enum be_status read_id(napi_env env, napi_value value, uint64_t *id)
{
	napi_valuetype type = napi_undefined;
	const char *text = NULL;
	char room[32] = "";
	double number = 0;
	bool lossless = false;

	*id = 0;
	napi_typeof(env, value, &type);
	switch (type) {
	case napi_string:
		if (read_text(env, value, room, sizeof room, &text) != BE_OK)
			return BE_INVALID_ARGUMENT;
		return read_digits(room, id);
	case napi_number:
		napi_get_value_double(env, value, &number);
		if (!(number >= 0 && number <= 9007199254740991.0) || number != floor(number))
			return BE_INVALID_ARGUMENT;
		*id = (uint64_t)number;
		return BE_OK;
	case napi_bigint:
		napi_get_value_bigint_uint64(env, value, id, &lossless);
		return lossless ? BE_OK : BE_INVALID_ARGUMENT;
	default:
		return BE_INVALID_ARGUMENT;
	}
}

enum be_status read_text(napi_env env, napi_value value, char *room, size_t size, const char **text)
{
	napi_valuetype type = napi_undefined;
	size_t length = 0;

	*text = NULL;
	napi_typeof(env, value, &type);
	if (type == napi_undefined || type == napi_null)
		return BE_OK;
	if (type != napi_string)
		return BE_INVALID_ARGUMENT;
	if (napi_get_value_string_utf8(env, value, room, size, &length) != napi_ok)
		return BE_INVALID_ARGUMENT;
	*text = room;
	return memchr(room, '\0', length) ? BE_INVALID_NAME : BE_OK;
}

enum be_status read_path(napi_env env, napi_value value, char *room, const char **text)
{
	size_t length = 0;
	enum be_status status = read_text(env, value, room, PATH_MAX, text);

	if (status == BE_OK && *text)
		napi_get_value_string_utf8(env, value, NULL, 0, &length);
	return length < PATH_MAX ? status : BE_INVALID_ARGUMENT;
}

/* The text at a place of an array; false: it is none. */
static enum be_status read_element(napi_env env, napi_value array, uint32_t place, char *room,
				   size_t size, const char **text)
{
	napi_value element = NULL;
	enum be_status status;

	napi_get_element(env, array, place, &element);
	status = read_text(env, element, room, size, text);
	return status == BE_INVALID_NAME ? BE_INVALID_LABEL : status;
}

/* How many pairs a flat list of them has: none, if it is undefined. */
static enum be_status count_pairs(napi_env env, napi_value value, uint32_t *count)
{
	napi_valuetype type = napi_undefined;

	*count = 0;
	napi_typeof(env, value, &type);
	if (type == napi_undefined)
		return BE_OK;
	if (napi_get_array_length(env, value, count) != napi_ok)
		return BE_INVALID_ARGUMENT;
	*count /= 2;
	return BE_OK;
}

enum be_status read_labels(napi_env env, napi_value value, struct js_labels *given)
{
	const char *text = NULL;
	uint32_t count;
	enum be_status status = count_pairs(env, value, &count);

	given->count = 0;
	if (status == BE_OK && count > BE_LABELS_MAX)
		return BE_INVALID_LABEL;
	for (uint32_t i = 0; i < count && status == BE_OK; i++) {
		status =
			read_element(env, value, 2 * i, given->texts[i].key, LABEL_KEY_ROOM, &text);
		if (status == BE_OK)
			status = text ? read_element(env, value, 2 * i + 1, given->texts[i].value,
						     LABEL_VALUE_ROOM, &text)
				      : BE_INVALID_ARGUMENT;
		given->texts[i].is_any = text == NULL;
	}
	given->count = count;
	return status;
}

const struct be_label *point_at_labels(struct js_labels *given)
{
	for (uint32_t i = 0; i < given->count; i++)
		given->labels[i] = (struct be_label){
			given->texts[i].key, given->texts[i].is_any ? NULL : given->texts[i].value};
	return given->labels;
}

enum be_status read_names(napi_env env, napi_value value, struct js_names *given)
{
	const char *text = NULL;
	uint32_t count;
	enum be_status status = count_pairs(env, value, &count);

	given->count = 0;
	if (status == BE_OK && count > BE_ENVELOPES_MAX - 1)
		return BE_INVALID_ARGUMENT;
	for (uint32_t i = 0; i < 2 * count && status == BE_OK; i++) {
		bool is_namespace = i % 2 == 0;
		napi_value element = NULL;

		napi_get_element(env, value, i, &element);
		status = read_text(env, element,
				   is_namespace ? given->texts[i / 2].namespace_name
						: given->texts[i / 2].category,
				   NAME_ROOM, &text);
		if (is_namespace)
			given->texts[i / 2].has_namespace = text != NULL;
		else if (status == BE_OK && !text)
			status = BE_INVALID_ARGUMENT;
	}
	given->count = count;
	return status;
}

const struct be_envelope_name *point_at_names(struct js_names *given)
{
	for (uint32_t i = 0; i < given->count; i++)
		given->names[i] = (struct be_envelope_name){
			given->texts[i].has_namespace ? given->texts[i].namespace_name : NULL,
			given->texts[i].category};
	return given->names;
}

void copy_text(char *room, size_t size, const char *text)
{
	size_t length = strnlen(text, size - 1);

	memcpy(room, text, length);
	room[length] = '\0';
}

void keep_labels(struct js_labels *kept, const struct be_label *labels, uint32_t count)
{
	kept->count = count < BE_LABELS_MAX ? count : BE_LABELS_MAX;
	for (uint32_t i = 0; i < kept->count; i++) {
		kept->texts[i].is_any = false;
		copy_text(kept->texts[i].key, LABEL_KEY_ROOM, labels[i].key);
		copy_text(kept->texts[i].value, LABEL_VALUE_ROOM, labels[i].value);
	}
}

void keep_names(struct js_names *kept, const struct be_envelope_name *names, uint32_t count)
{
	kept->count = count < BE_ENVELOPES_MAX ? count : BE_ENVELOPES_MAX - 1;
	for (uint32_t i = 0; i < kept->count; i++) {
		kept->texts[i].has_namespace = true;
		copy_text(kept->texts[i].namespace_name, NAME_ROOM, names[i].namespace_name);
		copy_text(kept->texts[i].category, NAME_ROOM, names[i].category);
	}
}

int64_t read_time(napi_env env, napi_value value)
{
	double ms = 0;

	if (napi_get_value_double(env, value, &ms) != napi_ok || !(fabs(ms) < 9.2e12))
		return 0;
	/* A product of doubles would be off by more than a hundred nanoseconds. */
	return (int64_t)floor(ms) * 1000000 + (int64_t)((ms - floor(ms)) * 1e6);
}

/* As Date has it. The nanoseconds of these years are more than a double can tell apart. */
static double milliseconds_of(int64_t ns)
{
	int64_t whole = ns / 1000000;

	return (double)whole + (double)(ns % 1000000) / 1e6;
}

bool read_bool(napi_env env, napi_value value)
{
	bool result = false;

	return napi_get_value_bool(env, value, &result) == napi_ok && result;
}

uint32_t read_number(napi_env env, napi_value value)
{
	uint32_t number = 0;

	napi_get_value_uint32(env, value, &number);
	return number;
}

/* ---- out */

napi_value make_text(napi_env env, const char *text)
{
	napi_value value = NULL;

	napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
	return value;
}

napi_value make_number(napi_env env, double number)
{
	napi_value value = NULL;

	napi_create_double(env, number, &value);
	return value;
}

napi_value make_bigint(napi_env env, uint64_t number)
{
	napi_value value = NULL;

	napi_create_bigint_uint64(env, number, &value);
	return value;
}

napi_value make_amount(napi_env env, int64_t nanos)
{
	napi_value value = NULL;

	napi_create_bigint_int64(env, nanos, &value);
	return value;
}

napi_value make_time(napi_env env, int64_t ns)
{
	return make_number(env, milliseconds_of(ns));
}

napi_value make_status(napi_env env, enum be_status status)
{
	napi_value value = NULL;

	napi_create_int32(env, status, &value);
	return value;
}

static void put(struct addon *addon, int place, int64_t nanos)
{
	addon->nanos[place] = nanos;
	addon->units[place] = (double)((long double)nanos / 1e9L);
}

void put_decision(struct addon *addon, const struct be_decision *decision)
{
	put(addon, 0, decision->requested);
	put(addon, 1, decision->available);
	put(addon, 2, decision->limit);
	put(addon, 3, decision->spent);
	put(addon, 4, decision->committed);
	put(addon, 6, decision->granted);
	addon->units[7] = milliseconds_of(decision->window_end_ns);
}

void put_transaction(struct addon *addon, const struct be_transaction *transaction)
{
	put(addon, 0, transaction->amount);
	put(addon, 1, transaction->held);
	addon->nanos[2] = (int64_t)transaction->id;
	addon->nanos[3] = (int64_t)transaction->commit_id;
	addon->units[2] = milliseconds_of(transaction->at_ns);
	addon->units[3] = (double)transaction->kind;
	addon->units[4] = transaction->late ? 1 : 0;
	addon->nanos[4] = (int64_t)transaction->corrects;
	addon->nanos[5] = (int64_t)transaction->envelope_id;
}

struct js_page make_page(napi_env env)
{
	struct js_page page = {.env = env};

	napi_create_array(env, &page.array);
	return page;
}

void add(struct js_page *page, napi_value value)
{
	napi_set_element(page->env, page->array, page->count++, value);
}

void add_text(struct js_page *page, const char *text)
{
	add(page, make_text(page->env, text));
}

void add_number(struct js_page *page, double number)
{
	add(page, make_number(page->env, number));
}

void add_id(struct js_page *page, uint64_t id)
{
	add(page, make_bigint(page->env, id));
}

void add_amount(struct js_page *page, int64_t nanos)
{
	add(page, make_amount(page->env, nanos));
}

void add_time(struct js_page *page, int64_t ns)
{
	add(page, make_time(page->env, ns));
}

void add_name(struct js_page *page, const char *namespace_name, const char *category)
{
	add_text(page, namespace_name);
	add_text(page, category);
}

void add_labels(struct js_page *page, const struct be_label *labels, uint32_t count)
{
	struct js_page texts = make_page(page->env);

	for (uint32_t i = 0; i < count; i++) {
		add_text(&texts, labels[i].key);
		add_text(&texts, labels[i].value);
	}
	add(page, texts.array);
}

void add_names(struct js_page *page, const struct be_envelope_name *names, uint32_t count)
{
	struct js_page texts = make_page(page->env);

	for (uint32_t i = 0; i < count; i++) {
		add_text(&texts, names[i].namespace_name);
		add_text(&texts, names[i].category);
	}
	add(page, texts.array);
}

static void copy_error(struct addon *addon, const char *text)
{
	copy_text(addon->error, sizeof addon->error, text);
}

void keep_error(struct addon *addon, enum be_status status)
{
	const char *text = be_last_error();

	if (status != BE_OK)
		copy_error(addon, *text ? text : be_status_text(status));
}

void keep_own_error(struct addon *addon, enum be_status status)
{
	copy_error(addon, be_status_text(status));
}
