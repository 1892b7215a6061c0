// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"os"
	"path/filepath"
)

// volumeLink is the symbolic link that Kubernetes swaps when a ConfigMap, Secret, projected or downwardAPI volume changes.
// It names the directory of the present generation; everything a user sees in the volume is a link through it.
const volumeLink = "..data"

// Resolve gives the directory through which the files of dir are to be read, free of symbolic links.
// For a Kubernetes volume this is the directory that "..data" names now, so that several files read through it belong to one
// generation, whatever happens meanwhile; a generation that has been replaced may be deleted while it is read, which shows as
// a missing file: resolve again. For any other directory it is the directory itself.
func Resolve(dir string) (string, error) {
	if info, err := os.Stat(filepath.Join(dir, volumeLink)); err == nil && info.IsDir() {
		if resolved, err := filepath.EvalSymlinks(filepath.Join(dir, volumeLink)); err == nil {
			return resolved, nil
		}
	}
	return filepath.EvalSymlinks(dir)
}
