/* SPDX-License-Identifier: Apache-2.0 */
/* Text from elsewhere, made safe to print on a terminal. */
#ifndef TEXT_H
#define TEXT_H

/* A copy of `text` for printing, to be given back with free(). Each byte of what is not printable
 * in UTF-8, is malformed, or turns the direction of writing becomes \xHH, and so does a backslash
 * before an x, so that a look-alike in the text cannot pass for an escape. Needs tool_start()
 * before. */
char *text_escape(const char *text);

#endif
