#!/usr/bin/env bash
# Measures, beside the programs that do the like: these come from uv.lock into an environment of their own.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

KEY=$(digest pyproject.toml uv.lock)
if ! fresh bench "$KEY" || [ ! -x "$TOOLS/bench/bin/ratarmount" ]; then
  say "installing what the benchmarks compare with"
  UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$TOOLS/bench quietly bench-peers \
    "$TOOLS/bin/uv" sync --frozen --only-group bench --python .venv/bin/python
  stamp bench "$KEY"
fi
scripts/docker.sh drivers shale-demo
exec .venv/bin/python -m tests.benchmarks "$@"
