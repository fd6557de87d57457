#!/bin/sh
# Runs the role a container was started for; the process takes the shell's place and gets its signals.
set -eu
role=${1:-}
case "$role" in
store | coordinator | worker | embedded)
    shift
    exec python -m "services.$role" "$@"
    ;;
*)
    echo "error: unknown role '$role'; the command must be store, coordinator, worker or embedded" >&2
    exit 2
    ;;
esac
