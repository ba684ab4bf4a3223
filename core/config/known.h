/* known.h: the defaults in known.def that depend on how we were built. */
#ifndef CORE_CONFIG_KNOWN_H
#define CORE_CONFIG_KNOWN_H

#include <config.h>             /* the build's: HAVE_*, PACKAGE_VERSION */

/* The type of tables that postmap makes when none is named: Postfix's where it can be had. */
#if defined(HAVE_BDB)
#define PH_DEF_DATABASE_TYPE "hash"
#elif defined(HAVE_LMDB)
#define PH_DEF_DATABASE_TYPE "lmdb"
#elif defined(HAVE_CDB)
#define PH_DEF_DATABASE_TYPE "cdb"
#else
#define PH_DEF_DATABASE_TYPE "texthash"
#endif

/* A session or a delivery costs kilobytes here, not a process as in Postfix (whose default is 100). */
#define PH_DEF_PROCESS_LIMIT "10000"

/* Scripts compare the leading number with Postfix's releases: it names the one whose behaviour this is. */
#define PH_DEF_MAIL_VERSION "3.11.0-posthouse-" PACKAGE_VERSION

#endif
