#!/bin/bash
# tally-backend against a running MySQL or MariaDB, a container's say: migrates, seeds, reads. Builds nothing.
# DATABASE_URI and MIGRATE_DATABASE_URI tell where; the database they name should be empty or missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${DATABASE_URI:?}" "${MIGRATE_DATABASE_URI:?}"
backend=${TALLY_BIN:-build/release}/tally-backend
export PORT=${PORT:-5001}
users='[{"userName":"Bob"},{"userName":"Jay"},{"userName":"Matt"},{"userName":"Ferg"},{"userName":"Mo"}]'

"$backend" --migrate --seed
"$backend" --migrate --seed
"$backend" &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid' EXIT
is=$(curl --silent --show-error --fail --retry 20 --retry-delay 1 --retry-all-errors "http://127.0.0.1:$PORT/backend")
if [ "$is" != "$users" ]; then
    printf 'expected: %s\nactual:   %s\n' "$users" "$is" >&2
    exit 1
fi
echo 'the users are read, in their order'
