package ivr

import (
	"fmt"
	"path/filepath"
	"regexp"
)

// maxNotices is how many notices of their own an admin may have: all prompts are held in memory.
const maxNotices = 64

var noticeName = regexp.MustCompile(`^notice_[a-z0-9_-]{1,57}$`)

// IsNotice tells whether a name can be that of an admin's own notice: notice_, then small letters, digits, underscores and hyphens, 64 characters at most.
func IsNotice(name Name) bool { return noticeName.MatchString(string(name)) }

// Has tells whether there is a recording of this name, built in or an admin's own, in every language. A name that a rule gives is held against it.
func (p *Prompts) Has(name Name) bool {
	for _, l := range p.languages {
		if p.Clip(l, name) == nil {
			return false
		}
	}
	return true
}

// completeNotices tells which notice one language has and another lacks: a caller would not be told what the rules say they are told.
func (p *Prompts) completeNotices(dir string) error {
	for _, has := range p.languages {
		notices := 0
		for name := range p.clips[has] {
			if !IsNotice(name) {
				continue
			}
			if notices++; notices > maxNotices {
				return fmt.Errorf("prompts: %s: more than %d notices", filepath.Join(dir, has), maxNotices)
			}
			for _, l := range p.languages {
				if p.clips[l][name] == nil {
					return fmt.Errorf("prompt %s: there is no such recording, and %s has one", filepath.Join(dir, l, string(name)+".wav"), has)
				}
			}
		}
	}
	return nil
}
