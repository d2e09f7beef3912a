package reading

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// inFlight bounds the reads that wait for their answers.
	inFlight = 32
	// endGrace is how long a command gets to end by itself once its stdin is closed.
	endGrace = 2 * time.Second
	// greetingTime is how long it may take until it greets: somebody may have to type a passphrase.
	greetingTime = 2 * time.Minute
	maxSaid      = 1 << 10
)

// A Client reads through another's Serve.
type Client struct {
	slots chan struct{}
	out   io.Writer
	write sync.Mutex

	mu      sync.Mutex
	next    uint32
	waiting map[uint32]pending
	failed  error
}

type pending struct {
	most     int
	answered chan answer // holds one
}

type answer struct {
	data []byte
	err  error
}

// NewClient waits for the server's greeting, and then for answers on in. When in ends or breaks the protocol all reads
// fail.
func NewClient(in io.Reader, out io.Writer) (*Client, error) {
	answers := bufio.NewReaderSize(in, 64<<10)
	greeted := make([]byte, len(greeting))
	if n, err := io.ReadFull(answers, greeted); err != nil || string(greeted) != greeting {
		return nil, fmt.Errorf("the other side does not speak the reading protocol: it began with %q", greeted[:n])
	}
	c := &Client{slots: make(chan struct{}, inFlight), out: out, waiting: map[uint32]pending{}}
	go func() {
		err := c.receive(answers)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed = err
		for _, p := range c.waiting {
			p.answered <- answer{err: err}
		}
		c.waiting = nil
	}()
	return c, nil
}

func (c *Client) Read(ctx context.Context, in Folder, path string, off int64, n int) ([]byte, error) {
	if n < 0 || n > MaxRead || len(path) > maxPath || off < 0 {
		return nil, fmt.Errorf("cannot read %d bytes at %d of a path of %d bytes", n, off, len(path))
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p := pending{most: n, answered: make(chan answer, 1)}
	c.mu.Lock()
	if c.failed != nil {
		c.mu.Unlock()
		return nil, c.failed
	}
	c.next++
	id := c.next
	c.waiting[id] = p
	c.mu.Unlock()
	c.send(request{id, in, off, n, path}.encode())
	select {
	case a := <-p.answered:
		return a.data, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send leaves the frame to a goroutine: a server that reads nothing holds up no context. A failure to write shows where
// answers are received.
func (c *Client) send(frame []byte) {
	go func() {
		c.write.Lock()
		defer c.write.Unlock()
		_, _ = c.out.Write(frame)
	}()
}

func (c *Client) receive(in io.Reader) error {
	var head [answerHead]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return errors.New("the other side ended")
		}
		id, status, length := binary.BigEndian.Uint32(head[0:]), head[4], binary.BigEndian.Uint32(head[5:])
		c.mu.Lock()
		p, ok := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		most := p.most
		if status == statusError {
			most = maxReason
		}
		if !ok || status > statusError || int64(length) > int64(most) {
			if ok {
				p.answered <- answer{err: errOutOfProtocol}
			}
			return errOutOfProtocol
		}
		data := make([]byte, length)
		if _, err := io.ReadFull(in, data); err != nil {
			p.answered <- answer{err: errors.New("the other side ended within an answer")}
			return errors.New("the other side ended")
		}
		if status == statusError {
			p.answered <- answer{err: &FileError{printable(string(data))}}
		} else {
			p.answered <- answer{data: data}
		}
	}
}

var errOutOfProtocol = errors.New("the other side broke the reading protocol: an answer that was not asked for, or longer than asked for")

// Command starts a command that speaks the protocol, reads through it within use, and ends it. What it says on stderr is
// in the error when it fails before it has greeted.
func Command(ctx context.Context, argv []string, use func(*Client) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.WaitDelay = endGrace
	said := &tail{}
	command.Stderr = said
	in, err := command.StdinPipe()
	if err != nil {
		return err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	// Whoever else holds the other end of the pipe, nothing is read once the context is done.
	defer context.AfterFunc(ctx, func() { out.Close() })()
	late := time.AfterFunc(greetingTime, cancel)
	client, err := NewClient(out, in)
	greeted := late.Stop() && err == nil
	if !greeted && err == nil {
		err = errors.New("it greeted too late")
	}
	if greeted {
		err = use(client)
	}
	in.Close()
	if err != nil {
		cancel()
	}
	ended := time.AfterFunc(endGrace, cancel)
	_ = command.Wait()
	ended.Stop()
	if text := said.last(); !greeted && text != "" {
		return fmt.Errorf("%s: %s", argv[0], text)
	}
	return err
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[max(0, len(p)-maxSaid):]...)
	t.text = t.text[max(0, len(t.text)-maxSaid):]
	return len(p), nil
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return printable(lines[len(lines)-1])
}

// printable is what another wrote, harmless for a terminal and one line.
func printable(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
}
