// Users of the image: who may log in, with which groups, home and shell.

package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// An account is one user of the image, read from its own /etc: the static binary has no NSS to ask, and an image may
// have no /etc at all.
type account struct {
	name   string
	uid    uint32
	gid    uint32
	groups []uint32
	home   string
	shell  string // as passwd names it; empty means none named
}

// passwdPaths are where accounts and groups are looked up.
var passwdPath, groupPath = "/etc/passwd", "/etc/group"

var errNoAccount = errors.New("no such user in this image")

// findAccount looks name up in the image. An image that lists nobody has root alone.
// A server that does not run as root can become nobody else: it serves its own uid only.
func findAccount(name string) (account, error) {
	users, err := readPasswd()
	if err != nil {
		return account{}, err
	}
	self := uint32(os.Geteuid())
	index := slices.IndexFunc(users, func(user account) bool { return user.name == name })
	var user account
	switch {
	case index >= 0:
		user = users[index]
	case self == 0 && name == "root":
		user = account{name: "root", home: "/root"}
	case self != 0 && !slices.ContainsFunc(users, func(user account) bool { return user.uid == self }):
		user = account{name: name, uid: self, gid: uint32(os.Getegid()), home: os.Getenv("HOME")}
	default:
		return account{}, errNoAccount
	}
	if self != 0 && user.uid != self {
		return account{}, errNoAccount
	}
	if user.groups, err = memberships(user); err != nil {
		return account{}, err
	}
	if info, err := os.Stat(user.home); err != nil || !info.IsDir() {
		user.home = "/"
	}
	return user, nil
}

// isServer says whether the user is the one that the server runs as.
func (a account) isServer() bool { return a.uid == uint32(os.Geteuid()) }

// credential is what a process of the user starts with; nil when the server's own identity is already that.
func (a account) credential() *syscall.Credential {
	if a.isServer() && a.gid == uint32(os.Getegid()) {
		own := ownGroups()
		missing := slices.ContainsFunc(a.groups, func(group uint32) bool { return !slices.Contains(own, group) })
		// An unprivileged server cannot add groups to itself; a container without CAP_SETGID needs no call here.
		if !missing || a.uid != 0 {
			return nil
		}
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
}

// shellPath is the first of passwd's shell, $SHELL of the container, bash and sh that exists; empty when none does.
func (a account) shellPath(containerShell string) string {
	for _, path := range []string{a.shell, containerShell, "/bin/bash", "/bin/sh"} {
		if path != "" && executable(path) {
			return path
		}
	}
	return ""
}

// readPasswd parses passwd(5): name:password:uid:gid:gecos:home:shell. Lines that do not fit are skipped, as by libc.
func readPasswd() ([]account, error) {
	records, err := readRecords(passwdPath, 7)
	if err != nil {
		return nil, err
	}
	var users []account
	for _, record := range records {
		uid, uidErr := strconv.ParseUint(record[2], 10, 32)
		gid, gidErr := strconv.ParseUint(record[3], 10, 32)
		if uidErr != nil || gidErr != nil || record[0] == "" {
			continue
		}
		users = append(users, account{name: record[0], uid: uint32(uid), gid: uint32(gid), home: record[5], shell: record[6]})
	}
	return users, nil
}

// memberships are the user's own groups, those of group(5) that name it, and those that the container was given
// (docker run --group-add, as for GPU devices).
func memberships(user account) ([]uint32, error) {
	records, err := readRecords(groupPath, 4)
	if err != nil {
		return nil, err
	}
	groups := append([]uint32{user.gid}, ownGroups()...)
	for _, record := range records {
		gid, err := strconv.ParseUint(record[2], 10, 32)
		if err == nil && slices.Contains(strings.Split(record[3], ","), user.name) {
			groups = append(groups, uint32(gid))
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

func ownGroups() []uint32 {
	groups, err := os.Getgroups()
	if err != nil {
		return nil
	}
	own := make([]uint32, 0, len(groups)+1)
	for _, group := range groups {
		own = append(own, uint32(group))
	}
	return append(own, uint32(os.Getegid()))
}

func readRecords(path string, fields int) ([][]string, error) {
	data, err := readRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the image's users: %w", err)
	}
	var records [][]string
	for _, line := range lines(data) {
		if record := strings.Split(line, ":"); len(record) == fields {
			records = append(records, record)
		}
	}
	return records, nil
}
