/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs: a table of what each takes, and those that are one call of the library.
 *
 * be-ctl lives no longer than its verb, so a commit that is tied to its process would be gone at
 * once: commits made here are detached, and have a deadline in case the script that made them never
 * comes back. Only run, which lives as long as its command, ties its commit to itself.
 */
#include "verbs.h"

#include "alerts.h"
#include "answer.h"
#include "apply.h"
#include "complain.h"
#include "export.h"
#include "run.h"
#include "text.h"
#include "tool.h"
#include "upkeep.h"
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIVEN(request, option) ((request)->given & UINT64_C(1) << OPTION_##option)

/* ---- envelopes */

/* After the verb, for --json. Another process may have been here since; then that is what is
 * shown. */
static enum be_status show_envelope(const struct request *request, struct be_enforcer *handle,
				    struct answer *answer, enum be_status status)
{
	if (status == BE_OK && request->json &&
	    be_utilization(handle, request->category, &answer->envelope) != BE_OK)
		answer->envelope.id = 0;
	return status;
}

static struct be_envelope_options envelope_options(const struct request *request)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.suspended = request->suspended;
	options.parent_category = request->parent_category;
	options.parent_namespace = request->parent_namespace;
	options.period_start_ns = request->start_ns;
	options.zone = request->zone;
	options.begins_on = request->begins_on;
	options.observe_only = request->observe_only;
	options.roll_over = request->roll_over;
	return options;
}

static enum be_status create(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	struct be_envelope_options options = envelope_options(request);

	return show_envelope(request, handle, answer,
			     be_envelope_create(handle, request->category, request->limit,
						request->period, &options));
}

static bool has_parent_asked_for(const struct request *request, const struct be_envelope *envelope)
{
	const char *asked =
		request->parent_namespace ? request->parent_namespace : envelope->namespace_name;

	return envelope->has_parent &&
	       strcmp(envelope->parent_category, request->parent_category) == 0 &&
	       strcmp(envelope->parent_namespace, asked) == 0;
}

static bool has_start_asked_for(const struct request *request, const struct be_envelope *envelope)
{
	int64_t period_ns = *envelope->zone ? 0 : be_period_seconds(envelope->period) * BE_UNIT;
	int64_t between_ns = envelope->period_start_ns - request->start_ns;

	return period_ns > 0 ? between_ns % period_ns == 0 : between_ns == 0;
}

/* What the envelope that was there has otherwise than it was asked for, and keeps. */
static json_t *find_differences(const struct request *request, const struct be_envelope *envelope)
{
	const struct {
		const char *name;
		bool differs;
	} parts[] = {
		{"limit", envelope->limit != request->limit},
		{"period", GIVEN(request, PERIOD) && envelope->period != request->period},
		{"zone", request->zone && strcmp(envelope->zone, request->zone) != 0},
		{"begins_on",
		 GIVEN(request, BEGINS_ON) && envelope->begins_on != request->begins_on},
		{"roll_over",
		 GIVEN(request, ROLL_OVER) && envelope->roll_over != request->roll_over},
		{"observe_only", request->observe_only && !envelope->observe_only},
		{"start", GIVEN(request, START) && !has_start_asked_for(request, envelope)},
		{"parent", GIVEN(request, PARENT) && !has_parent_asked_for(request, envelope)},
		{"suspended", request->suspended && !envelope->suspended},
	};
	json_t *differences = json_array();

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (parts[i].differs &&
		    json_array_append_new(differences, json_string(parts[i].name)) != 0)
			tool_out_of_memory();
	return differences;
}

static void complain_of_differences(const struct request *request, const json_t *differences)
{
	char *label = text_label(request->namespace_name, request->category);
	char *names, *sentence;
	FILE *stream;
	size_t size, i;
	json_t *name;

	stream = open_memstream(&names, &size);
	if (!stream)
		tool_out_of_memory();
	json_array_foreach(differences, i, name)
		fprintf(stream, "%s%s", i > 0 ? ", " : "", json_string_value(name));
	if (fclose(stream) != 0 ||
	    asprintf(&sentence,
		     "it was there and stays as it is, which differs from what is asked for: %s; "
		     "be-ctl set changes it%s",
		     names, strstr(names, "parent") ? ", be-ctl move the parent" : "") < 0)
		tool_out_of_memory();
	complain(label, sentence);
	free(sentence);
	free(names);
	free(label);
}

/* One that is there stays as it is, which is no failure, but may not be what somebody believes. */
static enum be_status ensure(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	struct be_envelope_options options = envelope_options(request);
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status = be_envelope_ensure(handle, request->category, request->limit,
						   request->period, &options);
	json_t *differences;

	if (status != BE_OK || be_utilization(handle, request->category, &envelope) != BE_OK)
		return status;
	differences = find_differences(request, &envelope);
	if (json_array_size(differences) > 0)
		complain_of_differences(request, differences);
	answer->more = json_object();
	answer_add(answer->more, "differs", differences);
	if (request->json)
		answer->envelope = envelope;
	return BE_OK;
}

static enum be_status set_limit(const struct request *request, struct be_enforcer *handle,
				struct answer *answer)
{
	return show_envelope(request, handle, answer,
			     be_envelope_set_limit(handle, request->category, request->limit));
}

static enum be_status suspend(const struct request *request, struct be_enforcer *handle,
			      struct answer *answer)
{
	return show_envelope(request, handle, answer,
			     be_envelope_suspend(handle, request->category));
}

static enum be_status resume(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	return show_envelope(request, handle, answer,
			     be_envelope_resume(handle, request->category));
}

/* Sets what was given. A zone belongs to the period; without one it stays what it is. */
static enum be_status set(const struct request *request, struct be_enforcer *handle,
			  struct answer *answer)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status;

	settings.limit = request->limit;
	settings.period = request->period;
	settings.zone = request->zone;
	settings.begins_on = request->begins_on;
	settings.raise = request->raise;
	settings.raise_until_ns = request->until_ns;
	settings.roll_over = request->roll_over;
	settings.observe_only = request->observe_only;
	memcpy(settings.thresholds, request->thresholds, sizeof settings.thresholds);
	if (GIVEN(request, THRESHOLDS))
		settings.mask |= BE_SET_THRESHOLDS;
	if (GIVEN(request, LIMIT))
		settings.mask |= BE_SET_LIMIT;
	if (GIVEN(request, PERIOD) || GIVEN(request, ZONE) || GIVEN(request, BEGINS_ON))
		settings.mask |= BE_SET_PERIOD;
	if (GIVEN(request, RAISE))
		settings.mask |= BE_SET_RAISE;
	if (GIVEN(request, ROLL_OVER))
		settings.mask |= BE_SET_ROLL_OVER;
	if (request->observe_only || request->enforce)
		settings.mask |= BE_SET_OBSERVE_ONLY;
	if (settings.mask & BE_SET_PERIOD && !GIVEN(request, PERIOD)) {
		status = be_utilization(handle, request->category, &envelope);
		if (status != BE_OK)
			return status;
		settings.period = envelope.period;
		if (!request->zone && *envelope.zone)
			settings.zone = envelope.zone;
	}
	status = be_envelope_set(handle, request->category, &settings, &answer->envelope);
	if (status != BE_OK || !request->json)
		answer->envelope.id = 0;
	return show_envelope(request, handle, answer, status);
}

static enum be_status reset(const struct request *request, struct be_enforcer *handle,
			    struct answer *answer)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	settings.mask = BE_SET_SPENT;
	if (request->keep_window)
		return show_envelope(request, handle, answer,
				     be_envelope_set(handle, request->category, &settings, NULL));
	return show_envelope(request, handle, answer, be_envelope_reset(handle, request->category));
}

static enum be_status rename_envelope(const struct request *request, struct be_enforcer *handle,
				      struct answer *answer)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	enum be_status status;

	settings.mask = BE_SET_NAME;
	settings.new_category = request->new_category;
	settings.new_namespace = request->new_namespace;
	if (GIVEN(request, TO_NAMESPACE) && !GIVEN(request, TO))
		settings.new_category = request->category;
	status = be_envelope_set(handle, request->category, &settings, &answer->envelope);
	if (status != BE_OK || !request->json)
		answer->envelope.id = 0;
	return status;
}

static enum be_status move(const struct request *request, struct be_enforcer *handle,
			   struct answer *answer)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	enum be_status status;

	settings.mask = BE_SET_PARENT;
	settings.parent_category = request->parent_category;
	settings.parent_namespace = request->parent_namespace;
	status = be_envelope_set(handle, request->category, &settings, &answer->envelope);
	if (status != BE_OK || !request->json)
		answer->envelope.id = 0;
	return status;
}

static enum be_status remove_envelope(const struct request *request, struct be_enforcer *handle,
				      struct answer *answer)
{
	(void)answer;
	return be_envelope_remove(handle, request->category);
}

static void set_number(struct answer *answer, const char *name, uint64_t number)
{
	answer->has_number = true;
	answer->number_name = name;
	answer->number = number;
}

static enum be_status end_namespace(const struct request *request, struct be_enforcer *handle,
				    struct answer *answer)
{
	uint64_t removed;
	enum be_status status =
		be_namespace_end(handle, request->release ? BE_END_RELEASE : 0, &removed, NULL);

	if (status == BE_OK)
		set_number(answer, "envelopes", removed);
	return status;
}

/* ---- spending */

static enum be_status check(const struct request *request, struct be_enforcer *handle,
			    struct answer *answer)
{
	return be_check(handle, request->category, request->amount, &answer->decision);
}

static enum be_status commit(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	enum be_status status;
	uint64_t id;

	options.detached = true;
	options.ttl_ms = request->ttl_ms;
	options.least = request->least;
	options.wait_ms = request->wait_ms;
	options.also = request->also;
	options.also_count = request->also_count;
	options.labels = request->labels;
	options.label_count = request->label_count;
	options.key = request->key;
	options.reap_policy = request->charge_when_reaped ? BE_REAP_CHARGE : BE_REAP_RELEASE;
	status = be_commit_with(handle, request->category, request->amount, request->description,
				&options, &id, &answer->decision);
	if (status == BE_OK)
		set_number(answer, "id", id);
	if (status == BE_OK && request->least > 0)
		answer->granted = answer->decision.granted;
	/* Who has a key can ask again for what could not be written. */
	answer->commit_id = request->key ? 0 : id;
	return status;
}

static enum be_status release(const struct request *request, struct be_enforcer *handle,
			      struct answer *answer)
{
	(void)answer;
	return be_release(handle, request->id);
}

static struct be_charge_options charge_options(const struct request *request)
{
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;

	options.key = request->key;
	options.labels = request->labels;
	options.label_count = request->label_count;
	return options;
}

static enum be_status settle(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	struct be_charge_options options = charge_options(request);
	enum be_status status =
		be_settle_with(handle, request->id, request->amount, request->description, &options,
			       &answer->transaction);

	if (status == BE_OK)
		set_number(answer, "id", answer->transaction.id);
	return status;
}

static enum be_status charge(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	struct be_charge_options options = charge_options(request);
	enum be_status status =
		be_charge_with(handle, request->id, request->amount, request->description, &options,
			       &answer->transaction);

	if (status == BE_OK)
		set_number(answer, "id", answer->transaction.id);
	return status;
}

static enum be_status correct(const struct request *request, struct be_enforcer *handle,
			      struct answer *answer)
{
	struct be_charge_options options = charge_options(request);
	enum be_status status =
		be_correct_with(handle, request->id, request->amount, request->description,
				&options, &answer->transaction);

	if (status == BE_OK)
		set_number(answer, "id", answer->transaction.id);
	return status;
}

static enum be_status record(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	struct be_charge_options options = charge_options(request);
	enum be_status status;

	options.also = request->also;
	options.also_count = request->also_count;
	status = be_record_with(handle, request->category, request->amount, request->description,
				&options, &answer->transaction);
	if (status == BE_OK)
		set_number(answer, "id", answer->transaction.id);
	return status;
}

static enum be_status extend(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer)
{
	return be_extend(handle, request->id,
			 request->has_amount ? request->amount : BE_HELD_AMOUNT, request->ttl_ms,
			 &answer->decision);
}

static enum be_status reap(const struct request *request, struct be_enforcer *handle,
			   struct answer *answer)
{
	uint64_t reaped;
	enum be_status status = be_reap(handle, &reaped);

	(void)request;
	if (status == BE_OK)
		set_number(answer, "reaped", reaped);
	return status;
}

/* ---- the table */

#define SET(option) (UINT64_C(1) << OPTION_##option)
#define ENVELOPE (SET(NAMESPACE) | SET(CATEGORY))
#define CHANGE (SET(DURABILITY) | SET(JSON))
#define MAKE                                                                                       \
	(ENVELOPE | SET(LIMIT) | SET(PERIOD) | SET(PARENT) | SET(PARENT_NAMESPACE) |               \
	 SET(SUSPENDED) | SET(START) | SET(ZONE) | SET(BEGINS_ON) | SET(ROLL_OVER) |               \
	 SET(OBSERVE_ONLY) | SET(MODE) | CHANGE)

const struct verb verbs[] = {
	{.name = "create",
	 .summary = "Makes an envelope, and the environment where it is missing",
	 .takes = MAKE,
	 .needs = SET(CATEGORY) | SET(LIMIT),
	 .operands = OPERANDS_MAY_LIMIT,
	 .act = create},
	{.name = "ensure",
	 .summary = "Makes an envelope unless it is there; one there is left as it is",
	 .details = "Where one that is there has another limit, period, parent or start than is "
		    "asked for, standard error says so; that is no failure. be-ctl set "
		    "changes it, be-ctl move the parent.\n\n",
	 .takes = MAKE,
	 .needs = SET(CATEGORY) | SET(LIMIT),
	 .operands = OPERANDS_MAY_LIMIT,
	 .act = ensure},
	{.name = "set-limit",
	 .summary = "Changes an envelope's limit; what was spent and committed stays",
	 .takes = ENVELOPE | SET(LIMIT) | CHANGE,
	 .needs = SET(CATEGORY) | SET(LIMIT),
	 .operands = OPERANDS_MAY_LIMIT,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = set_limit},
	{.name = "set",
	 .summary = "Changes what an envelope is set to; spent and committed stay",
	 .details = "Limit, period, the calendar that windows follow, what rolls over, a raise "
		    "for a time, when alerts are given, and whether it refuses at all.\n\n"
		    "  be-ctl set --category llm --period monthly --zone Europe/Berlin DIR\n"
		    "  be-ctl set --category llm --raise 50 --until 8h DIR\n"
		    "  be-ctl set --category llm --thresholds 50,80,100 DIR\n\n",
	 .takes = ENVELOPE | SET(LIMIT) | SET(PERIOD) | SET(ZONE) | SET(BEGINS_ON) |
		  SET(ROLL_OVER) | SET(OBSERVE_ONLY) | SET(ENFORCE) | SET(RAISE) | SET(UNTIL) |
		  SET(THRESHOLDS) | CHANGE,
	 .needs = SET(CATEGORY),
	 .operands = OPERANDS_MAY_LIMIT,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = set},
	{.name = "suspend",
	 .summary = "Lets an envelope, and all below it, grant nothing until resumed",
	 .takes = ENVELOPE | CHANGE,
	 .needs = SET(CATEGORY),
	 .open_flags = BE_OPEN_EXISTING,
	 .act = suspend},
	{.name = "resume",
	 .summary = "Lets a suspended envelope grant again",
	 .takes = ENVELOPE | CHANGE,
	 .needs = SET(CATEGORY),
	 .open_flags = BE_OPEN_EXISTING,
	 .act = resume},
	{.name = "reset",
	 .summary = "Begins a new window now, with nothing spent; pending commits stay",
	 .takes = ENVELOPE | SET(KEEP_WINDOW) | CHANGE,
	 .needs = SET(CATEGORY),
	 .open_flags = BE_OPEN_EXISTING,
	 .act = reset},
	{.name = "rename",
	 .summary = "Gives an envelope another name; all else about it stays",
	 .details = "Pending commits and children are under the new name at once. Who still asks "
		    "under the old one is refused. The ledger shows the name of then; the "
		    "envelope's id, which it has too, stays.\n\n"
		    "  be-ctl rename --category llm --to models DIR\n"
		    "  be-ctl rename --category llm --to-namespace team DIR\n\n",
	 .takes = ENVELOPE | SET(TO) | SET(TO_NAMESPACE) | CHANGE,
	 .needs = SET(CATEGORY),
	 .open_flags = BE_OPEN_EXISTING,
	 .act = rename_envelope},
	{.name = "move",
	 .summary = "Gives an envelope another parent, or none, from now on",
	 .details = "What was spent before stays with those that were above it. It is refused "
		    "while commits are pending there or below it, which are held above it, too.\n\n"
		    "  be-ctl move --category llm --parent research DIR\n"
		    "  be-ctl move --category llm --no-parent DIR\n\n",
	 .takes = ENVELOPE | SET(PARENT) | SET(PARENT_NAMESPACE) | SET(NO_PARENT) | CHANGE,
	 .needs = SET(CATEGORY),
	 .open_flags = BE_OPEN_EXISTING,
	 .act = move},
	{.name = "end",
	 .summary = "Removes all envelopes of a namespace; the ledger stays",
	 .details = "Prints how many. While commits are pending there, or one of its envelopes is "
		    "the parent of one in another namespace, nothing is removed; with --release "
		    "the commits are released. What was killed halfway is ended by the same "
		    "command.\n\n"
		    "  be-ctl end --namespace task-17 --release DIR\n\n",
	 .takes = SET(NAMESPACE) | SET(RELEASE) | CHANGE,
	 .needs = SET(NAMESPACE),
	 .open_flags = BE_OPEN_EXISTING,
	 .act = end_namespace},
	{.name = "remove",
	 .summary = "Removes an envelope; its transactions stay in the ledger",
	 .takes = ENVELOPE | CHANGE,
	 .needs = SET(CATEGORY),
	 .open_flags = BE_OPEN_EXISTING,
	 .act = remove_envelope},
	{.name = "list",
	 .summary = "Prints the names of the envelopes, as namespace/category",
	 .takes = SET(NAMESPACE) | SET(JSON),
	 .open_flags = BE_OPEN_READ_ONLY,
	 .act = export_list},
	{.name = "show",
	 .summary = "Prints all there is to know of an envelope, a line for each",
	 .takes = ENVELOPE | SET(JSON),
	 .needs = SET(CATEGORY),
	 .open_flags = BE_OPEN_READ_ONLY,
	 .act = export_show},
	{.name = "export",
	 .summary = "Prints the envelopes as the file that apply reads",
	 .details = "What such a file cannot declare stands there as a comment. Windows go on as "
		    "they are.\n\n"
		    "  be-ctl export DIR >budgets.yaml\n\n",
	 .takes = SET(NAMESPACE),
	 .open_flags = BE_OPEN_READ_ONLY,
	 .act = export_file},
	{.name = "copy",
	 .summary = "Makes the envelopes in another environment, or moves all there is",
	 .details = export_copy_help,
	 .takes = SET(NAMESPACE) | SET(WHOLE) | SET(DRY_RUN) | SET(MODE) | CHANGE,
	 .operands = OPERANDS_TARGET,
	 .run = export_copy},
	{.name = "check",
	 .summary = "Asks whether a commit of this amount would be granted now",
	 .details = "For monitoring, with --warn or --critical, it looks instead at how much of "
		    "the limit is used, prints one line, and exits with 0 (OK), 1 (WARNING), 2 "
		    "(CRITICAL) or 3 (UNKNOWN, a wrong command line, too).\n\n"
		    "  be-ctl check --warn 80% --critical 95% --all DIR\n\n",
	 .takes = ENVELOPE | SET(AMOUNT) | REQUEST_IN_TOKENS | SET(WARN) | SET(CRITICAL) |
		  SET(ALL) | SET(JSON),
	 .needs = SET(CATEGORY) | SET(AMOUNT),
	 .operands = OPERANDS_MAY_AMOUNT,
	 .open_flags = BE_OPEN_READ_ONLY,
	 .act = check},
	{.name = "commit",
	 .summary = "Reserves an amount and prints the id of the commit",
	 .details = "The commit is detached: it outlives this process, so that a script may "
		    "release, settle or "
		    "extend it later. When nobody has ended it before its --ttl is over, the "
		    "amount is "
		    "freed.\n\n"
		    "  id=$(be-ctl commit --category llm --amount 0.40 DIR)\n"
		    "  be-ctl settle DIR \"$id\" 0.31\n\n",
	 .takes = ENVELOPE | SET(ALSO) | SET(AMOUNT) | SET(LEAST) | SET(WAIT) | REQUEST_IN_TOKENS |
		  SET(DESCRIPTION) | SET(LABEL) | SET(KEY) | SET(TTL) | SET(CHARGE_WHEN_REAPED) |
		  CHANGE,
	 .needs = SET(CATEGORY) | SET(AMOUNT),
	 .operands = OPERANDS_MAY_AMOUNT,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = commit},
	{.name = "release",
	 .summary = "Gives the commit ID back; nothing is charged",
	 .details = "A commit that was ended before is refused, and that is harmless.\n\n",
	 .takes = CHANGE,
	 .operands = OPERANDS_ID,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = release},
	{.name = "settle",
	 .summary = "Ends the commit ID and charges what it has really cost",
	 .details = "Prints the transaction's id. AMOUNT may be less or more than what was held. A "
		    "commit "
		    "whose time "
		    "was over, so that its amount was freed, is still charged.\n\n"
		    "  be-ctl settle --answer answer.json --prices prices.csv DIR \"$id\"\n\n",
	 .takes = SET(AMOUNT) | REQUEST_IN_TOKENS | SET(DESCRIPTION) | SET(LABEL) | SET(KEY) |
		  CHANGE,
	 .operands = OPERANDS_ID_AMOUNT,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = settle},
	{.name = "charge",
	 .summary = "Charges a part of the commit ID, which goes on holding the rest",
	 .details = "Prints the transaction's id. More than it holds is charged, too; then it "
		    "holds nothing, until it is extended or settled.\n\n",
	 .takes = SET(AMOUNT) | REQUEST_IN_TOKENS | SET(DESCRIPTION) | SET(LABEL) | SET(KEY) |
		  CHANGE,
	 .operands = OPERANDS_ID_AMOUNT,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = charge},
	{.name = "record",
	 .summary = "Charges a cost that was not reserved",
	 .details = "Prints the transaction's id. It is never refused for lack of budget: the "
		    "money is "
		    "gone.\n\n",
	 .takes = ENVELOPE | SET(ALSO) | SET(AMOUNT) | REQUEST_IN_TOKENS | SET(DESCRIPTION) |
		  SET(LABEL) | SET(KEY) | CHANGE,
	 .needs = SET(CATEGORY) | SET(AMOUNT),
	 .operands = OPERANDS_MAY_AMOUNT,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = record},
	{.name = "correct",
	 .summary = "Gives back AMOUNT of what the transaction ID has charged too much",
	 .details = "Prints the id of the transaction that does so, which names the wrong one. All "
		    "corrections of one give back at most what it charged, and free no money of a "
		    "window that it was not charged to.\n\n"
		    "  be-ctl correct --description 'counted twice' DIR 1234 0.31\n\n",
	 .takes = SET(AMOUNT) | REQUEST_IN_TOKENS | SET(DESCRIPTION) | SET(KEY) | CHANGE,
	 .operands = OPERANDS_ID_AMOUNT,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = correct},
	{.name = "extend",
	 .summary = "Holds the commit ID for another --ttl from now",
	 .details = "AMOUNT replaces what it holds; more of it may be refused.\n\n",
	 .takes = SET(AMOUNT) | SET(TTL) | CHANGE,
	 .operands = OPERANDS_ID_MAY_AMOUNT,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = extend},
	{.name = "reap",
	 .summary = "Ends the commits of dead processes and those past their time",
	 .details = "Prints how many. Every process does so when it opens the environment, this "
		    "one too: "
		    "those are "
		    "not counted.\n\n",
	 .takes = CHANGE,
	 .open_flags = BE_OPEN_EXISTING,
	 .act = reap},
	{.name = "prune",
	 .summary = "Removes old transactions from the ledger; balances stay",
	 .details = "Prints how many. Commits that ended before are forgotten, too: nobody can "
		    "settle them "
		    "late any "
		    "more. The pool goes on meanwhile. What was charged stays in reports, as sums "
		    "for each day (UTC), envelope and kind.\n\n"
		    "  be-ctl prune --before 90d --archive ledger-2023.csv DIR\n\n",
	 .takes = SET(BEFORE) | SET(SUMS_BEFORE) | SET(ARCHIVE) | SET(DRY_RUN) | CHANGE,
	 .needs = SET(BEFORE),
	 .open_flags = BE_OPEN_EXISTING,
	 .act = upkeep_prune},
	{.name = "backup",
	 .summary = "Copies the environment to FILE, as it is at one moment",
	 .details =
		 "FILE must not exist; it appears when it is whole and flushed. The pool goes on "
		 "meanwhile.\n\n",
	 .takes = SET(JSON),
	 .operands = OPERANDS_FILE,
	 .open_flags = BE_OPEN_READ_ONLY,
	 .act = upkeep_backup},
	{.name = "restore",
	 .summary = "Makes ENVIRONMENT of the backup FILE",
	 .details = "ENVIRONMENT must not exist, or be an empty directory: nothing is written "
		    "over, and a live "
		    "environment least of all.\n\n",
	 .takes = SET(JSON),
	 .operands = OPERANDS_FILE,
	 .run = upkeep_restore},
	{.name = "verify",
	 .summary = "Recomputes every balance from the ledger and the pending commits",
	 .details = "Each difference is printed as one line, and the exit status is 1.\n\n",
	 .takes = SET(JSON),
	 .run = verify_run},
	{.name = "apply",
	 .summary = "Brings the envelopes to what FILE declares, all or nothing",
	 .details = apply_help,
	 .takes = SET(DRY_RUN) | SET(PRUNE) | SET(MODE) | CHANGE,
	 .operands = OPERANDS_FILE,
	 .run = apply_run},
	{.name = "alerts",
	 .summary = "Runs COMMAND once for each threshold that was crossed",
	 .details = alerts_help,
	 .takes = SET(EXEC) | SET(ONCE) | SET(DURABILITY),
	 .needs = SET(EXEC),
	 .run = alerts_run},
	{.name = "run",
	 .summary = "Reserves the estimate, runs COMMAND, and charges what it has cost",
	 .details = run_help,
	 .takes = ENVELOPE | SET(ALSO) | SET(ESTIMATE) | SET(WAIT) | SET(DESCRIPTION) | SET(LABEL) |
		  SET(KEY) | SET(COST_FD) | SET(COST_FILE) | SET(CHARGE_ON_FAILURE) |
		  SET(DEATH_SIGNAL) | SET(TTL) | SET(HEARTBEAT) | SET(TIMEOUT) | CHANGE,
	 .needs = SET(CATEGORY) | SET(ESTIMATE),
	 .operands = OPERANDS_COMMAND,
	 .run = run_run},
};
const unsigned verb_count = sizeof verbs / sizeof verbs[0];

const struct verb *verb_find(const char *name)
{
	for (unsigned i = 0; i < verb_count; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
