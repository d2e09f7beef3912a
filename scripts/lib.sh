# shellcheck shell=bash
# What every script here shares: plain progress lines, root, stamps, and where the tools lie.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TOOLS=$ROOT/.tools
# shellcheck disable=SC2034  # for the scripts that source this
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/shale
export PATH="$TOOLS/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export GOTOOLCHAIN=local CGO_ENABLED=${CGO_ENABLED:-0}
: "${SHALE_STARTED:=$(date +%s)}"
export SHALE_STARTED

# say TEXT: one line with the seconds since the first script of this run.
say() { printf '[%4ds] %s\n' "$(($(date +%s) - SHALE_STARTED))" "$*"; }

# die WHAT-HAPPENED-AND-WHAT-TO-DO
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# as_root CMD…: runs CMD as root, through sudo where we are not.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    die "this needs root: run as root, or install sudo: $*"
  fi
}

# digest FILE-OR-DIR…: one hash over names and contents; the key of a stamp.
digest() {
  (cd "$ROOT" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum) | sha256sum | cut -c1-24
}

# fresh NAME KEY / stamp NAME KEY: was NAME done for exactly this KEY; note that it was.
fresh() { [ "$(cat "$TOOLS/stamps/$1" 2>/dev/null || true)" = "$2" ]; }
stamp() {
  mkdir -p "$TOOLS/stamps"
  printf '%s' "$2" >"$TOOLS/stamps/$1.new"
  mv "$TOOLS/stamps/$1.new" "$TOOLS/stamps/$1"
}

# quietly LOG-NAME CMD…: runs CMD into a log; on failure shows the log's end and stops.
# A function given as CMD must return its own failures: the shell's errexit does not hold in a condition.
quietly() {
  local name=$1 log=$ROOT/build/log/$1.log
  shift
  mkdir -p "${log%/*}"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 25 "$log" >&2
    die "$name failed; the whole output is in ${log#"$ROOT"/}; mend that and run the same command again"
  fi
}
