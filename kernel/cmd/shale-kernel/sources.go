package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/source"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// openDataset opens a source with a CAR in it, and its tree. The source must be closed.
func openDataset(text, root string) (piece.Source, *unixfs.Tree, error) {
	src, err := source.Open(text)
	if err != nil {
		return nil, nil, err
	}
	tree, err := unixfs.Open(src, root)
	if err != nil {
		src.Close()
		return nil, nil, err
	}
	return src, tree, nil
}

// interruptible ends when a person or a supervisor asks the command to end.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

const progressPeriod = 200 * time.Millisecond

// A progress tells on stderr, as lines "progress DONE TOTAL", how many bytes of a source were read.
type progress struct {
	piece.Source
	total int64
	done  atomic.Int64
	stop  func()
}

// withProgress begins to report if told so. Stop ends it; the source is the caller's to close.
func withProgress(src piece.Source, total int64, told bool) *progress {
	p := &progress{Source: src, total: total, stop: func() {}}
	if !told || total <= 0 {
		return p
	}
	ended := make(chan struct{})
	tell := func() { fmt.Fprintf(os.Stderr, "progress %d %d\n", min(p.done.Load(), p.total), p.total) }
	var reporter sync.WaitGroup
	reporter.Go(func() {
		ticker := time.NewTicker(progressPeriod)
		defer ticker.Stop()
		for {
			tell()
			select {
			case <-ticker.C:
			case <-ended:
				return
			}
		}
	})
	p.stop = func() {
		close(ended)
		reporter.Wait()
		tell()
	}
	return p
}

func (p *progress) ReadAt(dst []byte, off int64) (int, error) {
	n, err := p.Source.ReadAt(dst, off)
	p.done.Add(int64(n))
	return n, err
}
