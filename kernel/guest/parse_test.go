package guest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWordsAreSplitByTheShellsRulesForQuotes(t *testing.T) {
	for command, want := range map[string][]string{
		`/bin/tool a  b`:           {"/bin/tool", "a", "b"},
		`tool 'a b' "c d" e\ f ''`: {"tool", "a b", "c d", "e f", ""},
		`tool "a\"b\n" 'x\'`:       {"tool", `a"b\n`, `x\`},
		`tool --x=é`:               {"tool", "--x=é"},
	} {
		if got, err := splitWords(command); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", command, got, err)
		}
	}
}

func TestWhatOnlyAShellCanDoIsRefused(t *testing.T) {
	for _, command := range []string{"", "  ", "a; b", "a | b", "a > f", "echo $HOME", `echo "$HOME"`, "ls *", "a\nb", "~/x", "`a`", "'open", `a\`} {
		if words, err := splitWords(command); err == nil {
			t.Errorf("%q became %q", command, words)
		}
	}
}

func TestTerminalModesAreApplied(t *testing.T) {
	mode := func(opcode byte, value uint32) string {
		return string(binary.BigEndian.AppendUint32([]byte{opcode}, value))
	}
	termios := unix.Termios{Lflag: unix.ECHO | unix.ICANON, Cflag: unix.CS8}
	applyModes(&termios, mode(53, 0)+mode(42, 1)+mode(3, 127)+mode(1, 255)+mode(129, 38400)+mode(90, 1)+"\x00"+mode(51, 0))
	if termios.Lflag != unix.ICANON || termios.Iflag != unix.IUTF8 || termios.Cflag&unix.CSIZE != unix.CS7 ||
		termios.Cc[unix.VERASE] != 127 || termios.Cc[unix.VINTR] != 0 {
		t.Fatalf("%+v", termios)
	}
}

func FuzzTerminalModes(f *testing.F) {
	f.Add("\x35\x00\x00\x00\x01\x00")
	f.Fuzz(func(_ *testing.T, encoded string) { applyModes(&unix.Termios{}, encoded) })
}

func TestAccountsAreReadWithoutTrustingTheFile(t *testing.T) {
	passwd := useImage(t, strings.Join([]string{
		"", "broken", "bad:x:not:a:number::", "big:x:99999999999:0:::",
		"root:x:0:0:root:/nowhere:/bin/zsh-missing", "app:x:1000:1000::/:/bin/sh",
	}, "\n"), "staff:x:50:app,other\nvideo:x:44:other\n")
	app, err := findAccount("app")
	if err != nil || app.uid != 1000 || !slices.Contains(app.groups, 50) || slices.Contains(app.groups, 44) {
		t.Fatalf("%+v, %v", app, err)
	}
	root, err := findAccount("root")
	if err != nil || root.home != "/" || root.shellPath("/bin/sh") != "/bin/sh" {
		t.Fatalf("%+v, %v", root, err)
	}
	for _, name := range []string{"", "bad", "big", "broken", "nobody", "root:x"} {
		if user, err := findAccount(name); err == nil {
			t.Errorf("%q is %+v", name, user)
		}
	}
	// A pipe in the place of the file must not hold up a login.
	if err := os.Remove(passwd); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(passwd, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := findAccount("root"); err == nil {
		t.Fatal("read users from a pipe")
	}
}

func TestImageWithoutUsersHasRootAlone(t *testing.T) {
	passwd := useImage(t, "", "")
	if err := os.Remove(passwd); err != nil {
		t.Fatal(err)
	}
	if root, err := findAccount("root"); err != nil || root.uid != 0 {
		t.Fatalf("%+v, %v", root, err)
	}
	if _, err := findAccount("app"); err == nil {
		t.Fatal("found a user")
	}
}

func useImage(t *testing.T, passwd, group string) (path string) {
	t.Helper()
	oldPasswd, oldGroup := passwdPath, groupPath
	t.Cleanup(func() { passwdPath, groupPath = oldPasswd, oldGroup })
	passwdPath, groupPath = filepath.Join(t.TempDir(), "passwd"), filepath.Join(t.TempDir(), "group")
	for name, content := range map[string]string{passwdPath: passwd, groupPath: group} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return passwdPath
}
