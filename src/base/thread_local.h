/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small variables of each thread on the hot path: with glibc they lie in the memory that every
 * thread has from its start, of which it keeps some for libraries that are loaded late, as language
 * bindings load this one. musl keeps none: there such a library would not load.
 */
#ifndef THREAD_LOCAL_H
#define THREAD_LOCAL_H

#include <features.h>

#ifdef __GLIBC__
#define THREAD_LOCAL_FAST _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define THREAD_LOCAL_FAST _Thread_local
#endif

#endif
