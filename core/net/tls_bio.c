/* tls_bio.c: OpenSSL's view of a stream's socket.
 *
 * Reads and writes go through ph_stream_raw_*, which know when the socket has nothing and then do not
 * even ask it.  State: one method table per process.  No yield. */
#include <errno.h>

#include <openssl/bio.h>

#include "net/tls_private.h"

static int bio_result(BIO *b, struct ph_tls *tls, ssize_t r, int retry)
{
	BIO_clear_retry_flags(b);
	if (r == -EAGAIN) {
		BIO_set_flags(b, retry | BIO_FLAGS_SHOULD_RETRY);
		return -1;
	}
	if (r < 0)
		tls->io_err = (int)r;
	return r < 0 ? -1 : (int)r;
}

static int bio_read(BIO *b, char *p, int n)
{
	struct ph_tls *tls = BIO_get_data(b);
	short want;

	if (n <= 0)
		return 0;
	return bio_result(b, tls, ph_stream_raw_read(tls->stream, p, (size_t)n, &want), BIO_FLAGS_READ);
}

static int bio_write(BIO *b, const char *p, int n)
{
	struct ph_tls *tls = BIO_get_data(b);
	short want;

	if (n <= 0)
		return 0;
	return bio_result(b, tls, ph_stream_raw_write(tls->stream, p, (size_t)n, &want), BIO_FLAGS_WRITE);
}

static long bio_ctrl(BIO *b, int cmd, long larg, void *parg)
{
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static BIO_METHOD *method(void)
{
	static BIO_METHOD *m;

	if (m)
		return m;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "posthouse stream");
	ph_assert(m != NULL);
	BIO_meth_set_read(m, bio_read);
	BIO_meth_set_write(m, bio_write);
	BIO_meth_set_ctrl(m, bio_ctrl);
	return m;
}

BIO *ph_tls_bio_new(struct ph_tls *tls)
{
	BIO *b = BIO_new(method());

	if (b) {
		BIO_set_data(b, tls);
		BIO_set_init(b, 1);
	}
	return b;
}
