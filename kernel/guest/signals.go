// Names of signals in SSH.

package guest

import "golang.org/x/sys/unix"

// signalNumbers are the signals that SSH can name (RFC 4254, 6.9 and 6.10).
var signalNumbers = map[string]unix.Signal{
	"ABRT": unix.SIGABRT, "ALRM": unix.SIGALRM, "FPE": unix.SIGFPE, "HUP": unix.SIGHUP, "ILL": unix.SIGILL,
	"INT": unix.SIGINT, "KILL": unix.SIGKILL, "PIPE": unix.SIGPIPE, "QUIT": unix.SIGQUIT, "SEGV": unix.SIGSEGV,
	"TERM": unix.SIGTERM, "USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2,
}

// signalName is the protocol's name of a signal; one that it has no name for gets OpenSSH's local name.
func signalName(signal unix.Signal) string {
	for name, number := range signalNumbers {
		if number == signal {
			return name
		}
	}
	return "SIG@openssh.com"
}
