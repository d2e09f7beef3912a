package commp

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkCommP commits to random bytes from memory, beside Filecoin's library, in MiB per second of processor time,
// all threads together.
func BenchmarkCommP(b *testing.B) {
	data := randomBytes(9, 64<<20)
	b.Run("shale", func(b *testing.B) {
		measure(b, len(data), func() { commit(b, NewWriter(), data) })
	})
	b.Run("library", func(b *testing.B) {
		measure(b, len(data), func() { oracle(b, data) })
	})
	b.Run("portable", func(b *testing.B) {
		fast := hashPairs
		hashPairs = hashPairsPortable
		defer func() { hashPairs = fast }()
		measure(b, len(data), func() { commit(b, NewWriter(), data) })
	})
}

func measure(b *testing.B, size int, run func()) {
	runtime.GC()
	b.SetBytes(int64(size))
	began := processorTime(b)
	for b.Loop() {
		run()
	}
	spent := processorTime(b) - began
	b.ReportMetric(float64(size)*float64(b.N)/(1<<20)/spent.Seconds(), "MiB/CPU-s")
}

// processorTime is what the process has used, which other load on the machine changes little.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
