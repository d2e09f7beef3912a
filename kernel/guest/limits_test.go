package guest

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func startLimited(t *testing.T, limits Limits) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := New(Files{HostKey: signer}, nil, limits)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func connect(t *testing.T, address string) net.Conn {
	t.Helper()
	peer, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	if err := peer.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return peer
}

func TestSilentPeerIsDroppedAtTheHandshakeTimeout(t *testing.T) {
	limits := DefaultLimits
	limits.HandshakeTimeout = 20 * time.Millisecond
	peer := connect(t, startLimited(t, limits))
	if _, err := io.ReadAll(peer); err != nil {
		t.Fatalf("not closed: %v", err)
	}
}

func TestPeersThatDoNotLogInAreBounded(t *testing.T) {
	limits := DefaultLimits
	limits.HandshakesPerPeer = 2
	address := startLimited(t, limits)
	banner := make([]byte, len(serverVersion))
	for range 2 {
		if _, err := io.ReadFull(connect(t, address), banner); err != nil || string(banner) != serverVersion {
			t.Fatalf("%s, %v", banner, err)
		}
	}
	if data, _ := io.ReadAll(connect(t, address)); len(data) != 0 {
		t.Fatalf("a third was served: %s", data)
	}
}
