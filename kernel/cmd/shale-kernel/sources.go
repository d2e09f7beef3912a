package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/remote"
)

// interruptible ends when a person or a supervisor asks the command to end.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

const progressPeriod = 200 * time.Millisecond

// A progress tells on stderr, as lines "progress DONE TOTAL", how many bytes were read of what it counts.
type progress struct {
	total int64
	done  atomic.Int64
	stop  func() // ends it
}

// startProgress begins to report if told so.
func startProgress(total int64, told bool) *progress {
	p := &progress{total: total, stop: func() {}}
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

// progressFlag adds --progress. With it a command also tells on stderr, as lines "waiting HOST SECONDS", of servers from
// which nothing comes.
func progressFlag(flags *flag.FlagSet) *bool {
	told := new(bool)
	flags.BoolFunc("progress", "", func(text string) (err error) {
		if *told, err = strconv.ParseBool(text); *told {
			remote.Waiting = func(host string, since time.Duration) {
				fmt.Fprintf(os.Stderr, "waiting %s %d\n", host, int(since.Seconds()))
			}
		}
		return err
	})
	return told
}

// A counted source counts towards a progress.
type counted struct {
	piece.Source
	*progress
}

func (c counted) ReadAt(dst []byte, off int64) (int, error) {
	n, err := c.Source.ReadAt(dst, off)
	c.done.Add(int64(n))
	return n, err
}

// withProgress counts what is read of a source, which is the caller's to close. stop ends the reports.
func withProgress(src piece.Source, total int64, told bool) counted {
	return counted{src, startProgress(total, told)}
}
