package unixfs

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// maxFollowed is how many symlinks a path may lead through, as in Linux.
	maxFollowed = 40
	// maxSteps bounds the path components that are followed for all symlinks of a tree.
	maxSteps = 16 << 20
)

// checkSymlinks follows each symlink of a tree that climbs after it has descended, as a file system would, and returns the
// first that leads above the root. The others checkTarget has seen.
func (t *Tree) checkSymlinks() (*Entry, error) {
	f := follower{steps: maxSteps}
	var bad *Entry
	err := t.Walk(func(e *Entry) error {
		if e.Type != Symlink || !climbsLater(e.Target) {
			return nil
		}
		bad, f.followed = e, 0
		if _, err := f.follow(e.Parent, e.Target); err != nil {
			return fmt.Errorf("symlink to %q %w", e.Target, err)
		}
		return nil
	})
	if err == nil {
		bad = nil
	}
	return bad, err
}

type follower struct {
	steps    int
	followed int
}

// A spot is where a path has led: a directory, or names below it that are no directories of the tree.
type spot struct {
	dir    *Entry
	absent int
}

// follow leads a path on from a directory. What isn't there is taken for a directory that somebody might make.
func (f *follower) follow(dir *Entry, path string) (spot, error) {
	at := spot{dir: dir}
	for part := range strings.SplitSeq(path, "/") {
		if f.steps--; f.steps < 0 {
			return at, fmt.Errorf("may lead out of the dataset: more than %d steps to follow", maxSteps)
		}
		switch {
		case part == "" || part == ".":
		case part == ".." && at.absent > 0:
			at.absent--
		case part == "..":
			if at.dir = at.dir.Parent; at.dir == nil {
				return at, fmt.Errorf("leads out of the dataset")
			}
		case at.absent > 0:
			at.absent++
		default:
			var err error
			if at, err = f.enter(at.dir, part); err != nil {
				return at, err
			}
		}
	}
	return at, nil
}

// enter leads into an entry of a directory.
func (f *follower) enter(dir *Entry, name string) (spot, error) {
	i, ok := slices.BinarySearchFunc(dir.Entries, name, func(e *Entry, name string) int { return strings.Compare(e.Name, name) })
	switch {
	case !ok || dir.Entries[i].Type == File:
		return spot{dir, 1}, nil
	case dir.Entries[i].Type == Directory:
		return spot{dir: dir.Entries[i]}, nil
	}
	if f.followed++; f.followed > maxFollowed {
		return spot{}, fmt.Errorf("may lead out of the dataset: it leads through more than %d others", maxFollowed)
	}
	return f.follow(dir, dir.Entries[i].Target)
}
