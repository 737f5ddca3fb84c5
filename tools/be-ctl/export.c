/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list, show, export and copy. What export writes is what apply reads: names are always quoted, so
 * that none is taken for anything else, and windows have a start where they do not follow a
 * calendar, so that they go on as they are. copy applies such a file, which nobody sees.
 */
#include "export.h"

#include "answer.h"
#include "apply.h"
#include "complain.h"
#include "fields.h"
#include "moment.h"
#include "text.h"
#include "tool.h"
#include "whole.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char export_copy_help[] =
	"What --namespace says, or all, is created in TARGET, which is made where it is missing, "
	"or "
	"brought there to what it is here, as apply does it. What was spent, held or charged is "
	"not copied, unless --whole is given: it moves an environment from a directory to a "
	"server, "
	"or back. Stop the pool first, since what it spends meanwhile is not copied.\n\n"
	"  be-ctl copy --whole DIR postgresql://db.example/pool\n\n";

struct exporting {
	FILE *stream;
	json_t *json; /* list --json; else NULL */
	uint64_t count;
};

static enum be_status each_envelope(const struct request *request, struct be_enforcer *handle,
				    bool (*each)(void *context, const struct be_envelope *envelope),
				    struct exporting *exporting)
{
	struct be_filter filter = BE_FILTER_INIT;

	filter.namespace_name = request->namespace_name;
	return be_envelopes_each(handle, &filter, each, exporting);
}

/* ---- list and show */

static bool list_envelope(void *context, const struct be_envelope *envelope)
{
	struct exporting *exporting = context;

	if (exporting->json) {
		if (json_array_append_new(exporting->json, answer_json_envelope(envelope)) != 0)
			tool_out_of_memory();
	} else {
		char *label = text_label(envelope->namespace_name, envelope->category);
		char *safe = text_escape(label);

		puts(safe);
		free(safe);
		free(label);
	}
	return tool_output_is_sound();
}

enum be_status export_list(const struct request *request, struct be_enforcer *handle,
			   struct answer *answer)
{
	struct exporting exporting = {.json = request->json ? json_array() : NULL};
	enum be_status status = each_envelope(request, handle, list_envelope, &exporting);

	if (request->json) {
		answer->more = json_object();
		answer_add(answer->more, "listed", exporting.json);
	}
	/* The output cannot be written, which is told at the end. */
	return status == BE_STOPPED ? BE_OK : status;
}

enum be_status export_show(const struct request *request, struct be_enforcer *handle,
			   struct answer *answer)
{
	enum be_status status = be_utilization(handle, request->category, &answer->envelope);
	int64_t now_ns = moment_now_ns();
	char text[FIELD_TEXT_SIZE], *safe;

	for (size_t i = 0; status == BE_OK && !request->json && i < envelope_fields.count; i++) {
		const struct field *field = &envelope_fields.first[i];

		field_text(field, &answer->envelope, now_ns, text);
		safe = text_escape(text);
		printf("%-22s %s\n", field->key, safe);
		free(safe);
	}
	return status;
}

/* ---- export */

/* As YAML has it between double quotes. Names have no control characters. */
static void put_quoted(FILE *stream, const char *text)
{
	putc('"', stream);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', stream);
		putc(*text, stream);
	}
	putc('"', stream);
}

static void put_text(FILE *stream, const char *key, const char *text)
{
	fprintf(stream, "%s: ", key);
	put_quoted(stream, text);
	putc('\n', stream);
}

static void put_amount(FILE *stream, const char *before, int64_t amount, const char *behind)
{
	char text[BE_AMOUNT_TEXT_SIZE];

	fprintf(stream, "%s%s%s", before,
		be_amount_format(amount, text, sizeof text) == BE_OK ? text : "?", behind);
}

static void put_window(FILE *stream, const struct be_envelope *envelope)
{
	char start[MOMENT_TEXT_SIZE];

	fprintf(stream, "    period: %s\n", be_period_name(envelope->period));
	if (*envelope->zone) {
		put_text(stream, "    zone", envelope->zone);
		if (envelope->begins_on > 1)
			fprintf(stream, "    begins_on: %u\n", envelope->begins_on);
	} else if (be_period_seconds(envelope->period) > 0) {
		moment_format(envelope->period_start_ns, 9, start);
		fprintf(stream, "    start: %s\n", start);
	}
}

/* What a file cannot declare. */
static void put_notes(FILE *stream, const struct be_envelope *envelope)
{
	char until[MOMENT_TEXT_SIZE];

	if (envelope->roll_over > 0)
		put_amount(stream, "    # be-ctl set --roll-over ", envelope->roll_over, "\n");
	if (envelope->observe_only)
		fputs("    # be-ctl set --observe-only\n", stream);
	for (size_t i = 0; i < BE_THRESHOLDS_MAX && envelope->thresholds[i] != 0; i++)
		fprintf(stream, "%s%u", i == 0 ? "    # be-ctl set --thresholds " : ",",
			envelope->thresholds[i]);
	if (envelope->thresholds[0] != 0)
		putc('\n', stream);
	if (envelope->raise > 0) {
		moment_format(envelope->raise_until_ns, 0, until);
		put_amount(stream, "    # be-ctl set --raise ", envelope->raise, "");
		fprintf(stream, " --until %s\n", until);
	}
}

static bool export_envelope(void *context, const struct be_envelope *envelope)
{
	struct exporting *exporting = context;
	FILE *stream = exporting->stream;

	if (exporting->count++ == 0)
		fputs("envelopes:\n", stream);
	put_text(stream, "  - category", envelope->category);
	if (*envelope->namespace_name)
		put_text(stream, "    namespace", envelope->namespace_name);
	put_amount(stream, "    limit: ", envelope->limit, "\n");
	put_window(stream, envelope);
	if (envelope->has_parent) {
		fputs("    parent: {category: ", stream);
		put_quoted(stream, envelope->parent_category);
		fputs(", namespace: ", stream);
		put_quoted(stream, envelope->parent_namespace);
		fputs("}\n", stream);
	}
	fprintf(stream, "    suspended: %s\n", envelope->suspended ? "true" : "false");
	put_notes(stream, envelope);
	return !ferror(stream);
}

static enum be_status write_file(const struct request *request, struct be_enforcer *handle,
				 FILE *stream)
{
	struct exporting exporting = {.stream = stream};
	enum be_status status = each_envelope(request, handle, export_envelope, &exporting);

	if (status == BE_OK && exporting.count == 0)
		fputs("envelopes: []\n", stream);
	return status == BE_STOPPED ? BE_OK : status;
}

enum be_status export_file(const struct request *request, struct be_enforcer *handle,
			   struct answer *answer)
{
	(void)answer;
	return write_file(request, handle, stdout);
}

/* ---- copy */

static int copy_declared(const struct request *request)
{
	struct request read = *request, applied = *request;
	struct answer answer = answer_to(&read);
	int fd = memfd_create("be-ctl copy", MFD_CLOEXEC), result;
	FILE *stream = fd >= 0 ? fdopen(fd, "w") : NULL;
	struct be_enforcer *handle = NULL;
	enum be_status status;
	char path[32];

	if (!stream)
		tool_out_of_memory();
	/* TARGET and --durability, which is TARGET's, are nothing to who reads. */
	read.file = NULL;
	read.durability = BE_DURABILITY_FULL;
	status = answer_open(&read, BE_OPEN_READ_ONLY, &handle);
	if (status == BE_OK)
		status = write_file(request, handle, stream);
	if (status != BE_OK) {
		result = answer_finish(&answer, status);
	} else if (fflush(stream) != 0) {
		complain(request->file, strerror(errno));
		result = TOOL_EXIT_FAULT;
	} else {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		applied.environment = request->file;
		applied.namespace_name = NULL;
		applied.file = path;
		result = apply_run(&applied);
	}
	be_close(handle);
	fclose(stream);
	return result;
}

int export_copy(const struct request *request)
{
	return request->whole ? whole_copy(request) : copy_declared(request);
}
