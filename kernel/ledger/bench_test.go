package ledger

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/fastgroth"
	"github.com/shale-cloud/shale/kernel/voucher"
)

// BenchmarkProve proves full batches beside gnark's own prover, in constraints a second by the clock and of processor time,
// all threads together; of ours also the share of the witness, and the most memory, in MiB.
func BenchmarkProve(b *testing.B) {
	for _, size := range []int{64, 256} {
		system := compiled(b, size)
		key, _, err := fastgroth.Setup(system)
		if err != nil {
			b.Fatal(err)
		}
		transition := fullWindow(b, size)
		b.Run(fmt.Sprintf("%d/shale", size), func(b *testing.B) {
			prover, err := fastgroth.NewProver(system, key)
			if err != nil {
				b.Fatal(err)
			}
			measureProofs(b, system, func() time.Duration {
				start := time.Now()
				inputs := transition.assignment().inputs()
				built := time.Since(start)
				_, timing, err := prover.Prove(inputs, nil)
				if err != nil {
					b.Fatal(err)
				}
				return built + timing.Witness
			})
		})
		b.Run(fmt.Sprintf("%d/gnark", size), func(b *testing.B) {
			measureProofs(b, system, func() time.Duration {
				witness, err := frontend.NewWitness(transition.assignment(), ecc.BN254.ScalarField())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := groth16.Prove(system, key, witness); err != nil {
					b.Fatal(err)
				}
				return 0
			})
		})
	}
}

// BenchmarkSetup makes the development keys of 8 beside gnark's own setup.
func BenchmarkSetup(b *testing.B) {
	system := compiled(b, 8)
	b.Run("8/shale", func(b *testing.B) {
		measureSeconds(b, func() error {
			_, _, err := fastgroth.Setup(system)
			return err
		})
	})
	b.Run("8/gnark", func(b *testing.B) {
		measureSeconds(b, func() error {
			return groth16bn254.Setup(system, new(groth16bn254.ProvingKey), new(groth16bn254.VerifyingKey))
		})
	})
}

// BenchmarkLoad loads what proofs of 256 need, from files that are in the page cache.
func BenchmarkLoad(b *testing.B) {
	dir := os.Getenv("SHALE_KEYS")
	if dir == "" {
		dir = b.TempDir()
	}
	keys, err := Pinned()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := keys.UnsafeDevelopmentSetup(dir, 256); err != nil {
		b.Fatal(err)
	}
	measureSeconds(b, func() error {
		_, err := keys.LoadProver(dir, 256)
		return err
	})
}

func compiled(b *testing.B, size int) *cs.R1CS {
	b.Helper()
	system, err := Compile(size)
	if err != nil {
		b.Fatal(err)
	}
	return system.(*cs.R1CS)
}

// fullWindow inserts and claims in every slot.
func fullWindow(b *testing.B, size int) *Transition {
	b.Helper()
	operations := make([]Operation, size)
	for i := range operations {
		leaf := leafOf(i)
		signature, err := voucher.Sign(secretOf(i), voucher.Voucher{
			Domain: testDomain, LeaseID: leaf.LeaseID, Amount: leaf.Amount, Seconds: leaf.Seconds,
		})
		if err != nil {
			b.Fatal(err)
		}
		operations[i] = Operation{Leaf: leaf, Insert: true, Claim: true, Signature: signature}
	}
	transition, err := Apply(testDomain, size, 0, nil, operations)
	if err != nil {
		b.Fatal(err)
	}
	return transition
}

func leafOf(i int) Leaf {
	return leaseOf(i).paid(1_000_000_000_000_000_000+int64(i)*982_451_653, 3600+uint64(i))
}

func measureProofs(b *testing.B, system *cs.R1CS, prove func() (witness time.Duration)) {
	debug.FreeOSMemory()
	forgetPeak()
	began, used := time.Now(), processorTime(b)
	var witness time.Duration
	for b.Loop() {
		witness += prove()
	}
	wall, spent := time.Since(began), processorTime(b)-used
	constraints := float64(system.GetNbConstraints()) * float64(b.N)
	b.ReportMetric(constraints/wall.Seconds(), "constraints/s")
	b.ReportMetric(constraints/spent.Seconds(), "constraints/CPU-s")
	b.ReportMetric(100*witness.Seconds()/wall.Seconds(), "witness-%")
	b.ReportMetric(peak(), "peak-MiB")
}

func measureSeconds(b *testing.B, run func() error) {
	runtime.GC()
	began, used := time.Now(), processorTime(b)
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(time.Since(began).Seconds()/float64(b.N), "s")
	b.ReportMetric((processorTime(b)-used).Seconds()/float64(b.N), "CPU-s")
}

// processorTime is what the process has used, which other load on the machine changes little.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// forgetPeak lets the kernel count the most memory anew; see proc(5), clear_refs.
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200) }

// peak is the most memory that the process had, in MiB.
func peak() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	_, _ = fmt.Sscan(rest, &kib)
	return kib / 1024
}
