# What deploy/quickstart and tests/run share: steps with progress, packages, Node, the SDK. Sourced by bash; expects ROOT and LOG.

SUDO=
STEP_PID=

# One sentence, and the end.
fail() {
	printf '\n%s\n' "$1" >&2
	exit 1
}

# What a failed step's output means, in one sentence.
reason() {
	local text
	text=$(tail -n 200 "$LOG")
	case $text in
	*"No space left on device"* | *ENOSPC*)
		echo "The disk is full: free some space and start again ($1 failed; its output is in $LOG)." ;;
	*"Temporary failure resolving"* | *"Could not resolve"* | *EAI_AGAIN* | *ENOTFOUND* | *ECONNREFUSED* | *ENETUNREACH* | *"Network is unreachable"* | *ETIMEDOUT* | *"Could not connect to"*)
		echo "There is no network, or the package server does not answer: connect and start again ($1 failed; its output is in $LOG)." ;;
	*"dpkg frontend lock"* | *"Could not get lock"*)
		echo "Another program is installing packages: wait until it has ended and start again." ;;
	*"a password is required"* | *"not in the sudoers file"* | *"is not allowed to execute"*)
		echo "Installing packages needs root: start again as root or as a user with sudo." ;;
	*EACCES* | *"Permission denied"*)
		echo "$1 failed: a file may not be written; look at the end of $LOG." ;;
	*)
		echo "$1 failed; its output is in $LOG." ;;
	esac
}

# step "what is done" command...: one line; a moving counter on a terminal, a sign of life every 20 seconds elsewhere.
step() {
	local what=$1 began=$SECONDS status=0 tick=0
	shift
	printf '\n== %s\n' "$what" >>"$LOG"
	if [ -t 1 ]; then printf '%s ...' "$what"; else printf '%s ...\n' "$what"; fi
	LC_ALL=C "$@" >>"$LOG" 2>&1 </dev/null &
	STEP_PID=$!
	while kill -0 "$STEP_PID" 2>/dev/null; do
		sleep 0.2
		tick=$((tick + 1))
		if [ -t 1 ]; then
			[ $((tick % 5)) -ne 0 ] || printf '\r%s ... %d s' "$what" $((SECONDS - began))
		else
			[ $((tick % 100)) -ne 0 ] || printf '%s ... %d s\n' "$what" $((SECONDS - began))
		fi
	done
	wait "$STEP_PID" || status=$?
	STEP_PID=
	if [ -t 1 ]; then printf '\r%s ... %d s' "$what" $((SECONDS - began)); fi
	if [ $status -ne 0 ]; then
		[ ! -t 1 ] || printf '\n'
		fail "$(reason "$what")"
	fi
	if [ -t 1 ]; then printf ', done.\n'; else printf '%s: done in %d s.\n' "$what" $((SECONDS - began)); fi
}

stop_step() {
	trap - INT TERM
	[ -z "$STEP_PID" ] || kill -TERM "$STEP_PID" 2>/dev/null
	printf '\nStopped.\n' >&2
	exit 130
}

# --- packages ---

is_debian() {
	[ -r /etc/os-release ] && command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1
}

# Names in lists, one word each.
listed() {
	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@"
}

# The words of the lists of which no alternative is installed.
missing_packages() {
	local have word name found
	have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
	for word in $(listed "$@"); do
		found=
		for name in ${word//|/ }; do
			case $'\n'$have$'\n' in *$'\n'$name$'\n'*) found=1 ;; esac
		done
		[ -n "$found" ] || echo "$word"
	done
}

# The first alternative that this release has.
available() {
	local name
	for name in ${1//|/ }; do
		if apt-cache show --no-all-versions "$name" >/dev/null 2>&1; then
			echo "$name"
			return
		fi
	done
	echo "${1%%|*}"
}

# Nothing that we install starts a service: neither by init scripts nor by making a cluster of its own.
quiet_services() {
	POLICY_MADE= DROPIN_MADE=
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' | $SUDO tee /usr/sbin/policy-rc.d >/dev/null && $SUDO chmod 755 /usr/sbin/policy-rc.d
		POLICY_MADE=1
	fi
	if [ ! -e /etc/postgresql-common/createcluster.d/millrace.conf ]; then
		$SUDO mkdir -p /etc/postgresql-common/createcluster.d
		echo 'create_main_cluster = false' | $SUDO tee /etc/postgresql-common/createcluster.d/millrace.conf >/dev/null
		DROPIN_MADE=1
	fi
}
allow_services() {
	[ -z "$POLICY_MADE" ] || $SUDO rm -f /usr/sbin/policy-rc.d
	[ -z "$DROPIN_MADE" ] || $SUDO rm -f /etc/postgresql-common/createcluster.d/millrace.conf
	POLICY_MADE= DROPIN_MADE=
}

install_now() {
	local status=0
	$SUDO env DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends -o Dpkg::Options::=--force-confold \
		-o DPkg::Lock::Timeout=60 install "$@" || status=$?
	return $status
}

find_sudo() {
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null 2>&1 || fail "Installing packages needs root: start again as root, or install sudo. Missing: $*"
	SUDO=sudo
	sudo -n true 2>/dev/null && return
	[ -t 0 ] || fail "Installing packages needs sudo without a question here: start again as root. Missing: $*"
	sudo -v -p 'Missing packages are installed with sudo; password for %u: ' || fail "sudo was refused; start again as root or as a user with sudo."
}

# need_packages LIST...: installs what is missing.
need_packages() {
	local words names=() word
	if ! is_debian; then
		echo "This is not Debian: nothing is installed here; what is needed is listed in ${*#"$ROOT"/}."
		return
	fi
	words=$(missing_packages "$@")
	[ -n "$words" ] || return 0
	find_sudo $words
	step "Reading the package lists" $SUDO apt-get update
	for word in $words; do names+=("$(available "$word")"); done
	quiet_services
	trap 'allow_services; stop_step' INT TERM
	trap allow_services EXIT
	step "Installing ${#names[@]} Debian packages" install_now "${names[@]}"
	allow_services
	trap - EXIT
	trap stop_step INT TERM
}

# --- Node and the SDK ---

node_major() {
	node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0
}

# Node is needed to build the SDK only. Whatever is in PATH is used if it is new enough.
need_node() {
	if [ "$(node_major)" -ge 18 ] && command -v npm >/dev/null 2>&1; then return; fi
	if command -v node >/dev/null 2>&1 && [ "$(node_major)" -lt 18 ]; then
		fail "Node $(node -v) is too old to build the SDK: install Node 18 or newer, or remove it so that Debian's is installed."
	fi
	is_debian || fail "Node 18 or newer and npm are needed to build the SDK: install them and start again."
	find_sudo nodejs npm
	step "Reading the package lists" $SUDO apt-get update
	step "Installing Node from Debian" install_now nodejs npm
	[ "$(node_major)" -ge 18 ] || fail "Debian's Node is older than 18 here: install Node 18 or newer and start again."
}

npm_ci() {
	(cd "$ROOT/client" && npm ci --no-fund --no-audit --no-update-notifier)
}
build_sdk() {
	(cd "$ROOT/client" && npm run build)
}

need_sdk() {
	local client=$ROOT/client
	if [ ! -e "$client/node_modules/.package-lock.json" ] || [ "$client/package-lock.json" -nt "$client/node_modules/.package-lock.json" ]; then
		step "Fetching the SDK's tools from npm" npm_ci
		touch "$client/node_modules/.package-lock.json"
	fi
	if [ ! -e "$client/dist/index.js" ] ||
		[ -n "$(find "$client/src" "$client/build" "$client/package.json" "$client/package-lock.json" -newer "$client/dist/index.js" -print -quit)" ]; then
		step "Building the SDK" build_sdk
	fi
}

# need_build DIR "TARGETS" [meson options...]: sets the folder up once and builds what changed of the targets.
need_build() {
	local dir=$1 targets=$2
	shift 2
	if [ ! -e "$dir/build.ninja" ]; then
		rm -rf "$dir"
		step "Setting up ${dir#"$ROOT"/}" meson setup "$dir" "$ROOT" "$@"
	fi
	# shellcheck disable=SC2086
	if ! ninja -C "$dir" -n $targets 2>/dev/null | grep -q 'no work to do'; then
		step "Compiling (${dir#"$ROOT"/})" ninja -C "$dir" $targets
	fi
}

# need_space MEGABYTES DIR
need_space() {
	local free
	free=$(df -Pm "$2" 2>/dev/null | awk 'NR == 2 { print $4 }')
	[ -z "$free" ] || [ "$free" -ge "$1" ] || fail "The disk is nearly full: $2 has $free MB left, $1 MB are needed; free some space and start again."
}
