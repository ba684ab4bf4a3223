/* Answers of memcached, tcp and socketmap servers.  The first byte chooses. */
#include "../../modules/lookup/memcache_reply.h"
#include "../../modules/lookup/socketmap_reply.h"
#include "../../modules/lookup/tcp_reply.h"
#include <stdlib.h>
#include <string.h>

/* What is decided with some of the bytes there stays decided when more come. */
static void memcache(const char *p, size_t n)
{
	struct ph_slice value = { NULL, 0 };
	const char *why = NULL;
	size_t used = 0;
	enum mreply all = mreply_get(p, n, "key", 100, 1000, &value, &used, &why), part;

	if (all == MREPLY_VALUE && (used > n || value.p < p || value.p + value.n + 7 != p + used))
		abort();
	if (all == MREPLY_BAD && why == NULL)
		abort();
	for (size_t i = 0; i < n; i++) {
		part = mreply_get(p, i, "key", 100, 1000, &value, &used, &why);
		if (part != MREPLY_MORE && (part != all || (part != MREPLY_BAD && used > i)))
			abort();
	}
	mreply_line(p, n, 100, &value, &used, &why);
}

static void tcp(const char *p, size_t n)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	char *line = ph_strndup(p, n), *text;
	enum ph_lookup status;

	if (tcp_request(line, &b) == 0 && (strchr(b.data, '\n') != b.data + b.len - 1 || strchr(b.data + 4, ' ')))
		abort();        /* one request, one key */
	if (tcp_reply(line, &status, &text) == 0 && (text < line || strlen(text) > n))
		abort();
	ph_buf_done(&b);
	free(line);
}

static void socketmap(const char *p, size_t n)
{
	char *reply = ph_strndup(p, n);
	size_t len, used;
	const char *text = NULL;
	struct ph_err err;

	if (smap_head(p, n, &len, &used) == 1 && (used > n || len > 999999999))
		abort();
	if (smap_reply(reply, &text, &err) == PH_LOOKUP_FOUND && (text < reply || text > reply + strlen(reply)))
		abort();
	free(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data + 1;

	if (n == 0)
		return 0;
	switch (data[0] % 3) {
	case 0: memcache(p, n - 1); break;
	case 1: tcp(p, n - 1); break;
	default: socketmap(p, n - 1); break;
	}
	return 0;
}
