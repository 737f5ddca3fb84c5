/* SPDX-License-Identifier: Apache-2.0 */
/* Many short texts, kept together until all are given back. */
#ifndef TEXTS_H
#define TEXTS_H

struct texts;

/* Ends the process when memory has run out. */
struct texts *texts_make(void);
void texts_free(struct texts *texts);

/* A copy of the text, or the last one that was made if it is the same. */
const char *texts_keep(struct texts *texts, const char *text);

#endif
