#!/usr/bin/env bash
# Every check of form that needs no running part: Python, Go, Solidity, shell, and what is generated.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

failed=()
# check NAME CMD…: goes on after a failure, so that one run shows them all.
check() {
  local name=$1 started
  started=$(date +%s)
  shift
  if "$@"; then
    say "ok      $name ($(($(date +%s) - started)) s)"
  else
    say "failed  $name"
    failed+=("$name")
  fi
}

gofmt_clean() {
  local unformatted
  unformatted=$(gofmt -l kernel)
  [ -z "$unformatted" ] || { printf 'not gofmt-ed (make format):\n%s\n' "$unformatted" >&2 && return 1; }
}
layers() {
  local report
  report=$(.venv/bin/lint-imports 2>&1) || { sed -n '/^[A-Z]/,$p' <<<"$report" >&2 && return 1; }
}
go_vet() { (cd kernel && go vet ./...); }
shell_scripts() {
  local files
  mapfile -t files < <(git ls-files --cached --others --exclude-standard -- scripts images .ci |
    xargs grep -lE '^#!.*\b(ba)?sh\b|shellcheck shell=')
  .venv/bin/shellcheck --external-sources --source-path=SCRIPTDIR "${files[@]}"
}

check "ruff check" .venv/bin/ruff check --quiet
check "ruff format" .venv/bin/ruff format --check --quiet
check "mypy --strict" .venv/bin/mypy --no-error-summary
check "layers (import-linter)" layers
check "gofmt" gofmt_clean
check "go vet" go_vet
check "forge fmt" node_modules/.bin/forge fmt --check
check "shellcheck" shell_scripts
check "slither" scripts/audit.sh
check "the verifier is the generated one" scripts/verifier.sh

[ "${#failed[@]}" -eq 0 ] || die "failed: $(IFS=,; printf '%s' "${failed[*]}"); the lines above each say why"
say "all checks passed"
