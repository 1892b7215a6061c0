// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/outrigger/outrigger/internal/filewatch"
)

// reader reads the files of one load, each Kubernetes volume through the generation it had at the first read, and can tell
// afterwards whether everything stood still meanwhile.
type reader struct {
	roots map[string]string      // directory as named -> directory to read through, "" where it does not resolve
	files map[string]fs.FileInfo // path as named -> the file read, nil where there was none
}

func newReader() *reader {
	return &reader{roots: map[string]string{}, files: map[string]fs.FileInfo{}}
}

// root gives the directory to read dir's files through.
func (r *reader) root(dir string) (string, error) {
	if root := r.roots[dir]; root != "" {
		return root, nil
	}
	root, err := filewatch.Resolve(dir)
	r.roots[dir] = root
	return root, err
}

// locate gives the path to open for the file named path: in the volume's generation if it is there, as named otherwise.
func (r *reader) locate(path string) string {
	root, err := r.root(filepath.Dir(path))
	if err != nil {
		return path
	}
	inside := filepath.Join(root, filepath.Base(path))
	if _, err := os.Lstat(inside); err != nil {
		return path
	}
	return inside
}

// read returns what the file holds. The error says what is wrong and the fix, without the file's name.
func (r *reader) read(path string) ([]byte, error) {
	located := r.locate(path)
	r.files[path], _ = os.Stat(located)
	// Without O_NONBLOCK a named pipe in place of the file would hang the program.
	f, err := os.OpenFile(located, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(located, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(located, err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file; name a PEM file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, unreadable(located, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is larger than %d KiB; name a PEM file", maxFile>>10)
	}
	return data, nil
}

// unreadable says why a file cannot be read, without the path that the caller's sentence has already.
func unreadable(located string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return filewatch.Explain(located, err)
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file; check the path and the volume mount")
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// settled tells whether every directory still resolves, and every file still is, as it was when it was read.
func (r *reader) settled() bool {
	for dir, root := range r.roots {
		if now, _ := filewatch.Resolve(dir); now != root {
			return false
		}
	}
	for path, before := range r.files {
		now, _ := os.Stat(r.locate(path))
		if !unchanged(before, now) {
			return false
		}
	}
	return true
}

// unchanged tells whether two looks at a path, nil where nothing was found, saw the same file in the same state.
func unchanged(before, now fs.FileInfo) bool {
	if before == nil || now == nil {
		return before == nil && now == nil
	}
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}
