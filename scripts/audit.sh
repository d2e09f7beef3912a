#!/usr/bin/env bash
# Looks for known faults in the contracts with slither, which gets an environment of its own: it wants an older web3.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

KEY=$(digest scripts/tools/slither.txt)
if ! fresh audit "$KEY" || [ ! -x "$TOOLS/audit/bin/slither" ]; then
  say "installing slither"
  rm -rf "$TOOLS/audit"
  UV_PYTHON_DOWNLOADS=never quietly audit-venv "$TOOLS/bin/uv" venv --python .venv/bin/python "$TOOLS/audit"
  quietly audit "$TOOLS/bin/uv" pip install --python "$TOOLS/audit/bin/python" --require-hashes -r scripts/tools/slither.txt
  stamp audit "$KEY"
fi

# A build of its own: slither wants the compiler's tree of all sources at once.
OUT=$ROOT/build/audit
FOUNDRY_OUT=$OUT/out FOUNDRY_CACHE_PATH=$OUT/cache node_modules/.bin/forge build --skip 'contracts/test/**' \
  --build-info --force --quiet
export PATH=$ROOT/node_modules/.bin:$PATH
if ! "$TOOLS/audit/bin/slither" . --foundry-ignore-compile --foundry-out-directory "$OUT/out" >"$OUT/findings.txt" 2>&1; then
  cat "$OUT/findings.txt" >&2
  die "slither found something: mend it, or answer it where it stands and in docs/audit.md"
fi
