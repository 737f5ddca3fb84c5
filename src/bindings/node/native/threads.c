/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that do not hold up the event loop, on threads of our own: they share the disk's flushes
 * only while they wait at the same time, and libuv has four threads, which files and names need,
 * too. There is one for each call under way, up to THREADS_MAX.
 *
 * The thread of JavaScript queues a call; a thread takes it, makes it and puts it among those that
 * are done; the thread of JavaScript is woken once for any number of these, and resolves their
 * promises. A worker thread that is terminated waits for what the threads are at, and gives back
 * what was granted to nobody.
 *
 * A call that may wait for money has a thread of its own: those of the pool are there to free what
 * it waits for.
 */
#include "addon.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	THREADS_MAX = 64
};

struct thread_pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct call *first, **last; /* waiting */
	struct call *done;          /* the last one first */
	unsigned threads, idle;
	atomic_bool stopping;
	unsigned waiting; /* threads of their own */
	pthread_cond_t waited;
	pthread_t ids[THREADS_MAX];
	/* The thread of JavaScript's. */
	unsigned under_way;
	napi_threadsafe_function wake;
	struct addon *addon;
};

/* ---- on the threads */

static void make(struct call *call)
{
	const char *text = NULL;

	call_run(call);
	text = call->status == BE_OK ? "" : be_last_error(); /* it is this thread's */
	if (call->status != BE_OK && !*text)
		text = be_status_text(call->status);
	strncpy(call->error, text, sizeof call->error - 1);
}

static struct call *take(struct thread_pool *pool)
{
	struct call *call = pool->first;

	pool->first = call->next;
	if (!pool->first)
		pool->last = &pool->first;
	return call;
}

/* With the lock. */
static void put_done(struct thread_pool *pool, struct call *call)
{
	bool wake = !pool->done;

	call->next = pool->done;
	pool->done = call;
	if (wake && !pool->stopping)
		napi_call_threadsafe_function(pool->wake, NULL, napi_tsfn_nonblocking);
}

bool call_is_wanted(const struct call *call)
{
	return !(call->pool && call->pool->stopping) &&
	       !(call->given_up && __atomic_load_n(call->given_up, __ATOMIC_RELAXED));
}

/* About once a second, while the call waits for money. */
static bool keep_waiting(void *context)
{
	return call_is_wanted(context);
}

static void *wait(void *context)
{
	struct call *call = context;
	struct thread_pool *pool = call->pool;

	make(call);
	pthread_mutex_lock(&pool->lock);
	put_done(pool, call);
	if (--pool->waiting == 0)
		pthread_cond_signal(&pool->waited);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static void *serve(void *context)
{
	struct thread_pool *pool = context;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct call *call = NULL;

		while (!pool->first && !pool->stopping) {
			pool->idle++;
			pthread_cond_wait(&pool->work, &pool->lock);
			pool->idle--;
		}
		if (pool->stopping || !pool->first)
			break;
		call = take(pool);
		pthread_mutex_unlock(&pool->lock);
		make(call);
		pthread_mutex_lock(&pool->lock);
		put_done(pool, call);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ---- on the thread of JavaScript */

/* Its own thread has nothing left to do. */
static void join(struct call *call)
{
	if (call->has_thread)
		pthread_join(call->thread, NULL);
}

static void free_call(struct call *call)
{
	if (call)
		changes_free(call->changes);
	free(call);
}

static void forget(napi_env env, struct call *call)
{
	join(call);
	handle_leave(call->handle);
	if (call->keep)
		napi_delete_reference(env, call->keep);
	free_call(call);
}

/* Calls the function that came with it, which makes the promise's value of the status and of the
 * figures: before another call leaves its own. */
static void resolve(napi_env env, struct addon *addon, struct call *call)
{
	napi_value both = NULL, function = NULL, global = NULL, result = NULL;
	napi_value argument = make_status(env, call->status);

	memcpy(addon->error, call->error, sizeof addon->error);
	call_publish(addon, call);
	napi_get_reference_value(env, call->keep, &both);
	napi_get_element(env, both, 1, &function);
	napi_get_global(env, &global);
	if (napi_call_function(env, global, function, 1, &argument, &result) == napi_ok)
		napi_resolve_deferred(env, call->deferred, result);
	else if (napi_get_and_clear_last_exception(env, &result) == napi_ok)
		napi_reject_deferred(env, call->deferred, result);
	/* Else the thread is being terminated. */
}

static struct call *take_done(struct thread_pool *pool)
{
	struct call *done = NULL, *ordered = NULL;

	pthread_mutex_lock(&pool->lock);
	done = pool->done;
	pool->done = NULL;
	pthread_mutex_unlock(&pool->lock);
	while (done) {
		struct call *next = done->next;

		done->next = ordered;
		ordered = done;
		done = next;
	}
	return ordered;
}

static void finish(napi_env env, napi_value unused, void *context, void *data)
{
	struct thread_pool *pool = context;
	struct call *call = NULL;

	(void)unused;
	(void)data;
	if (!env)
		return; /* it is too late: stop() does what is left */
	call = take_done(pool);
	while (call) {
		struct call *next = call->next;

		pool->under_way--;
		resolve(env, pool->addon, call);
		forget(env, call);
		call = next;
	}
	if (pool->under_way == 0)
		napi_unref_threadsafe_function(env, pool->wake);
}

/* Nobody will be told of these. What was granted is given back, as nobody knows its id; but for
 * what has a key: it may be that of an earlier request, and its next one finds it. */
static void drop(struct call *call, bool made)
{
	while (call) {
		struct call *next = call->next;

		join(call);
		if (made && call->operation == BE_OPERATION_COMMIT && call->status == BE_OK &&
		    !call->has_key)
			(void)!be_release(call->handle->enforcer, call->id);
		handle_leave(call->handle);
		free_call(call);
		call = next;
	}
}

/* The environment of Node's ends. */
static void stop(void *context)
{
	struct thread_pool *pool = context;

	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	while (pool->waiting > 0)
		pthread_cond_wait(&pool->waited, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		pthread_join(pool->ids[i], NULL);
	drop(pool->first, false);
	drop(pool->done, true);
	pool->addon->pool = NULL;
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->waited);
	free(pool);
}

static enum be_status make_pool(napi_env env, struct addon *addon)
{
	struct thread_pool *pool = calloc(1, sizeof *pool);
	napi_value name = make_text(env, "budget-enforcer");

	if (!pool)
		return BE_NO_MEMORY;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->waited, NULL);
	pool->last = &pool->first;
	pool->addon = addon;
	if (napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, NULL, NULL, pool, finish,
					    &pool->wake) != napi_ok) {
		free(pool);
		return BE_NO_MEMORY;
	}
	napi_unref_threadsafe_function(env, pool->wake);
	napi_add_env_cleanup_hook(env, stop, pool);
	addon->pool = pool;
	return BE_OK;
}

/* Gives a call that may wait a thread of its own; false: there is none to be had. With the lock. */
static bool start_waiting(struct thread_pool *pool, struct call *call)
{
	call->options.keep_waiting = keep_waiting;
	call->options.wait_context = call;
	call->has_thread = pthread_create(&call->thread, NULL, wait, call) == 0;
	pool->waiting += call->has_thread;
	return call->has_thread;
}

/* NO_MEMORY: there is no thread to be had, and the call is not there. */
static enum be_status enqueue(napi_env env, struct thread_pool *pool, struct call *call)
{
	bool has_threads = false;

	if (pool->under_way++ == 0)
		napi_ref_threadsafe_function(env, pool->wake);
	call->pool = pool;
	call->next = NULL;
	pthread_mutex_lock(&pool->lock);
	if (call->options.wait_ms != 0 && start_waiting(pool, call)) {
		pthread_mutex_unlock(&pool->lock);
		return BE_OK;
	}
	/* One that is idle may have been woken for an earlier call, and not have come yet. */
	if (pool->under_way - pool->waiting > pool->threads && pool->threads < THREADS_MAX &&
	    pthread_create(&pool->ids[pool->threads], NULL, serve, pool) == 0)
		pool->threads++;
	has_threads = pool->threads > 0;
	if (has_threads) {
		*pool->last = call;
		pool->last = &call->next;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	if (has_threads)
		return BE_OK;
	if (--pool->under_way == 0)
		napi_unref_threadsafe_function(env, pool->wake);
	return BE_NO_MEMORY;
}

/* What keeps handle and function from being collected, and the promise. */
static bool prepare(napi_env env, struct call *call, napi_value handle, napi_value function,
		    napi_value given_up, napi_value *promise)
{
	napi_value both = NULL;
	void *flag = NULL;

	if (napi_create_array_with_length(env, 3, &both) != napi_ok ||
	    napi_set_element(env, both, 0, handle) != napi_ok ||
	    napi_set_element(env, both, 1, function) != napi_ok ||
	    napi_set_element(env, both, 2, given_up) != napi_ok ||
	    napi_create_reference(env, both, 1, &call->keep) != napi_ok)
		return false;
	if (napi_get_typedarray_info(env, given_up, NULL, NULL, &flag, NULL, NULL) == napi_ok)
		call->given_up = flag;
	return napi_create_promise(env, &call->deferred, promise) == napi_ok;
}

/* (function, given_up, handle, operation, ...): a promise of what the function makes of the status,
 * or a status when there is nothing to wait for. Given_up is a Uint8Array, or undefined. */
napi_value call_on_thread(napi_env env, napi_callback_info info)
{
	ARGUMENTS(16);
	struct call *call = calloc(1, sizeof *call);
	napi_value promise = NULL, nothing = NULL;
	enum be_status status = call ? BE_OK : BE_NO_MEMORY;

	if (status == BE_OK)
		status = call_read(env, argc - 2, argv + 2, call);
	/* A storage in JavaScript runs in its own thread only. */
	if (status == BE_OK && call->handle->storage)
		status = BE_INVALID_ARGUMENT;
	if (status == BE_OK && !addon->pool)
		status = make_pool(env, addon);
	if (status != BE_OK) {
		keep_own_error(addon, status);
		free_call(call);
		return make_status(env, status);
	}
	if (!prepare(env, call, argv[2], argv[0], argv[1], &promise)) {
		free_call(call); /* the thread is being terminated */
		return NULL;
	}
	call->handle->working++;
	status = enqueue(env, addon->pool, call);
	if (status == BE_OK)
		return promise;
	napi_get_undefined(env, &nothing);
	napi_resolve_deferred(env, call->deferred, nothing); /* nobody has the promise */
	forget(env, call);
	keep_own_error(addon, status);
	return make_status(env, status);
}
