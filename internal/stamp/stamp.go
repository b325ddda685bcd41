// Package stamp tells one state of a file from another, so that what was read from it is read again only when it changed.
package stamp

import "os"

// Stamp is one state of a file. The zero value is the state of no file, and the same as none.
type Stamp struct{ file os.FileInfo }

// Of looks at a file.
func Of(path string) (Stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}, err
	}
	return Stamp{info}, nil
}

// Same tells whether nothing has changed from s to o. A file that was replaced by another is not the same, whatever its time and size.
func (s Stamp) Same(o Stamp) bool {
	return s.file != nil && o.file != nil && os.SameFile(s.file, o.file) &&
		s.file.ModTime().Equal(o.file.ModTime()) && s.file.Size() == o.file.Size() && s.file.Mode() == o.file.Mode()
}

// Mode is that of the file; 0 for no file.
func (s Stamp) Mode() os.FileMode {
	if s.file == nil {
		return 0
	}
	return s.file.Mode()
}
