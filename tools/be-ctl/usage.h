/* SPDX-License-Identifier: Apache-2.0 */
/* What a model's answer says that it used. */
#ifndef USAGE_H
#define USAGE_H

#include "file.h"

#include <stdbool.h>
#include <stdint.h>

/* Tokens, each counted once. */
struct usage {
	uint64_t input;
	uint64_t output;
	uint64_t cached;  /* read from a cache, */
	uint64_t written; /* and written to one */
};

/* Reads the file `path`, "-" for standard input: an answer as JSON, or the usage alone, in the
 * shapes of OpenAI, Anthropic, Gemini, LiteLLM and LangChain. *model is what it names, which lives
 * as long as the process, or NULL. False, and *problem says why. */
bool usage_read(const char *path, struct usage *usage, const char **model,
		struct file_problem *problem);

#endif
