package main

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// advice is what to do about what the system says of a path.
var advice = map[syscall.Errno]string{
	syscall.ENOENT:  "check the path",
	syscall.ENOTDIR: "check the path",
	syscall.ENOSPC:  "make room, or choose another place",
	syscall.EROFS:   "choose another place",
	syscall.EACCES:  "change its mode, or run as another user",
	syscall.EPERM:   "change its mode, or run as another user",
}

// advised is an error's line. What the system says of a path names the path first, not the system's call, and goes on with
// what to do.
func advised(err error) string {
	text := err.Error()
	var of *fs.PathError
	if !errors.As(err, &of) {
		return text
	}
	var number syscall.Errno
	if !errors.As(of.Err, &number) || advice[number] == "" {
		return text
	}
	return strings.Replace(text, of.Error(), of.Path+": "+of.Err.Error(), 1) + ": " + advice[number]
}
