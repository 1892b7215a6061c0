// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// conventional are the names under which a directory holds one certificate: of Kubernetes and cert-manager, and of certbot.
func conventional() []Pair {
	return []Pair{{"tls.crt", "tls.key"}, {"fullchain.pem", "privkey.pem"}}
}

// pairsIn finds the pairs of a certificate directory, the conventional one first, the others by name, sub-directories last.
// The notes say which files were left out for want of a partner.
func pairsIn(r *reader, dir string) (pairs []Pair, notes []string, err error) {
	files, dirs, err := list(r, dir)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot use certificate directory %s: %w", dir, err)
	}
	pairs, notes = pairsAmong(r, dir, files)
	for _, sub := range dirs {
		files, _, err := list(r, filepath.Join(dir, sub))
		if err != nil {
			return nil, nil, fmt.Errorf("cannot use certificate directory %s: %w", filepath.Join(dir, sub), err)
		}
		if main, ok := mainPair(filepath.Join(dir, sub), files); ok {
			pairs = append(pairs, main)
		} else {
			notes = append(notes, filepath.Join(dir, sub)+": it has no tls.crt and tls.key and is left out")
		}
	}
	if len(pairs) == 0 {
		return nil, nil, fmt.Errorf("cannot use certificate directory %s: it holds no certificate with its key; put tls.crt and tls.key there, or mount the Secret there", dir)
	}
	return pairs, notes, nil
}

// mainPair is the conventional pair of a directory if either of its files is there: one without the other is to be an error.
func mainPair(dir string, files []string) (Pair, bool) {
	for _, p := range conventional() {
		if slices.Contains(files, p.Cert) || slices.Contains(files, p.Key) {
			return Pair{filepath.Join(dir, p.Cert), filepath.Join(dir, p.Key)}, true
		}
	}
	return Pair{}, false
}

// pairsAmong matches the files of one directory by name.
func pairsAmong(r *reader, dir string, files []string) (pairs []Pair, notes []string) {
	used := map[string]bool{}
	if main, ok := mainPair(dir, files); ok {
		pairs = append(pairs, main)
		used[filepath.Base(main.Cert)], used[filepath.Base(main.Key)] = true, true
	}
	for _, file := range files {
		stem, isCert := certStem(file)
		if !isCert || used[file] {
			continue
		}
		path := filepath.Join(dir, file)
		key := slices.IndexFunc(files, func(f string) bool { return !used[f] && (f == stem+".key" || f == stem+"-key.pem") })
		switch {
		case key >= 0:
			used[files[key]] = true
			pairs = append(pairs, Pair{path, filepath.Join(dir, files[key])})
		case holdsBoth(r, path):
			pairs = append(pairs, Pair{Cert: path})
		case stem != "ca" && filepath.Ext(file) == ".crt":
			notes = append(notes, fmt.Sprintf("%s: there is no %s.key beside it and it is left out", path, stem))
		}
	}
	for _, file := range files {
		if filepath.Ext(file) == ".key" && !used[file] {
			notes = append(notes, fmt.Sprintf("%s: there is no %s.crt beside it and it is left out", filepath.Join(dir, file), strings.TrimSuffix(file, ".key")))
		}
	}
	return pairs, notes
}

// certStem cuts the ending off a certificate's file name.
func certStem(file string) (string, bool) {
	if strings.HasSuffix(file, "-key.pem") {
		return "", false
	}
	if stem, ok := strings.CutSuffix(file, ".crt"); ok {
		return stem, true
	}
	return strings.CutSuffix(file, ".pem")
}

// holdsBoth tells whether one file has a certificate and a key, as HAProxy and cert-manager's CombinedPEM write them.
func holdsBoth(r *reader, path string) bool {
	found, err := readBlocks(r, path)
	if err != nil {
		return false
	}
	_, certErr := chainOf(found)
	_, _, keyErr := keyOf(path, found)
	return certErr == nil && keyErr == nil
}

// list gives the names of the files and sub-directories of dir as its generation holds them, sorted, without hidden ones.
// Directories mounted inside a volume stand beside its generation and are listed as well.
func list(r *reader, dir string) (files, dirs []string, err error) {
	root, err := r.root(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, errors.New("there is no such directory; check the path and the volume mount")
	case err != nil:
		return nil, nil, unreadable(dir, err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, nil, unreadable(root, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(root, e.Name()))
		switch {
		case err != nil: // a dangling link
		case info.IsDir():
			dirs = append(dirs, e.Name())
		default:
			files = append(files, e.Name())
		}
	}
	mounted, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, unreadable(dir, err)
	}
	for _, e := range mounted {
		if e.Type()&fs.ModeType == fs.ModeDir && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(dirs, e.Name()) {
			dirs = append(dirs, e.Name())
		}
	}
	slices.Sort(dirs)
	return files, dirs, nil
}
