#!/usr/bin/env bash
# Sets up everything that Shale needs and nothing else; the command is then .venv/bin/shale.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

scripts/debian.sh
scripts/python.sh
scripts/go.sh
scripts/node.sh
scripts/keys.sh

# npm packages, then the compiled contracts that the Python package carries.
KEY=$(digest contracts/src foundry.toml package.json package-lock.json scripts/contracts.sh scripts/solc)
if ! fresh contracts "$KEY" || [ ! -x node_modules/.bin/anvil ] || [ ! -d src/shale/chain/artifacts ]; then
  say "compiling the contracts"
  quietly contracts scripts/contracts.sh
  stamp contracts "$KEY"
fi
say "installed: .venv/bin/shale"
