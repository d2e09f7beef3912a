package piece

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A State is what tells cheaply whether the bytes of an open source may be others than before: its file's device, inode,
// size and times, or the versions that its server has answered with. Equal states are equal bytes, as far as those tell:
// what is written through a memory mapping shows only when the system writes it back.
type State struct {
	device, inode     uint64
	size              int64
	modified, changed int64 // nanoseconds
	version           uint64
}

const (
	// tick is more than the steps in which file systems count time: of what changed within one, another change may not show.
	tick = int64(100 * time.Millisecond)
	// coarseTick is that of file systems which count whole seconds, as a time without a fraction may be of.
	coarseTick = int64(2100 * time.Millisecond)
)

// VersionState is the state of a source whose versions are counted.
func VersionState(version uint64) State { return State{version: version} }

// Settled reports whether every change after a time shows in another state.
func (s State) Settled(at time.Time) bool {
	since, step := at.UnixNano()-s.changed, tick
	if s.changed%int64(time.Second) == 0 {
		step = coarseTick
	}
	return since > step || since < -step
}

// SameContent reports whether t can be the same bytes: other names, owners or modes alone make another state.
func (s State) SameContent(t State) bool {
	s.changed = t.changed
	return s == t
}

// layered is a source whose bytes lie in another.
type layered interface{ Beneath() Source }

// bottom is the source that holds the bytes of src.
func bottom(src Source) Source {
	for {
		upper, ok := src.(layered)
		if !ok {
			return src
		}
		src = upper.Beneath()
	}
}

// StateOf is the state of a source now, of one piece; it reports false if its bytes may be others without another state, as
// a server's may. Bytes in memory have one state.
func StateOf(src Source) (State, bool) {
	if s, ok := bottom(src).(interface{ State() (State, bool) }); ok {
		return s.State()
	}
	return State{}, true
}

// State asks the open file.
func (s *fileSource) State() (State, bool) {
	var stat unix.Stat_t
	if unix.Fstat(s.held.Load().descriptor, &stat) != nil {
		return State{}, false
	}
	return State{
		device: stat.Dev, inode: stat.Ino, size: stat.Size, modified: stat.Mtim.Nano(), changed: stat.Ctim.Nano(),
	}, true
}

// Replaced says why the name of a source's file doesn't lead to the file that is open, or nothing.
func Replaced(src Source) string {
	s, ok := bottom(src).(*fileSource)
	if !ok {
		return ""
	}
	var open, named unix.Stat_t
	if err := unix.Fstat(s.held.Load().descriptor, &open); err != nil {
		return fmt.Sprintf("cannot be looked at: %v", err)
	}
	switch err := unix.Stat(s.path, &named); {
	case err == unix.ENOENT:
		return "was removed"
	case err != nil:
		return fmt.Sprintf("cannot be looked at: %v", err)
	case named.Dev != open.Dev || named.Ino != open.Ino:
		return "was replaced by another file"
	}
	return ""
}

// OpenFileOf is the file that holds a source's bytes, for whoever wants to be told of its changes; nil if none does.
func OpenFileOf(src Source) *os.File {
	if s, ok := bottom(src).(*fileSource); ok {
		return s.held.Load().File
	}
	return nil
}
