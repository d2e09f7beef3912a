// A session's program as a process of the system.

package guest

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A process is what one session runs: the leader of its own kernel session and process group.
type process struct {
	cmd        *exec.Cmd
	onTerminal bool

	mu     sync.Mutex
	exited bool
}

// A program is a command ready to start: its path, its words (the first one is argv[0]), variables and directory.
type program struct {
	path string
	args []string
	env  *environment
	dir  string
	user account
}

// startProcess starts a program on the three files; with a terminal, that becomes its controlling terminal.
func startProcess(what program, stdin, stdout, stderr *os.File, controlling bool) (*process, error) {
	cmd := &exec.Cmd{
		Path: what.path, Args: what.args, Env: what.env.list(), Dir: what.dir,
		Stdin: stdin, Stdout: stdout, Stderr: stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Setsid: true, Setctty: controlling, Ctty: 0, Credential: what.user.credential(),
		},
	}
	err := cmd.Start()
	if errors.Is(err, unix.EPERM) && cmd.SysProcAttr.Credential != nil && what.user.isServer() {
		// Without CAP_SETGID the user does without the groups that the image lists for it.
		retry := &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir,
			Stdin: stdin, Stdout: stdout, Stderr: stderr, SysProcAttr: cmd.SysProcAttr}
		retry.SysProcAttr.Credential = nil
		cmd, err = retry, retry.Start()
	}
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, onTerminal: controlling}, nil
}

// wait returns how the process ended. Until it has, signalGroup may use the process id.
func (p *process) wait() syscall.WaitStatus {
	// Looked at without being reaped first: once reaped, the id may belong to somebody else.
	awaitEnd(p.cmd.Process.Pid)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exited = true
	_ = p.cmd.Wait() // a failure of the command is read from its state
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return status
}

// signalGroup sends a signal to the process group. It does nothing once the process has ended.
func (p *process) signalGroup(signals ...unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, signal := range signals {
		if !p.exited {
			_ = unix.Kill(-p.cmd.Process.Pid, signal)
		}
	}
}

// terminate asks the process group to end: by HUP on a terminal, whose shell ignores TERM and passes HUP on; by TERM
// alone elsewhere, so that a job may save its work.
func (p *process) terminate() {
	if p.onTerminal {
		p.hangup()
	} else {
		p.signalGroup(unix.SIGTERM, unix.SIGCONT)
	}
}

// hangup tells the process group that its user is gone, and wakes what was stopped so that it hears of it.
func (p *process) hangup() { p.signalGroup(unix.SIGHUP, unix.SIGCONT) }

// awaitEnd returns when the process has ended, and leaves it to be reaped. It waits in the poller where the kernel can:
// a thread for each session would count against the container's limit of processes.
func awaitEnd(pid int) {
	if fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK); err == nil {
		file := os.NewFile(uintptr(fd), "pidfd")
		defer file.Close()
		if raw, err := file.SyscallConn(); err == nil &&
			raw.Read(func(uintptr) bool { return hasEnded(pid, unix.WNOHANG) }) == nil {
			return
		}
	}
	hasEnded(pid, 0)
}

func hasEnded(pid, option int) bool {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|option, nil)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || info.Signo != 0
		}
	}
}
