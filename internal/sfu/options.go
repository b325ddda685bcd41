package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/spf13/pflag"
)

// options is what the command line says.
type options struct {
	listen        netip.AddrPort
	udp           netip.AddrPort
	key, secret   string
	redis         string
	webhook       string
	logLevel      string
	exitWithStdin bool
}

// parse reads the command line. The secret comes from the environment: everyone on the machine can read a command line.
func parse(args []string, secret string) (options, error) {
	o := options{secret: secret}
	var listen, udp string
	f := pflag.NewFlagSet("passerelle-sfu", pflag.ContinueOnError)
	f.StringVar(&listen, "listen", "127.0.0.1:7880", "loopback `address` of signalling and API")
	f.StringVar(&udp, "udp", "127.0.0.1:0", "loopback `address` of the one media port; port 0: any free one")
	f.StringVar(&o.key, "key", "devkey", "`name` of the API key; its secret is in $PASSERELLE_SFU_SECRET")
	f.StringVar(&o.redis, "redis", "", "`host:port` of a Redis; the SIP API needs one")
	f.StringVar(&o.webhook, "webhook", "", "`URL` that is told what happens in rooms")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	f.BoolVar(&o.exitWithStdin, "exit-with-stdin", false, "end when standard input does")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if len(o.secret) < 32 {
		return o, errors.New("PASSERELLE_SFU_SECRET must hold at least 32 characters")
	}
	var err error
	if o.listen, err = loopback("--listen", listen); err != nil {
		return o, err
	}
	if o.listen.Port() == 0 {
		return o, errors.New("--listen: expected a port other than 0, it could not be told to anyone")
	}
	if o.udp, err = loopback("--udp", udp); err != nil {
		return o, err
	}
	return o, nil
}

func loopback(flag, s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil || !a.Addr().IsLoopback() {
		return a, fmt.Errorf("%s %q: expected a loopback address and port such as 127.0.0.1:7880", flag, s)
	}
	return a, nil
}

// livekit turns the options into LiveKit's own configuration. Left alone, LiveKit listens for ICE over TCP on every address, asks public STUN
// servers about itself, and tells them to every client; each line below takes one of these away.
func (o options) livekit() (*config.Config, error) {
	udp := o.udp
	if udp.Port() == 0 {
		port, err := freeUDPPort(udp.Addr())
		if err != nil {
			return nil, err
		}
		udp = netip.AddrPortFrom(udp.Addr(), port)
	}
	conf, err := config.NewConfig(fmt.Sprintf(`
port: %d
bind_addresses: [%q]
rtc:
  node_ip: %q
  udp_port: %d
  tcp_port: 0
  use_external_ip: false
  use_mdns: false
  enable_loopback_candidate: true
  ips: {includes: [%q]}
  # Clients must be told some STUN server, or they get public ones. Nobody answers them here, and they need no answer to reach a
  # loopback address. It cannot be the media port: browsers take all that comes from there for STUN, and never connect.
  stun_servers: [%q]
turn: {enabled: false}
`, o.listen.Port(), o.listen.Addr(), udp.Addr(), udp.Port(), netip.PrefixFrom(udp.Addr(), udp.Addr().BitLen()), o.listen), true, nil, nil)
	if err != nil {
		return nil, err
	}
	conf.Keys = map[string]string{o.key: o.secret}
	conf.Logging.Level = o.logLevel
	conf.Redis.Address = o.redis
	if o.webhook != "" {
		conf.WebHook.URLs = []string{o.webhook}
		conf.WebHook.APIKey = o.key
	}
	return conf, conf.ValidateKeys()
}

// freeUDPPort finds a port for LiveKit, which cannot be asked to take any.
func freeUDPPort(a netip.Addr) (uint16, error) {
	c, err := net.ListenPacket("udp", net.JoinHostPort(a.String(), "0"))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_, port, err := net.SplitHostPort(c.LocalAddr().String())
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return uint16(n), err
}
