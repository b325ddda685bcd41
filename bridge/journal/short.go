package journal

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// shortName is what stays of a caller's number or name when it is old: a number without its last four digits (a short one without its last half), of
// a name the first letter; behind an @, the domain stays as it is.
func shortName(s string) string {
	user, domain, at := strings.Cut(s, "@")
	if at {
		domain = "@" + domain
	}
	if user == "" {
		return domain
	}
	digits := 0
	for _, r := range user {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits > 0 && strings.Trim(user, "+0123456789-./() *#") == "" {
		return hideDigits(user, min(4, (digits+1)/2)) + domain
	}
	_, first := utf8.DecodeRuneInString(user)
	return user[:first] + "***" + domain
}

// hideDigits replaces the last n digits, and everything behind the first of them, by stars: one for each digit.
func hideDigits(s string, n int) string {
	end := len(s)
	for left := n; left > 0; {
		end--
		if s[end] >= '0' && s[end] <= '9' {
			left--
		}
	}
	return s[:end] + strings.Repeat("*", n)
}

// Network is where an address is, as far as a record may say for ever and everybody may see: its /24 of IPv4, its /48 of IPv6. It is empty where there is no address.
func Network(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	bits := 48
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // it is not longer than the address
	return p.String()
}

// shortAddress is what stays of an address when it is old: the /24 network of IPv4, the /48 network of IPv6, the domain of a host's name.
func shortAddress(s string) string {
	if s == "" {
		return ""
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		if ap, err := netip.ParseAddrPort(s); err == nil {
			a = ap.Addr()
		}
	}
	if a.IsValid() {
		return Network(a)
	}
	if _, domain, ok := strings.Cut(s, "."); ok && !strings.ContainsAny(domain, "0123456789") {
		return "***." + domain
	}
	return "***"
}
