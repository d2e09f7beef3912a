package mount_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestListingALargeDirectoryLeavesNothingInTheMountsMemory(t *testing.T) {
	const count, least = 20_000, 20 // bytes of each that would be too many
	files := map[string][]byte{}
	for i := range count {
		files[fmt.Sprintf("many/entry-%05d", i)] = nil
	}
	p := packOf(t, files)
	held := func() uint64 {
		runtime.GC()
		runtime.GC() // what the first one only let go of
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	plain := t.TempDir()
	mountAt(t, p.car, plain)
	beside, _, _ := proven(t, p.car, nil)
	for _, dir := range []string{plain, filepath.Join(beside, "data")} {
		before := held()
		for _, option := range []string{"-f", "-l"} {
			// Another process, whose memory isn't ours.
			out, err := exec.Command("sh", "-c", `ls "$1" "$2" | wc -l`, "sh", option, filepath.Join(dir, "many")).Output()
			if err != nil || strings.TrimSpace(string(out)) < fmt.Sprint(count) {
				t.Fatalf("%q, %v", out, err)
			}
		}
		if after := held(); after > before+count*least {
			t.Errorf("%d bytes an entry", (after-before)/count)
		}
	}
}
