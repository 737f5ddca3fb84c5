/* SPDX-License-Identifier: Apache-2.0 */
/* Which release the library is, as opposed to the header that a program was compiled against. */
#include <budget_enforcer.h>

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

const char *be_version(void)
{
	return TEXT(BE_VERSION_MAJOR) "." TEXT(BE_VERSION_MINOR) "." TEXT(BE_VERSION_PATCH);
}
