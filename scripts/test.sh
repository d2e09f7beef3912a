#!/usr/bin/env bash
# All tests: Python with the real parts, Go, Solidity. Goes on after a failure, so that one run shows them all.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

failed=()
suite() {
  local name=$1
  shift
  say "$name"
  "$@" || failed+=("$name")
}
go_tests() { (cd kernel && go test ./...); }

scripts/docker.sh drivers shale-test shale-e2e shale-demo shale-e2e-stranger
suite "go test" go_tests
suite "forge test" node_modules/.bin/forge test
suite "pytest" .venv/bin/python -m pytest "$@"

[ "${#failed[@]}" -eq 0 ] || die "failed: $(IFS=,; printf '%s' "${failed[*]}"); the lines above each say why"
say "all tests passed"
