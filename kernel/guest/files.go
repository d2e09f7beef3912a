// The files that the provider puts beside the program.

package guest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// The largest file that is read from the directory, or from /etc of the image.
const maxFileBytes = 1 << 20

// authorizedAlgorithms are the signatures that a client may log in with: no SHA-1, no DSA.
var authorizedAlgorithms = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
}

// authorizedTypes are the key types that may stand in authorized_keys.
var authorizedTypes = map[string]bool{
	ssh.KeyAlgoED25519: true, ssh.KeyAlgoSKED25519: true, ssh.KeyAlgoSKECDSA256: true,
	ssh.KeyAlgoECDSA256: true, ssh.KeyAlgoECDSA384: true, ssh.KeyAlgoECDSA521: true, ssh.KeyAlgoRSA: true,
}

// Files are what the provider puts beside the program: who may come in, and as whom the container answers.
type Files struct {
	HostKey     ssh.Signer
	Authorized  map[string]bool // wire form of each public key
	Environment []string        // KEY=VALUE, over the container's own environment
	Motd        string
}

// ReadFiles reads host_key, authorized_keys, environment and motd from dir. The last two may be absent.
// Its errors are one line and name the file to repair.
func ReadFiles(dir string) (Files, error) {
	var files Files
	var err error
	if files.HostKey, err = readHostKey(filepath.Join(dir, "host_key")); err != nil {
		return Files{}, err
	}
	if files.Authorized, err = readAuthorizedKeys(filepath.Join(dir, "authorized_keys")); err != nil {
		return Files{}, err
	}
	if files.Environment, err = readEnvironment(filepath.Join(dir, "environment")); err != nil {
		return Files{}, err
	}
	motd, err := readOptional(filepath.Join(dir, "motd"))
	if err != nil {
		return Files{}, err
	}
	files.Motd = string(motd)
	return files, nil
}

func readHostKey(path string) (ssh.Signer, error) {
	data, err := readRegular(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to other users: chmod 600 it", path)
	}
	key, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s is no OpenSSH private key without a passphrase: write one with ssh-keygen -t ed25519 -N ''", path)
	}
	if key.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return nil, fmt.Errorf("%s is a key of type %s: write one with ssh-keygen -t ed25519", path, key.PublicKey().Type())
	}
	return key, nil
}

// readAuthorizedKeys refuses a line with options instead of ignoring it: an option narrows what a key may do, and
// a key that may do more than its owner wrote down is worse than one that does not work.
func readAuthorizedKeys(path string) (map[string]bool, error) {
	data, err := readRegular(path)
	if err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	for number, line := range lines(data) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s line %d is no public key: write it as \"ssh-ed25519 AAAA…\"", path, number+1)
		case len(options) > 0:
			return nil, fmt.Errorf("%s line %d has options, which are not supported: remove them", path, number+1)
		case !authorizedTypes[key.Type()]:
			return nil, fmt.Errorf("%s line %d is a key of type %s: use ed25519, ecdsa or rsa", path, number+1, key.Type())
		}
		keys[string(key.Marshal())] = true
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key: nobody could log in; add the tenant's", path)
	}
	return keys, nil
}

func readEnvironment(path string) ([]string, error) {
	data, err := readOptional(path)
	if err != nil {
		return nil, err
	}
	var environment []string
	for number, line := range lines(data) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, _, found := strings.Cut(line, "=")
		if !found || key == "" || strings.ContainsAny(key, " \t") || strings.ContainsRune(line, 0) {
			return nil, fmt.Errorf("%s line %d is not KEY=VALUE", path, number+1)
		}
		environment = append(environment, line)
	}
	return environment, nil
}

func lines(data []byte) []string {
	var all []string
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, maxFileBytes+1)
	for scanner.Scan() {
		all = append(all, strings.TrimSpace(scanner.Text()))
	}
	return all
}

func readOptional(path string) ([]byte, error) {
	data, err := readRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// readRegular reads a small plain file. The image belongs to the tenant, so a name may turn out to be a pipe that
// never opens or a device that never ends: neither may hold up a login.
func readRegular(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: it must belong to the user that the container runs as (under userns-remap, its mapped root)", err)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	return data, nil
}
