#!/usr/bin/env bash
# Makes the development proving keys once a machine, cached; whoever made them could forge proofs, so never for real money.
# The keys of a ceremony are fetched, not made.
# The key of the largest batches takes minutes and is made on demand: shale provider keys make --size 256. With `anew` all
# sizes are made in a folder that is thrown away, and must come out as the committed manifest has them.
. "$(dirname "$0")/lib.sh"

# As ledger.Assemble writes it.
if grep -q '"unsafe_development": false' "$ROOT/kernel/ledger/keys/manifest.json"; then
  say "the keys are of a ceremony: shale provider keys fetch SOURCE brings those that this machine lacks"
  exit
fi

if [ "${1:-}" = anew ]; then
  OUT=$(mktemp -d)
  trap 'rm -rf "$OUT"' EXIT
  say "making the development keys of all sizes, which takes minutes"
  "$ROOT/src/shale/bin/shale-kernel" setup --unsafe-development --sizes 1,8,64,256 --keys "$OUT"
  say "all keys are the committed ones"
  exit
fi

KEYS=$CACHE/keys
# The keys belong to one circuit: the kernel's build that made them stands for it.
KEY=$(cat "$TOOLS/stamps/kernel")-$KEYS

if ! fresh keys "$KEY" || [ -z "$(ls -A "$KEYS" 2>/dev/null)" ]; then
  say "checking the development proving keys in $KEYS (made in a minute or so where they are missing)"
  mkdir -p "$KEYS"
  chmod 700 "$KEYS"
  rm -f "$KEYS"/update-lease.* # of the earlier circuit
  quietly keys "$ROOT/src/shale/bin/shale-kernel" setup --unsafe-development --keys "$KEYS"
  stamp keys "$KEY"
fi
