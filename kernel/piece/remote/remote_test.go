package remote

import (
	"bytes"
	"context"
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

const tag = `"baga6ea4seaq"`

// serve answers ranges as booster-http and Curio do.
func serve(w http.ResponseWriter, req *http.Request, tag string, content []byte) {
	if tag != "" {
		w.Header().Set("ETag", tag)
	}
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
}

// open opens what handler serves, and never waits between attempts; it counts the pauses.
func open(t *testing.T, handler http.HandlerFunc) (*Source, *atomic.Int64, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	var pauses atomic.Int64
	src, err := Open(server.URL+"/piece/baga?token=secret", Options{Pause: func(ctx context.Context, d time.Duration) error {
		pauses.Add(1)
		return ctx.Err()
	}})
	if err == nil {
		t.Cleanup(func() { src.Close() })
	}
	return src, &pauses, err
}

func opened(t *testing.T, handler http.HandlerFunc) (*Source, *atomic.Int64) {
	t.Helper()
	src, pauses, err := open(t, handler)
	if err != nil {
		t.Fatal(err)
	}
	return src, pauses
}

func TestRemotePieceIsASource(t *testing.T) {
	for _, tag := range []string{tag, "", `W/"weak"`} {
		sourcetest.Run(t, func(t *testing.T, content []byte) piece.Source {
			src, _ := opened(t, func(w http.ResponseWriter, req *http.Request) { serve(w, req, tag, content) })
			return src
		})
	}
}

func TestServerThatKeepsTheMarkOfOtherBytesIsNotTrusted(t *testing.T) {
	for _, tag := range []string{tag, "", `W/"weak"`} {
		sourcetest.Tells(t, func(t *testing.T, content []byte) (piece.Source, func(t *testing.T)) {
			var served atomic.Value
			served.Store(content)
			src, _ := opened(t, func(w http.ResponseWriter, req *http.Request) { serve(w, req, tag, served.Load().([]byte)) })
			return src, func(*testing.T) {
				served.Store(make([]byte, len(content)))
				src.forget()
			}
		})
	}
}

func TestEmptyPieceIsEmpty(t *testing.T) {
	src, _ := opened(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Range", "bytes */0")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	})
	if n, err := src.ReadAt(make([]byte, 1), 0); src.Size() != 0 || n != 0 || err != io.EOF {
		t.Errorf("size %d, %d, %v", src.Size(), n, err)
	}
}

func TestFailuresThatPassAreRetried(t *testing.T) {
	content := sourcetest.Random(1, 1_000_000)
	var requests atomic.Int64
	src, pauses := opened(t, func(w http.ResponseWriter, req *http.Request) {
		switch n := requests.Add(1); {
		case n%3 == 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader([]int{429, 500, 502, 503, 504}[n%5])
		case n%3 == 2: // the connection breaks in the middle of the body
			first, last, _ := strings.Cut(strings.TrimPrefix(req.Header.Get("Range"), "bytes="), "-")
			var from, to int
			fmt.Sscan(first, &from)
			fmt.Sscan(last, &to)
			to = min(to, len(content)-1)
			w.Header().Set("ETag", tag)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(content)))
			w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(content[from : from+(to-from)/2])
			panic(http.ErrAbortHandler)
		default:
			serve(w, req, tag, content)
		}
	})
	got := make([]byte, len(content))
	if _, err := src.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%v", err)
	}
	if pauses.Load() == 0 {
		t.Error("no pause between attempts")
	}
}

func TestServerThatKeepsFailingIsGivenUp(t *testing.T) {
	var requests atomic.Int64
	_, pauses, err := open(t, func(w http.ResponseWriter, req *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	})
	if err == nil || !strings.Contains(err.Error(), "502") || requests.Load() != attempts || pauses.Load() != attempts-1 {
		t.Errorf("%d requests, %d pauses, %v", requests.Load(), pauses.Load(), err)
	}
}

// A lie is refused at once, in one line that names the piece and the offset, and keeps the URL's query to itself.
func TestServerThatLiesIsRefused(t *testing.T) {
	content := sourcetest.Random(1, 200_000)
	partial := func(contentRange string, body []byte, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) { w.WriteHeader(code) }
	}
	chunk := content[:chunkSize]
	cases := []struct {
		name    string
		handler http.HandlerFunc
		reason  string
	}{
		{"ignores Range", func(w http.ResponseWriter, req *http.Request) { _, _ = w.Write(content) }, "ignores Range"},
		{"other range", partial("bytes 1-65536/200000", chunk), "sent bytes 1-65536"},
		{"short range", partial("bytes 0-9/200000", chunk[:10]), "sent bytes 0-9"},
		{"size unknown", partial("bytes 0-65535/*", chunk), "names no range"},
		{"no Content-Range", partial("", chunk), "names no range"},
		{"negative", partial("bytes -1-65535/200000", chunk), "names no range"},
		{"absurd size", partial("bytes 0-65535/99999999999999", chunk), "pieces have at most"},
		{"overflowing size", partial("bytes 0-65535/99999999999999999999", chunk), "names no range"},
		{"size of zero", partial("bytes 0-0/0", nil), "0 bytes"},
		{"longer body", partial("bytes 0-65535/200000", content[:chunkSize+1], "Transfer-Encoding", "chunked"), "more than"},
		{"other length", partial("bytes 0-65535/200000", chunk[:100], "Content-Length", "100"), "sends 100 bytes"},
		{"encoded", partial("bytes 0-65535/200000", chunk, "Content-Encoding", "gzip"), "encoded"},
		{"several parts", partial("", chunk, "Content-Type", "multipart/byteranges; boundary=x"), "names no range"},
		{"not found", status(404), "no such piece"},
		{"forbidden", status(403), "refuses"},
		{"teapot", status(418), "418"},
		{"redirects for ever", func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, "/again", 302) }, "redirects"},
		{"headers without end", func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
			serve(w, req, tag, content)
		}, "header"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, pauses, err := open(t, c.handler)
			if err == nil || !strings.Contains(err.Error(), c.reason) || !strings.Contains(err.Error(), "/piece/baga: offset 0: ") {
				t.Fatalf("got %v, want %q", err, c.reason)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %q", err)
			}
			if pauses.Load() != 0 && c.name != "headers without end" {
				t.Errorf("tried %d times again", pauses.Load())
			}
		})
	}
}

func TestPieceThatChangesWhileOpenIsNoticed(t *testing.T) {
	for _, c := range []struct{ was, is string }{{tag, `"other"`}, {`W/"a"`, `W/"b"`}, {tag, ""}, {"", tag}, {"", ""}} {
		content := sourcetest.Random(1, 1_000_000)
		var changed atomic.Bool
		src, _ := opened(t, func(w http.ResponseWriter, req *http.Request) {
			switch {
			case !changed.Load():
				serve(w, req, c.was, content)
			case c.was == c.is: // only the size tells
				serve(w, req, c.is, content[:999_999])
			default:
				serve(w, req, c.is, content)
			}
		})
		changed.Store(true)
		if n, err := src.ReadAt(make([]byte, 10), 500_000); n != 0 || err == nil || !strings.Contains(err.Error(), "changed") {
			t.Errorf("%q to %q: %d, %v", c.was, c.is, n, err)
		}
	}
}

func TestRangesArePinnedToTheVersionThatWasOpened(t *testing.T) {
	content := sourcetest.Random(1, 300_000)
	var mu sync.Mutex
	var seen []http.Header
	src, _ := opened(t, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		seen = append(seen, req.Header.Clone())
		mu.Unlock()
		serve(w, req, tag, content)
	})
	if _, err := src.ReadAt(make([]byte, 10), 200_000); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for i, h := range seen {
		if h.Get("Accept-Encoding") != "identity" || h.Get("Range") == "" || i > 0 && h.Get("If-Range") != tag {
			t.Errorf("request %d: %v", i, h)
		}
	}
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	content := sourcetest.Random(1, 64*2*chunkSize)
	var now, most atomic.Int64
	src, _ := opened(t, func(w http.ResponseWriter, req *http.Request) {
		count := now.Add(1)
		defer now.Add(-1)
		for seen := most.Load(); count > seen && !most.CompareAndSwap(seen, count); seen = most.Load() {
		}
		serve(w, req, tag, content)
	})
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			got := make([]byte, 100)
			at := i * 2 * chunkSize
			if _, err := src.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, content[at:at+100]) {
				t.Errorf("at %d: %v", at, err)
			}
		})
	}
	group.Wait()
	if most.Load() > parallel {
		t.Errorf("%d at once", most.Load())
	}
}

func TestReadingThroughTakesFewRequestsAndSkippingFewBytes(t *testing.T) {
	const size = 400 * chunkSize
	var requests, sent atomic.Int64
	fetch := func(off int64, n int) ([]byte, error) {
		requests.Add(1)
		sent.Add(int64(n))
		return make([]byte, n), nil
	}
	through := newReadAhead("x", size, newCache(), fetch)
	for off := int64(0); off < size; off += 128 << 10 {
		if _, err := through.ReadAt(make([]byte, 128<<10), off); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	through.fetches.Wait()
	if requests.Load() > 40 || sent.Load() != size {
		t.Errorf("%d requests for %d bytes", requests.Load(), sent.Load())
	}
	requests.Store(0)
	sent.Store(0)
	skipping := newReadAhead("x", size, newCache(), fetch)
	for off := int64(1); off < size; off += 1 << 20 {
		if _, err := skipping.ReadAt(make([]byte, 100), off); err != nil {
			t.Fatal(err)
		}
	}
	skipping.fetches.Wait()
	if requests.Load() != 25 || sent.Load() != 25*chunkSize {
		t.Errorf("%d requests for %d bytes", requests.Load(), sent.Load())
	}
}

func TestCacheIsBounded(t *testing.T) {
	r := newReadAhead("x", 1<<40, newCache(), func(off int64, n int) ([]byte, error) { return make([]byte, n), nil })
	for i := range int64(3 * maxChunks) {
		if _, err := r.ReadAt(make([]byte, 1), i*10*chunkSize); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.chunks) > maxChunks || r.recent.Len() > maxChunks {
		t.Errorf("%d chunks, %d in order", len(r.chunks), r.recent.Len())
	}
}

func TestFailedFetchIsForgotten(t *testing.T) {
	fail := true
	r := newReadAhead("x", 1000, newCache(), func(off int64, n int) ([]byte, error) {
		if fail {
			return nil, io.ErrUnexpectedEOF
		}
		return make([]byte, n), nil
	})
	if n, err := r.ReadAt(make([]byte, 10), 5); n != 0 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d, %v", n, err)
	}
	fail = false
	if n, err := r.ReadAt(make([]byte, 10), 5); n != 10 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestServerThatNeverAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := roundTripper(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		began := time.Now()
		_, err := Open("http://sp.example/piece/baga", Options{Transport: silent})
		if err == nil || time.Since(began) > attempts*(attemptTime+maxPause) {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestURLThatIsNoPlaceForAPieceIsRefused(t *testing.T) {
	for _, url := range []string{"", "file:///etc/passwd", "ftp://host/x", "http://", "http:///x", "http://a b/", "http://me:secret@host/piece/x"} {
		if _, err := Open(url, Options{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
