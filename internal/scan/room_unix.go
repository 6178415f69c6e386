//go:build linux || darwin || freebsd

package scan

import (
	"os"
	"syscall"
)

// freeSpace returns how many bytes can be written to a folder's disk by who is not root.
func freeSpace(dir string) (int64, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
