#!/usr/bin/env bash
# Builds the base image's root filesystem from Debian packages: build.sh OUT.tar, as root.
#
# The packages come from the mirrors that this machine's apt uses, with its proxies and its keys.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
OUT=$1
SUITE=bookworm

lines() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1"; }

# The machine's sources of the suite, or nothing: then mmdebstrap takes Debian's standard mirrors.
sources() {
  # shellcheck disable=SC2016  # apt's own placeholders
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)|$(ORIGIN)|$(CODENAME)' \
    'Created-By: Packages' 2>/dev/null |
    grep -E "\|Debian\|$SUITE(-updates|-security)?\$" | cut -d'|' -f1 | grep -E ' main$' | sort -u
}

flags=(--variant=minbase --mode=root --format=tar "--include=$(lines "$HERE/packages.txt" | paste -sd,)")
while read -r pattern; do
  case $pattern in
    '!'*) flags+=("--dpkgopt=path-include=${pattern#!}") ;;
    *) flags+=("--dpkgopt=path-exclude=$pattern") ;;
  esac
done < <(lines "$HERE/excludes.txt")

# How this machine reaches its mirrors. The hook below takes it out again: it may hold a proxy's password.
while read -r option; do
  flags+=("--aptopt=$option")
done < <(apt-config dump | grep -E '^Acquire::(https?|ftp)::.*Proxy|^Acquire::Check-|^Acquire::Retries' || true)
flags+=(--aptopt='APT::Install-Recommends "false"')

found=$(sources || true)
flags+=("--customize-hook=$HERE/finish.sh" "$SUITE" "$OUT")
if grep -qE " $SUITE main\$" <<<"$found"; then
  mmdebstrap "${flags[@]}" - <<<"$found"
else
  mmdebstrap "${flags[@]}"
fi
