package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/source"
)

func init() {
	commands["verify"] = command{"check blocks against their CIDs, a source against its piece CID: SOURCE [--piece CID] [--sample N] [--json]", runVerify}
}

// A verdict is what was compared, and what of it is wrong.
type verdict struct {
	OK         bool            `json:"ok"`
	Blocks     int             `json:"blocks"`
	Verified   int             `json:"verified"`
	Piece      *string         `json:"piece_cid"` // what the source is, if it was asked for
	PieceNamed *bool           `json:"piece_ok"`
	Faults     int             `json:"faults"`
	Problems   []piece.Problem `json:"problems"`
}

func runVerify(args []string) error {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	told := progressFlag(flags)
	sample := flags.Int("sample", 0, "")
	pieceText := flags.String("piece", "", "")
	sources, err := parseArgs(flags, args, "SOURCE")
	if err != nil {
		return err
	}
	if *sample < 0 {
		return fmt.Errorf("%w: --sample %d: a number of blocks, 0 for all", errUsage, *sample)
	}
	want, err := pieceToVerify(sources[0], *pieceText, *sample)
	if err != nil {
		return err
	}
	src, err := source.Open(sources[0])
	if err != nil {
		return err
	}
	defer src.Close()
	p := withProgress(src, src.Size(), *told && *sample == 0)
	v, err := judge(context.Background(), p, want, *sample)
	p.stop()
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(v)
	}
	fmt.Printf("blocks      %d\nverified    %d\n", v.Blocks, v.Verified)
	if v.Piece != nil {
		fmt.Printf("piece       %s\n", *v.Piece)
	}
	for _, problem := range v.Problems {
		fmt.Printf("problem     offset %d: %s\n", problem.Offset, problem.Reason)
	}
	if !v.OK {
		return fmt.Errorf("%s: %d problems", src.Name(), v.Faults)
	}
	return nil
}

// pieceToVerify is the piece CID of the option, or of a URL that names one if the whole piece is read anyway.
func pieceToVerify(text, option string, sample int) (cid.Cid, error) {
	if option == "" {
		id, ok := source.NamedPiece(text)
		if !ok || sample != 0 {
			return cid.Undef, nil
		}
		return id, nil
	}
	id, err := cid.Decode(option)
	if err == nil {
		err = piece.IsPieceCID(id)
	}
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: --piece: %v", errUsage, err)
	}
	return id, nil
}

// judge checks the blocks and the piece, in one pass if both are read whole. What is no CAR has no blocks, which is fine if
// its piece CID is known.
func judge(ctx context.Context, src piece.Source, want cid.Cid, sample int) (*verdict, error) {
	found, err := look(ctx, src, want.Defined(), sample)
	if err != nil {
		return nil, err
	}
	var format *piece.FormatError
	if found.Blocks != nil && (!want.Defined() || !errors.As(found.Blocks, &format)) {
		return nil, found.Blocks
	}
	v := &verdict{Blocks: found.Checked.Blocks, Verified: found.Checked.Verified, Faults: found.Checked.Faults}
	v.Problems = append([]piece.Problem{}, found.Checked.Problems...)
	if want.Defined() {
		got, named := found.Commitment.V1.String(), found.Commitment.Names(want)
		v.Piece, v.PieceNamed = &got, &named
		if !named {
			v.Faults++
			v.Problems = append(v.Problems, piece.Problem{Reason: fmt.Sprintf("the piece is %s, not %s", got, want)})
		}
	}
	v.OK = v.Faults == 0
	return v, nil
}

func look(ctx context.Context, src piece.Source, whole bool, sample int) (found piece.Whole, err error) {
	if whole && sample == 0 {
		return piece.VerifyWhole(ctx, src)
	}
	found.Checked, found.Blocks = piece.VerifyBlocks(ctx, src, sample)
	if whole {
		found.Commitment, err = piece.CommitTo(ctx, src)
	}
	return found, err
}
