#!/usr/bin/env bash
# Compares the committed Solidity verifiers with what the kernel generates from its keys; `--write` takes the new ones over.
. "$(dirname "$0")/lib.sh"

COMMITTED=$ROOT/contracts/src/generated
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT

"$ROOT/src/shale/bin/shale-kernel" export-verifier --out "$OUT"
# The kernel writes plain Solidity; the house's form is forge's.
(cd "$ROOT" && node_modules/.bin/forge fmt "$OUT"/*.sol)

if [ "${1:-}" = --write ]; then
  rm -f "$COMMITTED"/*.sol
  cp "$OUT"/*.sol "$COMMITTED/"
elif ! diff -ru "$COMMITTED" "$OUT" | head -n 40 >&2; then
  die "contracts/src/generated is not what the kernel generates: run scripts/verifier.sh --write, and redeploy"
fi
