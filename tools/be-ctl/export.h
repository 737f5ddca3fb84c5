/* SPDX-License-Identifier: Apache-2.0 */
/* The envelopes that are there: their names, one of them, all as a file for apply, and in another
 * environment. */
#ifndef EXPORT_H
#define EXPORT_H

#include "request.h"

extern const char export_copy_help[];

enum be_status export_list(const struct request *request, struct be_enforcer *handle,
			   struct answer *answer);
enum be_status export_show(const struct request *request, struct be_enforcer *handle,
			   struct answer *answer);
enum be_status export_file(const struct request *request, struct be_enforcer *handle,
			   struct answer *answer);
int export_copy(const struct request *request);

#endif
