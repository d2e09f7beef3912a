#!/usr/bin/env bash
# Installs the Debian packages that Shale's parts need and this machine lacks; nothing is asked of the network otherwise.
. "$(dirname "$0")/lib.sh"

# What we use, and the package that brings it. A command from elsewhere (docker-ce, say) counts as there.
NEEDS="
dockerd              docker.io
docker               docker.io
fusermount3          fuse3
iptables             iptables
mmdebstrap           mmdebstrap
ssh                  openssh-client
scp                  openssh-client
sshd                 openssh-server
pgrep                procps
git                  git
/etc/ssl/certs/ca-certificates.crt ca-certificates
"

present() {
  case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing_packages() {
  local need package
  while read -r need package; do
    [ -z "$need" ] || present "$need" || printf '%s\n' "$package"
  done <<<"$NEEDS" | sort -u
  # Debian splits venv from its Python; any other Python has it.
  python3 -c 'import ensurepip, venv' 2>/dev/null || printf 'python3-venv\n'
}

# Nothing that we install may start listening: a policy refuses it for as long as apt runs,
# and a freshly installed system sshd stays off at the next boot too.
apt_install() {
  local policy=/usr/sbin/policy-rc.d had_sshd=1
  command -v sshd >/dev/null || had_sshd=0
  # shellcheck disable=SC2016  # expanded by the shell that runs as root
  as_root env DEBIAN_FRONTEND=noninteractive bash -c '
    set -e
    policy=$1; shift
    if [ ! -e "$policy" ]; then
      trap "rm -f $policy" EXIT
      printf "#!/bin/sh\nexit 101\n" >"$policy"
      chmod 755 "$policy"
    fi
    apt-get update
    apt-get install -y --no-install-recommends "$@"' install "$policy" "$@" || return 1
  if [ "$had_sshd" = 0 ] && command -v sshd >/dev/null; then
    as_root update-rc.d ssh disable
  fi
}

# A person's own FUSE mount is seen by Docker, which is root, only where the machine's owner allows it.
allow_fuse_for_others() {
  [ "$(id -u)" -ne 0 ] || return 0
  if [ -c /dev/fuse ] && [ ! -w /dev/fuse ]; then
    # What udev does where it runs.
    as_root chmod 0666 /dev/fuse
  fi
  grep -qs '^user_allow_other' /etc/fuse.conf && return 0
  say "letting people share their FUSE mounts (user_allow_other in /etc/fuse.conf)"
  as_root sh -c 'echo user_allow_other >>/etc/fuse.conf'
}

mapfile -t packages < <(missing_packages)
if [ "${#packages[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null || die "missing: ${packages[*]}; apt-get is not here: install them by hand"
  say "installing Debian packages: ${packages[*]}"
  quietly debian apt_install "${packages[@]}"
fi
allow_fuse_for_others
[ -c /dev/fuse ] || say "note: no /dev/fuse here, so no dataset can be mounted: modprobe fuse, or give the machine the device"
