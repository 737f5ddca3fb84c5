/* SPDX-License-Identifier: Apache-2.0 */
/* Text from elsewhere, made safe to print on a terminal. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

/* A copy of `text` for printing, to be given back with free(). Each byte of what is not printable
 * in UTF-8, is malformed, or turns the direction of writing becomes \xHH, and so does a backslash
 * before an x, so that a look-alike in the text cannot pass for an escape. Needs tool_start()
 * before. */
char *text_escape(const char *text);

/* "namespace/category", and without a slash in the default namespace; not escaped. To be given back
 * with free(). */
char *text_label(const char *namespace_name, const char *category);

/* A growing text. Begins zeroed; its bytes are given back with free(). */
struct text {
	char *bytes;
	size_t used;
	size_t room;
};

/* Makes room for so many bytes more, and returns where they belong; `used` is the caller's to
 * raise. */
char *text_reserve(struct text *to, size_t size);

/* Adds to it: bytes as they are, escaped as above, and the NUL at the end of one. */
void text_append(struct text *to, const char *text);
void text_append_bytes(struct text *to, const char *bytes, size_t size);
void text_append_escaped(struct text *to, const char *text);
void text_end(struct text *to);

/* Bytes that hold any count as text, with its NUL. */
#define COUNT_TEXT_SIZE 24

/* A number in decimal digits; views of a million records are made of this, and snprintf() is
 * slow. */
void count_format(uint64_t count, char text[COUNT_TEXT_SIZE]);

#endif
