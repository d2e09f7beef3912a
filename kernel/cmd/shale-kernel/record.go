package main

import (
	"flag"

	"github.com/shale-cloud/shale/kernel/dataset"
)

func init() {
	commands["record"] = command{"say of which sources, as they were when, a whole index is: INDEX", runRecord}
}

// A shownRecord is what an index says, without what is in it for a mount alone.
type shownRecord struct {
	Root    string        `json:"root"`
	Sources []shownSource `json:"sources"`
}

type shownSource struct {
	Source string `json:"source"`
	Stamp  string `json:"stamp"`
}

func runRecord(args []string) error {
	paths, err := parseArgs(flag.NewFlagSet("record", flag.ContinueOnError), args, "INDEX")
	if err != nil {
		return err
	}
	record, err := dataset.ReadRecord(paths[0])
	if err != nil {
		return err
	}
	shown := shownRecord{Root: record.Root, Sources: []shownSource{}}
	for _, p := range record.Pieces {
		shown.Sources = append(shown.Sources, shownSource{p.Source, p.Stamp})
	}
	return printJSON(shown)
}
