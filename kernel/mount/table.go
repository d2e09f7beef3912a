package mount

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A tableRow is the part of a line of /proc/self/mountinfo (proc(5)) that concerns us.
type tableRow struct {
	device string // major:minor
	fsType string
}

// mounted returns what is mounted on top at dir, a path free of symlinks.
func mounted(dir string) (row tableRow, ok bool, err error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return row, false, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		before, after, found := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if found && len(fields) > 4 && unescape(fields[4]) == dir {
			fsType, _, _ := strings.Cut(after, " ")
			row, ok = tableRow{device: fields[2], fsType: fsType}, true
		}
	}
	return row, ok, nil
}

// unescape undoes the octal escapes of spaces, tabs, newlines and backslashes.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// clear detaches dead FUSE mounts at dir and returns its real path.
func clear(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	// The last element of a dead mount cannot be examined, its parent can.
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err != nil {
		return "", err
	}
	dir = filepath.Join(parent, filepath.Base(dir))
	for {
		row, ok, err := mounted(dir)
		if err != nil {
			return "", err
		}
		info, err := os.Lstat(dir)
		dead := errors.Is(err, syscall.ENOTCONN)
		if err == nil && ok && strings.HasPrefix(row.fsType, "fuse.shale") {
			// Its attributes may be kept of when it lived; this its process alone answers.
			dead = errors.Is(syscall.Statfs(dir, new(syscall.Statfs_t)), syscall.ENOTCONN)
		}
		if err != nil && !dead {
			return "", err
		}
		if !dead && !info.IsDir() {
			return "", fmt.Errorf("%s: not a directory", dir)
		}
		if !dead {
			if ok && strings.HasPrefix(row.fsType, "fuse.shale") {
				return "", fmt.Errorf("%s: a dataset is mounted here already: unmount it (fusermount3 -u)", dir)
			}
			return dir, nil
		}
		if !ok {
			return "", fmt.Errorf("%s: lies in a dead mount: unmount that first", dir)
		}
		if err := detach(dir); err != nil {
			return "", err
		}
	}
}

// detach unmounts lazily.
func detach(dir string) error {
	if os.Geteuid() == 0 {
		return os.NewSyscallError("umount2", syscall.Unmount(dir, syscall.MNT_DETACH))
	}
	if out, err := exec.Command("fusermount3", "-u", "-z", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("fusermount3 -u: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// raiseReadAhead lifts the kernel's cap of 128 KiB on what FUSE may read ahead. It needs root; without it reading is
// slower and no less right.
func raiseReadAhead(dir string) {
	row, ok, err := mounted(dir)
	if err != nil || !ok {
		return
	}
	_ = os.WriteFile("/sys/class/bdi/"+row.device+"/read_ahead_kb", []byte(strconv.Itoa(readAhead>>10)), 0o644)
}
