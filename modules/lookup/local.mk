# sources of modules/lookup

pkglib_LTLIBRARIES += lookup_static.la
lookup_static_la_SOURCES = modules/lookup/static.c
lookup_static_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_static_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_fail.la
lookup_fail_la_SOURCES = modules/lookup/fail.c
lookup_fail_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_fail_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_environ.la
lookup_environ_la_SOURCES = modules/lookup/environ.c
lookup_environ_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_environ_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_randmap.la
lookup_randmap_la_SOURCES = modules/lookup/randmap.c
lookup_randmap_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_randmap_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_debug.la
lookup_debug_la_SOURCES = modules/lookup/debug.c
lookup_debug_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_debug_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_texthash.la
lookup_texthash_la_SOURCES = modules/lookup/texthash.c modules/lookup/common/text.c modules/lookup/common/text.h modules/lookup/common/strtab.c modules/lookup/common/strtab.h
lookup_texthash_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_texthash_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_inline.la
lookup_inline_la_SOURCES = modules/lookup/inline.c modules/lookup/common/text.c modules/lookup/common/text.h modules/lookup/common/strtab.c modules/lookup/common/strtab.h
lookup_inline_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_inline_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_internal.la
lookup_internal_la_SOURCES = modules/lookup/internal.c modules/lookup/common/strtab.c modules/lookup/common/strtab.h
lookup_internal_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_internal_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_regexp.la
lookup_regexp_la_SOURCES = modules/lookup/regexp.c modules/lookup/common/text.c modules/lookup/common/text.h modules/lookup/common/rules.c modules/lookup/common/rules.h modules/lookup/common/template.c modules/lookup/common/template.h
lookup_regexp_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_regexp_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_cidr.la
lookup_cidr_la_SOURCES = modules/lookup/cidr.c modules/lookup/common/text.c modules/lookup/common/text.h modules/lookup/common/rules.c modules/lookup/common/rules.h modules/lookup/common/template.c modules/lookup/common/template.h
lookup_cidr_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_cidr_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_unionmap.la
lookup_unionmap_la_SOURCES = modules/lookup/unionmap.c modules/lookup/common/compound.c modules/lookup/common/compound.h
lookup_unionmap_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_unionmap_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_pipemap.la
lookup_pipemap_la_SOURCES = modules/lookup/pipemap.c modules/lookup/common/compound.c modules/lookup/common/compound.h
lookup_pipemap_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_pipemap_la_LIBADD = $(MODULE_LIBS)

if HAVE_PCRE2
pkglib_LTLIBRARIES += lookup_pcre.la
lookup_pcre_la_SOURCES = modules/lookup/pcre.c modules/lookup/common/text.c modules/lookup/common/text.h modules/lookup/common/rules.c modules/lookup/common/rules.h modules/lookup/common/template.c modules/lookup/common/template.h
lookup_pcre_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_pcre_la_LIBADD = $(MODULE_LIBS) $(PCRE2_LIBS)
lookup_pcre_la_CFLAGS = $(AM_CFLAGS) $(PCRE2_CFLAGS)
endif

if HAVE_BDB
pkglib_LTLIBRARIES += lookup_hash.la
lookup_hash_la_SOURCES = modules/lookup/hash.c modules/lookup/common/bdb.c modules/lookup/common/bdb.h modules/lookup/common/newfile.c modules/lookup/common/newfile.h
lookup_hash_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_hash_la_LIBADD = $(MODULE_LIBS) $(BDB_LIBS)
endif

if HAVE_BDB
pkglib_LTLIBRARIES += lookup_btree.la
lookup_btree_la_SOURCES = modules/lookup/btree.c modules/lookup/common/bdb.c modules/lookup/common/bdb.h modules/lookup/common/newfile.c modules/lookup/common/newfile.h
lookup_btree_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_btree_la_LIBADD = $(MODULE_LIBS) $(BDB_LIBS)
endif

if HAVE_LMDB
pkglib_LTLIBRARIES += lookup_lmdb.la
lookup_lmdb_la_SOURCES = modules/lookup/lmdb.c modules/lookup/common/newfile.c modules/lookup/common/newfile.h
lookup_lmdb_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_lmdb_la_LIBADD = $(MODULE_LIBS) $(LMDB_LIBS)
endif

if HAVE_CDB
pkglib_LTLIBRARIES += lookup_cdb.la
lookup_cdb_la_SOURCES = modules/lookup/cdb.c modules/lookup/common/newfile.c modules/lookup/common/newfile.h
lookup_cdb_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_cdb_la_LIBADD = $(MODULE_LIBS) $(CDB_LIBS)
lookup_cdb_la_CFLAGS = $(AM_CFLAGS) $(CDB_CFLAGS)
endif

if HAVE_HIREDIS
pkglib_LTLIBRARIES += lookup_redis.la
REDIS_CLIENT = modules/lookup/common/rclient.c modules/lookup/common/rclient.h modules/lookup/redis_reply.c modules/lookup/redis_reply.h \
	modules/lookup/common/pool.c modules/lookup/common/pool.h modules/lookup/common/cfg.c modules/lookup/common/cfg.h \
	modules/lookup/common/text.c modules/lookup/common/text.h
lookup_redis_la_SOURCES = modules/lookup/redis.c $(REDIS_CLIENT)
lookup_redis_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_redis_la_LIBADD = $(MODULE_LIBS) $(HIREDIS_LIBS)
lookup_redis_la_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS)
endif

LOOKUP_CFG = modules/lookup/common/cfg.c modules/lookup/common/cfg.h modules/lookup/common/text.c modules/lookup/common/text.h
LOOKUP_QUERY = modules/lookup/common/query.c modules/lookup/common/query.h $(LOOKUP_CFG)
LOOKUP_POOL = modules/lookup/common/pool.c modules/lookup/common/pool.h
LOOKUP_HOSTS = modules/lookup/common/hosts.c modules/lookup/common/hosts.h
LOOKUP_SQL = modules/lookup/common/sql.c modules/lookup/common/sql.h $(LOOKUP_QUERY) $(LOOKUP_POOL) $(LOOKUP_HOSTS)

if HAVE_SQLITE
pkglib_LTLIBRARIES += lookup_sqlite.la
lookup_sqlite_la_SOURCES = modules/lookup/sqlite.c $(LOOKUP_QUERY)
lookup_sqlite_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_sqlite_la_LIBADD = $(MODULE_LIBS) $(SQLITE_LIBS)
lookup_sqlite_la_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
endif

if HAVE_PGSQL
pkglib_LTLIBRARIES += lookup_pgsql.la
lookup_pgsql_la_SOURCES = modules/lookup/pgsql.c $(LOOKUP_SQL)
lookup_pgsql_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_pgsql_la_LIBADD = $(MODULE_LIBS) $(PGSQL_LIBS)
lookup_pgsql_la_CFLAGS = $(AM_CFLAGS) $(PGSQL_CFLAGS)
endif

if HAVE_MYSQL
pkglib_LTLIBRARIES += lookup_mysql.la
lookup_mysql_la_SOURCES = modules/lookup/mysql.c $(LOOKUP_SQL)
lookup_mysql_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_mysql_la_LIBADD = $(MODULE_LIBS) $(MYSQL_LIBS)
lookup_mysql_la_CFLAGS = $(AM_CFLAGS) $(MYSQL_CFLAGS)
endif

if HAVE_LDAP
pkglib_LTLIBRARIES += lookup_ldap.la
lookup_ldap_la_SOURCES = modules/lookup/ldap/table.c modules/lookup/ldap/settings.c modules/lookup/ldap/connect.c \
	modules/lookup/ldap/search.c modules/lookup/ldap/quote.c modules/lookup/ldap/ldap.h $(LOOKUP_QUERY) $(LOOKUP_POOL)
lookup_ldap_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_ldap_la_LIBADD = $(MODULE_LIBS) $(LDAP_LIBS)
lookup_ldap_la_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS)
endif

if HAVE_MONGOC
pkglib_LTLIBRARIES += lookup_mongodb.la
lookup_mongodb_la_SOURCES = modules/lookup/mongodb.c $(LOOKUP_QUERY) $(LOOKUP_POOL)
lookup_mongodb_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_mongodb_la_LIBADD = $(MODULE_LIBS) $(MONGOC_LIBS)
lookup_mongodb_la_CFLAGS = $(AM_CFLAGS) $(MONGOC_CFLAGS)
endif

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_text t/fuzz/fuzz_elfnote
t_fuzz_fuzz_text_SOURCES = t/fuzz/fuzz_text.c modules/lookup/common/text.c modules/lookup/common/cfg.c
t_fuzz_fuzz_text_LDADD = libcore.la
t_fuzz_fuzz_text_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_fuzz_text_CFLAGS = $(AM_CFLAGS)
t_fuzz_fuzz_elfnote_SOURCES = t/fuzz/fuzz_elfnote.c
t_fuzz_fuzz_elfnote_LDADD = libcore.la
t_fuzz_fuzz_elfnote_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
# Lists of tables, with a static build of modules.
noinst_PROGRAMS += t/fuzz/fuzz_maps
noinst_LTLIBRARIES += libfuzz_m_inline.la libfuzz_static.la libfuzz_unionmap.la libfuzz_pipemap.la libfuzz_randmap.la libfuzz_fail.la
libfuzz_m_inline_la_SOURCES = modules/lookup/inline.c
libfuzz_m_inline_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_inline
libfuzz_static_la_SOURCES = modules/lookup/static.c
libfuzz_static_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_static
libfuzz_unionmap_la_SOURCES = modules/lookup/unionmap.c
libfuzz_unionmap_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_unionmap
libfuzz_pipemap_la_SOURCES = modules/lookup/pipemap.c
libfuzz_pipemap_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_pipemap
libfuzz_randmap_la_SOURCES = modules/lookup/randmap.c
libfuzz_randmap_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_randmap
libfuzz_fail_la_SOURCES = modules/lookup/fail.c
libfuzz_fail_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_fail
t_fuzz_fuzz_maps_SOURCES = t/fuzz/fuzz_maps.c modules/lookup/common/compound.c modules/lookup/common/text.c modules/lookup/common/strtab.c
t_fuzz_fuzz_maps_LDADD = libfuzz_m_inline.la libfuzz_static.la libfuzz_unionmap.la libfuzz_pipemap.la libfuzz_randmap.la libfuzz_fail.la libcore.la
t_fuzz_fuzz_maps_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_fuzz_maps_CFLAGS = $(AM_CFLAGS)
noinst_PROGRAMS += t/fuzz/fuzz_tableservers
t_fuzz_fuzz_tableservers_SOURCES = t/fuzz/fuzz_tableservers.c modules/lookup/memcache_reply.c modules/lookup/tcp_reply.c modules/lookup/socketmap_reply.c
t_fuzz_fuzz_tableservers_LDADD = libcore.la
t_fuzz_fuzz_tableservers_CFLAGS = $(AM_CFLAGS)
t_fuzz_fuzz_tableservers_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
if HAVE_LDAP
noinst_PROGRAMS += t/fuzz/fuzz_ldap
t_fuzz_fuzz_ldap_SOURCES = t/fuzz/fuzz_ldap.c modules/lookup/ldap/quote.c $(LOOKUP_QUERY) $(LOOKUP_HOSTS) $(LOOKUP_POOL)
t_fuzz_fuzz_ldap_LDADD = libcore.la $(LDAP_LIBS)
t_fuzz_fuzz_ldap_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_fuzz_ldap_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS)
endif
if HAVE_HIREDIS
noinst_PROGRAMS += t/fuzz/fuzz_redis
t_fuzz_fuzz_redis_SOURCES = t/fuzz/fuzz_redis.c modules/lookup/redis_reply.c
t_fuzz_fuzz_redis_LDADD = libcore.la $(HIREDIS_LIBS)
t_fuzz_fuzz_redis_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_fuzz_redis_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS)
endif
if HAVE_PCRE2
# Module descriptors under names of their own, so that several fit into one program.
noinst_PROGRAMS += t/fuzz/fuzz_rules
noinst_LTLIBRARIES += libfuzz_regexp.la libfuzz_pcre.la libfuzz_cidr.la libfuzz_texthash.la libfuzz_inline.la
libfuzz_regexp_la_SOURCES = modules/lookup/regexp.c
libfuzz_regexp_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_regexp
libfuzz_pcre_la_SOURCES = modules/lookup/pcre.c
libfuzz_pcre_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_pcre
libfuzz_cidr_la_SOURCES = modules/lookup/cidr.c
libfuzz_cidr_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_cidr
libfuzz_texthash_la_SOURCES = modules/lookup/texthash.c
libfuzz_texthash_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_texthash
libfuzz_inline_la_SOURCES = modules/lookup/inline.c
libfuzz_inline_la_CPPFLAGS = $(AM_CPPFLAGS) -DPH_MODULE_SYMBOL=ph_module_inline
t_fuzz_fuzz_rules_SOURCES = t/fuzz/fuzz_rules.c modules/lookup/common/text.c modules/lookup/common/rules.c \
	modules/lookup/common/template.c modules/lookup/common/strtab.c
t_fuzz_fuzz_rules_LDADD = libfuzz_regexp.la libfuzz_pcre.la libfuzz_cidr.la libfuzz_texthash.la libfuzz_inline.la libcore.la \
	$(PCRE2_LIBS)
t_fuzz_fuzz_rules_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_fuzz_rules_CFLAGS = $(AM_CFLAGS)
endif
endif
EXTRA_DIST += t/fuzz/corpus/fuzz_text t/fuzz/corpus/fuzz_rules t/fuzz/corpus/fuzz_redis t/fuzz/corpus/fuzz_maps t/fuzz/corpus/fuzz_tableservers t/fuzz/corpus/fuzz_ldap t/modules/postmap.t t/modules/tables-negative.t \
	t/lib/backends.py t/peers/mariadb.t t/peers/memcached.t t/peers/pgsql.t t/peers/redis.t t/peers/slapd.t

pkglib_LTLIBRARIES += lookup_memcache.la
lookup_memcache_la_SOURCES = modules/lookup/memcache.c modules/lookup/memcache_reply.c modules/lookup/memcache_reply.h $(LOOKUP_QUERY) $(LOOKUP_POOL)
lookup_memcache_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_memcache_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += lookup_unix.la lookup_tcp.la lookup_socketmap.la
lookup_unix_la_SOURCES = modules/lookup/unix.c
lookup_unix_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_unix_la_LIBADD = $(MODULE_LIBS)
lookup_tcp_la_SOURCES = modules/lookup/tcp.c modules/lookup/tcp_reply.c modules/lookup/tcp_reply.h modules/lookup/common/pool.c modules/lookup/common/pool.h
lookup_tcp_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_tcp_la_LIBADD = $(MODULE_LIBS)
lookup_socketmap_la_SOURCES = modules/lookup/socketmap.c modules/lookup/socketmap_reply.c modules/lookup/socketmap_reply.h modules/lookup/common/pool.c modules/lookup/common/pool.h
lookup_socketmap_la_LDFLAGS = $(MODULE_LDFLAGS)
lookup_socketmap_la_LIBADD = $(MODULE_LIBS)
