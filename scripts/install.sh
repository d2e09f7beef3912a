#!/usr/bin/env bash
# Sets up everything that Shale needs and nothing else; the command is then .venv/bin/shale.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

scripts/debian.sh
scripts/python.sh
scripts/go.sh
scripts/node.sh
scripts/keys.sh
scripts/contracts.sh
say "installed: .venv/bin/shale"
