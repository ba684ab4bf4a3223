#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 9: AUTH.  What does not need a back end; the rest is with the SASL modules.

test N-112 AUTH that is not enabled
client
< 220
> AUTH PLAIN AGEAYg==
< 503 5.5.1 Error: authentication not enabled
> EHLO x
< ^(?!.*AUTH)250-
> AUTH PLAIN AGEAYg==
< 503 5.5.1 Error: authentication not enabled
> AUTH
< 503
mail
data
queue 1
