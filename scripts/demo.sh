#!/usr/bin/env bash
# The demo, with an engine for its time: one that ran before is left as it was, one that we started is stopped again.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

if ! docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
  trap 'scripts/docker.sh stop' EXIT
fi
scripts/docker.sh ensure
scripts/docker.sh drivers shale-demo
scripts/docker.sh run scripts/base-image.sh
scripts/docker.sh run .venv/bin/shale demo
