#!/bin/sh
# A PostgreSQL for one stage: `init RUN` makes its files in RUN/postgres, `run RUN` becomes the server, on a UNIX
# socket in there. It refuses to be root, so root hands both to the user that the package made.
set -eu
files=$2/postgres
programs=$(dirname "$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)")
if [ ! -x "$programs/initdb" ]; then
    echo "PostgreSQL is missing; install it with: apt-get install postgresql" >&2
    exit 1
fi
ordinary=
if [ "$(id -u)" = 0 ]; then
    ordinary="setpriv --reuid=postgres --regid=postgres --clear-groups --pdeathsig=INT"
fi
if [ "$1" = init ]; then
    mkdir -p "$files"
    if [ -n "$ordinary" ]; then
        chmod o+x "$2"  # it has to pass through; everything in there stays closed
        chown postgres: "$files"
    fi
    [ -e "$files/PG_VERSION" ] || exec $ordinary "$programs/initdb" --pgdata="$files" --username=lab --auth=trust \
        --encoding=UTF8 --no-locale --no-sync --no-instructions >/dev/null
else
    exec $ordinary "$programs/postgres" -D "$files" -k "$files" -c unix_socket_permissions=0700 \
        -c listen_addresses= -c fsync=off
fi
