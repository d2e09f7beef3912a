package piece

import (
	"fmt"
	"os"
	"syscall"
)

// maxStamp bounds what a server may have us keep.
const maxStamp = 512

// Stamp tells one version of a source's bytes from another without reading them: of a file its size, modification time
// and inode, of a URL its size and its ETag or Last-Modified. It is empty if the source has no such mark. Where a server
// sends neither, equal stamps are no more than equal sizes: what is read is held against its CID at each fetch.
func Stamp(src Source) string {
	s, ok := bottom(src).(interface{ Stamp() string })
	if !ok {
		return ""
	}
	if stamp := s.Stamp(); len(stamp) <= maxStamp {
		return stamp
	}
	return ""
}

func fileStamp(info os.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("file %d %d %d", info.Size(), info.ModTime().UnixNano(), stat.Ino)
}
