#compdef @tool@
# SPDX-License-Identifier: Apache-2.0
#
# Completes for zsh what budget-enforcer.bash completes for bash, and shows the help of each option
# beside it. Verbs and options are asked of the program itself, so that they are those of the
# version that is run.

# _budget_enforcer_options PROGRAM [VERB]: sets `specs`, as _arguments takes them, to what its help
# lists.
_budget_enforcer_options() {
	# One option, one line.
	local -x ARGP_HELP_FMT=rmargin=1000
	local line names one spec
	local -A values=(
		PERIOD '(hourly daily weekly monthly quarterly yearly total)'
		HOW '(full process)' MODE '(full process)'
		DURATION '(30m 1h 1d none)'
		FILE _files
		TIME '(today yesterday 1h 1d 7d)'
		KEYS _budget_enforcer_keys
		COLUMN _budget_enforcer_columns COLUMNS _budget_enforcer_columns
	)

	specs=()
	for line in ${(f)"$(_call_program options ${(q)@} --help)"}; do
		# What need not follow is not offered.
		[[ $line =~ '^(.*--[a-z-]+)\[=[a-zA-Z]+\](.*)$' ]] && line=$match[1]$match[2]
		[[ $line =~ '^ +(-([a-zA-Z?]), )? *--([a-z-]+)(=([A-Z]+)[][A-Z=]*)? +(.*)$' ]] || continue
		names=(${match[2]:+-$match[2]} --$match[3])
		for one in $names; do
			spec="($names)$one"
			# The value follows -x at once or as a word of its own, and --long after =
			# or so, too.
			if [[ -n $match[5] ]] spec+=${${one:#--*}:+"+"}${${(M)one:#--*}:+"="}
			spec+="[${match[6]//(#m)[\[\]:\\]/\\$MATCH}]"
			if [[ -n $match[5] ]] spec+=":$match[5]:$values[$match[5]]"
			specs+=($spec)
		done
	done
}

# The columns of the view that the line names: of --sort also with a - before, of --output several.
_budget_enforcer_columns() {
	local word view=envelopes
	local -a columns

	for word in $words; do
		[[ $word != (envelopes|commits|transactions|alerts|owners|report|stats) ]] || view=$word
	done
	compset -P '*,' || compset -P '[-+]'
	columns=(${(f)"$(_call_program columns ${(q)words[1]} --help |
		sed -n "/^$view\$/,/^\$/s/^ [* ] [^ ]*  *\([a-z_0-9]*\) .*/\1/p")"})
	compadd -a columns
}

# What a report is grouped by: several.
_budget_enforcer_keys() {
	compset -P '*,'
	compadd hour day week month namespace category description kind label:
}

_budget_enforcer_verbs() {
	local -x ARGP_HELP_FMT=rmargin=1000
	local -a verbs=(${(f)"$(_call_program verbs ${(q)1} --help |
		sed -n '/^Verbs:/,/^Exit status/s/^  \([a-z-]*\)  *\(.*\)/\1:\2/p')"})

	_describe -t verbs verb verbs
}

_budget_enforcer() {
	local program=$words[1] verb
	local -a specs operands=('1:environment:_files -/')

	case ${program:t} in
	be-ctl)
		if ((CURRENT == 2)) && [[ $PREFIX != -* ]]; then
			_budget_enforcer_verbs $program
			return
		fi
		if ((CURRENT > 2)); then
			verb=$words[2]
			shift words
			((CURRENT--))
		fi
		case $verb in
		apply | backup | restore) operands+=('2:file:_files') ;;
		copy) operands+=('2:environment:_files -/') ;;
		run) operands+=('(-)2:command: _command_names -e' '*::argument: _normal') ;;
		esac
		;;
	be-inspect) operands+=('2:view:(envelopes commits transactions alerts owners report stats verify)') ;;
	esac
	_budget_enforcer_options $program $verb
	_arguments -S $specs $operands
}

_budget_enforcer "$@"
