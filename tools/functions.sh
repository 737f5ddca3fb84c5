# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What quickstart and check share. Sourced by them; sets `top`, the top of the source tree.
top=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)

# The Debian packages that are needed, in one place. By dpkg-dev, meson knows where libraries are
# installed. One with a question mark is left out where the release does not have it, and what needs
# it is skipped. shellcheck disable=SC2034 # Used by those who source this.
packages_to_build=(meson ninja-build gcc libc6-dev pkg-config dpkg-dev liblmdb-dev libjansson-dev
	libncurses-dev libyaml-dev)
# shellcheck disable=SC2034
packages_to_test=(libcriterion-dev g++ 'clang-format-14?' valgrind strace tmux prometheus mandoc
	bsdextrautils zsh python3-jsonschema python3-dev 'python3-venv?' 'mypy?' 'node-typescript?'
	'chromium-headless-shell?')
# shellcheck disable=SC2034
packages_to_package=(build-essential debhelper dh-python lintian libhiredis-dev libpq-dev libssl-dev
	python3-dev nodejs libnode-dev)
# shellcheck disable=SC2034
packages_to_test_fully=(clang 'clang-tidy-14?' libclang-rt-dev abigail-tools libhiredis-dev
	libpq-dev libssl-dev postgresql redis-server)

say() {
	printf '\n== %s\n' "$*"
}

fail() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# Is it offered by the lists that apt has? Only a real package has a candidate.
is_offered() {
	apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null
}

# find_missing PACKAGE...: sets `missing` to those that are not installed. Without any lists (a new
# container has none) nobody knows what is offered.
find_missing() {
	local package name

	missing=()
	for package; do
		name=${package%\?}
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ] ||
			continue
		[ "$package" = "$name" ] || is_offered "$name" || ! is_offered gcc || continue
		missing+=("$name")
	done
}

# install_packages PACKAGE...: installs those that are not there yet.
install_packages() {
	local missing as_root=()

	if ! command -v apt-get >/dev/null; then
		echo "This is no Debian-like system. These packages must be there: ${*%\?}"
		return
	fi
	find_missing "$@"
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null ||
			fail "packages are missing. As root: apt-get install ${missing[*]}"
		as_root=(sudo)
	fi
	say "Installing ${missing[*]}"
	"${as_root[@]}" apt-get -q -o DPkg::Lock::Timeout=300 update ||
		echo "Not all lists of packages could be brought up to date; going on without."
	find_missing "$@"
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install "${missing[@]}" </dev/null ||
		fail "the packages could not be installed: ${missing[*]}"
}

# Can environments lie there? The library refuses the network; what else it refuses it says itself.
is_local() {
	case $(stat -f -c %T "$1" 2>/dev/null || echo missing) in
	missing | nfs | smb* | cifs | v9fs | fuse* | ceph | afs | coda | lustre | gpfs) return 1 ;;
	gfs* | ocfs2 | vboxsf) return 1 ;;
	esac
}

# has_room DIRECTORY: as much as the tests have been seen to take at once, and some more.
has_room() {
	[ "$(df -Pk "$1" | awk 'NR == 2 {print $4}')" -ge 2000000 ]
}

# Sets `work` to a new directory, which is removed when the script ends, however it ends. It lies in
# $TMPDIR if that is set, and else in the first of the usual places with room: a container's
# /dev/shm has none.
make_work_directory() {
	local parent

	if [ -n "${TMPDIR-}" ]; then
		parent=$TMPDIR
		is_local "$parent" ||
			fail "TMPDIR=$parent is not a directory of this machine, as is needed"
	else
		for parent in /tmp /var/tmp /dev/shm ''; do
			[ -n "$parent" ] ||
				fail "no local directory has 2 GB to spare; set TMPDIR"
			! is_local "$parent" || ! has_room "$parent" || break
		done
	fi
	work=$(mktemp -d "$parent/budget-enforcer-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

# configure DIRECTORY OPTION...: sets a build directory up, or brings it up to date.
configure() {
	local directory=$1 again=()

	shift
	[ ! -f "$directory/build.ninja" ] || again=(--reconfigure)
	meson setup "${again[@]}" "$@" "$directory" "$top" >"$work/meson.log" 2>&1 || {
		cat "$work/meson.log"
		return 1
	}
}

# compile DIRECTORY JOBS: a terminal sees the progress, a log only what went wrong.
compile() {
	local quiet=(--quiet)

	[ ! -t 1 ] || quiet=()
	ninja "${quiet[@]}" -C "$1" -j "$2"
}
