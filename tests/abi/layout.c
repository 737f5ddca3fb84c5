/* SPDX-License-Identifier: Apache-2.0 */
/* C sees the public structures as they are written down: all of it happens when this is
 * compiled. */
#include "layout.h"

int main(void)
{
	return 0;
}
