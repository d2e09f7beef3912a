package unixfs

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of the message Data, and of its UnixTime (https://specs.ipfs.tech/unixfs/).
const (
	fieldMTime   = 8
	fieldSeconds = 1
	fieldNanos   = 2
)

// modTime is the modification time that a node's data states; zero if there is none. A fraction of 0 nanoseconds, which
// the specification has left out and other builders write, is none; with one beyond a second the whole time is invalid,
// and taken for none, as the specification has it. The data has been decoded before: what is malformed here is not there.
func modTime(data []byte) time.Time {
	var seconds uint64
	var nanos uint32
	stated := false
	fields(data, func(number protowire.Number, kind protowire.Type, value []byte) {
		if number != fieldMTime || kind != protowire.BytesType {
			return
		}
		inner, _ := protowire.ConsumeBytes(value)
		fields(inner, func(number protowire.Number, kind protowire.Type, value []byte) {
			switch {
			case number == fieldSeconds && kind == protowire.VarintType:
				seconds, _ = protowire.ConsumeVarint(value)
				stated = true
			case number == fieldNanos && kind == protowire.Fixed32Type:
				nanos, _ = protowire.ConsumeFixed32(value)
			}
		})
	})
	if !stated || nanos > 999_999_999 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), int64(nanos))
}

// fields visits the fields of a message, up to one that is malformed; value begins with the field's.
func fields(message []byte, visit func(number protowire.Number, kind protowire.Type, value []byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return
		}
		visit(number, kind, message[n:n+size])
		message = message[n+size:]
	}
}
