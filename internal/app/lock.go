package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"magpie"
)

// lockFolder makes sure that no other process works on a data folder: a SQLite file and the jobs in it belong to one
// process. The system drops the lock when the process ends, however it ends.
func lockFolder(dir string) (unlock func() error, err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, magpie.Errorf(magpie.KindInvalid, "locking the data folder %s: %w", dir, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = &magpie.Error{
				Kind: magpie.KindConflict, Message: fmt.Sprintf("another magpie process works on the data folder %s", dir),
				Hint: "stop it first, or use its web app or API",
			}
		}
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}
