package dataset

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tooLong is when a server of these tests gives up on what never comes.
const tooLong = 10 * time.Second

func TestPiecesOnAServerAreOpenedSeveralAtOnce(t *testing.T) {
	paths, root := scattered(t, 24)
	var asked atomic.Int64
	together := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if asked.Add(1) == openAtOnce {
			close(together)
		}
		select { // nothing is answered before so many have asked
		case <-together:
			http.ServeFile(w, req, paths[0][:strings.LastIndexByte(paths[0], '/')]+req.URL.Path)
		case <-time.After(tooLong):
			http.Error(w, "asked one by one", http.StatusNotFound)
		}
	}))
	defer server.Close()
	var texts []string
	for _, path := range paths {
		texts = append(texts, server.URL+"/"+filepath.Base(path))
	}
	d, err := Open(texts, root.String(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	here, err := Open(paths, root.String(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if got, want := listing(t, d), listing(t, here); got != want {
		t.Errorf("the pieces are in another order:\n%s\n%s", got, want)
	}
}

func TestTheFirstPieceThatCannotBeOpenedIsNamedAndAllOthersAreClosed(t *testing.T) {
	texts, root := scattered(t, 40)
	folder := filepath.Dir(texts[0])
	second := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/second" {
			defer close(second)
		} else {
			select { // the first fails after the second has
			case <-second:
			case <-time.After(tooLong):
			}
		}
		http.NotFound(w, req)
	}))
	defer server.Close()
	texts[20], texts[21] = server.URL+"/first", server.URL+"/second"
	_, err := Open(texts, root.String(), "")
	if err == nil || !strings.Contains(err.Error(), "/first") {
		t.Errorf("got %v", err)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + entry.Name()); strings.HasPrefix(target, folder) {
			t.Errorf("%s is still open", target)
		}
	}
}
