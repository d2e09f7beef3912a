package dataset

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

const (
	// lookPeriod is how often sources are looked at of which no event comes: on network file systems, or behind limits.
	lookPeriod = 5 * time.Second
	// lookPause is how long a look lets the next one wait, however many events come.
	lookPause = 50 * time.Millisecond
)

// Watch looks after the dataset's sources until ctx is done, so that a mount which nobody reads learns too that they have
// changed: the reader is told to look, onFault of a source whose file isn't to be found by its name any more. anew says that
// somebody has checked what lies there now: files that were replaced are read from then on, and all is verified again.
func (d *Dataset) Watch(ctx context.Context, reader *unixfs.Reader, onFault func(*unixfs.Fault), anew <-chan os.Signal) {
	parts := piece.Parts(d.Source)
	touched, stop := notices(parts)
	defer func() { stop() }()
	said := make([]string, len(parts))
	ticker := time.NewTicker(lookPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-touched:
		case <-ticker.C:
		case <-anew:
			stop()
			for _, part := range parts {
				piece.Reopen(part)
			}
			reader.Forget()
			touched, stop = notices(parts)
		}
		reader.Look()
		for i, part := range parts {
			if why := piece.Replaced(part); why != said[i] {
				if said[i] = why; why != "" {
					onFault(&unixfs.Fault{Source: part.Name(), Offset: -1, Kind: unixfs.Changed,
						Reason: why + " while it is mounted: readers get what was opened, and no later mount does"})
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookPause):
		}
	}
}

// notices tells, by inotify(7), when a file of the sources may have changed. What cannot be watched is left to the clock.
func notices(parts []piece.Source) (<-chan struct{}, func()) {
	touched := make(chan struct{}, 1)
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return touched, func() {}
	}
	for _, part := range parts {
		if file := piece.OpenFileOf(part); file != nil {
			// The file that is open, whatever its name leads to by now.
			_, _ = unix.InotifyAddWatch(fd, fmt.Sprintf("/proc/self/fd/%d", file.Fd()),
				unix.IN_MODIFY|unix.IN_ATTRIB|unix.IN_MOVE_SELF|unix.IN_DELETE_SELF)
		}
	}
	events := os.NewFile(uintptr(fd), "inotify")
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := events.Read(buf); err != nil {
				return
			}
			select {
			case touched <- struct{}{}:
			default:
			}
		}
	}()
	return touched, func() { events.Close() }
}
