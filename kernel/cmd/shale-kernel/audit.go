package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/audit"
	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/reading"
)

func init() {
	commands["audit"] = command{
		"check a dataset as its reader: --root CID [--piece CID[:PADDED]…] [--sample N] [--timeout T] [--progress] [--json] (--data DIR --proofs DIR | -- COMMAND…)",
		runAudit,
	}
}

// patience is how long one read may take.
const patience = 30 * time.Second

// An audited is an audit's answer: what was proven, or what wasn't.
type audited struct {
	OK bool `json:"ok"`
	*audit.Result
	Failure *audit.Failure `json:"failure"`
}

func runAudit(args []string) error {
	var transport []string
	if at := slices.Index(args, "--"); at >= 0 {
		args, transport = args[:at], args[at+1:]
	}
	flags := flag.NewFlagSet("audit", flag.ContinueOnError)
	rootText := flags.String("root", "", "")
	var claim audit.Claim
	flags.Func("piece", "", func(text string) error { return addPiece(&claim, text) })
	sample := flags.Int("sample", 64, "")
	timeout := flags.Duration("timeout", 10*time.Minute, "")
	data := flags.String("data", "", "")
	proofs := flags.String("proofs", "", "")
	told := flags.Bool("progress", false, "")
	asJSON := flags.Bool("json", false, "")
	if _, err := parseArgs(flags, args); err != nil {
		return err
	}
	local := *data != "" && *proofs != ""
	if local == (len(transport) > 0) || *timeout <= 0 || *sample < 1 || *sample > audit.MaxSample {
		return fmt.Errorf("%w: shale-kernel audit --root CID [--piece CID] [--sample 1…%d] (--data DIR --proofs DIR | -- COMMAND…)",
			errUsage, audit.MaxSample)
	}
	var err error
	if claim.Root, err = cid.Decode(*rootText); err != nil {
		return fmt.Errorf("%w: --root %q: %v", errUsage, *rootText, err)
	}
	ctx, cancel := interruptible()
	defer cancel()
	ctx, stop := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("not finished within %v: allow more, or take a smaller sample", *timeout))
	defer stop()
	options := audit.Options{Sample: *sample, ReadTimeout: min(patience, *timeout)}
	if *told {
		options.Progress = func(done int) { fmt.Fprintf(os.Stderr, "progress %d %d\n", done, *sample) }
	}
	var result *audit.Result
	run := func(reader reading.Reader) error {
		result, err = audit.Run(ctx, reader, claim, options)
		return err
	}
	if local {
		var files *reading.Files
		if files, err = reading.OpenFiles(*data, *proofs); err != nil {
			return err
		}
		defer files.Close()
		err = run(files)
	} else {
		err = reading.Command(ctx, transport, func(c *reading.Client) error { return run(c) })
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, ctx.Err()) {
		err = cause
	}
	return showAudit(result, err, *asJSON)
}

// showAudit prints what was found. As JSON a claim that is not proven is an answer, not a failure of the command.
func showAudit(result *audit.Result, err error, asJSON bool) error {
	var failure *audit.Failure
	if err != nil && (!asJSON || !errors.As(err, &failure)) {
		return err
	}
	if asJSON {
		return printJSON(audited{OK: failure == nil, Result: result, Failure: failure})
	}
	proven := "not compared with any piece"
	if result.Piece != nil {
		proven = "lies in piece " + *result.Piece
	}
	fmt.Printf("root        %s, %s\nleaves      %d in %d files, %d bytes\nblocks      %d on the way\ntime        %.1f ms a leaf, %.1f at most, %.0f for all\n",
		result.Root, proven, result.Leaves, result.Files, result.Bytes, result.Blocks, result.PerLeaf, result.Slowest, result.Milliseconds)
	return nil
}

// addPiece reads CID or CID:PADDED, the size in bytes.
func addPiece(claim *audit.Claim, text string) error {
	name, size, sized := strings.Cut(text, ":")
	id, err := cid.Decode(name)
	if err == nil {
		err = piece.IsPieceCID(id)
	}
	p := audit.Piece{CID: id}
	if err == nil && sized {
		p.Padded, err = strconv.ParseUint(size, 10, 64)
	}
	claim.Pieces = append(claim.Pieces, p)
	return err
}
