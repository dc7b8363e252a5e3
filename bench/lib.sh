# shellcheck shell=bash
# Sourced by bench/*/run: builds the server, the SDK and a measurement's own program, unless $MILLRACE_BUILD names a build.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lib.sh
. "$ROOT/deploy/lib.sh"

# usage LAST "$@": the comment in lines 2 to LAST of the script, if that is what is asked for.
usage() {
	case ${2:-} in
	-h | --help)
		sed -n "2,$1s/^# //p" "$0"
		exit 0 ;;
	esac
}

# build_bench [TARGET...]
build_bench() {
	mkdir -p "$ROOT/build" && LOG=$ROOT/build/bench.log && : >"$LOG" || fail "$ROOT/build cannot be written."
	trap stop_step INT TERM
	if [ -z "${MILLRACE_BUILD:-}" ]; then
		need_packages "$ROOT/deploy/packages-build.txt"
		need_node
		need_sdk
		export MILLRACE_BUILD=$ROOT/build/release
		need_build "$MILLRACE_BUILD" "server/cli/millrace server/worker/millrace-worker fanout/millrace-fanout" --buildtype=release
	fi
	[ $# -eq 0 ] || step "Building the measurement" ninja -C "$MILLRACE_BUILD" "$@"
	trap - INT TERM
}
