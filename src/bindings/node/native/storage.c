/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storages that are written in JavaScript: an object with begin, commit, abort, get, put, del and
 * next, all synchronous. The library calls them in the thread of JavaScript only, within a call
 * that JavaScript made; those that would be made by another thread are refused before.
 */
#include "addon.h"

#include <stdlib.h>

struct js_storage {
	struct be_storage storage;
	napi_env env;
	napi_ref object;
	napi_ref thrown; /* first, by a function of it, within the call under way */
};

static int js_function(struct js_storage *self, const char *name, size_t argc, napi_value *argv,
		       napi_value *result)
{
	napi_env env = self->env;
	napi_value object = NULL, function = NULL, thrown = NULL;
	bool pending = false;

	*result = NULL;
	napi_get_reference_value(env, self->object, &object);
	if (napi_get_named_property(env, object, name, &function) == napi_ok &&
	    napi_call_function(env, object, function, argc, argv, result) == napi_ok)
		return BE_OK;
	napi_is_exception_pending(env, &pending);
	if (pending) {
		napi_get_and_clear_last_exception(env, &thrown);
		if (!self->thrown)
			napi_create_reference(env, thrown, 1, &self->thrown);
	}
	return BE_STORAGE_FAILED;
}

static napi_value make_buffer(napi_env env, struct be_bytes bytes)
{
	napi_value buffer = NULL;

	napi_create_buffer_copy(env, bytes.size, bytes.data, NULL, &buffer);
	return buffer;
}

/* What get and next found; a Promise, for one, is no bytes. */
static int read_buffer(napi_env env, napi_value value, struct be_bytes *bytes)
{
	napi_valuetype type = napi_undefined;
	bool is_buffer = false;
	void *data = NULL;

	napi_typeof(env, value, &type);
	if (type == napi_undefined || type == napi_null)
		return BE_STORAGE_NOT_FOUND;
	if (napi_is_buffer(env, value, &is_buffer) != napi_ok || !is_buffer)
		return BE_STORAGE_FAILED;
	napi_get_buffer_info(env, value, &data, &bytes->size);
	bytes->data = data ? data : "";
	return 0;
}

static int js_begin(void *self, bool write, void **txn)
{
	struct js_storage *storage = self;
	napi_value argument = NULL, result = NULL;

	napi_get_boolean(storage->env, write, &argument);
	*txn = self;
	return js_function(storage, "begin", 1, &argument, &result);
}

static int js_commit(void *self, void *txn)
{
	napi_value result = NULL;

	(void)txn;
	return js_function(self, "commit", 0, NULL, &result);
}

static void js_abort(void *self, void *txn)
{
	napi_value result = NULL;

	(void)txn;
	(void)js_function(self, "abort", 0, NULL, &result);
}

static int js_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	struct js_storage *storage = self;
	napi_value argument = make_buffer(storage->env, key), result = NULL;
	int status = js_function(storage, "get", 1, &argument, &result);

	(void)txn;
	return status != 0 ? status : read_buffer(storage->env, result, value);
}

static int js_put(void *self, void *txn, struct be_bytes key, struct be_bytes value)
{
	struct js_storage *storage = self;
	napi_value arguments[] = {make_buffer(storage->env, key), make_buffer(storage->env, value)};
	napi_value result = NULL;

	(void)txn;
	return js_function(storage, "put", 2, arguments, &result);
}

static int js_del(void *self, void *txn, struct be_bytes key)
{
	struct js_storage *storage = self;
	napi_value argument = make_buffer(storage->env, key), result = NULL;
	int status = js_function(storage, "del", 1, &argument, &result);

	(void)txn;
	if (status != 0)
		return status;
	return read_bool(storage->env, result) ? 0 : BE_STORAGE_NOT_FOUND;
}

static int js_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		   struct be_bytes *value)
{
	struct js_storage *storage = self;
	napi_env env = storage->env;
	napi_value argument = make_buffer(env, from), result = NULL, element = NULL;
	int status = js_function(storage, "next", 1, &argument, &result);
	napi_valuetype type = napi_undefined;
	bool is_array = false;

	(void)txn;
	if (status != 0)
		return status;
	napi_typeof(env, result, &type);
	if (type == napi_undefined || type == napi_null)
		return BE_STORAGE_NOT_FOUND;
	napi_is_array(env, result, &is_array);
	if (!is_array)
		return BE_STORAGE_FAILED;
	napi_get_element(env, result, 0, &element);
	status = read_buffer(env, element, key);
	napi_get_element(env, result, 1, &element);
	return status != 0 ? status : read_buffer(env, element, value);
}

static const struct be_storage_ops ops = {
	.size = sizeof ops,
	.begin = js_begin,
	.commit = js_commit,
	.abort = js_abort,
	.get = js_get,
	.put = js_put,
	.del = js_del,
	.next = js_next,
};

struct js_storage *js_storage_make(napi_env env, napi_value object)
{
	struct js_storage *made = calloc(1, sizeof *made);

	if (!made)
		return NULL;
	made->storage = (struct be_storage){&ops, made};
	made->env = env;
	napi_create_reference(env, object, 1, &made->object);
	return made;
}

void js_storage_free(struct js_storage *storage)
{
	if (!storage)
		return;
	napi_delete_reference(storage->env, storage->object);
	free(storage);
}

struct be_storage *js_storage_of(struct js_storage *storage)
{
	return &storage->storage;
}

void js_storage_forget(struct js_storage *storage)
{
	if (!storage || !storage->thrown)
		return;
	napi_delete_reference(storage->env, storage->thrown);
	storage->thrown = NULL;
}

bool js_storage_rethrow(napi_env env, struct js_storage *storage)
{
	napi_value thrown = NULL;

	if (!storage || !storage->thrown)
		return false;
	napi_get_reference_value(env, storage->thrown, &thrown);
	js_storage_forget(storage);
	napi_throw(env, thrown);
	return true;
}
