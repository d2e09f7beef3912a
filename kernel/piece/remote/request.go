package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const unknown = -1

// A request asks for ranges of one version of a file (RFC 9110, 14). Before the file is open its size is unknown and
// nothing is pinned.
type request struct {
	url      string
	size     int64
	etag     string
	modified string
}

// An answer is the bytes of a range and the version of the file that they are of.
type answer struct {
	data     []byte
	size     int64
	etag     string
	modified string
}

// pinned is the request for further ranges of the version that the answer is of.
func (r request) pinned(a answer) *request {
	r.size, r.etag, r.modified = a.size, a.etag, a.modified
	return &r
}

func (r request) build(ctx context.Context, off int64, n int) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(n)-1))
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "shale")
	// A weak tag promises no equal bytes, and must not stand here (RFC 9110, 13.1.5).
	if strings.HasPrefix(r.etag, `"`) {
		req.Header.Set("If-Range", r.etag)
	}
	return req, nil
}

// read checks that a response is the range that was asked for, of the same version, and reads it.
func (r request) read(resp *http.Response, off int64, n int) (answer, error) {
	a := answer{etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified")}
	if err := r.status(resp, a); err != nil {
		return a, err
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return a, fmt.Errorf("the server sent it encoded as %.40q, asked for as it is", coding)
	}
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return a, nil // an empty file
	}
	first, last, size, err := contentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return a, err
	}
	a.size = size
	if size < 1 || size > maxSize {
		return a, fmt.Errorf("the server says that the piece has %d bytes, pieces have at most %d", size, int64(maxSize))
	}
	if r.size != unknown && size != r.size || r.changed(a) {
		return a, errChanged
	}
	if left := size - off; int64(n) > left {
		n = int(left)
	}
	if first != off || last != off+int64(n)-1 {
		return a, fmt.Errorf("the server sent bytes %d-%d, asked for %d-%d", first, last, off, off+int64(n)-1)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != int64(n) {
		return a, fmt.Errorf("the server sends %d bytes and says that they are %d", resp.ContentLength, n)
	}
	a.data = make([]byte, n)
	if got, err := io.ReadFull(resp.Body, a.data); err != nil {
		return a, &passingError{err: fmt.Errorf("cut off after %d of %d bytes: %w", got, n, err)}
	}
	if extra, _ := resp.Body.Read(make([]byte, 1)); extra > 0 {
		return a, fmt.Errorf("the server sends more than the %d bytes that it announced", n)
	}
	return a, nil
}

var errChanged = errors.New("the piece has changed since it was opened: open it again")

func (r request) changed(a answer) bool {
	return r.size != unknown && (r.etag != a.etag || r.etag == "" && r.modified != a.modified)
}

// status passes what has a range in it: 206, and 416 of a file that is empty.
func (r request) status(resp *http.Response, a answer) error {
	switch code := resp.StatusCode; {
	case code == http.StatusPartialContent:
		return nil
	case code == http.StatusOK && r.changed(a):
		return errChanged
	case code == http.StatusOK:
		return errors.New("the server ignores Range: pieces are read by ranges")
	case code == http.StatusRequestedRangeNotSatisfiable && r.size == unknown && resp.Header.Get("Content-Range") == "bytes */0":
		return nil
	case code == http.StatusRequestedRangeNotSatisfiable && r.size != unknown:
		return errChanged
	case code == http.StatusNotFound || code == http.StatusGone:
		return fmt.Errorf("the server has no such piece (%d)", code)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Errorf("the server refuses it (%d)", code)
	case code == http.StatusTooManyRequests || code >= 500 && code != http.StatusNotImplemented:
		return &passingError{fmt.Errorf("the server fails (%d)", code), retryAfter(resp.Header.Get("Retry-After"))}
	default:
		return fmt.Errorf("the server answers %d, not 206", code)
	}
}

// retryAfter reads a number of seconds; a date is left to the usual pause.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// contentRange parses "bytes FIRST-LAST/SIZE".
func contentRange(header string) (first, last, size int64, err error) {
	bad := fmt.Errorf("the server's Content-Range %.60q names no range", header)
	rest, ok := strings.CutPrefix(header, "bytes ")
	span, total, slash := strings.Cut(rest, "/")
	from, to, dash := strings.Cut(span, "-")
	if !ok || !slash || !dash {
		return 0, 0, 0, bad
	}
	var values [3]int64
	for i, text := range []string{from, to, total} {
		value, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return 0, 0, 0, bad
		}
		values[i] = int64(value)
	}
	return values[0], values[1], values[2], nil
}
