#!/usr/bin/env node
// Changes the contracts in one small place at a time and runs their tests against each change: what no test notices is
// not tested. Each mutant is compiled alone and put in the place of the compiled contract, so that no test is compiled
// anew; those that survive are tried once more with every test compiled with them. Exit status 1: under 90 % killed.
//   scripts/mutate.mjs [--sample N] [--seed N] [--workers N] [--only Ledger.sol]
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";
import { mutantsOf } from "./mutants.mjs";

const ROOT = path.resolve(import.meta.dirname, "..");
const WORK = path.join(ROOT, "build", "mutation");
const LEAST = 0.9;
const TIMEOUT = 600_000;
process.chdir(ROOT);
const solc = createRequire(import.meta.url)(path.join(ROOT, "node_modules", "solc"));

const { values: options } = parseArgs({
  options: {
    sample: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: "2" },
    only: { type: "string", default: "" },
  },
});

const LEDGER = "{Ledger[BLSEP]*,MarketTopUp}.t.sol";
const MARKET = "{Market*,Eip712}.t.sol";
// What is changed, what is compiled of it, the tests to run first, and tests that have it in their own code.
const TARGETS = [
  ["Ledger.sol", ["Market"], LEDGER, "LedgerLock.t.sol"],
  ["libraries/Records.sol", ["Market"], LEDGER, ""],
  ["libraries/PackedOps.sol", ["Market"], LEDGER, "libraries/PackedOps.t.sol"],
  ["libraries/BatchWords.sol", ["Market"], LEDGER, "libraries/BatchWords.t.sol"],
  ["Market.sol", ["Market"], MARKET, ""],
  ["libraries/Messages.sol", ["Market"], MARKET, "Eip712.t.sol"],
  ["libraries/Ratings.sol", ["Market"], MARKET, ""],
  ["Registry.sol", ["Registry"], "Registry*.t.sol", ""],
  ["libraries/MinerActor.sol", ["Registry"], "Registry*.t.sol", "libraries/MinerActor.t.sol"],
].map(([file, contracts, first, own]) => ({ file: `contracts/src/${file}`, contracts, first, own }));
const ALL = "{Ledger*,Market*,Registry*,Solvency,Eip712}.t.sol";

const sources = {};
function load(file) {
  if (sources[file]) return;
  const text = fs.readFileSync(file.startsWith("@") ? path.join("node_modules", file) : file, "utf8");
  sources[file] = { content: text };
  for (const [, from] of text.matchAll(/from "([^"]+)";/g)) load(resolve(file, from));
}
const resolve = (file, from) => (from.startsWith(".") ? path.posix.join(path.posix.dirname(file), from) : from);

// The code of the contracts with one source changed; null if it does not compile. Not optimized, which is faster, but for
// a survivor: the same code then is the same contract.
function compile(contracts, changed = {}, optimized = false) {
  const settings = {
    evmVersion: "cancun",
    optimizer: { enabled: optimized, runs: 10_000 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: Object.fromEntries(
      contracts.map((name) => [`contracts/src/${name}.sol`, { [name]: ["evm.bytecode.object"], "": [] }]),
    ),
  };
  const input = { language: "Solidity", sources: { ...sources, ...changed }, settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  if ((output.errors ?? []).some((error) => error.severity === "error")) return null;
  return contracts.map((name) => output.contracts[`contracts/src/${name}.sol`][name].evm.bytecode.object);
}

function ast(file) {
  const settings = { outputSelection: { "*": { "": ["ast"] } } };
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
  return output.sources[file].ast;
}

// A small generator with a seed (mulberry32): the same sample on every machine.
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function sampled(mutants, count, seed) {
  const next = random(seed);
  const keyed = mutants.map((mutant) => [next(), mutant]).sort(([a], [b]) => a - b);
  return keyed.slice(0, count || mutants.length).map(([, mutant]) => mutant);
}

// A worker's own copy of all that the tests need.
function copy(number) {
  const at = path.join(WORK, `worker-${number}`);
  fs.rmSync(at, { recursive: true, force: true });
  fs.mkdirSync(path.join(at, "tests"), { recursive: true });
  for (const name of ["contracts/src", "contracts/test", "foundry.toml", "scripts", "tests/vectors"])
    fs.cpSync(name, path.join(at, name), { recursive: true });
  fs.symlinkSync(path.join(ROOT, "node_modules"), path.join(at, "node_modules"));
  const built = spawnSync("node_modules/.bin/forge", ["build"], { cwd: at, encoding: "utf8" });
  if (built.status !== 0) throw new Error(`the contracts do not build: ${built.stdout}${built.stderr}`);
  return at;
}

// Whether the tests pass. A mutant that never ends is killed, in both senses.
function passes(at, tests) {
  return new Promise((done) => {
    const env = {
      ...process.env,
      FORGE_SNAPSHOT_CHECK: "false",
      FOUNDRY_FUZZ_RUNS: "32",
      FOUNDRY_INVARIANT_RUNS: "8",
      FOUNDRY_CODE_SIZE_LIMIT: "100000",
    };
    const child = spawn("node_modules/.bin/forge", ["test", "--fail-fast", "--match-path", `contracts/test/${tests}`], {
      cwd: at,
      env,
      stdio: "ignore",
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT);
    child.on("exit", (code) => (clearTimeout(timer), done(code === 0)));
  });
}

function put(at, name, code) {
  const file = path.join(at, "contracts", "out", `${name}.sol`, `${name}.json`);
  const artifact = JSON.parse(fs.readFileSync(file, "utf8"));
  artifact.bytecode.object = `0x${code}`;
  fs.writeFileSync(file, JSON.stringify(artifact));
}

async function fate(at, mutant, target, original) {
  const text = sources[target.file].content;
  const changed = text.slice(0, mutant.start) + mutant.text + text.slice(mutant.end);
  const codes = compile(target.contracts, { [target.file]: { content: changed } });
  if (codes === null) return "invalid";
  const isSame = (optimized) =>
    compile(target.contracts, { [target.file]: { content: changed } }, optimized).every(
      (code, i) => code === compile(target.contracts, {}, optimized)[i],
    );
  const swap = (of) => target.contracts.forEach((name, i) => put(at, name, of[i]));
  try {
    swap(codes);
    if (!(await passes(at, target.first))) return "killed";
    if (!(await passes(at, ALL))) return "killed";
  } finally {
    swap(original);
  }
  if (isSame(true)) return "same code";
  if (!target.own) return "survived";
  try {
    fs.writeFileSync(path.join(at, target.file), changed);
    return (await passes(at, target.own)) ? "survived" : "killed";
  } finally {
    fs.writeFileSync(path.join(at, target.file), text);
    spawnSync("node_modules/.bin/forge", ["build"], { cwd: at, stdio: "ignore" });
  }
}

function describe(mutant, file) {
  const text = sources[file].content;
  const line = text.slice(0, mutant.start).split("\n").length;
  const brief = (part) => part.replace(/\s+/g, " ").trim().slice(0, 90);
  const within = brief(text.split("\n")[line - 1]);
  return { file, line, within, kind: mutant.kind, was: brief(text.slice(mutant.start, mutant.end)), is: brief(mutant.text) };
}

const started = Date.now();
const chosen = TARGETS.filter(({ file }) => file.endsWith(options.only));
for (const name of ["Market", "Registry"]) load(`contracts/src/${name}.sol`);
const everything = chosen.flatMap((target) => mutantsOf(ast(target.file), sources[target.file].content).map((mutant) => ({ mutant, target })));
const jobs = sampled(everything, Number(options.sample), Number(options.seed));
console.log(`mutation: ${everything.length} mutants, ${jobs.length} of them tried (seed ${options.seed})`);
const originals = new Map(chosen.map((target) => [target, compile(target.contracts)]));
const known = fs
  .readFileSync("contracts/test/equivalent-mutants.txt", "utf8")
  .split("\n")
  .filter((line) => line && !line.startsWith("#"))
  .map((line) => line.split(" | ").slice(0, -1).join(" | "));

const results = [];
let next = 0;
await Promise.all(
  Array.from({ length: Number(options.workers) }, async (_, number) => {
    const at = copy(number);
    // A test that fails by itself would kill them all.
    for (const [target, codes] of originals) target.contracts.forEach((name, i) => put(at, name, codes[i]));
    if (!(await passes(at, ALL))) throw new Error("the tests fail without any change: forge test says why");
    while (next < jobs.length) {
      const { mutant, target } = jobs[next++];
      const result = describe(mutant, target.file);
      result.fate = await fate(at, mutant, target, originals.get(target));
      const key = [path.basename(result.file), result.was, result.is, result.within].join(" | ");
      if (result.fate === "survived" && known.includes(key)) result.fate = "equivalent";
      results.push(result);
      if (result.fate === "survived") console.log(`survived  ${result.file}:${result.line}  ${key}`);
      fs.writeFileSync(path.join(WORK, "report.json"), JSON.stringify(results, null, 1));
    }
  }),
);

const count = (fate) => results.filter((result) => result.fate === fate).length;
const share = count("killed") / (count("killed") + count("survived"));
for (const { file } of chosen) {
  const of = results.filter((result) => result.file === file);
  const killed = of.filter((result) => result.fate === "killed").length;
  const survived = of.filter((result) => result.fate === "survived").length;
  console.log(`${file}: ${killed} killed, ${survived} survived, ${of.length - killed - survived} equivalent or invalid`);
}
console.log(
  `mutation: ${count("killed")} killed, ${count("survived")} survived, ${count("equivalent")} equivalent, ` +
    `${count("same code")} with the same code, ${count("invalid")} that do not compile; ` +
    `${(100 * share).toFixed(1)} % killed, in ${Math.round((Date.now() - started) / 60_000)} minutes`,
);
process.exitCode = share >= LEAST ? 0 : 1;
