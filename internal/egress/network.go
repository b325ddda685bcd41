package egress

import (
	"fmt"
	"net/netip"
)

// ParseNetwork reads a network in CIDR form, or a single address.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an IP address nor a network such as 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

// ParseNetworks reads several networks.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		p, err := ParseNetwork(s)
		if err != nil {
			return nil, err
		}
		networks = append(networks, p)
	}
	return networks, nil
}

// contains tells whether an address, without a zone and not mapped into IPv6, is in one of the networks.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	for i := range networks {
		if networks[i].Contains(a) {
			return true
		}
	}
	return false
}
