package admin

import (
	"passerelle/bridge"
	"passerelle/bridge/journal"
	"passerelle/bridge/links"
	"passerelle/bridge/policy"
	"passerelle/webrtc/federation"
)

// What a server is given in a program fits.
var (
	_ Node    = (*bridge.Node)(nil)
	_ Rules   = (*policy.Keeper)(nil)
	_ Records = (*journal.Store)(nil)
	_ Links   = (*links.Keeper)(nil)
	_ Dialer  = (*federation.Server)(nil)

	_ bridge.Journal = (*journal.Writer)(nil)
)
