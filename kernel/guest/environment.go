// The variables that a session's program starts with.

package guest

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	defaultPath      = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	maxClientVars    = 64
	maxClientVarSize = 8 << 10
)

// An environment is the variables of one session, each name once and in the order of first mention.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if e.values == nil {
		e.values = map[string]string{}
	}
	if _, known := e.values[name]; !known {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) setAll(pairs []string) {
	for _, pair := range pairs {
		if name, value, found := strings.Cut(pair, "="); found && name != "" {
			e.set(name, value)
		}
	}
}

func (e *environment) get(name string) string { return e.values[name] }

func (e *environment) list() []string {
	pairs := make([]string, 0, len(e.names))
	for _, name := range e.names {
		pairs = append(pairs, name+"="+e.values[name])
	}
	return pairs
}

// loginEnvironment is the container's environment, the provider's file over it, then the facts of the login.
func loginEnvironment(container, file []string, user account, meta ssh.ConnMetadata) *environment {
	var env environment
	env.setAll(container)
	env.setAll(file)
	if env.get("PATH") == "" {
		env.set("PATH", defaultPath)
	}
	if shell := user.shellPath(env.get("SHELL")); shell != "" {
		env.set("SHELL", shell)
	}
	env.set("HOME", user.home)
	env.set("PWD", user.home)
	env.set("USER", user.name)
	env.set("LOGNAME", user.name)
	remoteHost, remotePort := hostPort(meta.RemoteAddr())
	localHost, localPort := hostPort(meta.LocalAddr())
	env.set("SSH_CONNECTION", fmt.Sprintf("%s %s %s %s", remoteHost, remotePort, localHost, localPort))
	env.set("SSH_CLIENT", fmt.Sprintf("%s %s %s", remoteHost, remotePort, localPort))
	return &env
}

// clientMaySet says whether a client's env request is taken: what describes its terminal and language, and nothing
// that steers a loader or a shell (as Debian's AcceptEnv).
func clientMaySet(name, value string) bool {
	if len(name)+len(value) > maxClientVarSize || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
		return false
	}
	return name == "LANG" || strings.HasPrefix(name, "LC_") || name == "TERM" || name == "COLORTERM"
}

// findProgram resolves a command name as the shell would, in the session's PATH and from its directory.
func findProgram(name string, env *environment) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range filepath.SplitList(env.get("PATH")) {
		if path := filepath.Join(dir, name); filepath.IsAbs(path) && executable(path) {
			return path
		}
	}
	return ""
}

func hostPort(address net.Addr) (host, port string) {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return "UNKNOWN", "0"
	}
	return host, port
}
