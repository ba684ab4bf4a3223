# sources of t
EXTRA_DIST += t/unit/tap.h
