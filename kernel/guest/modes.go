// Terminal modes as SSH encodes them.

package guest

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Opcodes of encoded terminal modes (RFC 4254, 8; IUTF8 from RFC 8160).
var (
	modeChars = map[byte]int{
		1: unix.VINTR, 2: unix.VQUIT, 3: unix.VERASE, 4: unix.VKILL, 5: unix.VEOF, 6: unix.VEOL, 7: unix.VEOL2,
		8: unix.VSTART, 9: unix.VSTOP, 10: unix.VSUSP, 12: unix.VREPRINT, 13: unix.VWERASE, 14: unix.VLNEXT,
		18: unix.VDISCARD,
	}
	modeInput = map[byte]uint32{
		30: unix.IGNPAR, 31: unix.PARMRK, 32: unix.INPCK, 33: unix.ISTRIP, 34: unix.INLCR, 35: unix.IGNCR,
		36: unix.ICRNL, 37: unix.IUCLC, 38: unix.IXON, 39: unix.IXANY, 40: unix.IXOFF, 41: unix.IMAXBEL, 42: unix.IUTF8,
	}
	modeLocal = map[byte]uint32{
		50: unix.ISIG, 51: unix.ICANON, 52: unix.XCASE, 53: unix.ECHO, 54: unix.ECHOE, 55: unix.ECHOK, 56: unix.ECHONL,
		57: unix.NOFLSH, 58: unix.TOSTOP, 59: unix.IEXTEN, 60: unix.ECHOCTL, 61: unix.ECHOKE, 62: unix.PENDIN,
	}
	modeOutput = map[byte]uint32{
		70: unix.OPOST, 71: unix.OLCUC, 72: unix.ONLCR, 73: unix.OCRNL, 74: unix.ONOCR, 75: unix.ONLRET,
	}
	modeControl = map[byte]uint32{92: unix.PARENB, 93: unix.PARODD}
)

const (
	modeCS7 = 90
	modeCS8 = 91
	// An unset special character travels as 255.
	modeCharUnset = 255
	// From this opcode on the argument has another form, so that reading has to stop.
	modeFirstUnknown = 160
)

// applyModes writes the client's terminal modes over those of a fresh terminal. What is not understood is left out.
func applyModes(termios *unix.Termios, encoded string) {
	data := []byte(encoded)
	for len(data) >= 5 && data[0] != 0 && data[0] < modeFirstUnknown {
		opcode, value := data[0], binary.BigEndian.Uint32(data[1:5])
		data = data[5:]
		if index, known := modeChars[opcode]; known {
			termios.Cc[index] = byte(value)
			if value == modeCharUnset {
				termios.Cc[index] = 0
			}
			continue
		}
		switch opcode {
		case modeCS7, modeCS8:
			if value != 0 {
				size := map[byte]uint32{modeCS7: unix.CS7, modeCS8: unix.CS8}[opcode]
				termios.Cflag = termios.Cflag&^unix.CSIZE | size
			}
			continue
		}
		setFlag(&termios.Iflag, modeInput[opcode], value)
		setFlag(&termios.Lflag, modeLocal[opcode], value)
		setFlag(&termios.Oflag, modeOutput[opcode], value)
		setFlag(&termios.Cflag, modeControl[opcode], value)
	}
}

func setFlag(flags *uint32, bit, value uint32) {
	if value != 0 {
		*flags |= bit
	} else {
		*flags &^= bit
	}
}
