/* SPDX-License-Identifier: Apache-2.0 */
/* What a tool says on standard error of something that went wrong, as "PROGRAM: SUBJECT:
 * SENTENCE". */
#ifndef COMPLAIN_H
#define COMPLAIN_H

#include <stdbool.h>

/* Both are printed escaped (see text.h). The subject is left out when the sentence begins with
 * it. */
void complain(const char *subject, const char *sentence);

/* The same of a file that could not be opened, by errno; of a lack of permission it says which
 * one. */
void complain_of_file(const char *path, bool for_writing);

#endif
