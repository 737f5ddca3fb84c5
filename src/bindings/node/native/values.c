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

int64_t read_time(napi_env env, napi_value value)
{
	double ms = 0;

	if (napi_get_value_double(env, value, &ms) != napi_ok || !(fabs(ms) < 9.2e12))
		return 0;
	return (int64_t)(ms * 1e6);
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
}

void put_transaction(struct addon *addon, const struct be_transaction *transaction)
{
	put(addon, 0, transaction->amount);
	put(addon, 1, transaction->held);
	addon->nanos[2] = (int64_t)transaction->id;
	addon->nanos[3] = (int64_t)transaction->commit_id;
	addon->units[2] = (double)transaction->at_ns / 1e6;
	addon->units[3] = (double)transaction->kind;
	addon->units[4] = transaction->late ? 1 : 0;
}

void put_envelope(struct addon *addon, const struct be_envelope *envelope)
{
	put(addon, 0, envelope->limit);
	put(addon, 1, envelope->available);
	put(addon, 2, envelope->spent);
	put(addon, 3, envelope->committed);
	addon->nanos[4] = (int64_t)envelope->id;
	addon->units[4] = (double)envelope->period;
	addon->units[5] = (double)envelope->period_start_ns / 1e6;
	addon->units[6] = (double)envelope->period_end_ns / 1e6;
	addon->units[7] = (double)envelope->pending_commits;
	addon->units[8] = (envelope->suspended ? 1 : 0) + (envelope->has_parent ? 2 : 0);
	addon->units[9] = (double)envelope->utilization_ppm / 1e6;
}

static void copy_error(struct addon *addon, const char *text)
{
	size_t length = strnlen(text, ERROR_SIZE - 1);

	memcpy(addon->error, text, length);
	addon->error[length] = '\0';
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
