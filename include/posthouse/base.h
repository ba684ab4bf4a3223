/* posthouse/base.h: memory, text, errors, time and logging for every module.
 *
 * Part of the public, versioned interface (see posthouse/module.h for its history).
 * Nothing here yields unless its comment says so.  All functions are to be called from the
 * worker's own thread; only those marked "any thread" may be called from a helper thread. */
#ifndef POSTHOUSE_BASE_H
#define POSTHOUSE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PH_API __attribute__((visibility("default")))
#define PH_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define PH_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- errors ------------------------------------------------------------------------------ */

/* Why a call failed, for a log line or the administrator.  Owned by the caller, usually on its
 * stack; text is always NUL-terminated and is cut (with "...") when it does not fit. */
struct ph_err {
	int code;       /* the negative value that the call returned: -errno or -EPROTO */
	char text[512];
};

/* Fill err (which may be NULL) and return code, so that a failing function can
 * "return ph_err_set(err, -EINVAL, ...)".  code must be negative.  Any thread. */
PH_API int ph_err_set(struct ph_err *err, int code, const char *fmt, ...) PH_PRINTF(3, 4);
/* The same with ": " and the text of errno value -code appended. */
PH_API int ph_err_errno(struct ph_err *err, int code, const char *fmt, ...) PH_PRINTF(3, 4);

/* A broken promise of the program itself: logs a panic line with file, line and the expression and
 * ends this process; the master starts a new one, accepted mail is safe.  Stays on in production. */
#define ph_assert(e) ((e) ? (void)0 : ph_assert_failed(#e, __FILE__, __LINE__, __func__))
/* What ph_assert calls: logs the place, and the module that runs, and ends the process.  Does not return. */
PH_API void ph_assert_failed(const char *expr, const char *file, int line, const char *func)
	__attribute__((noreturn));

/* ---- memory ------------------------------------------------------------------------------ */

/* Heap memory that is zeroed and never NULL: running out of memory ends the worker as ph_assert does. */
PH_API void *ph_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
PH_API void *ph_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
PH_API char *ph_strdup(const char *s) __attribute__((malloc, returns_nonnull));
PH_API char *ph_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));

/* An arena: allocations that die together.  A session, a transaction and a configuration
 * generation own one each; what a hook allocates while it handles mail comes from the arena it was
 * handed and is never freed by hand. */
struct ph_arena;
PH_API struct ph_arena *ph_arena_new(void);                 /* never NULL; the caller's, for ph_arena_free */
PH_API void *ph_arena_alloc(struct ph_arena *a, size_t bytes) __attribute__((returns_nonnull)); /* zeroed, 16-byte aligned */
/* Copies that live as long as the arena's other contents: of s, of its first n bytes (fewer when a NUL comes first; a NUL is put behind), of a formatted text. */
PH_API char *ph_arena_strdup(struct ph_arena *a, const char *s) __attribute__((returns_nonnull));
PH_API char *ph_arena_strndup(struct ph_arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
PH_API char *ph_arena_printf(struct ph_arena *a, const char *fmt, ...) PH_PRINTF(2, 3) __attribute__((returns_nonnull));
/* Call fn(arg) when the arena is reset or freed; last added runs first. */
PH_API void ph_arena_cleanup(struct ph_arena *a, void (*fn)(void *), void *arg);
PH_API size_t ph_arena_bytes(const struct ph_arena *a);     /* handed out since the last reset */
PH_API void ph_arena_reset(struct ph_arena *a);             /* frees all, keeps one small block */
PH_API void ph_arena_free(struct ph_arena **a);             /* NULL-safe; sets *a to NULL */

/* ---- text -------------------------------------------------------------------------------- */

/* Bytes that somebody else owns; not NUL-terminated. */
struct ph_slice {
	const char *p;
	size_t n;
};

/* A growing byte buffer with a bound.  Initialise with PH_BUF_INIT(max) or ph_buf_init.  data is
 * NUL-terminated whenever it is not NULL (the NUL is not counted in len). */
struct ph_buf {
	char *data;
	size_t len, cap;
	size_t max;             /* len never passes this */
};
#define PH_BUF_INIT(max_bytes) { NULL, 0, 0, (max_bytes) }
PH_API void ph_buf_init(struct ph_buf *b, size_t max);                 /* empty; max: bytes it may ever hold */
PH_API int ph_buf_append(struct ph_buf *b, const void *p, size_t n);    /* 0, or -ENOBUFS at max: nothing appended */
/* The same for a text, for one byte, for a formatted text: 0, or -ENOBUFS and nothing is appended. */
PH_API int ph_buf_puts(struct ph_buf *b, const char *s);
PH_API int ph_buf_putc(struct ph_buf *b, int c);
PH_API int ph_buf_printf(struct ph_buf *b, const char *fmt, ...) PH_PRINTF(2, 3);
PH_API int ph_buf_vprintf(struct ph_buf *b, const char *fmt, va_list ap) PH_PRINTF(2, 0);
PH_API int ph_buf_reserve(struct ph_buf *b, size_t more);               /* room for more bytes behind len */
PH_API void ph_buf_clear(struct ph_buf *b);                             /* len = 0, memory kept */
PH_API void ph_buf_consume(struct ph_buf *b, size_t n);                 /* drop n bytes at the front */
PH_API const char *ph_buf_str(const struct ph_buf *b);                  /* "" when empty, never NULL */
PH_API void ph_buf_done(struct ph_buf *b);                              /* frees; reusable afterwards */

/* ASCII only, independent of the locale. */
PH_API char *ph_str_lower(char *s);                         /* in place, returns s */
PH_API bool ph_str_ieq(const char *a, const char *b);
PH_API bool ph_str_istarts(const char *s, const char *prefix);
/* A copy of s without the difference of upper and lower case.  utf8 (a setting: smtputf8_enable): as Unicode folds it, so that the copy may be longer;
 * else, and when s is not UTF-8, ASCII letters alone.  Equality of what two texts are folded to.  Since 1.1. */
PH_API char *ph_str_fold(struct ph_arena *a, const char *s, bool utf8);
PH_API bool ph_str_fold_eq(const char *a, const char *b, bool utf8);
/* The next token of *cursor: tokens are separated by bytes of sep, "{ ... }" is one token (braces
 * kept, nesting counted).  Works in place on a writable string.  NULL at the end.  An opening brace
 * without its closing one ends the string and is returned as it is. */
PH_API char *ph_str_token(char **cursor, const char *sep);
#define PH_SEP_LIST ", \t\r\n"
/* If s is "{ text }" return the trimmed inner text (in place), else s itself. */
PH_API char *ph_str_unbrace(char *s);
/* A copy of s in which every byte that is not printable ASCII is '?' (UTF-8 is kept when utf8_ok). */
PH_API char *ph_str_printable(struct ph_arena *a, const char *s, size_t n, bool utf8_ok);
PH_API bool ph_utf8_valid(const char *s, size_t n);
PH_API bool ph_str_ascii(const char *s);                                /* no byte above 127 */
/* RFC 4648 section 4.  Decode in.n bytes to out (room for in.n / 4 * 3 + 1; NUL-terminated): the length, or -EINVAL for a bad alphabet,
 * padding, length or stray bits.  Encode to out: (in.n + 2) / 3 * 4 + 1 bytes. */
PH_API ssize_t ph_base64_decode(struct ph_slice in, char *out);
PH_API void ph_base64_encode(struct ph_slice in, char *out);
/* Strict decimal: all of s, within [min, max]; 0 or -EINVAL/-ERANGE. */
PH_API int ph_str_int64(const char *s, int64_t min, int64_t max, int64_t *ret);

/* ---- time -------------------------------------------------------------------------------- */

/* Milliseconds on the monotonic clock, read once a loop turn; tests can move it.  ph_now_ms_exact
 * reads the clock anew.  Deadlines are values of this clock. */
PH_API int64_t ph_now_ms(void);
PH_API int64_t ph_now_ms_exact(void);
/* Microseconds since 1970 UTC (wall clock; tests can move it). */
PH_API int64_t ph_wall_us(void);
#define PH_SECONDS(n) ((int64_t)(n) * 1000)

/* ---- logging ----------------------------------------------------------------------------- */

enum ph_log_level { PH_LOG_DEBUG, PH_LOG_INFO, PH_LOG_WARNING, PH_LOG_ERROR, PH_LOG_FATAL, PH_LOG_PANIC };

/* One line to syslog or maillog_file, with the identity ("postfix/smtpd[123]") of the running coroutine.
 * Bytes that are not printable are shown as '?'.  WARNING and above get their word ("warning: ") put in
 * front.  FATAL and PANIC only log; they do not exit.  Any thread. */
PH_API void ph_log(enum ph_log_level level, const char *fmt, ...) PH_PRINTF(2, 3);
/* The same under another program name, e.g. "cleanup". */
PH_API void ph_log_as(const char *prog, enum ph_log_level level, const char *fmt, ...) PH_PRINTF(3, 4);
/* Is DEBUG logged for this coroutine?  (Ask before building costly text.) */
PH_API bool ph_log_debug_on(void);

#ifdef __cplusplus
}
#endif
#endif
