#!/usr/bin/env bash
# Makes .venv from uv.lock, with .venv/bin/shale, by a pinned uv in .tools.
. "$(dirname "$0")/lib.sh"

# The first Python that is new enough.
python() {
  local candidate
  for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "no Python 3.11 or newer: apt-get install python3"
}

PYTHON=$(python)
KEY=$(digest scripts/tools/uv.txt)
if ! fresh uv "$KEY"; then
  say "installing uv"
  rm -rf "$TOOLS/uv"
  quietly uv-venv "$PYTHON" -m venv "$TOOLS/uv"
  quietly uv "$TOOLS/uv/bin/python" -m pip install --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: -r "$ROOT/scripts/tools/uv.txt"
  mkdir -p "$TOOLS/bin"
  ln -sf ../uv/bin/uv "$TOOLS/bin/uv"
  stamp uv "$KEY"
fi

KEY=$(digest pyproject.toml uv.lock)-$("$PYTHON" -c 'import sys; print(sys.version.split()[0], sys.base_prefix)')
if ! fresh python "$KEY" || [ ! -x "$ROOT/.venv/bin/shale" ]; then
  say "installing Python packages from uv.lock into .venv"
  UV_PYTHON_DOWNLOADS=never quietly python "$TOOLS/bin/uv" sync --project "$ROOT" --frozen --python "$PYTHON"
  stamp python "$KEY"
fi
