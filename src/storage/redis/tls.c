/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/redis/tls.h"

#include "storage/remote/link.h"

#ifndef HAVE_REDIS_TLS

int tls_begin(redisContext *redis, const struct address *address)
{
	(void)redis;
	(void)address;
	return link_fail(BE_UNREACHABLE,
			 "a rediss:// URL takes a hiredis with TLS, which the hiredis that this "
			 "library was built with has not");
}

#else

#include <arpa/inet.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static bool is_number(const char *host)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* What certificates are believed, and which is ours. */
static bool load_certificates(SSL_CTX *context, const struct address *address)
{
	if (address->cacert ? SSL_CTX_load_verify_locations(context, address->cacert, NULL) != 1
			    : SSL_CTX_set_default_verify_paths(context) != 1)
		return false;
	if (!address->cert)
		return true;
	return SSL_CTX_use_certificate_chain_file(context, address->cert) == 1 &&
	       SSL_CTX_use_PrivateKey_file(context, address->key ? address->key : address->cert,
					   SSL_FILETYPE_PEM) == 1;
}

/* hiredis itself would take any server's certificate that is believed. */
static bool expect_name(SSL *tls, const char *host)
{
	if (is_number(host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host) == 1;
	return SSL_set_tlsext_host_name(tls, host) == 1 && SSL_set1_host(tls, host) == 1;
}

static int openssl_fault(int status, const char *what)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	return link_fail(status, "TLS with the Redis server: %s: %s", what,
			 why ? why : "unknown reason");
}

int tls_begin(redisContext *redis, const struct address *address)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *tls = NULL;
	int status = 0;

	ERR_clear_error();
	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
		status = openssl_fault(BE_NO_MEMORY, "it cannot begin");
	else if (!load_certificates(context, address))
		status = openssl_fault(BE_INVALID_ARGUMENT, "a certificate or key cannot be used");
	if (status != 0)
		goto out;
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	tls = SSL_new(context);
	if (!tls || !expect_name(tls, address->host))
		status = openssl_fault(BE_NO_MEMORY, "the host's name cannot be used");
	else if (redisInitiateSSL(redis, tls) != REDIS_OK)
		status = link_fail(LINK_LOST, "TLS with the Redis server: %s", redis->errstr);
	if (status != 0)
		SSL_free(tls);
out:
	SSL_CTX_free(context);
	return status;
}

#endif
