/* SPDX-License-Identifier: Apache-2.0 */
/* Times as people write them: each form, and each way to get one wrong. */
#include "moment.h"
#include "support.h"

#define NOW_NS INT64_C(1700158546680000000)
#define SECOND_NS INT64_C(1000000000)

static void check_parsed(void)
{
	static const struct {
		const char *text;
		int64_t moment_ns;
	} cases[] = {
		{"2023-11-16", 1700092800 * SECOND_NS},
		{"2023-11-16 18:15", 1700158500 * SECOND_NS},
		{"2023-11-16T18:15", 1700158500 * SECOND_NS},
		{"2023-11-16 18:15:46", 1700158546 * SECOND_NS},
		{"2023-11-16t18:15:46z", 1700158546 * SECOND_NS},
		{"2023-11-16T18:15:46.68Z", NOW_NS},
		{"2023-11-16T18:15:46.680000001Z", NOW_NS + 1},
		{"2023-11-16T20:15:46.68+02:00", NOW_NS},
		{"2023-11-16T10:45:46.68-07:30", NOW_NS},
		{"2024-02-29", 1709164800 * SECOND_NS},
		{"2000-02-29", 951782400 * SECOND_NS},
		{"1970-01-01", 0},
		{"1970-01-01T00:00:00.000000001Z", 1},
		{"1970-01-01T01:00+01:00", 0},
		{"2262-04-11T23:47:16.854775807Z", INT64_MAX},
		{"@0", 0},
		{"@1700158546", 1700158546 * SECOND_NS},
		{"@9223372036", 9223372036 * SECOND_NS},
		{"now", NOW_NS},
		{"today", 1700092800 * SECOND_NS},
		{"yesterday", 1700006400 * SECOND_NS},
		{"18:15", 1700158500 * SECOND_NS},
		{"18:15:46.68", NOW_NS},
		{"18:15:46.680000001", NOW_NS + 1 - 86400 * SECOND_NS},
		{"22:30", 1700087400 * SECOND_NS},
		{"0s", NOW_NS},
		{"1.5h", NOW_NS - 5400 * SECOND_NS},
		{"0.000000001s", NOW_NS - 1},
		{"0.000000001w", NOW_NS - 604800},
		{"45s", NOW_NS - 45 * SECOND_NS},
		{"30m", NOW_NS - 1800 * SECOND_NS},
		{"1h", NOW_NS - 3600 * SECOND_NS},
		{"7d", NOW_NS - 604800 * SECOND_NS},
		{"2w", NOW_NS - 1209600 * SECOND_NS},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t moment_ns = -1;

		if (!moment_parse(cases[i].text, NOW_NS, &moment_ns))
			test_fail(__FILE__, __LINE__, "%s is not understood", cases[i].text);
		expect_equal(__FILE__, __LINE__, cases[i].text, moment_ns, cases[i].moment_ns);
	}
}

static void check_refused(void)
{
	static const char *const texts[] = {
		"",
		" ",
		"tomorrow",
		"24:00",
		"18:60",
		"18:5",
		"18:15Z",
		"1.h",
		"1.0000000001h",
		"2023",
		"2023-11",
		"2023-11-16 ",
		" 2023-11-16",
		"2023-11-16T",
		"2023-11-16 18",
		"2023-11-16 18:1",
		"2023-11-16 18:15:",
		"2023-11-16 18:15:4",
		"2023-11-16 18:15:46.",
		"2023-11-16 18:15:46.1234567890",
		"2023-11-16  18:15",
		"2023-11-16Z",
		"2023-13-01",
		"2023-00-10",
		"2023-02-29",
		"2023-04-31",
		"2023-01-00",
		"2023-01-32",
		"1900-02-29",
		"2023-11-16 24:00",
		"2023-11-16 18:60",
		"2023-11-16 18:15:60",
		"2023-11-16 18:15+1:00",
		"2023-11-16 18:15+24:00",
		"2023-11-16 18:15+0100",
		"2023-11-16 18:15 UTC",
		"1969-12-31",
		"1970-01-01T00:00+00:01",
		"2262-04-11T23:47:16.854775808Z",
		"2262-04-12",
		"9999-12-31",
		"@",
		"@-1",
		"@1.5",
		"@ 1",
		"@9223372037",
		"@99999999999999999999",
		"1",
		"h",
		"1y",
		"1 h",
		"1h30m",
		"-1h",
		"99999999999999999999s",
		"9223372036854775807w",
		"9223372037s",
		"1000000h",
		"+2023-11-16",
		"2O23-11-16",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		int64_t moment_ns = -1;

		if (moment_parse(texts[i], NOW_NS, &moment_ns))
			test_fail(__FILE__, __LINE__, "'%s' was understood as %lld", texts[i],
				  (long long)moment_ns);
	}
}

static void check_formatted(void)
{
	char text[MOMENT_TEXT_SIZE];

	moment_format(NOW_NS, 9, text);
	EXPECT_TEXT(text, "2023-11-16T18:15:46.680000000Z");
	moment_format(NOW_NS - 1, 3, text);
	EXPECT_TEXT(text, "2023-11-16T18:15:46.679Z");
	moment_format(NOW_NS, 0, text);
	EXPECT_TEXT(text, "2023-11-16T18:15:46Z");
	moment_format(INT64_MAX, 9, text);
	EXPECT_TEXT(text, "2262-04-11T23:47:16.854775807Z");
	moment_format(INT64_MIN, 9, text);
	EXPECT_TEXT(text, "1677-09-21T00:12:43.145224192Z");
	moment_format(-1, 9, text);
	EXPECT_TEXT(text, "1969-12-31T23:59:59.999999999Z");
}

static void check_durations(void)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{-5, "0s"},
		{0, "0s"},
		{59, "59s"},
		{60, "1m0s"},
		{725, "12m5s"},
		{3599, "59m59s"},
		{3600, "1h0m"},
		{86399, "23h59m"},
		{86400, "1d0h"},
		{2591999, "29d23h"},
		{INT64_MAX / SECOND_NS, "106751d23h"},
	};
	char text[DURATION_TEXT_SIZE];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		duration_format(cases[i].seconds * SECOND_NS + (cases[i].seconds > 0 ? 1 : 0),
				text);
		EXPECT_TEXT(text, cases[i].text);
	}
}

static void check_parsed_durations(void)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {{"0s", 0},      {"90s", 90},     {"30m", 1800},  {"1h", 3600},
		     {"7d", 604800}, {"2w", 1209600}, {"1.5h", 5400}, {"0.5m", 30}};
	static const char *const refused[] = {
		"",    "1",   "h",  "none",       "-1h", "1.5",         "1h30m",
		" 1h", "1h ", "1y", "2023-11-16", "@1",  "9223372037s", "99999999999999999999s",
	};
	int64_t duration_ns;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		EXPECT(duration_parse(cases[i].text, &duration_ns));
		EXPECT_EQUAL(duration_ns, cases[i].seconds * SECOND_NS);
	}
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if (duration_parse(refused[i], &duration_ns))
			test_fail(__FILE__, __LINE__, "'%s' was understood as a duration",
				  refused[i]);
}

int main(void)
{
	test_begin(60);
	check_parsed();
	check_refused();
	check_formatted();
	check_durations();
	check_parsed_durations();
	return 0;
}
