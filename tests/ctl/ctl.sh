# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts that run be-ctl share. Sourced with the path of be-ctl as $1; sets `ctl`, `work`,
# a directory that is removed at the end, and `budget`, where an environment may be made.
set -euo pipefail
ctl=$1
# shellcheck source=tools/functions.sh
. "${BASH_SOURCE[0]%/*}/../../tools/functions.sh"
make_work_directory
export budget=$work/budget

# expect STATUS OUTPUT ERRORS ARGUMENT...: runs be-ctl. Output and errors are patterns of bash.
expect() {
	local status=$1 output=$2 errors=$3 got=0

	shift 3
	"$ctl" "$@" >"$work/output" 2>"$work/errors" || got=$?
	if [ "$got" -ne "$status" ] || ! matches "$work/output" "$output" ||
		! matches "$work/errors" "$errors"; then
		echo "be-ctl $*"
		echo "exit status: $got, expected $status"
		echo "output: $(<"$work/output"), expected: $output"
		echo "errors: $(<"$work/errors"), expected: $errors"
		fail "be-ctl ${1-} did not do what was expected"
	fi
}

matches() {
	# shellcheck disable=SC2053 # It is a pattern.
	[[ $(<"$1") == $2 ]]
}

# available CATEGORY AMOUNT: exactly so much is available.
available() {
	"$ctl" check --json --category "$1" --amount 9000000000 "$budget" >"$work/output" \
		2>/dev/null || true
	matches "$work/output" "*\"available\": \"$2\"*" ||
		fail "not $2 available: $(<"$work/output")"
}

# wait_until COMMAND...: until it succeeds. A machine under load may take its time.
wait_until() {
	local deadline=$((SECONDS + 1200))

	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || fail "$* is not so after twenty minutes"
	done
}
