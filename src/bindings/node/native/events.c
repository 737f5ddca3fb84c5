/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What observers are told. The library tells it to whatever thread made the call, and JavaScript
 * has one thread: so it is kept here until that thread asks for it, when the call is over. No
 * observer runs within a call of the library's.
 */
#include "addon.h"

#include <stdlib.h>

struct js_event {
	struct js_event *next;
	struct be_event event;
	struct be_envelope envelope;
	struct be_alert alert;
	char namespace_name[BE_NAME_SIZE];
	char category[BE_NAME_SIZE];
};

void events_begin(struct js_handle *handle)
{
	pthread_mutex_init(&handle->events_lock, NULL);
	handle->events = NULL;
	handle->events_end = &handle->events;
}

void events_keep(void *context, const struct be_event *event)
{
	struct js_handle *handle = context;
	struct js_event *kept = malloc(sizeof *kept);

	if (!kept)
		return; /* it is not told: the call goes on */
	kept->next = NULL;
	kept->event = *event;
	copy_text(kept->namespace_name, sizeof kept->namespace_name, event->namespace_name);
	copy_text(kept->category, sizeof kept->category, event->category);
	if (event->envelope)
		kept->envelope = *event->envelope;
	if (event->alert)
		kept->alert = *event->alert;
	pthread_mutex_lock(&handle->events_lock);
	*handle->events_end = kept;
	handle->events_end = &kept->next;
	pthread_mutex_unlock(&handle->events_lock);
}

static struct js_event *take(struct js_handle *handle)
{
	struct js_event *taken = NULL;

	pthread_mutex_lock(&handle->events_lock);
	taken = handle->events;
	handle->events = NULL;
	handle->events_end = &handle->events;
	pthread_mutex_unlock(&handle->events_lock);
	return taken;
}

static void drop(struct js_event *kept)
{
	while (kept) {
		struct js_event *next = kept->next;

		free(kept);
		kept = next;
	}
}

void events_end(struct js_handle *handle)
{
	drop(take(handle));
	pthread_mutex_destroy(&handle->events_lock);
}

static napi_value make_event(napi_env env, const struct js_event *kept)
{
	const struct be_event *event = &kept->event;
	struct js_page page = make_page(env), envelope = make_page(env), alert = make_page(env);

	add_text(&page, be_operation_name(event->operation));
	add_text(&page, be_status_name(event->status));
	add_number(&page, event->repeated ? 1 : 0);
	add_id(&page, event->commit_id);
	add_id(&page, event->transaction_id);
	add_amount(&page, event->amount);
	add_time(&page, event->at_ns);
	add_name(&page, kept->namespace_name, kept->category);
	if (event->envelope)
		add_envelope(&envelope, &kept->envelope);
	if (event->alert)
		add_alert(&alert, &kept->alert);
	add(&page, envelope.array);
	add(&page, alert.array);
	return page.array;
}

/* events(handle): those that were kept, in their order; also of one that is closed */
napi_value events_take(napi_env env, napi_callback_info info)
{
	ARGUMENTS(1);
	struct js_handle *handle = NULL;
	struct js_page page = make_page(env);
	struct js_event *taken = NULL;

	(void)addon;
	if (napi_get_value_external(env, argv[0], (void **)&handle) != napi_ok || !handle)
		return page.array;
	taken = take(handle->origin ? handle->origin : handle);
	for (const struct js_event *one = taken; one; one = one->next)
		add(&page, make_event(env, one));
	drop(taken);
	return page.array;
}
