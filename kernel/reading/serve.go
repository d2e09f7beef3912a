package reading

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The frames (docs/protocol.md, "Reads of an audit"): a greeting from the server, then requests and answers in any order,
// integers big-endian.
const (
	greeting    = "shale-read 1\n"
	requestHead = 4 + 1 + 8 + 4 + 2 // id, folder, offset, length, length of the path
	answerHead  = 4 + 1 + 4         // id, status, length
	maxPath     = 1<<16 - 1
	maxReason   = 4 << 10

	statusData  = 0
	statusError = 1

	// served bounds the reads under way, and with it the memory of the server.
	served = 8
)

type request struct {
	id     uint32
	folder Folder
	off    int64
	n      int
	path   string
}

func (r request) encode() []byte {
	frame := make([]byte, 0, requestHead+len(r.path))
	frame = binary.BigEndian.AppendUint32(frame, r.id)
	frame = append(frame, byte(r.folder))
	frame = binary.BigEndian.AppendUint64(frame, uint64(r.off))
	frame = binary.BigEndian.AppendUint32(frame, uint32(r.n))
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(r.path)))
	return append(frame, r.path...)
}

// Serve answers requests from in on out until in ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer, files Reader) error {
	if _, err := io.WriteString(out, greeting); err != nil {
		return err
	}
	requests := bufio.NewReader(in)
	s := &server{out: out, slots: make(chan struct{}, served)}
	defer s.running.Wait()
	for {
		r, err := nextRequest(requests)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.slots <- struct{}{}
		s.running.Go(func() {
			defer func() { <-s.slots }()
			s.answer(r.id, func() ([]byte, error) { return files.Read(ctx, r.folder, r.path, r.off, r.n) })
		})
	}
}

// nextRequest fails with io.EOF between requests only.
func nextRequest(in io.Reader) (r request, err error) {
	var head [requestHead]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return r, err
	}
	r.id = binary.BigEndian.Uint32(head[0:])
	r.folder = Folder(head[4])
	off, n := binary.BigEndian.Uint64(head[5:]), binary.BigEndian.Uint32(head[13:])
	if r.folder >= folders || off > 1<<62 || n > MaxRead {
		return r, fmt.Errorf("a request for %d bytes at %d of folder %d: at most %d of folder 0 or 1 can be read", n, off, r.folder, MaxRead)
	}
	r.off, r.n = int64(off), int(n)
	path := make([]byte, binary.BigEndian.Uint16(head[17:]))
	if _, err := io.ReadFull(in, path); err != nil {
		return r, fmt.Errorf("a request that is cut: %w", io.ErrUnexpectedEOF)
	}
	r.path = string(path)
	return r, nil
}

type server struct {
	slots   chan struct{}
	running sync.WaitGroup
	mu      sync.Mutex
	out     io.Writer
}

// answer writes one frame. Nobody is told that a client has gone: the requests end then, too.
func (s *server) answer(id uint32, read func() ([]byte, error)) {
	data, err := read()
	status := byte(statusData)
	if err != nil {
		status, data = statusError, []byte(err.Error())
		data = data[:min(len(data), maxReason)]
	}
	var head [answerHead]byte
	binary.BigEndian.PutUint32(head[0:], id)
	head[4] = status
	binary.BigEndian.PutUint32(head[5:], uint32(len(data)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.out.Write(head[:]); err == nil {
		_, _ = s.out.Write(data)
	}
}
