# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Completes verbs, views, options and some of their values for be-ctl, be-inspect and be-replay.
# Verbs and options are asked of the program itself, so that they are those of the version that is
# run.

# _budget_enforcer_options PROGRAM [VERB]: one option, one line, so that none begins by chance with
# what looks like one.
_budget_enforcer_options() {
	ARGP_HELP_FMT=rmargin=1000 "$@" --help 2>/dev/null | sed -n 's/^  *\(-[[:alpha:]?], \)\{0,1\} *\(--[a-z-]*\).*/\2/p'
}

_budget_enforcer_verbs() {
	"$1" --help 2>/dev/null | sed -n '/^Verbs:/,/^Exit status/s/^  \([a-z-]*\) .*/\1/p'
}

# _budget_enforcer_columns PROGRAM VIEW
_budget_enforcer_columns() {
	"$1" --help 2>/dev/null | sed -n "/^$2\$/,/^\$/s/^ [* ] [^ ]*  *\([a-z_0-9]*\) .*/\1/p"
}

# _budget_enforcer_takes_value OPTION PROGRAM [VERB]
_budget_enforcer_takes_value() {
	# Not grep -q, which the program could not write to any more.
	ARGP_HELP_FMT=rmargin=1000 "${@:2}" --help 2>/dev/null | grep >/dev/null "^  *\(-., *\)\{0,1\}$1=\|^  *$1, .*="
}

# Bash calls it with the program, the word to complete and the one before.
_budget_enforcer() {
	local program=$1 word=$2 before=$3 at=$COMP_CWORD words='' asked=("$1") view=envelopes i

	# Bash takes --period=daily for three words.
	[ "$word" != '=' ] || word=''
	[ "$before" != '=' ] || before=${COMP_WORDS[at - 2]}
	[ "${COMP_WORDS[at]}" != '=' ] || before=${COMP_WORDS[at - 1]}
	# What follows -- is another command, of which nothing is known but that it may be a file.
	for ((i = 1; i < at; i++)); do
		[ "${COMP_WORDS[i]}" != -- ] || return 0
		case ${COMP_WORDS[i]} in
		envelopes | commits | transactions | alerts | owners | report | stats) view=${COMP_WORDS[i]} ;;
		esac
	done
	if [ "${program##*/}" = be-ctl ] && ((at > 1)); then
		asked+=("${COMP_WORDS[1]}")
	fi
	case $before in
	--period) words='hourly daily weekly monthly quarterly yearly total' ;;
	--durability) words='full process' ;;
	--death-signal) words='TERM KILL none' ;;
	--ttl) words='30m 1h 1d none' ;;
	--since | --until) words='today yesterday 1h 1d 7d' ;;
	--sort)
		words=$(_budget_enforcer_columns "$program" "$view")
		[[ $word != -* ]] || words=$(sed 's/^/-/' <<<"$words")
		;;
	--by)
		words='hour day week month namespace category description kind label:'
		[[ $word != *,* ]] || words=$(tr ' ' '\n' <<<"$words" | sed "s/^/${word%,*},/")
		;;
	--output | -o)
		words=$(_budget_enforcer_columns "$program" "$view")
		[[ $word != *,* ]] || words=$(sed "s/^/${word%,*},/" <<<"$words")
		;;
	*)
		[[ $before != -* ]] || ! _budget_enforcer_takes_value "$before" "${asked[@]}" || return 0
		case ${program##*/}:$word in
		*:-*) words=$(_budget_enforcer_options "${asked[@]}") ;;
		be-ctl:*) ((at > 1)) || words=$(_budget_enforcer_verbs "$program") ;;
		be-inspect:*) ((at < 2)) || words='envelopes commits transactions alerts owners report stats verify' ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

# Where there is nothing to offer, files and directories are.
complete -o default -F _budget_enforcer be-ctl be-inspect be-replay
