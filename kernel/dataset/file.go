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

var errTruncated = errors.New("truncated")

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

// An index is an open one, whole by its checksum; the zero value is one that isn't there.
type index struct {
	file   piece.Source
	record *Record
	treeAt int64
}

// openIndex opens the index at path and checks all of it.
func openIndex(path string) (*index, error) {
	file, err := piece.OpenFile(path)
	if err != nil {
		return nil, err
	}
	x := &index{file: file}
	if err := x.read(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x, nil
}

// ReadRecord is what the index at path says of its dataset, if all of it is whole. No source is looked at.
func ReadRecord(path string) (*Record, error) {
	x, err := openIndex(path)
	if err != nil {
		return nil, err
	}
	x.close()
	return x.record, nil
}

func (x *index) close() {
	if x.file != nil {
		x.file.Close()
	}
}

// end is where the checksum stands.
func (x *index) end() int64 { return x.file.Size() - sha256.Size }

func (x *index) read() error {
	if x.file.Size() < minIndex {
		return errTruncated
	}
	head := make([]byte, headSize)
	if _, err := x.file.ReadAt(head, 0); err != nil {
		return err
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return errors.New("not an index")
	}
	if v := binary.LittleEndian.Uint32(head[len(magic):]); v != version {
		return fmt.Errorf("an index of version %d, not %d", v, version)
	}
	length := int64(binary.LittleEndian.Uint32(head[len(magic)+4:]))
	if length > min(x.end()-int64(headSize), maxRecord) {
		return errTruncated
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(x.file, 0, x.end()), make([]byte, 1<<20)); err != nil {
		return err
	}
	want := make([]byte, sha256.Size)
	if n, err := x.file.ReadAt(want, x.end()); n < len(want) {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return errors.New("its checksum is wrong")
	}
	text := make([]byte, length)
	if n, err := x.file.ReadAt(text, int64(headSize)); n < len(text) {
		return err
	}
	x.treeAt = int64(headSize) + length
	x.record = &Record{}
	if err := json.Unmarshal(text, x.record); err != nil {
		return fmt.Errorf("the record of the pieces: %w", err)
	}
	return nil
}

// stamps are those of the pieces, by their texts.
func (x *index) stamps() map[string]string {
	stamps := map[string]string{}
	if x.record != nil {
		for _, p := range x.record.Pieces {
			stamps[p.Source] = p.Stamp
		}
	}
	return stamps
}

// tree loads the tree, if the index is of these pieces as they are now. root may be undefined.
func (x *index) tree(src piece.Source, texts []string, root cid.Cid) (*unixfs.Tree, error) {
	if err := x.record.matches(src, texts, root); err != nil {
		return nil, err
	}
	length := x.end() - x.treeAt
	in := bufio.NewReaderSize(io.NewSectionReader(x.file, x.treeAt, length), 1<<20)
	tree, err := unixfs.Load(in, length, src.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.file.Name(), err)
	}
	if tree.Root.CID.String() != x.record.Root {
		return nil, fmt.Errorf("%s: its tree has another root", x.file.Name())
	}
	return tree, nil
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
