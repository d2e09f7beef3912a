package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/shale-cloud/shale/kernel/mount"
	"github.com/shale-cloud/shale/kernel/piece/remote"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

func init() {
	commands["mount"] = command{"mount a dataset read-only: --source SOURCE [--with SOURCE]… --dir DIR [--root CID] [--index FILE] [--verify first-touch|always|never] [--proofs] [--alone] [--while-stdin]", runMount}
}

// garbage is by how many per cent the heap of a mount grows before it is collected.
const garbage = 20

// An event is one line on stdout: "waiting" while a server sends nothing before the mount is ready, "rebuilt" if there was an
// index that couldn't be used, "alone" if no other user can read the mount, "ready" once, "fault" for each leaf that cannot be read truthfully, and for a source that
// changes. SIGHUP says that the sources were checked: those that were replaced are read from then on, each leaf is verified
// anew, and its fault told again.
type event struct {
	Event   string `json:"event"`
	Kind    string `json:"kind,omitempty"`
	Path    string `json:"path,omitempty"`
	CID     string `json:"cid,omitempty"`
	Offset  *int64 `json:"offset,omitempty"`
	Message string `json:"message,omitempty"`
	Host    string `json:"host,omitempty"`
	Seconds int    `json:"seconds,omitempty"`
}

func runMount(args []string) error {
	flags := flag.NewFlagSet("mount", flag.ContinueOnError)
	source := flags.String("source", "", "")
	dir := flags.String("dir", "", "")
	option := datasetFlags(flags)
	verifyName := flags.String("verify", "first-touch", "")
	withProofs := flags.Bool("proofs", false, "")
	alone := flags.Bool("alone", false, "") // rather for this user alone than not at all
	whileStdin := flags.Bool("while-stdin", false, "")
	if _, err := parseArgs(flags, args); err != nil {
		return err
	}
	if *source == "" || *dir == "" {
		return fmt.Errorf("%w: shale-kernel mount --source SOURCE --dir DIR", errUsage)
	}
	verify, err := unixfs.ParseVerify(*verifyName)
	if err != nil {
		return fmt.Errorf("%w: %v", errUsage, err)
	}
	// The mount outlives whoever started it, unless told otherwise: readers in containers hold on to it. A hangup asks to
	// look at everything anew.
	signal.Ignore(syscall.SIGPIPE)
	anew := make(chan os.Signal, 1)
	signal.Notify(anew, syscall.SIGHUP)
	orphaned, mounting := make(chan struct{}), make(chan struct{})
	if *whileStdin {
		go func() {
			awaitEnd(os.Stdin)
			close(orphaned)
			select {
			case <-mounting:
			default:
				os.Exit(1) // nothing is mounted yet
			}
		}()
	}
	events := startEvents()
	ready := atomic.Bool{}
	remote.Waiting = func(host string, since time.Duration) {
		if !ready.Load() {
			seconds := int(since.Seconds())
			send(events, event{Event: "waiting", Host: host, Seconds: seconds, Message: fmt.Sprintf("waiting for %s, %d s", host, seconds)})
		}
	}
	d, err := option.open(*source)
	if err != nil {
		return err
	}
	defer d.Close()
	// What was read to build the tree is of no use to the mount, whose tables then stay as they are: it need not let
	// garbage grow to their size before it collects.
	debug.FreeOSMemory()
	debug.SetGCPercent(garbage)
	if d.Unusable != nil {
		send(events, event{Event: "rebuilt", Message: d.Unusable.Error()})
	}
	reader := unixfs.NewReader(d.Source, d.Tree, verify)
	onFault := func(f *unixfs.Fault) {
		e := event{Event: "fault", Kind: f.Kind, Path: f.Path, Message: f.Error()}
		if f.Kind != unixfs.Changed {
			e.CID, e.Offset = f.CID.String(), &f.Offset
		}
		send(events, e)
	}
	reader.OnFault = onFault
	// Until here a signal ends the process, and so does the end of whoever started it: nothing is mounted yet.
	close(mounting)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	var mounted *mount.Mount
	if *withProofs {
		var proof []byte
		if proof, err = d.Proof(); err != nil {
			return err
		}
		mounted, err = mount.WithProofs(*dir, d.Tree, reader, &mount.Proofs{Source: d.Source, Piece: proof, OnFault: onFault})
	} else if why := mount.MayShare(); why != nil && *alone {
		send(events, event{Event: "alone", Message: "nobody but you can read it: " + why.Error()})
		mounted, err = mount.ForOneself(*dir, d.Tree, reader)
	} else {
		mounted, err = mount.At(*dir, d.Tree, reader)
	}
	if err != nil {
		return err
	}
	ready.Store(true)
	send(events, event{Event: "ready"})
	gone := make(chan struct{})
	go func() {
		mounted.Wait()
		close(gone)
	}()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go d.Watch(ctx, reader, onFault, anew)
	select {
	case <-gone:
		return nil
	case <-ended:
		return mounted.Unmount()
	case <-orphaned:
		return mounted.Unmount()
	}
}

// awaitEnd returns when the other end of a pipe is closed, as that of a process is however it ends.
func awaitEnd(pipe io.Reader) { _, _ = io.Copy(io.Discard, pipe) }

// startEvents writes events in a goroutine of their own: a parent that doesn't read holds up no reader of the mount,
// and a parent that is gone is no failure.
func startEvents() chan<- event {
	events := make(chan event, 1024)
	go func() {
		out := json.NewEncoder(os.Stdout)
		for e := range events {
			_ = out.Encode(e)
		}
	}()
	return events
}

// send drops the event if a thousand wait already.
func send(events chan<- event, e event) {
	select {
	case events <- e:
	default:
	}
}
