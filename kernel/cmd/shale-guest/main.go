// Command shale-guest is the SSH server of a leased container: it is mounted read-only into any image, with a
// directory of keys, and runs as the container's command.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/guest"
)

const usage = "usage: shale-guest --dir DIR [--listen ADDRESS]\n       shale-guest read DATASET PROOFS"

func main() {
	if len(os.Args) == 2 && os.Args[1] == guest.SFTPCommand {
		exitOn(guest.ServeSFTP())
		return
	}
	if len(os.Args) == 4 && os.Args[1] == guest.ReadCommand {
		exitOn(guest.ServeReads(os.Args[2], os.Args[3]))
		return
	}
	flags := flag.NewFlagSet("shale-guest", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	dir := flags.String("dir", "", "directory with host_key, authorized_keys and, if wanted, environment and motd")
	address := flags.String("listen", ":22", "TCP address to listen on")
	if err := flags.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		os.Exit(2)
	}
	if *dir == "" || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	// Whatever else this process was started with is no business of the sessions.
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	if os.Getpid() == 1 {
		status, err := guest.RunInit(os.Args[1:])
		exitOn(err)
		os.Exit(status)
	}
	exitOn(serve(*dir, *address))
}

func serve(dir, address string) error {
	// Caught before the service is announced: whoever reads the line may stop it at once.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	// Taken and dropped: a signal that is ignored instead would stay ignored in every session.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	files, err := guest.ReadFiles(dir)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen", err)
	}
	server := guest.New(files, os.Environ(), guest.DefaultLimits)
	event := struct {
		Event string `json:"event"`
		Port  int    `json:"port"`
	}{"listening", listener.Addr().(*net.TCPAddr).Port}
	if err := json.NewEncoder(os.Stdout).Encode(event); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-signals:
		server.Stop()
		return nil
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "shale-guest: %v\n", err)
		os.Exit(1)
	}
}
