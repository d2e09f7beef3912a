// Package mount shows a dataset as a read-only FUSE file system.
package mount

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

const (
	// request is the largest read that the kernel sends.
	request = 1 << 20
	// readAhead is how far ahead the kernel reads: several requests, whose leaves several cores verify.
	readAhead = 4 << 20
	// background is how many reads ahead may be under way.
	background = 32
	// cacheTime is how long the kernel trusts names and attributes: the tree never changes.
	cacheTime = 24 * time.Hour
)

// A Mount is a mounted tree, until Wait returns.
type Mount struct {
	dir    string
	server *fuse.Server
	gone   chan struct{}
}

// At mounts the tree at an existing directory, for all users to read, with a reader of its own. What a dead process left mounted there it
// detaches first; a live FUSE mount it leaves alone and fails.
func At(dir string, tree *unixfs.Tree, reader *unixfs.Reader) (*Mount, error) {
	return at(dir, tree, reader, newEntryFS(tree, reader, newVolume(tree), nil, nil), nil, true)
}

// ForOneself mounts as At does, for nobody but this user to read.
func ForOneself(dir string, tree *unixfs.Tree, reader *unixfs.Reader) (*Mount, error) {
	return at(dir, tree, reader, newEntryFS(tree, reader, newVolume(tree), nil, nil), nil, false)
}

func newVolume(tree *unixfs.Tree) *volume {
	v := &volume{since: time.Now(), count: tree.Count}
	_ = tree.Walk(func(e *unixfs.Entry) error {
		v.bytes += uint64(e.Size)
		return nil
	})
	return v
}

// at mounts the tree, and what lies beside it below another root.
func at(dir string, tree *unixfs.Tree, reader *unixfs.Reader, shown *entryFS, beside *fs.Inode, shared bool) (*Mount, error) {
	if err := mayMount(); err != nil {
		return nil, err
	}
	if shared {
		if err := MayShare(); err != nil {
			return nil, err
		}
	}
	dir, err := clear(dir)
	if err != nil {
		return nil, err
	}
	options := fuse.MountOptions{
		FsName:        "shale:" + tree.Root.CID.String(),
		Name:          "shale",
		AllowOther:    shared,
		MaxReadAhead:  readAhead,
		MaxWrite:      request,
		MaxBackground: background,
		DisableXAttrs: true,
		// Splicing is for results that lie in a file; ours lie in memory.
		DisableSplice:        true,
		EnableSymlinkCaching: true,
		// Without this the kernel drops a file's pages whenever its modification time is asked for anew.
		ExplicitDataCacheControl: true,
	}
	if os.Geteuid() == 0 {
		options.DirectMountStrict = true
		options.DirectMountFlags = syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV
	} else {
		options.Options = []string{"ro", "nosuid", "nodev"}
	}
	// Whoever reads must not wait for the kernel here, which may wait for that very reader.
	changed := make(chan struct{}, 1)
	reader.OnChange = func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	server, err := fuse.NewServer(shown, dir, &options)
	if err == nil {
		go server.Serve()
		err = server.WaitMount()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot mount: %w", dir, err)
	}
	raiseReadAhead(dir)
	m := &Mount{dir: dir, server: server, gone: make(chan struct{})}
	go func() {
		server.Wait()
		close(m.gone)
	}()
	go m.dropPages(changed, shown, beside)
	return m, nil
}

// Wait returns when the tree isn't mounted any more, by whomever.
func (m *Mount) Wait() { <-m.gone }

// dropPages has the kernel drop what it keeps of files, whenever the sources have changed.
func (m *Mount) dropPages(changed <-chan struct{}, shown *entryFS, beside *fs.Inode) {
	for {
		select {
		case <-m.gone:
			return
		case <-changed:
			shown.dropPages()
			if beside != nil {
				dropBelow(beside)
			}
		}
	}
}

func dropBelow(dir *fs.Inode) {
	for _, child := range dir.Children() {
		if child.IsDir() {
			dropBelow(child)
		} else {
			_ = child.NotifyContent(0, 0)
		}
	}
}

// Unmount takes the mount out of the name space, even while files in it are open: these fail from when the process
// ends.
func (m *Mount) Unmount() error {
	if m.server.Unmount() == nil {
		return nil
	}
	return detach(m.dir)
}
