package unixfs

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxName   = 255  // bytes, as in Linux
	maxTarget = 4095 // bytes, as in Linux
	maxDepth  = 128  // directories below each other
)

func checkName(name string) error {
	switch {
	case name == "", name == ".", name == "..":
		return fmt.Errorf("name %q is not allowed", name)
	case len(name) > maxName:
		return fmt.Errorf("name of %d bytes, more than %d", len(name), maxName)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("name %q holds a slash or a NUL", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8", name)
	}
	return nil
}

// checkTarget refuses a symlink that leads out of its tree by what is written in it. depth is the number of directories
// between the root and the symlink. A relative target whose ".." all stand in front, depth of them at most, climbs real
// directories only; what follows can lead up only through another symlink, which leads nowhere outside either. One that
// climbs after it has descended may do so from where another symlink led: Tree.checkSymlinks follows it.
func checkTarget(target string, depth int) error {
	switch {
	case target == "":
		return errors.New("symlink without a target")
	case len(target) > maxTarget:
		return fmt.Errorf("symlink's target of %d bytes, more than %d", len(target), maxTarget)
	case strings.Contains(target, "\x00") || !utf8.ValidString(target):
		return errors.New("symlink's target is not a path")
	case target[0] == '/':
		return fmt.Errorf("symlink to %q leads out of the dataset", target)
	}
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return fmt.Errorf("symlink to %q leads out of the dataset", target)
			}
		default:
			depth++
		}
	}
	return nil
}

// climbsLater reports whether a target climbs after it has descended.
func climbsLater(target string) bool {
	descended := false
	for part := range strings.SplitSeq(target, "/") {
		if part == ".." && descended {
			return true
		}
		descended = descended || part != "" && part != "." && part != ".."
	}
	return false
}
