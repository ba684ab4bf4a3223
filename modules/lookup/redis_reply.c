/* redis_reply.c: see redis_reply.h.
 *
 * Pure.  The objects are made by our own functions, so that a hostile server cannot make hiredis allocate by its word alone
 * (array lengths; CVE-2021-32765).  Source: the Redis protocol specification (RESP). */
#include "redis_reply.h"

#include <errno.h>
#include <hiredis/read.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rparser {
	redisReader *reader;
	size_t fed;             /* bytes since the last complete answer */
};

void rreply_free(void *p)
{
	struct rreply *r = p;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		rreply_free(r->list[i]);
	free(r->list);
	free(r->text);
	free(r);
}

static struct rreply *attach(const redisReadTask *task, struct rreply *r)
{
	struct rreply *parent;

	if (task->parent == NULL)
		return r;
	parent = task->parent->obj;
	if (parent == NULL || parent->type != RREPLY_LIST || task->idx < 0 || (size_t)task->idx >= parent->n ||
	    parent->list[task->idx]) {
		rreply_free(r);
		return NULL;
	}
	parent->list[task->idx] = r;
	return r;
}

static void *make_string(const redisReadTask *task, char *s, size_t n)
{
	struct rreply *r = ph_alloc(sizeof *r);

	r->type = task->type == REDIS_REPLY_ERROR ? RREPLY_ERROR : RREPLY_TEXT;
	r->text = ph_alloc(n + 1);
	memcpy(r->text, s, n);
	r->len = n;
	return attach(task, r);
}

static void *make_array(const redisReadTask *task, int n)
{
	struct rreply *r;

	if (n < 0 || n > RREPLY_MAX_ELEMENTS || task->parent)
		return NULL;
	r = ph_alloc(sizeof *r);
	r->type = RREPLY_LIST;
	r->n = (size_t)n;
	r->list = ph_alloc(((size_t)n + 1) * sizeof r->list[0]);
	return attach(task, r);
}

static void *make_integer(const redisReadTask *task, long long v)
{
	char buf[32];
	int n = snprintf(buf, sizeof buf, "%lld", v);

	return make_string(task, buf, (size_t)n);
}

static void *make_nil(const redisReadTask *task)
{
	struct rreply *r = ph_alloc(sizeof *r);

	r->type = RREPLY_NIL;
	return attach(task, r);
}

static redisReplyObjectFunctions functions = { make_string, make_array, make_integer, make_nil, rreply_free };

struct rparser *rparser_new(void)
{
	struct rparser *p = ph_alloc(sizeof *p);

	p->reader = redisReaderCreateWithFunctions(&functions);
	ph_assert(p->reader != NULL);
	return p;
}

void rparser_free(struct rparser **pp)
{
	struct rparser *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	redisReaderFree(p->reader);
	free(p);
}

int rparser_feed(struct rparser *p, const void *data, size_t n, struct rreply **ret, struct ph_err *err)
{
	void *reply = NULL;

	p->fed += n;
	if (p->fed > RREPLY_MAX_BYTES)
		return ph_err_set(err, -EPROTO, "the answer is longer than %zu bytes", RREPLY_MAX_BYTES);
	if (redisReaderFeed(p->reader, data, n) != REDIS_OK || redisReaderGetReply(p->reader, &reply) != REDIS_OK)
		return ph_err_set(err, -EPROTO, "not an answer that was expected: %.100s", p->reader->errstr);
	if (reply == NULL)
		return 0;
	p->fed = 0;
	*ret = reply;
	return 1;
}

bool rparser_has_rest(const struct rparser *p)
{
	return p->reader->len > p->reader->pos;
}
