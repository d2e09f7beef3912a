package piece

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// maxJoined bounds the bytes of a dataset, so that no sum of places in it overflows.
const maxJoined = 1 << 60

// A Joined is the pieces of a dataset as one source: an address space in which each follows the one before it. Blocks
// lie inside pieces; what is said of a place is translated back by Locate.
type Joined struct {
	parts []Source
	ends  []int64
}

// Join joins pieces in their order. A single one is itself. Closing the result closes them all.
func Join(parts ...Source) (Source, error) {
	if len(parts) == 1 {
		return parts[0], nil
	}
	j := &Joined{parts: parts}
	end := int64(0)
	for _, part := range parts {
		if part.Size() > maxJoined-end {
			return nil, fmt.Errorf("%s: with this piece the dataset has more than %d bytes", part.Name(), int64(maxJoined))
		}
		end += part.Size()
		j.ends = append(j.ends, end)
	}
	return j, nil
}

// Parts are the pieces that a source was joined from, or the source itself.
func Parts(src Source) []Source {
	if j, ok := src.(*Joined); ok {
		return j.parts
	}
	return []Source{src}
}

// Locate is the piece that a place of a source lies in, and where in the piece. A place that lies nowhere stays as it is.
func Locate(src Source, off int64) (Source, int64) {
	if j, ok := src.(*Joined); ok && off >= 0 && off < j.Size() {
		i, at := PartAt(src, off)
		return j.parts[i], at
	}
	return src, off
}

// PartAt is the number of the piece that a place of a source lies in, and where in the piece.
func PartAt(src Source, off int64) (int, int64) {
	j, ok := src.(*Joined)
	if !ok {
		return 0, off
	}
	i := j.at(off)
	return i, off - j.base(i)
}

// at is the part that off lies in, or the number of parts.
func (j *Joined) at(off int64) int {
	return sort.Search(len(j.ends), func(i int) bool { return j.ends[i] > off })
}

func (j *Joined) base(i int) int64 {
	if i == 0 {
		return 0
	}
	return j.ends[i-1]
}

// Size is that of all pieces together.
func (j *Joined) Size() int64 { return j.base(len(j.ends)) }

// Name names the pieces, a few of them if they are many.
func (j *Joined) Name() string {
	const named = 3
	text := ""
	for i, part := range j.parts[:min(named, len(j.parts))] {
		if i > 0 {
			text += ", "
		}
		text += part.Name()
	}
	if more := len(j.parts) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (j *Joined) Close() error {
	var failed []error
	for _, part := range j.parts {
		failed = append(failed, part.Close())
	}
	return errors.Join(failed...)
}

func (j *Joined) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("%s: negative offset", j.Name())
	}
	for i := j.at(off); n < len(p); i++ {
		if i == len(j.parts) {
			return n, io.EOF
		}
		at := off + int64(n)
		want := int(min(int64(len(p)-n), j.ends[i]-at))
		got, err := j.parts[i].ReadAt(p[n:n+want], at-j.base(i))
		if n += got; got < want {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // the piece has shrunk: what follows belongs elsewhere
			}
			return n, err
		}
	}
	return n, nil
}
