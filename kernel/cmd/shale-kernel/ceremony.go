// The command ceremony: keys for real money (docs/guide/ceremony.md).
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/shale-cloud/shale/kernel/ceremony"
	"github.com/shale-cloud/shale/kernel/ledger"
)

func init() {
	commands["ceremony"] = command{"make keys for real money: init, contribute, verify, finalise, manifest", runCeremony}
}

// ceremonySteps are the subcommands, with their usage.
var ceremonySteps = map[string]struct {
	usage string
	run   func(options *ceremonyOptions) (any, error)
}{
	"init":       {"--size N --powers FILE.ptau [--blake2b HEX] DIR", ceremonyInit},
	"contribute": {"--name NAME DIR", ceremonyContribute},
	"verify":     {"--powers FILE.ptau DIR", ceremonyVerify},
	"finalise":   {"--powers FILE.ptau --beacon HEX --source TEXT --out KEYS DIR", ceremonyFinalise},
	"manifest":   {"--keys KEYS --out SOURCE DIR...", ceremonyManifest},
}

type ceremonyOptions struct {
	dir, powers, blake2b, name, beacon, source, keys, out string
	dirs                                                  []string
	size                                                  int
}

// runCeremony prints the answer as one JSON object.
func runCeremony(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: shale-kernel ceremony init|contribute|verify|finalise|manifest", errUsage)
	}
	step, ok := ceremonySteps[args[0]]
	if !ok {
		return fmt.Errorf("%w: shale-kernel ceremony init|contribute|verify|finalise|manifest", errUsage)
	}
	var o ceremonyOptions
	flags := quietFlags("ceremony")
	flags.StringVar(&o.powers, "powers", "", "")
	flags.StringVar(&o.blake2b, "blake2b", "", "")
	flags.StringVar(&o.name, "name", "", "")
	flags.StringVar(&o.beacon, "beacon", "", "")
	flags.StringVar(&o.source, "source", "", "")
	flags.StringVar(&o.keys, "keys", "", "")
	flags.StringVar(&o.out, "out", "", "")
	flags.IntVar(&o.size, "size", 0, "")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() == 0 || (flags.NArg() > 1 && !strings.HasSuffix(step.usage, "...")) {
		return fmt.Errorf("%w: shale-kernel ceremony %s %s", errUsage, args[0], step.usage)
	}
	o.dir, o.dirs = flags.Arg(0), flags.Args()
	for _, word := range strings.Fields(step.usage) {
		name, isOption := strings.CutPrefix(word, "--")
		if isOption && flags.Lookup(name).Value.String() == flags.Lookup(name).DefValue {
			return fmt.Errorf("%w: shale-kernel ceremony %s %s", errUsage, args[0], step.usage)
		}
	}
	answer, err := step.run(&o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

func circuitOf(size int) (ceremony.Circuit, error) {
	if !ledger.IsSize(size) {
		return ceremony.Circuit{}, fmt.Errorf("there is no circuit of size %d: the sizes are %v", size, ledger.Sizes)
	}
	system, err := ledger.Compile(size)
	return ceremony.Circuit{Size: size, System: system}, err
}

func ceremonyInit(o *ceremonyOptions) (any, error) {
	circuit, err := circuitOf(o.size)
	if err != nil {
		return nil, err
	}
	return ceremony.Init(o.dir, circuit, o.powers, strings.ToLower(o.blake2b))
}

// circuitIn is the one that the folder's ceremony is for.
func circuitIn(dir string) (ceremony.Circuit, error) {
	t, err := ceremony.ReadTranscript(dir)
	if err != nil {
		return ceremony.Circuit{}, err
	}
	return circuitOf(t.Size)
}

func ceremonyContribute(o *ceremonyOptions) (any, error) {
	circuit, err := circuitIn(o.dir)
	if err != nil {
		return nil, err
	}
	return ceremony.Contribute(o.dir, circuit, o.name)
}

func ceremonyVerify(o *ceremonyOptions) (any, error) {
	circuit, err := circuitIn(o.dir)
	if err != nil {
		return nil, err
	}
	return ceremony.Verify(o.dir, circuit, o.powers, digests(circuit, nil))
}

func ceremonyFinalise(o *ceremonyOptions) (any, error) {
	beacon, err := hex.DecodeString(strings.TrimPrefix(o.beacon, "0x"))
	if err != nil {
		return nil, fmt.Errorf("the beacon is no hex")
	}
	circuit, err := circuitIn(o.dir)
	if err != nil {
		return nil, err
	}
	return ceremony.Finalise(o.dir, circuit, o.powers, beacon, o.source, digests(circuit, func(m *ledger.Material) error {
		return m.Publish(o.out)
	}))
}

// digests tells those of a ceremony's keys, and hands what is to be stored to store, if that is not nil.
func digests(circuit ceremony.Circuit, store func(*ledger.Material) error) ceremony.Made {
	return func(k ceremony.Keys) (string, string, error) {
		material, err := ledger.CeremonyMaterial(circuit.Size, circuit.System, k.Proving, k.Verifying)
		if err == nil && store != nil {
			err = store(material)
		}
		if err != nil {
			return "", "", err
		}
		return material.Described.VKHash, material.Described.ProvingKey, nil
	}
}

// ceremonyManifest looks first at what is quick: a wrong file is told before circuits are compiled.
func ceremonyManifest(o *ceremonyOptions) (any, error) {
	var made []ledger.SizeOfKeys
	var transcripts []*ceremony.Transcript
	for _, dir := range o.dirs {
		t, err := ceremony.Ended(dir)
		if err != nil {
			return nil, err
		}
		transcripts = append(transcripts, t)
		made = append(made, ledger.SizeOfKeys{
			Size: t.Size, Constraints: t.Constraints, Circuit: t.Circuit, VKHash: t.Final.VKHash, ProvingKey: t.Final.ProvingKey,
		})
	}
	assembled, err := ledger.Assemble(made, o.keys)
	if err != nil {
		return nil, err
	}
	for i, dir := range o.dirs {
		circuit, err := circuitOf(transcripts[i].Size)
		if err == nil {
			err = ceremony.VerifyChain(dir, circuit)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
	}
	if err := assembled.Write(o.out); err != nil {
		return nil, err
	}
	for _, t := range transcripts {
		if err := t.Keep(filepath.Join(o.out, fmt.Sprintf("ceremony-%d.json", t.Size))); err != nil {
			return nil, err
		}
	}
	return struct {
		KeysHash string `json:"keys_hash"`
	}{assembled.Hash}, nil
}
