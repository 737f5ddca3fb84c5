/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the liblmdb of a test program one that the library does not know: the program is asked for
 * its version in place of liblmdb itself.
 */
#include <stddef.h>

char *mdb_version(int *major, int *minor, int *patch);

__attribute__((visibility("default"))) char *mdb_version(int *major, int *minor, int *patch)
{
	static char name[] = "LMDB 0.10.0, as a test says";

	if (major)
		*major = 0;
	if (minor)
		*minor = 10;
	if (patch)
		*patch = 0;
	return name;
}
