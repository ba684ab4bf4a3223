/* test_memo.c: answers of tables that are kept for a moment. */
#include "module/memo.h"
#include "tap.h"

#include <string.h>

static struct ph_memo *m;

static const char *ask(const char *key, int64_t now)
{
	const char *value = "?";

	if (!ph_memo_get(m, key, now, &value))
		return "unknown";
	return value ? value : "none";
}

int main(void)
{
	static char long_key[300], long_value[2000];
	int kept = 0;

	m = ph_memo_new();
	tap_is(ask("a", 0), "unknown", "empty at first");
	ph_memo_put(m, "a", "1", 1000);
	ph_memo_put(m, "b", NULL, 1000);
	tap_is(ask("a", 1000), "1", "found");
	tap_is(ask("b", 1000), "none", "what is not there is an answer, too");
	tap_is(ask("A", 1000), "unknown", "keys are as they are");
	tap_is(ask("a", 1000 + PH_MEMO_MS - 1), "1", "for its time");
	tap_is(ask("a", 1000 + PH_MEMO_MS), "unknown", "and no longer");
	tap_is(ask("b", 1000 + PH_MEMO_MS), "unknown", "nor is \"not there\"");
	ph_memo_put(m, "a", "2", 2000);
	tap_is(ask("a", 2000), "2", "a newer answer counts");
	memset(long_key, 'k', sizeof long_key - 1);
	memset(long_value, 'v', sizeof long_value - 1);
	ph_memo_put(m, long_key, "x", 2000);
	tap_is(ask(long_key, 2000), "unknown", "a long key is not kept");
	ph_memo_put(m, "a", long_value, 2000);
	tap_is(ask("a", 2000), "unknown", "a long value is not kept, and the old one is gone");
	for (int i = 0; i < 100000; i++) {
		char key[20];

		snprintf(key, sizeof key, "key%d", i);
		ph_memo_put(m, key, key, 3000);
	}
	for (int i = 0; i < 100000; i++) {
		char key[20];
		const char *value = ask((snprintf(key, sizeof key, "key%d", i), key), 3000);

		kept += strcmp(value, "unknown") != 0;
		if (strcmp(value, "unknown") != 0 && strcmp(value, key) != 0)
			tap_ok(false, "%s is %s", key, value);
	}
	tap_ok(kept > 100 && kept <= 256, "what is kept is bounded: %d of 100000", kept);
	ph_memo_clear(m);
	tap_is(ask("key99999", 3000), "unknown", "cleared");
	ph_memo_free(&m);
	ph_memo_free(&m);
	tap_ok(m == NULL, "freed twice");
	return tap_done();
}
