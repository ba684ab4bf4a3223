/* Answers of a Redis server, in one piece and byte by byte: both ways must agree. */
#include "../../modules/lookup/redis_reply.h"
#include <stdlib.h>
#include <string.h>

static int feed(const uint8_t *data, size_t n, size_t step, struct rreply **ret)
{
	struct rparser *p = rparser_new();
	struct ph_err err;
	int r = 0;

	for (size_t at = 0; r == 0 && at < n; at += step)
		r = rparser_feed(p, data + at, n - at < step ? n - at : step, ret, &err);
	rparser_free(&p);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct rreply *one = NULL, *two = NULL;
	int a = feed(data, n, n ? n : 1, &one), b = feed(data, n, 1, &two);

	if (a == 1 && (b != 1 || one->type != two->type || one->len != two->len || one->n != two->n))
		abort();
	if (a == 1 && one->text && strlen(one->text) > one->len)
		abort();
	rreply_free(one);
	rreply_free(two);
	return 0;
}
