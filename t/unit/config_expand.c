/* config_expand.c: $name in all its forms; the wanted texts are those of Postfix's postconf -x; loops and
 * bombs end (N-342). */
#include "config/private.h"
#include "tap.h"

static const char *const names[] = {
	"a", "one", "b", "", "ref", "$a", "ref2", "x${ref}y", "emptyref", "${b}", "host", "vm.example", "loop", "$loop2", "loop2",
	"${loop}", "final", "$a", "lol0", "", "lol1", "$lol0$lol0$lol0$lol0$lol0$lol0$lol0$lol0$lol0$lol0",
	"lol2", "$lol1$lol1$lol1$lol1$lol1$lol1$lol1$lol1$lol1$lol1", "lol3", "$lol2$lol2$lol2$lol2$lol2$lol2$lol2$lol2$lol2$lol2",
	"lol4", "$lol3$lol3$lol3$lol3$lol3$lol3$lol3$lol3$lol3$lol3", "lol5", "$lol4$lol4$lol4$lol4$lol4$lol4$lol4$lol4$lol4$lol4",
	"big", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL,
};

static const char *lookup(void *arg, const char *name, bool *ret_final)
{
	int i;

	for (i = 0; names[i]; i += 2) {
		if (strcmp(names[i], name) == 0) {
			*ret_final = strcmp(name, "final") == 0;
			return names[i + 1];
		}
	}
	return NULL;
}

static int run(const char *text, size_t max, struct ph_buf *out, struct ph_err *err)
{
	struct ph_expand x = { lookup, NULL, 0 };

	ph_buf_init(out, max);
	err->text[0] = '\0';
	return ph_expand(&x, text, out, err);
}

static void good(const char *text, const char *want)
{
	struct ph_buf out;
	struct ph_err err;
	int rc = run(text, PH_MAX_VALUE_BYTES, &out, &err);

	tap_is(rc == 0 ? ph_buf_str(&out) : err.text, want, text);
	ph_buf_done(&out);
}

static void bad(const char *text, const char *part)
{
	struct ph_buf out;
	struct ph_err err;
	int rc = run(text, 4096, &out, &err);

	tap_ok(rc < 0 && strstr(err.text, part), "%.60s is refused: %s", text, err.text);
	ph_buf_done(&out);
}

static void test_names(void)
{
	good("", "");
	good("plain text", "plain text");
	good("$a ${a} $(a)", "one one one");
	good("$$ $$$$ a$$b", "$ $$ a$b");
	good("$a.x $a-b", "one.x one-b");
	good("[$nope]", "[]");
	good("$ref $ref2", "one xoney");
	good("$final", "$a");
	good("${ a } ${a }", "one one");
	good("$lol0", "");
	bad("$", "name is expected");
	bad("a $ b", "name is expected");
	bad("$-x", "name is expected");
	bad("${}", "name is expected");
	bad("${a", "without its");
	bad("a$(b$c", "without its");
	bad("${a-b}", "other than letters");
	bad("${a.b}", "other than letters");
	bad("${a b}", "other than letters");
	bad("$\xc3\xa9", "name is expected");
}

static void test_tests(void)
{
	good("${a?yes}${b?no}${nope?no}", "yes");
	good("${a:no}${b:yes}${nope:yes}", "yesyes");
	good("${a?{yes}}${b?{no}}", "yes");
	good("${a?{x}:{y}}${b?{x}:{y}}${nope?{x}:{y}}", "xyy");
	good("${a? {x} : {y} } ${b? {x} : {y} }", "x y");
	good("[${a?{ yes }}][${nope:{ no }}][${a? yes }]", "[ yes ][ no ][ yes ]");
	good("${a?{x}:y}${b?{x}:y}", "xy");
	good("${a?{x}:}", "x");
	good("${a ?{x}}", "x");
	good("${a?{}}${nope?{}:{}}", "");
	good("${a?$ref}${a?${ref}}", "oneone");
	good("${a?a}b}", "ab}");
	good("$(a?x)b}", "xb}");
	good("$(a?{x}:{y})", "x");
	good("$(a?x{)b})", "x{b})");
	/* The test looks at the text as written. */
	good("[${emptyref?x}${emptyref:y}]", "[x]");
	bad("${a?{x}y}", "':' is expected");
	bad("${a:{x}:{y}}", "nothing may follow");
	bad("${a?{x}", "without its");
	bad("${a?{x}:{y}z}", "nothing may follow");
}

static void test_comparisons(void)
{
	good("${{a}=={a}?{c}:{d}}${{a}=={b}?{c}:{d}}", "cd");
	good("${{a} != {b} ? {c} }${{a} == {a} : {c} }", "c");
	good("${{a} == {a}}${{a} == {b}}", "true");
	good("${{10} < {9} ? {lt} : {ge}}${{a} < {b}?{lt}:{ge}}${{10} < {9a}?{lt}:{ge}}", "geltlt");
	good("${{10}>={10}}${{10}<={10}}${{10}>{9}}", "truetruetrue");
	good("${{-1}<{0}}${{007}=={7}}", "truetrue");
	good("${{ 7 }=={7}?{eq}:{ne}}", "ne");
	good("${{$a}=={one}?{${{x}=={x}?{deep}}}:{no}}", "deep");
	good("${{}=={}?{e}}${{$nope}=={}?{e}}", "ee");
	good("${{a}=={a}?x:{b}}", "x:{b}");
	good("${{3.6} <level {3.10} ? {lt} : {ge}}${{3.6} < {3.10} ? {lt} : {ge}}", "ltge");
	good("${{3}<=level{3.0}}${{3}==level{3.0}}${{3}!=level{3.0}}${{3}>level{3.0}}${{3.6.1}>level{3.6}}${{10}>level{9}}",
	     "truetruetruetrue");
	bad("${{3.6} <level {3.x} ? {lt} : {ge}}", "malformed compatibility level");
	bad("${{3}<level{1.2.3.4}}", "malformed compatibility level");
	bad("${{3}<level{}}", "malformed compatibility level");
	bad("${{a} =~ {b} ? {c}}", "is expected");
	bad("${{3}<= level {3.0}}", "\"{expression}\" is expected");
	bad("${{a} == b}", "\"{expression}\" is expected");
	bad("${{a} == {b} c}", "'?' or ':'");
	bad("${{18446744073709551616}>{5}}", "too large");
	good("${domain_to_ascii{b\xc3\xbc" "cher.example}}", "xn--bcher-kva.example");
	good("${domain_to_ascii{$host}}", "vm.example");
	bad("${nosuchfunction{x}}", "other than letters");
	bad("${domain_to_ascii{x}y}", "'}' is expected");
}

static void test_bounds(void)
{
	struct ph_buf text;
	int i;

	bad("$loop", "refer to itself");
	bad("${loop2?x$loop}", "refer to itself");
	bad("${{$loop}=={a}}", "refer to itself");
	bad("$lol5", "too long");
	bad("$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big"
	    "$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big$big"
	    "$big$big$big$big$big", "longer than 4096");
	ph_buf_init(&text, 1 << 20);
	for (i = 0; i < 10000; i++)
		ph_buf_puts(&text, "${a?{");
	ph_buf_puts(&text, "x");
	for (i = 0; i < 10000; i++)
		ph_buf_puts(&text, "}:{y}}");
	bad(ph_buf_str(&text), "nested more than");
	ph_buf_done(&text);
	bad("$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaa", "too long");
}

int main(void)
{
	test_names();
	test_tests();
	test_comparisons();
	test_bounds();
	return tap_done();
}
