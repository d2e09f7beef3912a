package dataset

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// The form of an index, numbers little-endian: 8 bytes magic, u32 version, u32 length of the record, the record as
// JSON, the tree (see unixfs.Store), and the sha256 of all before it. The version changes with the form of any part.
const (
	magic     = "shaleidx"
	version   = 1
	headSize  = len(magic) + 4 + 4
	maxRecord = 16 << 20
	// minIndex is a head and a checksum.
	minIndex = int64(headSize + sha256.Size)
)

func write(path string, record *Record, tree *unixfs.Tree) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if len(text) > maxRecord {
		return fmt.Errorf("%s: the record of the pieces has %d bytes, more than %d", path, len(text), maxRecord)
	}
	return piece.WriteFile(path, 0o600, func(file io.Writer) error {
		sum := sha256.New()
		out := bufio.NewWriterSize(io.MultiWriter(file, sum), 1<<20)
		head := binary.LittleEndian.AppendUint32([]byte(magic), version)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(text)))
		// What fails here fails again at the flush.
		_, _ = out.Write(append(head, text...))
		if err := tree.Store(out); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		_, err := file.Write(sum.Sum(nil))
		return err
	})
}

// load reads the index at path, if it is of these pieces as they are now, and whole. root may be undefined.
func load(path string, src piece.Source, texts []string, root cid.Cid) (*unixfs.Tree, *Record, error) {
	file, err := piece.OpenFile(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	tree, record, err := read(file, src.Size(), func(record *Record) error { return record.matches(src, texts, root) })
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return tree, record, nil
}

// read decodes an index over a source of the given size; fits refuses its record before the tree is read.
func read(file piece.Source, sourceSize int64, fits func(*Record) error) (*unixfs.Tree, *Record, error) {
	left := file.Size() - minIndex
	if left < 0 {
		return nil, nil, errors.New("truncated")
	}
	sum := sha256.New()
	all := io.NewSectionReader(file, 0, file.Size()-sha256.Size)
	in := bufio.NewReaderSize(io.TeeReader(all, sum), 1<<20)
	head := make([]byte, headSize)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, nil, err
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, nil, errors.New("not an index")
	}
	if v := binary.LittleEndian.Uint32(head[len(magic):]); v != version {
		return nil, nil, fmt.Errorf("an index of version %d, not %d", v, version)
	}
	length := int64(binary.LittleEndian.Uint32(head[len(magic)+4:]))
	if length > min(left, maxRecord) {
		return nil, nil, errors.New("truncated")
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(in, text); err != nil {
		return nil, nil, err
	}
	record := &Record{}
	if err := json.Unmarshal(text, record); err != nil {
		return nil, nil, fmt.Errorf("the record of the pieces: %w", err)
	}
	if err := fits(record); err != nil {
		return nil, nil, err
	}
	tree, err := unixfs.Load(in, left-length, sourceSize)
	if err != nil {
		return nil, nil, err
	}
	want := make([]byte, sha256.Size)
	if n, err := file.ReadAt(want, file.Size()-sha256.Size); n < len(want) {
		return nil, nil, err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return nil, nil, errors.New("its checksum is wrong")
	}
	if tree.Root.CID.String() != record.Root {
		return nil, nil, errors.New("its tree has another root")
	}
	return tree, record, nil
}

// matches reports why the record isn't of these pieces as they are now.
func (r *Record) matches(src piece.Source, texts []string, root cid.Cid) error {
	parts := piece.Parts(src)
	if len(r.Pieces) != len(parts) || r.RootPiece < 0 || r.RootPiece >= len(parts) {
		return fmt.Errorf("an index of %d pieces, not %d", len(r.Pieces), len(parts))
	}
	if root.Defined() {
		if stored, err := cid.Decode(r.Root); err != nil || !stored.Equals(root) {
			return fmt.Errorf("an index of %s, not %s", r.Root, root)
		}
	}
	for i, part := range parts {
		p, stamp := r.Pieces[i], piece.Stamp(part)
		switch {
		case p.Source != texts[i]:
			return fmt.Errorf("an index of %q, not %q", p.Source, texts[i])
		case stamp == "":
			return fmt.Errorf("%s: nothing tells whether it has changed", part.Name())
		case p.Stamp != stamp || p.RawSize != part.Size():
			return fmt.Errorf("%s: has changed since", part.Name())
		}
	}
	return nil
}
