#!/bin/sh
# Takes this machine's traces out of the new root filesystem: finish.sh ROOT, called by mmdebstrap.
set -eu
root=$1
# The names are Docker's to write; the apt settings may hold a proxy's password.
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root/etc/apt/apt.conf.d/99mmdebstrap"
: >"$root/etc/machine-id"
find "$root/var/log" -type f -delete
rm -rf "$root/var/cache/debconf/templates.dat-old" "$root/var/cache/ldconfig"
printf 'APT::Install-Recommends "false";\n' >"$root/etc/apt/apt.conf.d/90shale"
