// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Limits that keep a comparison cheap, whatever a path turns out to name.
const (
	maxDepth   = 4        // levels of sub-directories
	maxEntries = 10_000   // files in all
	maxHashed  = 16 << 20 // bytes of a file; of a larger one size and times are compared
	maxLinks   = 40       // symbolic links in one path, as Linux has it
)

// state is one look at the watched paths.
type state struct {
	// content sums up what the files hold; it alone decides whether there is a change.
	content [sha256.Size]byte
	// identity sums up which files they were. It differs between two looks at equal contents with a change in between.
	identity [sha256.Size]byte
	// watch are the directories in which any change of the content begins, and files that are reachable elsewhere as well.
	watch map[string]fileID
}

// fileID tells a directory from one that took its place.
type fileID struct{ dev, ino uint64 }

// scanner takes one look.
type scanner struct {
	content, identity hash.Hash
	watch             map[string]fileID
	entries           int
}

// scan looks at all the paths.
func scan(paths []string) state {
	s := &scanner{content: sha256.New(), identity: sha256.New(), watch: map[string]fileID{}}
	for _, path := range paths {
		s.visit(path, maxDepth)
	}
	return state{[sha256.Size]byte(s.content.Sum(nil)), [sha256.Size]byte(s.identity.Sum(nil)), s.watch}
}

// visit takes in a file, or a directory down to depth levels below it. What cannot be read counts as the reason.
func (s *scanner) visit(path string, depth int) {
	if s.entries++; s.entries > maxEntries {
		return
	}
	fmt.Fprintf(s.content, "\n%q ", path)
	resolved, err := s.follow(path)
	if err != nil {
		s.failed(err)
		return
	}
	// Without O_NONBLOCK a named pipe would hang the program.
	f, err := os.OpenFile(resolved, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		// It cannot be watched either. That it becomes readable is reported where it lies.
		s.note(filepath.Dir(resolved))
		s.failed(err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		s.failed(err)
	case info.IsDir():
		s.directory(f, path, resolved, depth)
	case info.Mode().IsRegular():
		s.file(f, info, resolved, depth)
	default:
		io.WriteString(s.content, info.Mode().Type().String())
	}
}

// failed takes in why something cannot be read; the path is there already, and the resolved one is not content.
func (s *scanner) failed(err error) {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	fmt.Fprintf(s.content, "error %v", err)
}

// directory takes in what a directory holds, without the entries with which Kubernetes swaps volumes: what they lead to is seen
// through the links that users see.
func (s *scanner) directory(f *os.File, path, resolved string, depth int) {
	s.note(resolved)
	names, err := f.Readdirnames(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed(err)
		return
	}
	io.WriteString(s.content, "directory")
	if depth == 0 {
		return
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasPrefix(name, "..") {
			s.visit(filepath.Join(path, name), depth-1)
		}
	}
}

// file takes in what a file holds.
func (s *scanner) file(f *os.File, info fs.FileInfo, resolved string, depth int) {
	s.note(filepath.Dir(resolved))
	if depth == maxDepth {
		// A file named by itself may be a mount, or have another name through which it is written: no directory that we can
		// see reports that, only the file itself.
		s.note(resolved)
	}
	s.identify(resolved, info)
	if info.Size() > maxHashed {
		fmt.Fprintf(s.content, "large %d %v", info.Size(), info.ModTime())
		return
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, maxHashed)); err != nil {
		s.failed(err)
		return
	}
	s.content.Write(sum.Sum(nil))
}

// identify takes in which file this is and when it was last touched.
func (s *scanner) identify(path string, info fs.FileInfo) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		fmt.Fprintf(s.identity, "\n%q %d %d %d %v %v", path, stat.Dev, stat.Ino, stat.Size, stat.Mtim, stat.Ctim)
	}
}

// follow resolves the symbolic links of path, as filepath.EvalSymlinks does, and notes each directory that holds one of them: a
// link that is swapped changes the content. Of a path that does not exist it notes the directory in which it would begin.
func (s *scanner) follow(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved := "/"
	rest := strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			resolved = filepath.Dir(resolved)
			continue
		}
		next := filepath.Join(resolved, part)
		info, err := os.Lstat(next)
		if err != nil {
			s.note(resolved)
			if errors.Is(err, fs.ErrPermission) {
				s.note(filepath.Dir(resolved)) // which reports that this directory lets us in
			}
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			resolved = next
			continue
		}
		s.note(resolved)
		s.identify(next, info)
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if links++; links > maxLinks {
			return "", syscall.ELOOP
		}
		if filepath.IsAbs(target) {
			resolved = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return resolved, nil
}

// note adds a directory or file to those to watch.
func (s *scanner) note(path string) {
	if _, ok := s.watch[path]; ok {
		return
	}
	if info, err := os.Stat(path); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			s.watch[path] = fileID{uint64(stat.Dev), stat.Ino}
		}
	}
}
