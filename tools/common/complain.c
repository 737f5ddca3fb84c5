/* SPDX-License-Identifier: Apache-2.0 */
#include "complain.h"

#include "opening.h"
#include "text.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void complain(const char *subject, const char *sentence)
{
	char *name = tool_name(subject);
	char *safe_subject = text_escape(name);
	char *safe_sentence = text_escape(sentence);

	if (strncmp(sentence, subject, strlen(subject)) == 0)
		warnx("%s", safe_sentence);
	else
		warnx("%s: %s", safe_subject, safe_sentence);
	free(name);
	free(safe_subject);
	free(safe_sentence);
}

void complain_of_file(const char *path, bool for_writing)
{
	const char *sentence = strerror(errno);

	if (errno == EACCES) {
		if (access(path, F_OK) == 0)
			sentence = for_writing ? "write permission on it is missing"
					       : "read permission on it is missing";
		else
			sentence = errno == ENOENT ? "it has to be made, and write permission on "
						     "the directory "
						     "above it is missing"
						   : "search (x) permission on a directory above "
						     "it is missing";
	}
	complain(path, sentence);
}
