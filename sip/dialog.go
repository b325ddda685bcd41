package sip

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/internal/egress"
)

const lookupTimeout = 3 * time.Second

// dialog is the state of RFC 3261, section 12.
type dialog struct {
	callID    string
	localTag  string
	local     sipgo.FromHeader // as requests of ours write it; To of theirs
	remote    sipgo.ToHeader
	localSeq  uint32
	remoteSeq int64 // -1: none yet
	routes    []sipgo.Uri
	target    sipgo.Uri
	via       netip.Addr // sent-by of their request, for seeing a NAT
	path      path       // over which they last spoke, or we first did
	pass      *egress.Pass
}

func newTag() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// dialogOfUAS begins a dialog with an INVITE from outside (section 12.1.1).
func dialogOfUAS(req *sipgo.Request, p path) *dialog {
	d := &dialog{callID: string(*req.CallID()), localTag: newTag(), remoteSeq: int64(req.CSeq().SeqNo), path: p}
	d.local = sipgo.FromHeader{DisplayName: req.To().DisplayName, Address: *req.To().Address.Clone()}
	d.local.Params.Add("tag", d.localTag)
	d.remote = sipgo.ToHeader{DisplayName: req.From().DisplayName, Address: *req.From().Address.Clone(), Params: req.From().Params.Clone()}
	for _, h := range req.GetHeaders("record-route") {
		if r, ok := h.(*sipgo.RecordRouteHeader); ok {
			d.routes = append(d.routes, *r.Address.Clone())
		}
	}
	if c := req.Contact(); c != nil {
		d.target = *c.Address.Clone()
	} else {
		d.target = *req.From().Address.Clone()
	}
	d.via, _ = netip.ParseAddr(strings.Trim(req.Via().Host, "[]"))
	return d
}

// answered takes the route set and target of a 2xx or a reliable 1xx to our INVITE (section 12.1.2).
func (d *dialog) answered(res *sipgo.Response) {
	d.remote = *sipgo.HeaderClone(res.To()).(*sipgo.ToHeader)
	d.routes = nil
	for _, h := range res.GetHeaders("record-route") {
		if r, ok := h.(*sipgo.RecordRouteHeader); ok {
			d.routes = append([]sipgo.Uri{*r.Address.Clone()}, d.routes...)
		}
	}
	if c := res.Contact(); c != nil {
		d.target = *c.Address.Clone()
	}
}

// refresh takes the new target of a re-INVITE or UPDATE, or of the 2xx to one of ours (section 12.2). The route set never changes.
func (d *dialog) refresh(c *sipgo.ContactHeader) {
	if c != nil && !c.Address.Wildcard && c.Address.Host != "" {
		d.target = *c.Address.Clone()
	}
}

func (d *dialog) remoteTag() string {
	tag, _ := d.remote.Params.Get("tag")
	return tag
}

// request builds a request within the dialog (section 12.2.1.1) but for its Via. A first route without lr is a strict router: it becomes the
// Request-URI, and the target the last route. ACK and CANCEL have the number of their INVITE.
func (d *dialog) request(method sipgo.RequestMethod, seq uint32) *sipgo.Request {
	uri, routes := d.target, d.routes
	if len(routes) > 0 && !routes[0].UriParams.Has("lr") {
		uri = *routes[0].Clone()
		uri.Headers = nil
		routes = append(append([]sipgo.Uri{}, routes[1:]...), d.target)
	}
	req := sipgo.NewRequest(method, *uri.Clone())
	for i := range routes {
		req.AppendHeader(&sipgo.RouteHeader{Address: routes[i]})
	}
	hops := sipgo.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(sipgo.HeaderClone(&d.local))
	req.AppendHeader(sipgo.HeaderClone(&d.remote))
	id := sipgo.CallIDHeader(d.callID)
	req.AppendHeader(&id)
	req.AppendHeader(&sipgo.CSeqHeader{SeqNo: seq, MethodName: method})
	return req
}

// hop is where requests go next: the first route, else the target.
func (d *dialog) hop() *sipgo.Uri {
	if len(d.routes) > 0 {
		return &d.routes[0]
	}
	return &d.target
}

// behindNAT tells that the target is an address which the far end has only on its own side: its Via named the same, and its packets came from
// another one.
func (d *dialog) behindNAT(target netip.Addr) bool {
	return len(d.routes) == 0 && d.via.IsValid() && d.via != d.path.remote.Addr() && target == d.via
}

// way finds the path for the next request. The way on which the far end came is kept where the next hop is the same address, is behind a NAT,
// cannot be resolved or may not be reached: then there is no better one.
func (s *Server) way(ctx context.Context, d *dialog) path {
	network, addr, name := s.resolve(ctx, d, d.path.transport)
	if !addr.IsValid() || d.behindNAT(addr.Addr()) || d.pass.Check(addr.Addr(), egress.SIP) != nil {
		return d.path
	}
	if d.path.stream != nil && d.path.alive() && d.path.remote.Addr() == addr.Addr() {
		return d.path
	}
	if p, err := s.transport.path(ctx, d.pass, network, addr, name); err == nil {
		return p
	}
	return d.path
}

// resolve turns the next hop of a dialog into a transport and an address; usual is the transport where the hop's URI names none.
func (s *Server) resolve(ctx context.Context, d *dialog, usual string) (network string, addr netip.AddrPort, name string) {
	u := d.hop()
	network = usual
	if t, ok := u.UriParams.Get("transport"); ok {
		network = strings.ToLower(t)
	}
	if u.IsEncrypted() {
		network = "tls"
	}
	if network != "udp" && network != "tcp" && network != "tls" {
		return "", netip.AddrPort{}, ""
	}
	name = strings.Trim(u.Host, "[]")
	if m, ok := u.UriParams.Get("maddr"); ok {
		name = strings.Trim(m, "[]")
	}
	port := u.Port
	if port <= 0 || port > 65535 {
		port = sipgo.DefaultPort(network)
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return network, netip.AddrPortFrom(a.Unmap(), uint16(port)), name
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	a, err := d.pass.Lookup(ctx, name, egress.SIP)
	if err != nil {
		s.log.Debug("sip: look-up of the next hop", "err", err)
		return network, netip.AddrPort{}, name
	}
	return network, netip.AddrPortFrom(a, uint16(port)), name
}

// complete adds what every request of ours has: Via on top, with rport (RFC 3581), Contact where a dialog needs it, User-Agent.
func (s *Server) complete(req *sipgo.Request, p path) {
	host, port := s.sentBy(p)
	via := &sipgo.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: strings.ToUpper(p.transport), Host: host, Port: port}
	via.Params.Add("branch", sipgo.RFC3261BranchMagicCookie+newTag())
	via.Params.Add("rport", "")
	req.PrependHeader(via)
	if s.cfg.UserAgent != "" {
		req.AppendHeader(sipgo.NewHeader("User-Agent", s.cfg.UserAgent))
	}
	if req.Body() == nil {
		req.SetBody(nil)
	}
}

// contact is where we are reached in a dialog.
func (s *Server) contact(p path) *sipgo.ContactHeader {
	host, port := s.sentBy(p)
	c := &sipgo.ContactHeader{Address: sipgo.Uri{Scheme: "sip", Host: host, Port: port}}
	if p.transport != "udp" {
		c.Address.UriParams.Add("transport", p.transport)
	}
	return c
}

// sentBy is our host and port as the far end should know it.
func (s *Server) sentBy(p path) (string, int) {
	port := int(p.local.Port())
	if p.stream != nil {
		s.transport.mu.Lock()
		if l, ok := s.transport.local[p.transport]; ok {
			port = int(l.Port())
		}
		s.transport.mu.Unlock()
	}
	if s.cfg.Advertise != "" {
		return s.cfg.Advertise, port
	}
	a, err := s.localFor(p)
	if err != nil {
		a = p.local.Addr()
	}
	return a.String(), port
}

// localFor is our address on the way to the far end. A socket that is bound to every address does not tell; then the routing table does, by
// way of a UDP socket that is connected and sends nothing.
func (s *Server) localFor(p path) (netip.Addr, error) {
	if a := p.local.Addr(); a.IsValid() && !a.IsUnspecified() {
		return a.WithZone(""), nil
	}
	c, err := p.pass.DialContext(context.Background(), "udp", p.remote.String())
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = c.Close() }()
	return addrPort(c.LocalAddr()).Addr(), nil
}
