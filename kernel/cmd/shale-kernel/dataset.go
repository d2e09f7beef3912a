package main

import (
	"flag"

	"github.com/shale-cloud/shale/kernel/dataset"
)

// A datasetOption is what names a dataset beside its first source.
type datasetOption struct {
	with  []string
	root  string
	index string
}

// datasetFlags adds --with SOURCE, once for each further piece, --root CID and --index FILE.
func datasetFlags(flags *flag.FlagSet) *datasetOption {
	o := &datasetOption{}
	flags.Func("with", "", func(text string) error {
		o.with = append(o.with, text)
		return nil
	})
	flags.StringVar(&o.root, "root", "", "")
	flags.StringVar(&o.index, "index", "", "")
	return o
}

// sources are the dataset's pieces in their order.
func (o *datasetOption) sources(first string) []string { return append([]string{first}, o.with...) }

// open opens the dataset, which must be closed.
func (o *datasetOption) open(first string) (*dataset.Dataset, error) {
	return dataset.Open(o.sources(first), o.root, o.index)
}
