package sfuproc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Name is the file name of the SFU's program.
const Name = "passerelle-sfu"

// Find looks for the SFU's program beside the running one, then in bin/ of the source tree that the running program was built from (which is how
// tests and "go run" find it), then in $PATH.
func Find() (string, error) {
	var places []string
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(self), Name))
	}
	if _, source, _, ok := runtime.Caller(0); ok && filepath.IsAbs(source) {
		places = append(places, filepath.Join(filepath.Dir(source), "..", "..", "bin", Name))
	}
	for _, p := range places {
		if i, err := os.Stat(p); err == nil && i.Mode().IsRegular() {
			return p, nil
		}
	}
	if p, err := exec.LookPath(Name); err == nil {
		return p, nil
	}
	return "", errors.New(Name + " is neither beside this program nor in $PATH: build it with make")
}
