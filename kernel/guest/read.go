// Reading for an audit: files of the dataset and of its proofs, over the stdin and stdout of a session.

package guest

import (
	"context"
	"os"

	"github.com/shale-cloud/shale/kernel/reading"
)

// ReadCommand is the argument that makes the program serve reads of two folders instead of SSH.
const ReadCommand = "read"

// ServeReads answers reads below the folders on stdin and stdout until stdin ends.
func ServeReads(dataset, proofs string) error {
	files, err := reading.OpenFiles(dataset, proofs)
	if err != nil {
		return err
	}
	defer files.Close()
	return reading.Serve(context.Background(), os.Stdin, os.Stdout, files)
}
