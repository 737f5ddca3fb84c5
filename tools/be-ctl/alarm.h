/* SPDX-License-Identifier: Apache-2.0 */
/* check --warn and --critical: for monitoring, which goes by exit statuses of its own. */
#ifndef ALARM_H
#define ALARM_H

#include "request.h"

/* As Nagios and its kin have them. */
enum {
	ALARM_OK = 0,
	ALARM_WARNING = 1,
	ALARM_CRITICAL = 2,
	ALARM_UNKNOWN = 3,
};

/* One line on standard output, and one of these. */
int alarm_run(const struct request *request);

#endif
