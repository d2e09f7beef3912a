// Package remote reads pieces over HTTP, as booster-http and Curio serve them at /piece/<cid>: by ranges, with retries,
// and never mixing the bytes of two versions.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/shale-cloud/shale/kernel/piece"
)

const (
	// parallel is how many requests to a server are under way: Curio serves 256 at a time to all.
	parallel = 8
	attempts = 6
	// attemptTime bounds a request of at most 2 MiB, so that a server which trickles is given up. Before that answerTime
	// bounds the time to the first byte of an answer, connecting included, and idleTime that between bytes.
	attemptTime = 60 * time.Second
	answerTime  = 20 * time.Second
	idleTime    = 15 * time.Second
	// patience is when no further attempt is made.
	patience   = 60 * time.Second
	firstPause = 200 * time.Millisecond
	maxPause   = 10 * time.Second
	maxSize    = 64 << 30 // of a piece
	maxHeader  = 64 << 10
	maxHops    = 5
)

// Options are how a source reaches its server; the zero value is right outside of tests.
type Options struct {
	Transport http.RoundTripper
	Pause     func(context.Context, time.Duration) error
}

// A Source is a piece on a server.
type Source struct {
	*readAhead
	name     string
	pinned   atomic.Pointer[request]
	client   *http.Client
	pause    func(context.Context, time.Duration) error
	places   chan struct{} // one taken for each request under way to the server
	versions versions
	wait     wait
	ctx      context.Context
	cancel   context.CancelFunc
}

var _ piece.Source = (*Source)(nil)

// Open asks for the piece's first bytes, and so learns its size and whether the server serves ranges.
func Open(rawURL string, options Options) (*Source, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("not an HTTP URL: write http://HOST/piece/CID")
	}
	if u.User != nil {
		return nil, fmt.Errorf("%s: a URL with a password in it is visible to every process: take it out", u.Redacted())
	}
	s := &Source{client: &http.Client{Transport: options.Transport, CheckRedirect: checkRedirect}, pause: options.Pause}
	if s.client.Transport == nil {
		s.client.Transport = shared
	}
	if s.pause == nil {
		s.pause = pause
	}
	s.places = placesAt(u.Host)
	s.wait.host, s.wait.told = u.Host, Waiting
	s.ctx, s.cancel = context.WithCancel(context.Background())
	// The name leaves the query out: it may hold a token.
	s.name = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	s.pinned.Store(&request{url: u.String(), size: unknown})
	first, err := s.retry(0, chunkSize)
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.pinned.Store(s.pinned.Load().pinned(first))
	s.readAhead = newReadAhead(s.name, first.size, kept, s.fetch)
	s.readAhead.keep(first.data)
	return s, nil
}

func (s *Source) Size() int64  { return s.pinned.Load().size }
func (s *Source) Name() string { return s.name }

// Stamp is the version that was opened, by the server's own mark of it; of a server that marks none it is the size alone.
func (s *Source) Stamp() string {
	pinned := s.pinned.Load()
	mark := pinned.etag
	if mark == "" {
		mark = pinned.modified
	}
	return fmt.Sprintf("url %d %s", pinned.size, mark)
}

// Reopen pins the version that the server has now, if it has answered with another one of the same size. Whoever reads must
// verify what comes then.
func (s *Source) Reopen() {
	was := s.pinned.Load()
	if now := s.versions.count.Load(); now%2 == 1 {
		fresh := &request{url: was.url, size: unknown}
		if got, err := s.once(fresh, 0, chunkSize); err == nil && got.size == was.size {
			s.pinned.Store(fresh.pinned(got))
			s.versions.count.CompareAndSwap(now, now+1)
			s.forget()
		}
	}
}

// Close ends the requests that are under way.
func (s *Source) Close() error {
	s.cancel()
	s.fetches.Wait()
	s.forget()
	return nil
}

// ReadAt is that of the cache, until the source is closed.
func (s *Source) ReadAt(p []byte, off int64) (int, error) {
	if s.ctx.Err() != nil {
		return 0, fmt.Errorf("%s: closed", s.name)
	}
	return s.readAhead.ReadAt(p, off)
}

func (s *Source) fetch(off int64, n int) ([]byte, error) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-s.ctx.Done():
		return nil, fmt.Errorf("%s: closed", s.name)
	}
	got, err := s.retry(off, n)
	return got.data, err
}

// retry asks again, later each time, while the failure may pass.
func (s *Source) retry(off int64, n int) (answer, error) {
	defer s.wait.begin()()
	began := time.Now()
	for attempt := range attempts {
		got, err := s.once(s.pinned.Load(), off, n)
		s.versions.note(err)
		if err == nil {
			return got, nil
		}
		var passing *passingError
		if s.ctx.Err() != nil || !errors.As(err, &passing) || attempt == attempts-1 || time.Since(began) > patience {
			return answer{}, fmt.Errorf("%s: offset %d: %w", s.name, off, err)
		}
		wait := min(firstPause<<attempt, maxPause)
		wait = max(wait/2+rand.N(wait/2), min(passing.after, maxPause))
		if s.pause(s.ctx, wait) != nil {
			return answer{}, fmt.Errorf("%s: closed", s.name)
		}
	}
	panic("unreachable")
}

func (s *Source) once(r *request, off int64, n int) (answer, error) {
	ctx, cancel := context.WithTimeout(s.ctx, attemptTime)
	defer cancel()
	ctx, late := context.WithCancelCause(ctx)
	quiet := time.AfterFunc(answerTime, func() { late(fmt.Errorf("the server has not answered within %v", answerTime)) })
	defer quiet.Stop()
	req, err := r.build(ctx, off, n)
	if err != nil {
		return answer{}, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		// The error's own text repeats the URL, with its query.
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		if refusal := (*redirectError)(nil); errors.As(err, &refusal) {
			return answer{}, err
		}
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) && dns.IsNotFound {
			return answer{}, err
		}
		return answer{}, &passingError{err: whyLate(ctx, err)}
	}
	defer resp.Body.Close()
	if !quiet.Stop() {
		return answer{}, &passingError{err: whyLate(ctx, ctx.Err())}
	}
	s.wait.heard()
	idle := time.AfterFunc(idleTime, func() { late(fmt.Errorf("the server has sent nothing for %v", idleTime)) })
	defer idle.Stop()
	resp.Body = heardBody{resp.Body, func() {
		s.wait.heard()
		idle.Reset(idleTime)
	}}
	got, err := r.read(resp, off, n)
	if passing := (*passingError)(nil); errors.As(err, &passing) {
		passing.err = whyLate(ctx, passing.err)
	}
	return got, err
}

// whyLate is err, or why we ended the request ourselves.
func whyLate(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return err
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("the server needs more than %v for an answer", attemptTime)
	default:
		return cause
	}
}

// A heardBody tells of each of its bytes.
type heardBody struct {
	io.ReadCloser
	heard func()
}

func (b heardBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.heard()
	}
	return n, err
}

// A passingError may be gone at the next attempt.
type passingError struct {
	err   error
	after time.Duration // that the server asks to wait
}

func (e *passingError) Error() string { return e.err.Error() }
func (e *passingError) Unwrap() error { return e.err }

// A redirectError is a redirect that isn't followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxHops {
		return &redirectError{fmt.Sprintf("more than %d redirects", maxHops)}
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return &redirectError{"redirected from https to http"}
	}
	return nil
}

// shared is the transport of all sources.
var shared = transport()

func transport() http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    parallel,
		MaxConnsPerHost:        parallel,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}
