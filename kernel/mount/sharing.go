package mount

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// fuseConf is where the machine's owner says what others than root may do with FUSE (mount.fuse3(8)).
const fuseConf = "/etc/fuse.conf"

// errNotShared is what is said of a mount that others must see, and may not.
var errNotShared = errors.New("only root may let other users into a mount here: have root add the line user_allow_other to " + fuseConf)

// mayMount says why this user can mount nothing.
func mayMount() error {
	switch err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); {
	case err == nil:
		return nil
	case errors.Is(err, unix.EACCES):
		return errors.New("/dev/fuse is not for this user: have root open it to all (chmod 0666 /dev/fuse)")
	}
	return errors.New("no /dev/fuse: load the fuse module (modprobe fuse)")
}

// MayShare says why other users than this one can't be let into its mounts; nil: they can.
func MayShare() error {
	if os.Geteuid() == 0 {
		return nil
	}
	return allows(fuseConf)
}

func allows(path string) error {
	conf, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil // who mounts sees more of it than we do
	}
	for line := range strings.Lines(string(conf)) {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "user_allow_other" {
			return nil
		}
	}
	return errNotShared
}
