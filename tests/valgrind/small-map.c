/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded under valgrind, which has no room for a map of 64 GiB: no environment of LMDB's may be
 * larger than MAP_MAX.
 */
#include <dlfcn.h>
#include <lmdb.h>

#define MAP_MAX ((size_t)1 << 30)

typedef int set_mapsize_function(MDB_env *, size_t);

__attribute__((visibility("default"))) int mdb_env_set_mapsize(MDB_env *environment, size_t size)
{
	union {
		void *symbol;
		set_mapsize_function *function;
	} real = {dlsym(RTLD_NEXT, "mdb_env_set_mapsize")};

	return real.function(environment, size < MAP_MAX ? size : MAP_MAX);
}
