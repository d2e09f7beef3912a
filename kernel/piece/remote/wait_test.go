package remote

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/sourcetest"
)

// a stuckBody sends some bytes, one a step, and then nothing until its request ends.
type stuckBody struct {
	req   *http.Request
	bytes int
	step  time.Duration
}

func (b *stuckBody) Read(p []byte) (int, error) {
	if b.bytes > 0 {
		select {
		case <-time.After(b.step):
			b.bytes--
			return 1, nil
		case <-b.req.Context().Done():
		}
	}
	<-b.req.Context().Done()
	return 0, b.req.Context().Err()
}

func (b *stuckBody) Close() error { return nil }

func stuck(bytes int, step time.Duration) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		header := http.Header{"Content-Range": {fmt.Sprintf("bytes 0-%d/%d", chunkSize-1, chunkSize)}}
		return &http.Response{StatusCode: http.StatusPartialContent, Header: header, ContentLength: chunkSize, Request: req,
			Body: &stuckBody{req, bytes, step}}, nil
	})
}

func TestServerThatHangsIsGivenUpAndTellsWhy(t *testing.T) {
	silent := roundTripper(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	for reason, server := range map[string]http.RoundTripper{
		"not answered within 20s": silent,
		"sent nothing for 15s":    stuck(3, time.Second),
		"more than 1m0s":          stuck(chunkSize, 10*time.Second),
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := map[string]int{}
				longest := time.Duration(0)
				var mu sync.Mutex
				Waiting = func(host string, since time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					told[host]++
					longest = max(longest, since)
				}
				defer func() { Waiting = nil }()
				began := time.Now()
				_, err := Open("http://sp.example/piece/baga?token=secret", Options{Transport: server})
				if err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "secret") {
					t.Fatalf("got %v", err)
				}
				if took := time.Since(began); took > patience+attemptTime+maxPause {
					t.Errorf("after %v", took)
				}
				synctest.Wait()
				if told["sp.example"] < 10 || len(told) != 1 || longest < 5*time.Second {
					t.Errorf("told %v, at most of %v", told, longest)
				}
			})
		})
	}
}

func TestCacheIsSharedByAllSources(t *testing.T) {
	in := newCache()
	var sources []*readAhead
	for range 100 {
		r := newReadAhead("x", 1<<40, in, func(off int64, n int) ([]byte, error) { return make([]byte, n), nil })
		sources = append(sources, r)
		for i := range int64(20) {
			if _, err := r.ReadAt(make([]byte, 1), i*10*chunkSize); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := 0
	for _, r := range sources {
		held += len(r.chunks)
	}
	if held > maxChunks || in.recent.Len() != held {
		t.Errorf("%d chunks, %d in order", held, in.recent.Len())
	}
	for _, r := range sources {
		r.fetches.Wait()
		r.forget()
	}
	if in.recent.Len() != 0 {
		t.Errorf("%d chunks of closed sources", in.recent.Len())
	}
}

func TestRequestsToAServerAreBoundedOverItsPieces(t *testing.T) {
	content := sourcetest.Random(1, 8*chunkSize)
	var now, most atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		count := now.Add(1)
		defer now.Add(-1)
		for seen := most.Load(); count > seen && !most.CompareAndSwap(seen, count); seen = most.Load() {
		}
		serve(w, req, tag, content)
	}))
	defer server.Close()
	var group sync.WaitGroup
	for i := range 10 {
		src, err := Open(fmt.Sprintf("%s/piece/%d", server.URL, i), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		for k := range 4 {
			group.Go(func() {
				if _, err := src.ReadAt(make([]byte, 10), int64(2*k+1)*chunkSize); err != nil && err != io.EOF {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	if most.Load() > parallel {
		t.Errorf("%d at once", most.Load())
	}
}

func TestStateTellsOfAnotherVersionAndOfTheReturn(t *testing.T) {
	content := sourcetest.Random(1, 20*chunkSize)
	var is atomic.Value
	is.Store(tag)
	src, _ := opened(t, func(w http.ResponseWriter, req *http.Request) { serve(w, req, is.Load().(string), content) })
	was, _ := piece.StateOf(src)
	is.Store(`"other"`)
	for i := range int64(2) {
		if _, err := src.ReadAt(make([]byte, 10), (5+i)*chunkSize); err == nil {
			t.Fatal("another version was read")
		}
	}
	other, _ := piece.StateOf(src)
	is.Store(tag)
	if _, err := src.ReadAt(make([]byte, 10), 9*chunkSize); err != nil {
		t.Fatal(err)
	}
	back, _ := piece.StateOf(src)
	if was == other || other == back || was.SameContent(other) {
		t.Errorf("%+v, %+v, %+v", was, other, back)
	}
	is.Store(`"other"`)
	if _, err := src.ReadAt(make([]byte, 10), 11*chunkSize); err == nil {
		t.Fatal("another version was read")
	}
	piece.Reopen(src)
	again, _ := piece.StateOf(src)
	p := make([]byte, 10)
	if _, err := src.ReadAt(p, 11*chunkSize); err != nil || !bytes.Equal(p, content[11*chunkSize:][:10]) || again == back {
		t.Errorf("opened again: %v", err)
	}
}
