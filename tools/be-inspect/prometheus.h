/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics in Prometheus's text form, for node_exporter's textfile collector. */
#ifndef PROMETHEUS_H
#define PROMETHEUS_H

#include "arguments.h"

/* Prints the metrics of the environment. Returns an exit code, after saying what went wrong;
 * nothing is printed then. */
int prometheus_run(const struct arguments *arguments);

#endif
