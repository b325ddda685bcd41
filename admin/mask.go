package admin

import (
	"net/netip"
	"strings"
)

// maskedFrom is how many digits make a number that is masked. Fewer are an extension, or no number.
const maskedFrom = 6

// mask hides the middle of every telephone number in a text: "+33612345678" is "+336••••••78". What was masked stays as it is.
func mask(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i := 0; i < len(runes); {
		j, digits := i, 0
		for j < len(runes) && strings.ContainsRune("0123456789+-./() •", runes[j]) {
			if runes[j] >= '0' && runes[j] <= '9' {
				digits++
			}
			j++
		}
		if j == i {
			b.WriteRune(runes[i])
			i++
			continue
		}
		seen := 0
		for _, r := range runes[i:j] {
			if r >= '0' && r <= '9' {
				seen++
				if digits >= maskedFrom && seen > 3 && seen <= digits-2 {
					r = '•'
				}
			}
			b.WriteRune(r)
		}
		i = j
	}
	return b.String()
}

// address shows an address whole; "" where there is none.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}
