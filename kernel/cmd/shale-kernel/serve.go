// The command serve: requests as JSON lines on standard input, answers on standard output (docs/protocol.md, section 6).
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/shale-cloud/shale/kernel/ledger"
)

const (
	maxLine = 16 << 20
	maxID   = 64 // bytes of a request's id that an answer repeats
	// Requests under way at a time; beyond it no further line is read.
	maxQuick = 32
	// Requests that wait for or hold the prover; beyond it a request is told to come again.
	maxSlow = 8
)

func init() {
	commands["serve"] = command{"answer requests as JSON lines on standard input: --keys DIR", serve}
}

func serve(args []string) error {
	flags := quietFlags("serve")
	dir := flags.String("keys", "", "")
	if err := flags.Parse(args); err != nil || *dir == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: shale-kernel serve --keys DIR", errUsage)
	}
	if _, err := ledger.Pinned(); err != nil {
		return err // a program with wrong keys signs nothing either
	}
	return newServer(*dir, os.Stdout).run(os.Stdin)
}

// failure is an answer that is no result. Its code says what the caller does next.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (f *failure) Error() string { return f.Message }

func refused(format string, args ...any) error {
	return &failure{"refused", fmt.Sprintf(format, args...)}
}

type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

type answer struct {
	ID     json.RawMessage `json:"id"`
	Result any             `json:"result,omitempty"`
	Error  *failure        `json:"error,omitempty"`
}

// news is a line about a request that is under way.
type news struct {
	ID       json.RawMessage `json:"id"`
	Progress stageOf         `json:"progress"`
}

type stageOf struct {
	Stage string `json:"stage"`
	Done  int    `json:"done"` // per mille
}

// server answers each request in its own goroutine.
type server struct {
	keys    *keyring
	methods map[string]method

	quick, slow chan struct{} // one token per request under way
	prover      sync.Mutex    // one proof at a time: it takes all cores
	done        sync.WaitGroup

	writing sync.Mutex
	out     io.Writer
}

func newServer(dir string, out io.Writer) *server {
	s := &server{
		keys:  &keyring{dir: dir, provers: map[int]*ledger.Prover{}},
		quick: make(chan struct{}, maxQuick),
		slow:  make(chan struct{}, maxSlow),
		out:   out,
	}
	s.methods = s.table()
	return s
}

// run returns when the input ends and every answer is written.
func (s *server) run(in io.Reader) error {
	defer s.done.Wait()
	reader := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := readLine(reader)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errLongLine):
			s.write(answer{ID: json.RawMessage("null"), Error: &failure{"refused", err.Error()}})
			continue
		case err != nil:
			return err
		case len(bytes.TrimSpace(line)) == 0:
			continue
		}
		s.dispatch(line)
	}
}

func (s *server) dispatch(line []byte) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		s.write(answer{ID: json.RawMessage("null"), Error: &failure{"refused", "the line is not a request in JSON"}})
		return
	}
	if len(r.ID) == 0 || len(r.ID) > maxID {
		r.ID = json.RawMessage("null")
	}
	tokens := s.quick
	if s.methods[r.Method].slow {
		select {
		case s.slow <- struct{}{}:
			tokens = s.slow
		default:
			s.write(answer{ID: r.ID, Error: &failure{"unavailable", fmt.Sprintf("%d requests wait for the prover already: try again", maxSlow)}})
			return
		}
	} else {
		s.quick <- struct{}{}
	}
	s.done.Go(func() {
		defer func() { <-tokens }()
		s.write(s.answer(r))
	})
}

// answer turns every way to fail, panics included, into an answer of one line.
func (s *server) answer(r request) (a answer) {
	a.ID = r.ID
	defer func() {
		if cause := recover(); cause != nil {
			fmt.Fprintf(os.Stderr, "shale-kernel serve: %s: %s\n", r.Method, place(debug.Stack()))
			a = answer{ID: r.ID, Error: &failure{"bug", oneLine(fmt.Sprintf("%s crashed: report it with its standard error", r.Method))}}
		}
	}()
	m, ok := s.methods[r.Method]
	if !ok {
		a.Error = &failure{"refused", fmt.Sprintf("no method %.40q", r.Method)}
		return a
	}
	result, err := m.call(r.Params, func(stage string, done int) {
		s.write(news{ID: r.ID, Progress: stageOf{stage, done}})
	})
	var f *failure
	switch {
	case err == nil:
		a.Result = result
	case errors.As(err, &f):
		a.Error = &failure{f.Code, oneLine(f.Message)}
	default:
		a.Error = &failure{"bug", oneLine(err.Error())}
	}
	return a
}

func (s *server) write(message any) {
	line, err := json.Marshal(message)
	if err != nil {
		id := json.RawMessage("null")
		if a, ok := message.(answer); ok {
			id = a.ID
		}
		line, _ = json.Marshal(answer{ID: id, Error: &failure{"bug", "the answer has no JSON form"}})
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	// A caller that is gone reads no answer: its end of standard input ends the server.
	_, _ = s.out.Write(append(line, '\n'))
}

var errLongLine = fmt.Errorf("a request is longer than %d MiB", maxLine>>20)

// readLine reads one line, without keeping more than maxLine of it. A last line without its end counts.
func readLine(reader *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := reader.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			long, line = true, nil
		}
		if !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case long:
			return nil, errLongLine
		case err != nil && len(line) == 0:
			return nil, io.EOF
		}
		return line, nil
	}
}

// place names the function that panicked. Values, which may be secrets, stay out of it.
func place(stack []byte) string {
	for _, line := range strings.Split(string(stack), "\n") {
		if strings.HasPrefix(line, "\t") && strings.Contains(line, "/kernel/") && !strings.Contains(line, "serve.go") {
			return strings.TrimSpace(line)
		}
	}
	return "panic outside the kernel's code"
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
