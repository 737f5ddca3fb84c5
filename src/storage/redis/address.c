/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/redis/address.h"

#include "storage/remote/link.h"

#include <stdlib.h>
#include <string.h>

static bool take_beginning(char **at, const char *beginning)
{
	size_t size = strlen(beginning);

	if (strncmp(*at, beginning, size) != 0)
		return false;
	*at += size;
	return true;
}

static int digit_of(char digit)
{
	const char *digits = "0123456789abcdef";
	const char *at =
		digit ? strchr(digits, digit >= 'A' && digit <= 'F' ? digit + 32 : digit) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Puts the bytes in the place of their %xx. */
static bool decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		int high, low;

		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		high = digit_of(text[1]);
		low = high < 0 ? -1 : digit_of(text[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(16 * high + low);
		text += 2;
	}
	*to = '\0';
	return true;
}

static bool read_number(const char *text, int most, int *number)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value > most)
		return false;
	*number = (int)value;
	return true;
}

/* What stands before the @. The password may be known already, as it is. */
static bool take_user(char **at, struct address *address)
{
	char *end = strchrnul(*at, '/');
	char *sign = memrchr(*at, '@', (size_t)(end - *at)), *colon;

	if (!sign)
		return true;
	*sign = '\0';
	colon = strchr(*at, ':');
	if (colon)
		*colon = '\0';
	address->user = **at ? *at : NULL;
	*at = sign + 1;
	if (colon && colon[1]) {
		address->password = colon + 1;
		if (!decode(address->password))
			return false;
	}
	return !address->user || (decode(address->user) && address->password);
}

static bool is_name(const char *name)
{
	size_t size = strlen(name);

	return size > 0 && size < ADDRESS_NAME_SIZE &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       size;
}

/* One of the parameters behind the question mark. */
static const char *take_parameter(char *text, struct address *address)
{
	char *value = strchr(text, '=');

	if (!value)
		return "a parameter behind the ? has no =";
	*value++ = '\0';
	if (!decode(value))
		return "a % is not followed by two hexadecimal digits";
	if (strcmp(text, "environment") == 0)
		address->environment = value;
	else if (address->has_tls && strcmp(text, "cacert") == 0)
		address->cacert = value;
	else if (address->has_tls && strcmp(text, "cert") == 0)
		address->cert = value;
	else if (address->has_tls && strcmp(text, "key") == 0)
		address->key = value;
	else if (address->port != 0 || strcmp(text, "db") != 0)
		return "a parameter behind the ? is not known";
	else if (!read_number(value, 1 << 20, &address->database))
		return "the database is no number";
	return NULL;
}

static const char *take_parameters(char *text, struct address *address)
{
	const char *wrong = NULL;
	char *next;

	for (; text && *text && !wrong; text = next) {
		next = strchr(text, '&');
		if (next)
			*next++ = '\0';
		wrong = take_parameter(text, address);
	}
	if (!wrong && !is_name(address->environment))
		wrong = "the environment's name is of letters, digits, and any of _.- (64 at most)";
	return wrong;
}

static const char *take_host(char *at, struct address *address)
{
	char *database = strchr(at, '/'), *port;

	if (database)
		*database++ = '\0';
	if (*at == '[') {
		address->host = at + 1;
		at = strchr(at, ']');
		if (!at)
			return "a [ of the host has no ]";
		*at++ = '\0';
		port = *at == ':' ? at : NULL;
		if (*at && !port)
			return "what follows the ] of the host is no port";
	} else {
		address->host = at;
		port = strchr(at, ':');
	}
	if (port)
		*port++ = '\0';
	if (!*address->host)
		address->host = (char *)"localhost";
	if (port && (!read_number(port, 65535, &address->port) || address->port == 0))
		return "the port is none";
	if (database && *database && !read_number(database, 1 << 20, &address->database))
		return "behind the host's / must be the number of a database";
	return NULL;
}

/* What is wrong, or NULL. */
static const char *take_url(char *at, struct address *address)
{
	const char *wrong = NULL;
	char *parameters;

	address->has_tls = take_beginning(&at, "rediss://");
	if (address->has_tls || take_beginning(&at, "redis://"))
		address->port = 6379;
	else if (!take_beginning(&at, "redis+unix://") && !take_beginning(&at, "unix://"))
		return "it begins with none of redis://, rediss://, redis+unix:// and unix://";
	parameters = strchr(at, '?');
	if (parameters)
		*parameters++ = '\0';
	if (!take_user(&at, address))
		return "what stands before the @ is no user and password, which may be in "
		       "REDISCLI_AUTH";
	if (address->port != 0)
		wrong = take_host(at, address);
	else if (*at != '/' || !decode(at))
		wrong = "the path of the socket must begin with a /";
	else
		address->host = at;
	return wrong ? wrong : take_parameters(parameters, address);
}

int address_read(const char *url, struct address *address)
{
	/* As redis-cli does: what is in the environment is in no list of processes. */
	const char *password = secure_getenv("REDISCLI_AUTH"), *wrong;
	size_t size = strlen(url) + 1, more = password ? strlen(password) + 1 : 0;

	*address = (struct address){
		.environment = (char *)"main", .size = size + more, .bytes = malloc(size + more)};
	if (!address->bytes)
		return BE_NO_MEMORY;
	memcpy(address->bytes, url, size);
	if (more > 1) {
		memcpy(address->bytes + size, password, more);
		address->password = address->bytes + size;
	}
	wrong = take_url(address->bytes, address);
	return wrong ? link_fail(BE_INVALID_ARGUMENT, "the URL of the Redis server: %s", wrong) : 0;
}

void address_free(struct address *address)
{
	if (address->bytes)
		explicit_bzero(address->bytes, address->size);
	free(address->bytes);
	address->bytes = NULL;
}
