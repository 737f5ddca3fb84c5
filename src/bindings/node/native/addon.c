/* SPDX-License-Identifier: Apache-2.0 */
/* The addon's functions, and the memory in which they leave figures. */
#include "addon.h"

#include <stdlib.h>

static napi_value last_error(napi_env env, napi_callback_info info)
{
	ARGUMENTS(1);

	return make_text(env, addon->error);
}

/* names(which): of the last decision (0) or transaction (1) */
static napi_value names(napi_env env, napi_callback_info info)
{
	ARGUMENTS(1);
	struct js_page page = make_page(env);

	if (read_number(env, argv[0]) == 0) {
		add_text(&page, addon->decision.namespace_name);
		add_text(&page, addon->decision.category);
	} else {
		add_text(&page, addon->transaction.namespace_name);
		add_text(&page, addon->transaction.category);
		add_text(&page, addon->transaction.description);
		add_labels(&page, point_at_labels(&addon->labels), addon->labels.count);
		add_names(&page, point_at_names(&addon->also), addon->also.count);
	}
	return page.array;
}

static napi_value status_name(napi_env env, napi_callback_info info)
{
	ARGUMENTS(1);
	int32_t status = 0;

	(void)addon;
	napi_get_value_int32(env, argv[0], &status);
	return make_text(env, be_status_name((enum be_status)status));
}

/* An amount of any kind as the shortest exact text; undefined when it is none. */
static napi_value format(napi_env env, napi_callback_info info)
{
	ARGUMENTS(1);
	char text[BE_AMOUNT_TEXT_SIZE];
	int64_t nanos = 0;
	bool exact = false;

	(void)addon;
	/* Corrections are below zero. */
	if (napi_get_value_bigint_int64(env, argv[0], &nanos, &exact) != napi_ok)
		exact = read_amount(env, argv[0], &nanos) == BE_OK;
	if (!exact || be_amount_format(nanos, text, sizeof text) != BE_OK)
		return NULL;
	return make_text(env, text);
}

static napi_value version(napi_env env, napi_callback_info info)
{
	ARGUMENTS(1);

	(void)addon;
	return make_text(env, be_version());
}

static void *share(napi_env env, napi_value exports, const char *name, napi_typedarray_type type)
{
	napi_value buffer = NULL, array = NULL;
	napi_ref kept = NULL; /* until the environment ends, as the memory is used until then */
	void *memory = NULL;

	napi_create_arraybuffer(env, FIGURES * sizeof(int64_t), &memory, &buffer);
	napi_create_typedarray(env, type, FIGURES, buffer, 0, &array);
	napi_create_reference(env, array, 1, &kept);
	napi_set_named_property(env, exports, name, array);
	return memory;
}

static void free_addon(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	free(data);
}

NAPI_MODULE_INIT()
{
	static const struct {
		const char *name;
		napi_callback function;
	} functions[] = {
		{"open", handle_open},
		{"openNamespace", handle_open_namespace},
		{"close", handle_close},
		{"events", events_take},
		{"check", call_check},
		{"call", call_now},
		{"callOnThread", call_on_thread},
		{"change", envelope_change},
		{"set", envelope_set},
		{"utilization", envelope_show},
		{"lastEnvelope", envelope_last},
		{"envelopes", list_envelopes},
		{"commits", list_commits},
		{"transactions", list_transactions},
		{"alerts", list_alerts},
		{"dailySums", list_daily_sums},
		{"owners", list_owners},
		{"stats", stats_show},
		{"alertDone", alert_done},
		{"verify", verify},
		{"restore", restore},
		{"error", last_error},
		{"names", names},
		{"statusName", status_name},
		{"format", format},
		{"version", version},
	};
	struct addon *addon = calloc(1, sizeof *addon);

	if (!addon)
		return NULL;
	napi_set_instance_data(env, addon, free_addon, NULL);
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		napi_value function = NULL;

		napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH,
				     functions[i].function, addon, &function);
		napi_set_named_property(env, exports, functions[i].name, function);
	}
	addon->units = share(env, exports, "units", napi_float64_array);
	addon->nanos = share(env, exports, "nanos", napi_bigint64_array);
	return addon->units && addon->nanos ? exports : NULL;
}
