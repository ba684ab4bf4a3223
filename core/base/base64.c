/* base64.c: encoding and strict decoding.  Pure.  RFC 4648 section 4; stray bits and bytes are errors. */
#include <errno.h>
#include <posthouse/base.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t ph_base64_decode(struct ph_slice in, char *out)
{
	size_t n = 0, pad = 0, i, j;
	int v[4];

	if (in.n % 4)
		return -EINVAL;
	for (i = 0; i < in.n; i += 4) {
		for (j = 0; j < 4; j++) {
			v[j] = value((unsigned char)in.p[i + j]);
			if (v[j] >= 0 && pad)
				return -EINVAL;
			if (v[j] >= 0)
				continue;
			if (in.p[i + j] != '=' || i + 4 != in.n || j < 2)
				return -EINVAL;
			pad++;
			v[j] = 0;
		}
		if ((pad == 2 && (v[1] & 15)) || (pad == 1 && (v[2] & 3)))
			return -EINVAL;
		out[n++] = (char)(v[0] << 2 | v[1] >> 4);
		if (pad < 2)
			out[n++] = (char)(v[1] << 4 | v[2] >> 2);
		if (pad < 1)
			out[n++] = (char)(v[2] << 6 | v[3]);
	}
	out[n] = '\0';
	return (ssize_t)n;
}

void ph_base64_encode(struct ph_slice in, char *out)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t i;

	for (i = 0; i + 2 < in.n; i += 3) {
		*out++ = alphabet[p[i] >> 2];
		*out++ = alphabet[(p[i] & 3) << 4 | p[i + 1] >> 4];
		*out++ = alphabet[(p[i + 1] & 15) << 2 | p[i + 2] >> 6];
		*out++ = alphabet[p[i + 2] & 63];
	}
	if (i < in.n) {
		*out++ = alphabet[p[i] >> 2];
		*out++ = alphabet[(p[i] & 3) << 4 | (i + 1 < in.n ? p[i + 1] >> 4 : 0)];
		*out++ = i + 1 < in.n ? alphabet[(p[i + 1] & 15) << 2] : '=';
		*out++ = '=';
	}
	*out = '\0';
}
