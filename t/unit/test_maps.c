/* Lists of tables, and each table type that needs no server: answers, surrogates, keys of addresses, change of files. */
#include "module/loader.h"
#include "module/table.h"
#include "config/config.h"
#include "base/loop.h"
#include "mapfile.h"
#include "tap.h"
#include <posthouse/co.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ph_config *config;
static const struct ph_conf *conf;
static struct ph_arena *arena;
static int64_t *clock_offset;

static const char *status_name(enum ph_lookup s)
{
	switch (s) {
	case PH_LOOKUP_FOUND: return "found";
	case PH_LOOKUP_NOTFOUND: return "not found";
	case PH_LOOKUP_TEMPFAIL: return "TEMPFAIL";
	case PH_LOOKUP_PERMERR: return "PERMERR";
	}
	return "?";
}

static const char *ask_maps(struct ph_maps *m, const char *key, bool partial)
{
	const char *value = NULL;
	struct ph_err err = { 0 };
	enum ph_lookup s = ph_maps_find(m, key, partial, arena, &value, &err);

	return s == PH_LOOKUP_FOUND ? ph_arena_printf(arena, "=%s", value) : status_name(s);
}

static const char *ask(const char *maps, const char *key)
{
	return ask_maps(ph_maps_open(conf, "test_maps", maps), key, false);
}

#define IS(maps, key, want) tap_is(ask(maps, key), want, ph_arena_printf(arena, "%.60s: %s -> %s", maps, key, want))

/* The clock's file is read when the program starts: start again with one. */
static void clock_start(char **argv)
{
	char path[] = "/tmp/ph-clock-XXXXXX";
	int64_t zero = 0;
	const char *have = getenv("PH_CLOCK_FILE");
	int fd = have ? open(have, O_RDWR) : mkstemp(path);

	if (have == NULL) {
		if (fd < 0 || write(fd, &zero, sizeof zero) != sizeof zero)
			exit(1);
		setenv("PH_CLOCK_FILE", path, 1);
		execv("/proc/self/exe", argv);
		exit(1);
	}
	clock_offset = mmap(NULL, sizeof zero, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (clock_offset == MAP_FAILED)
		exit(1);
	tmp_start();
}

/* Move the clock. */
static void later(int64_t ms)
{
	*clock_offset += ms;
	ph_co_sleep(0);
}

static void test_inline(void)
{
	IS("inline:{a=b, {c = d, e}}", "a", "=b");
	IS("inline:{a=b, {c = d, e}}", "C", "=d, e");
	IS("inline:{a=b}", "x", "not found");
	IS("inline:{a=b}, inline:{x={y z}}", "x", "={y z}");
	IS("inline:{a}", "a", "PERMERR");
	IS("inline:{}", "a", "PERMERR");
	IS("inline:{a=b", "a", "PERMERR");
	IS("static:x", "any", "=x");
	IS("static:{a b, c}", "any", "=a b, c");
	IS("fail:x", "any", "TEMPFAIL");
	IS("inline:{a=b} fail:x", "a", "=b");
	IS("inline:{a=b} fail:x", "c", "TEMPFAIL");
	IS("nosuchtype:x", "a", "PERMERR");
	IS("../../evil:x", "a", "PERMERR");
	IS("noname", "a", "PERMERR");
	IS("proxy:inline:{a=b}", "a", "=b");
	IS("proxy:inline:{a=c}", "a", "PERMERR");
	IS("proxy:proxy:inline:{a=b}", "a", "PERMERR");
	IS("hash:/nonexistent/x", "a", "TEMPFAIL");
	IS("texthash:/dev/zero", "a", "TEMPFAIL");
	IS("inline:{a=b}", "", "not found");
	IS("unionmap:{inline:{a=1},static:2}", "a", "=1,2");
	IS("unionmap:{inline:{a=1},static:2}", "b", "=2");
	IS("unionmap:{inline:{a=1},fail:2}", "a", "TEMPFAIL");
	IS("unionmap:{}", "a", "PERMERR");
	IS("pipemap:{inline:{a=b},inline:{b=c}}", "a", "=c");
	IS("pipemap:{inline:{a=b},inline:{x=c}}", "a", "not found");
	IS("pipemap:{inline:{a=b},fail:x}", "a", "TEMPFAIL");
	IS("randmap:{x,x}", "a", "=x");
	IS("debug:inline:{a=b}", "a", "=b");
	IS("internal:x", "a", "not found");
	IS("environ:x", "no_such_variable", "not found");
	IS("unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{"
	   "unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{unionmap:{static:x}}}}}}}}}}}}}}}}}}", "a", "PERMERR");
}

static void test_patterns(void)
{
	const char *re = ph_arena_printf(arena, "regexp:%s", tmp_write("re",
		"/^(a+)(b)?$/ one $1-${2}-$(1)$$\n!/x/ no x\nif /yx/\n/1/ in\nif !/2/\n/x$/ deep\nendif\nendif\n"
		"/bad(/ z\n/X/i big\n/lines/ a\n  b\n/q$9/ z\n", 10));

	IS(re, "AAB", "=one AA-B-AA$");
	IS(re, "a", "=one a--a$");
	IS(re, "q", "=no x");
	IS(re, "yx1", "=in");
	IS(re, "yx", "=deep");
	IS(re, "yx2", "not found");
	IS(re, "yx2X", "=big");
	IS("regexp:{ {/fo(o)/ x$1 y}, {/b/ c} }", "foo", "=xo y");
	IS("regexp:{ /foo/ x }", "foo", "PERMERR");
	IS("regexp:{ {/x/} }", "x", "PERMERR");
	IS("pcre:{ {/^(?<n>a+)\\d$/ got $1}, {/z/x q} }", "aa1", "=got aa");
	IS("pcre:{ {/^(a+)+$/ evil} }", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "TEMPFAIL");
	IS("pcre:{ {/(/ evil}, {/x/ ok} }", "x", "=ok");
	IS("pipemap:{regexp:{{/(.*)@x/ $1}},inline:{joe=1}}", "joe@x", "=1");
	tap_is(ask_maps(ph_maps_open(conf, "t", re), "q", true), "not found", "patterns are not asked for partial keys");
	tap_is(ask_maps(ph_maps_open(conf, "t", "unionmap:{regexp:{{/./ x}}}"), "q", true), "not found", "nor within a unionmap");
	tap_is(ask_maps(ph_maps_open(conf, "t", "unionmap:{inline:{q=x}}"), "q", true), "=x", "which else is asked");
}

static void test_cidr(void)
{
	const char *t = ph_arena_printf(arena, "cidr:%s", tmp_write("cidr",
		"10.0.0.1/8 bits\n10.0.0.0/33 len\n10.1.0.0/16 ten-one\nif 192.168.0.0/16\n192.168.1.0/24 sub\n!192.168.2.0/24 other\n"
		"endif\n[2001:db8::]/32 six\n::/129 bad\n2001:db9::1 host\nendif\n10.0.0.0/8 ten\n1.2.3.4\n", 10));

	IS(t, "10.1.2.3", "=ten-one");
	IS(t, "10.2.2.3", "=ten");
	IS(t, "192.168.1.9", "=sub");
	IS(t, "192.168.2.9", "not found");
	IS(t, "192.168.3.9", "=other");
	IS(t, "2001:DB8::5", "=six");
	IS(t, "2001:db9::1", "=host");
	IS(t, "2001:db9::2", "not found");
	IS(t, "::ffff:10.1.2.3", "not found");
	IS(t, "10.1.2", "not found");
	IS(t, "name", "not found");
	IS("cidr:{{1.0.0.0/8 ok}, {!2.0.0.0/7 no}}", "1.1.1.1", "=ok");
	IS("cidr:{{1.0.0.0/8 ok}, {!2.0.0.0/7 no}}", "::1", "not found");
}

static void test_texthash(void)
{
	const char *path = tmp_write("text", "# c\nKey value\nb two\n  more\n\"q u\"@d v\nnovalue\n\"unbalanced x\nkey dup\n", 10);
	const char *t = ph_arena_printf(arena, "texthash:%s", path);

	IS(t, "key", "=value");
	IS(t, "KEY", "=value");
	IS(t, "b", "=two  more");
	IS(t, "\"q u\"@d", "=v");
	IS(t, "novalue", "not found");
	tmp_write("text", "key other\n", 5);
	IS(t, "key", "=value");
	later(1500);
	IS(t, "key", "=other");
	tap_ok(rename(path, tmp_path("text.gone")) == 0, "the file goes away");
	later(1500);
	IS(t, "key", "TEMPFAIL");
	rename(tmp_path("text.gone"), path);
	later(1500);
	IS(t, "key", "=other");
	*clock_offset = 0;
	ph_co_sleep(0);
	tmp_write("text", "key half", 0);
	tap_is(ask(t, "key"), "=other", "a file that is being edited is left alone");
}

/* "key value" as a Berkeley DB file. */
static void make_hash(const char *path, unsigned flags, const char *key, const char *value)
{
	struct ph_err err = { 0 };
	struct ph_table *t = ph_table_open(conf, "hash", path, PH_TABLE_CREATE, flags, 0644, &err);

	if (!t || ph_table_ops(t)->put(ph_table_handle(t), key, value, true, &err) < 0 || ph_table_ops(t)->commit(ph_table_handle(t), &err) < 0)
		tap_ok(false, "make %s: %s", path, err.text);
	ph_table_close(&t);
}

/* As postmap of Postfix does it: the same file, other bytes. */
static void overwrite(const char *to, const char *from)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_TRUNC);
	struct timespec then[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000000000 } };
	char bytes[65536];
	ssize_t n = read(in, bytes, sizeof(bytes));

	if (n <= 0 || write(out, bytes, (size_t)n) != n || futimens(out, then) < 0)
		tap_ok(false, "overwrite %s", to);
	close(in);
	close(out);
}

/* By the module alone: nobody watches the file for it. */
static const char *ask_table(struct ph_table *t, const char *key)
{
	struct ph_err err = { 0 };
	const char *value = NULL;
	enum ph_lookup s = ph_table_get(t, key, arena, &value, &err);

	return s == PH_LOOKUP_FOUND ? value : status_name(s);
}

static void test_hash_in_place(void)
{
	const char *a = tmp_path("in_place"), *b = tmp_path("other");
	const char *a_db = ph_arena_printf(arena, "%s.db", a), *b_db = ph_arena_printf(arena, "%s.db", b);
	struct ph_err err = { 0 };
	struct ph_table *t;

	make_hash(a, PH_TABLE_NO_NUL, "key", "value");
	make_hash(b, PH_TABLE_WITH_NUL, "other", "else");
	t = ph_table_open(conf, "hash", a, PH_TABLE_READ, 0, 0, &err);
	ph_co_sleep(0);
	for (int i = 0; i < 2; i++) {
		tap_is(ask_table(t, "key"), "value", "found in a file without NULs");
		tap_is(ask_table(t, "other"), "not found", "not found there");
		tap_is(ask_table(t, ph_arena_printf(arena, "%0300d", 7)), "not found", "nor is a long key");
	}
	overwrite(a_db, b_db);
	ph_co_sleep(0);
	for (int i = 0; i < 2; i++) {
		tap_is(ask_table(t, "key"), "not found", "the file holds something else now: gone");
		tap_is(ask_table(t, "other"), "else", "found, with a NUL");
	}
	ph_table_close(&t);
}

static void test_values(void)
{
	const char *t = ph_arena_printf(arena, "texthash:%s", tmp_write("values", "bad v\xff\nok f\xc3\xbc\n", 10));

	IS(t, "bad", "PERMERR");
	IS(t, "ok", "=f\xc3\xbc");
	IS(t, "k\xff", "not found");
}

/* ---- databases ---- */

static void build(const char *type, const char *name, const char *const *pairs)
{
	struct ph_err err = { 0 };
	struct ph_table *t = ph_table_open(conf, type, name, PH_TABLE_CREATE, 0, 0640, &err);
	const struct ph_lookup_ops *ops;
	int r = 0;

	if (t == NULL) {
		tap_ok(false, "create %s:%s: %s", type, name, err.text);
		return;
	}
	ops = ph_table_ops(t);
	for (; r == 0 && pairs[0]; pairs += 2)
		r = ops->put(ph_table_handle(t), pairs[0], pairs[1], false, &err);
	if (r == 0)
		r = ops->commit(ph_table_handle(t), &err);
	ph_table_close(&t);
	tap_ok(r == 0, "create %s:%s: %s", type, name, err.text);
}

static void test_database(const char *type)
{
	static const char *const one[] = { "a", "1", "b", "2", NULL }, *const two[] = { "a", "3", NULL };
	char name[300];
	const char *t, *path;
	struct ph_err err = { 0 };
	struct ph_table *up;
	struct stat st;
	FILE *f;

	if (ph_module_load(PH_KIND_LOOKUP, type, &err) == NULL) {
		tap_ok(true, "SKIP %s is not built", type);
		return;
	}
	snprintf(name, sizeof name, "%s/%s", tmp_dir, type);
	t = ph_arena_printf(arena, "%s:%s", type, name);
	IS(t, "a", "TEMPFAIL");
	build(type, name, one);
	later(2000);
	IS(t, "A", "=1");
	IS(t, "b", "=2");
	IS(t, "c", "not found");
	build(type, name, two);
	later(2000);
	IS(t, "a", "=3");
	IS(t, "b", "not found");
	path = ph_arena_printf(arena, "%s.%s", name, strcmp(type, "hash") && strcmp(type, "btree") ? type : "db");
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640, "permissions as asked");
	up = ph_table_open(conf, type, name, PH_TABLE_UPDATE, 0, 0640, &err);
	if (up) {
		const struct ph_lookup_ops *ops = ph_table_ops(up);
		void *h = ph_table_handle(up);

		tap_ok(ops->put(h, "a", "x", false, &err) == -EEXIST, "%s: a key that is there", type);
		tap_ok(ops->put(h, "c", "4", false, &err) == 0 && ops->del(h, "a", &err) == 0 && ops->del(h, "zz", &err) == -ENOENT &&
		       ops->commit(h, &err) == 0, "%s: update %s", type, err.text);
		ph_table_close(&up);
		later(2000);
		IS(t, "c", "=4");
		IS(t, "a", "not found");
	}
	f = fopen(path, "r+");
	if (f) {
		for (int i = 0; i < 300; i++)
			fputs("garbage ", f);
		fclose(f);
	}
	later(2000);
	tap_ok(strncmp(ask(t, "c"), "=", 1) != 0, "%s: a damaged file: %s", type, ask(t, "c"));
	if (truncate(path, 100) == 0)
		later(2000);
	IS(t, "c", "TEMPFAIL");
	tap_ok(access(tmp_path("nothing"), F_OK) < 0, "%s: no temporary files are left", type);
}

/* ---- keys of addresses ---- */

static struct ph_buf keys = PH_BUF_INIT(4096);

static void note_key(const char *title, const char *table, const char *key, enum ph_lookup status, const char *value, const char *text)
{
	ph_buf_printf(&keys, "%s%s", keys.len ? " " : "", key);
}

static const char *keys_of(const char *address, unsigned forms, const char *style, const char *maps)
{
	const char *value = NULL, *ext = NULL;
	struct ph_err err = { 0 };
	enum ph_lookup s;

	ph_buf_clear(&keys);
	ph_maps_set_trace(note_key);
	s = ph_maps_find_address(ph_maps_open(conf, "addr", maps), conf, address, forms, style, arena, &value, &ext, &err);
	ph_maps_set_trace(NULL);
	if (s == PH_LOOKUP_FOUND)
		ph_buf_printf(&keys, " =%s ext=%s", value, ext ? ext : "none");
	else if (s != PH_LOOKUP_NOTFOUND)
		ph_buf_printf(&keys, " %s", status_name(s));
	return ph_arena_strdup(arena, ph_buf_str(&keys));
}

static void test_addresses(void)
{
	unsigned canon = PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_LOCALPART | PH_ADDR_AT_DOMAIN;
	unsigned access = PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_DOMAIN | PH_ADDR_USER_AT;

	tap_is(keys_of("u+x@here.test", canon, NULL, "inline:{z=1}"), "u+x@here.test u@here.test u+x u @here.test", "canonical, local domain");
	tap_is(keys_of("u+x@a.test", canon, NULL, "inline:{z=1}"), "u+x@a.test u@a.test @a.test", "canonical, other domain");
	tap_is(keys_of("u+x@my.origin", canon, NULL, "inline:{z=1}"), "u+x@my.origin u@my.origin u+x u @my.origin", "canonical, myorigin");
	tap_is(keys_of("u+x@b.a.test", access, "smtpd_access_maps", "inline:{z=1}"),
	       "u+x@b.a.test u@b.a.test b.a.test a.test test u+x@ u@", "access, parents match subdomains");
	tap_is(keys_of("u@b.a.test", access, NULL, "inline:{z=1}"), "u@b.a.test b.a.test .a.test .test u@", "access, .parent");
	tap_is(keys_of("u+x@a.test", canon, NULL, "inline:{u@a.test=v}"), "u+x@a.test u@a.test =v ext=+x", "the extension is handed back");
	tap_is(keys_of("u-y@a.test", canon, NULL, "inline:{u@a.test=v}"), "u-y@a.test u@a.test =v ext=-y", "of any delimiter in the set");
	tap_is(keys_of("u+x@a.test", canon, NULL, "inline:{{@a.test=v}}"), "u+x@a.test u@a.test @a.test =v ext=none", "not for @domain");
	tap_is(keys_of("owner-u@a.test", canon, NULL, "inline:{z=1}"), "owner-u@a.test @a.test", "owner- is no extension");
	tap_is(keys_of("u-request@a.test", canon, NULL, "inline:{z=1}"), "u-request@a.test @a.test", "nor is -request");
	tap_is(keys_of("+x@a.test", canon, NULL, "inline:{z=1}"), "+x@a.test @a.test", "nor all of the local part");
	tap_is(keys_of("a b@a.test", PH_ADDR_FULL, NULL, "inline:{z=1}"), "\"a b\"@a.test a b@a.test", "the quoted form comes first");
	tap_is(keys_of("u+x", canon, NULL, "inline:{z=1}"), "u+x u", "no domain");
	tap_is(keys_of("u+x@a.test", canon, NULL, "regexp:{{/^u@/ no}, {/u.x/ yes}}"), "u+x@a.test =yes ext=none", "pattern tables get the whole only");
	tap_is(keys_of("u+x@a.test", canon, NULL, "regexp:{{/^u@/ no}}"), "u+x@a.test", "and no partial key");
	tap_is(keys_of("u+x@a.test", canon, NULL, "fail:x"), "u+x@a.test TEMPFAIL", "a failure ends the search");
	tap_is(keys_of("U@A.test", PH_ADDR_FULL, NULL, "inline:{u@a.test=1}"), "U@A.test =1 ext=none", "keys are folded");
}


static void run(void *arg)
{
	static const char *const types[] = { "hash", "btree", "lmdb", "cdb" };

	test_inline();
	test_patterns();
	test_cidr();
	test_texthash();
	test_hash_in_place();
	test_values();
	for (size_t i = 0; i < PH_ARRAY_LEN(types); i++)
		test_database(types[i]);
	test_addresses();
}

int main(int argc, char **argv)
{
	static const char main_cf[] = "mydestination = here.test\nmyorigin = my.origin\nrecipient_delimiter = +-\n"
		"parent_domain_matches_subdomains = smtpd_access_maps\nsmtputf8_enable = yes\ninet_interfaces = 127.0.0.1\n"
		"canonical_maps = hash:/x, proxy:inline:{a=b}\nproxy_read_maps = $canonical_maps\n";
	struct ph_err err = { 0 };

	setenv("PH_MODULE_PATH", ".libs", 0);
	clock_start(argv);
	if (ph_config_parse(main_cf, "", &config, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	conf = ph_config_main(config);
	arena = ph_arena_new();
	ph_run_blocking(run, NULL);
	ph_arena_free(&arena);
	ph_buf_done(&keys);
	ph_config_free(&config);
	ph_modules_done();
	unlink(getenv("PH_CLOCK_FILE"));
	tmp_end();
	return tap_done();
}
