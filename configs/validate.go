package configs

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"passerelle/internal/egress"
)

// Validate checks every value, and those that must fit together. The error names all problems, one on each line: key, value, what is expected.
func (c Config) Validate() error {
	var p problems
	p.node(c.Node, c.Log)
	p.http(c.HTTP)
	p.networks("egress.networks", c.Egress.Networks)
	p.livekit(c.LiveKit)
	p.directory(c.Directory)
	p.ivr(c.IVR)
	p.calls(c.Calls)
	p.media(c.Media, c.Calls)
	p.sip(c)
	p.rules(c.Rules)
	p.lobby(c.Lobby)
	p.journal(c.Journal)
	p.guests(c.Guests)
	p.sites(c)
	return errors.Join(p...)
}

// Warnings tells what is permitted and probably not meant.
func (c Config) Warnings() []string {
	var list []string
	if len(c.SIP.Trunks) == 0 {
		list = append(list, "sip.trunks: none: nobody can call")
	}
	if u, err := url.Parse(c.Directory.Roomkit.URL); err == nil && u.Scheme == "http" {
		list = append(list, "directory.roomkit.url: http: the token and PINs travel unencrypted")
	}
	if h := c.HTTP; h.Tokens != "" && h.CertFile == "" && !strings.HasPrefix(h.Listen, "127.") && !strings.HasPrefix(h.Listen, "[::1]") {
		list = append(list, "http.cert_file: none: tokens of the admin API travel unencrypted, unless a proxy that has one is in front")
	}
	if g := c.Guests; g.Listen != "" && g.CertFile == "" && !strings.HasPrefix(g.PublicURL, "https:") {
		list = append(list, "guests.public_url: not https: browsers give microphone and camera only to pages of this machine then")
	}
	for i, s := range c.Sites {
		if strings.HasPrefix(s.URL, "ws:") {
			list = append(list, fmt.Sprintf("sites[%d].url: ws: the key's tokens and the keys of media travel unencrypted", i))
		}
	}
	if c.Journal.URL == "off" {
		list = append(list, "journal.url: off: nothing is recorded, and nobody can show later what crossed")
	}
	for i, t := range c.SIP.Trunks {
		if t.Encryption == "require" && len(c.SIP.TLS.Listen) == 0 {
			list = append(list, fmt.Sprintf("sip.trunks[%d].encryption: require: without sip.tls.listen, SDES keys of the media travel unencrypted", i))
		}
	}
	return list
}

// problems collects what is wrong.
type problems []error

func (p *problems) add(key, value, expected string) {
	*p = append(*p, fmt.Errorf("%s: %s: expected %s", key, value, expected))
}

func (p *problems) text(key, value, expected string) { p.add(key, quote(value), expected) }

func (p *problems) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		last := len(allowed) - 1
		p.text(key, value, strings.Join(allowed[:last], ", ")+" or "+allowed[last])
	}
}

func (p *problems) between(key string, value, low, high int) {
	if value < low || value > high {
		p.add(key, fmt.Sprint(value), fmt.Sprintf("%d to %d", low, high))
	}
}

func (p *problems) duration(key string, value, low, high time.Duration) {
	if value < low || value > high {
		p.add(key, value.String(), fmt.Sprintf("%v to %v", low, high))
	}
}

func (p *problems) networks(key string, list []string) {
	for i, s := range list {
		if _, err := egress.ParseNetwork(s); err != nil {
			p.text(fmt.Sprintf("%s[%d]", key, i), s, "an IP address, or a network such as 192.0.2.0/24")
		}
	}
}

func (p *problems) secret(key string, value Secret) {
	if value == "" {
		p.add(key, "none", "the secret, from the file in "+key+"_file, or from the environment")
	} else if value.Reveal() == value.String() {
		p.add(key, value.String(), "the secret itself, not what a dump shows for it")
	}
}

func (p *problems) node(n Node, l Log) {
	if n.Name != "" && !nameForm(n.Name) {
		p.text("node.name", n.Name, "up to 64 letters, digits, dots, hyphens and underscores")
	}
	p.oneOf("log.level", l.Level, "debug", "info", "warn", "error")
	p.oneOf("log.format", l.Format, "text", "json")
}

func (p *problems) livekit(l LiveKit) {
	u, err := url.Parse(l.URL)
	switch {
	case err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Hostname() == "":
		p.add("livekit.url", redacted(l.URL), "a URL such as wss://livekit.example.org")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.add("livekit.url", redacted(l.URL), "no user, query or fragment")
	}
	if l.APIKey == "" {
		p.text("livekit.api_key", l.APIKey, "the name of an API key of LiveKit")
	}
	p.secret("livekit.api_secret", l.APISecret)
	p.authorities("livekit.ca_file", l.CAFile)
	if l.UDPListen == "" {
		p.text("livekit.udp_listen", "", "an address and a port, such as 0.0.0.0:7900")
	}
	p.listen("livekit.udp_listen", l.UDPListen)
	p.duration("livekit.join_timeout", l.JoinTimeout, 100*time.Millisecond, 5*time.Minute)
	p.duration("livekit.reconnect_for", l.ReconnectFor, 0, time.Hour)
}

func (p *problems) directory(d Directory) {
	if d.File == "" && !d.LiveKit {
		p.add("directory", "no source", "directory.file, or directory.livekit: true")
	}
	if d.File != "" {
		if i, err := os.Stat(d.File); err != nil || !i.Mode().IsRegular() {
			p.text("directory.file", d.File, "a file that can be read")
		}
	}
	p.duration("directory.refresh", d.Refresh, 100*time.Millisecond, 10*time.Minute)
	p.duration("directory.timeout", d.Timeout, 100*time.Millisecond, time.Minute)
	p.url("directory.visio.url", d.Visio.URL, "https://visio.example.org/api/v1.0/")
	p.authorities("directory.visio.ca_file", d.Visio.CAFile)
	if d.Roomkit.URL == "" {
		return
	}
	p.url("directory.roomkit.url", d.Roomkit.URL, "https://visio.example.org/api/v1.0/roomkit/join/")
	if !d.LiveKit {
		p.add("directory.livekit", "false", "true with directory.roomkit.url: a room that roomkit prepared is found in LiveKit's rules")
	}
	p.secret("directory.roomkit.token", d.Roomkit.Token)
	if strings.ContainsFunc(d.Roomkit.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		p.add("directory.roomkit.token", "•••", "printable ASCII without spaces")
	}
	p.authorities("directory.roomkit.ca_file", d.Roomkit.CAFile)
}

func (p *problems) ivr(v IVR) {
	if v.PromptsDir != "" {
		if i, err := os.Stat(v.PromptsDir); err != nil || !i.IsDir() {
			p.text("ivr.prompts_dir", v.PromptsDir, "a directory")
		}
	}
	if len(v.Languages) == 0 {
		p.add("ivr.languages", "[]", "at least one, such as [fr, en]")
	}
	for i, l := range v.Languages {
		p.language(fmt.Sprintf("ivr.languages[%d]", i), l, v)
		if slices.Contains(v.Languages[:i], l) {
			p.text(fmt.Sprintf("ivr.languages[%d]", i), l, "each language once")
		}
	}
	if !slices.Contains(v.Languages, v.Language) {
		p.text("ivr.language", v.Language, "one of ivr.languages: "+strings.Join(v.Languages, ", "))
	}
	if v.PINLength != 0 {
		p.between("ivr.pin_length", v.PINLength, 4, 32)
	}
	p.between("ivr.pin_tries", v.PINTries, 1, 10)
	p.duration("ivr.pin_timeout", v.PINTimeout, 100*time.Millisecond, 5*time.Minute)
	p.between("ivr.guess.per_source", v.Guess.PerSource, 0, 1_000_000)
	p.between("ivr.guess.overall", v.Guess.Overall, max(1, v.Guess.PerSource), 1_000_000)
	p.duration("ivr.guess.window", v.Guess.Window, time.Second, 24*time.Hour)
}

// language checks that there are prompts in a language: our own are French and English.
func (p *problems) language(key, value string, v IVR) {
	if !regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]{2,8})?$`).MatchString(value) {
		p.text(key, value, "a language such as fr, en or pt-br, in small letters")
		return
	}
	if value == "fr" || value == "en" {
		return
	}
	if v.PromptsDir == "" {
		p.text(key, value, "fr or en, or recordings of your own in ivr.prompts_dir")
	} else if i, err := os.Stat(filepath.Join(v.PromptsDir, value)); err != nil || !i.IsDir() {
		p.text(key, value, "recordings in "+quote(filepath.Join(v.PromptsDir, value)))
	}
}

func (p *problems) calls(c Calls) {
	p.between("calls.max", c.Max, 1, 100_000)
	p.between("calls.max_load", c.MaxLoad, 0, 100)
	p.duration("calls.drain_timeout", c.DrainTimeout, 0, 24*time.Hour)
	p.duration("calls.media_timeout", c.MediaTimeout, 100*time.Millisecond, time.Hour)
	p.duration("calls.max_duration", c.MaxDuration, 0, 30*24*time.Hour)
}

// redacted shows a URL without its password. One that cannot be read may hold a password anywhere.
func redacted(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.User == nil && strings.Contains(s, "@")) {
		return "(not a URL)"
	}
	return quote(u.Redacted())
}

// nameForm is the form of names that become labels in logs and metrics.
func nameForm(s string) bool { return regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`).MatchString(s) }
