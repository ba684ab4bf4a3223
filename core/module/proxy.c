/* proxy.c: "proxy:type:name".  There is no other process to ask here, but what the words mean stays: only tables that proxy_read_maps
 * names may be opened this way.  Owns nothing; does not yield.  Source: proxymap(8). */
#include "module/table.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "proxy:"
#define PREFIX_LEN (sizeof PREFIX - 1)

bool ph_table_proxy_approved(const struct ph_conf *conf, const char *table, bool log)
{
	const char *list = ph_conf_get(conf, "proxy_read_maps");
	char *copy = ph_strdup(list ? list : ""), *cursor = copy, *word;
	bool found = false;

	while (!found && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		if (strncmp(word, PREFIX, PREFIX_LEN) != 0)
			continue;
		while (strncmp(word, PREFIX, PREFIX_LEN) == 0)
			word += PREFIX_LEN;
		found = strcmp(word, table) == 0;
	}
	free(copy);
	if (!found && log) {
		ph_log_as("proxymap", PH_LOG_WARNING, "request for unapproved table: \"%s\"", table);
		ph_log_as("proxymap", PH_LOG_WARNING, "to approve this table for read-only access, list " PREFIX "%s in main.cf:proxy_read_maps",
			  table);
	}
	return found;
}
