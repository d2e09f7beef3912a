#!/usr/bin/env bash
# Builds the contracts and writes ABI and bytecode where the Python package reads them. A second run does nothing new.
set -euo pipefail
cd "$(dirname "$0")/.."

artifacts=src/shale/chain/artifacts

for generated in Verifier1 Verifier8 Verifier64 Verifier256 VerifyingKey; do
    if [ ! -f "contracts/src/generated/$generated.sol" ]; then
        echo "contracts: contracts/src/generated/$generated.sol is missing; export it with shale-kernel" >&2
        exit 1
    fi
done

# npm leaves its own copy of the lock in node_modules: older than ours means out of date.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    echo "contracts: installing forge, anvil, solc and OpenZeppelin from package-lock.json"
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
fi

node_modules/.bin/forge build --skip test

mkdir -p "$artifacts"
node - "$artifacts" <<'EOF'
const fs = require("node:fs");
const path = require("node:path");
for (const name of ["Registry", "Market", "Ledger", "Verifier1", "Verifier8", "Verifier64", "Verifier256"]) {
  const built = JSON.parse(fs.readFileSync(`contracts/out/${name}.sol/${name}.json`, "utf8"));
  const found = { abi: built.abi, bytecode: built.bytecode.object };
  // What eth_getCode must answer: of the verifiers alone, since they have no immutables.
  if (name.startsWith("Verifier")) found.runtime = built.deployedBytecode.object;
  const text = JSON.stringify(found) + "\n";
  const file = path.join(process.argv[2], `${name}.json`);
  if (fs.existsSync(file) && fs.readFileSync(file, "utf8") === text) continue;
  fs.writeFileSync(`${file}.new`, text);
  fs.renameSync(`${file}.new`, file);
  console.log(`contracts: wrote ${file}`);
}
EOF
