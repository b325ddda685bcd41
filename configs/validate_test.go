package configs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// good is a configuration that nothing is wrong with.
func good() Config {
	c := Defaults()
	c.LiveKit.APISecret = "secret"
	c.SIP.Trunks = []Trunk{{Name: "pbx", Addresses: []string{"192.0.2.0/24", "2001:db8::1"}}}
	c.SIP.Trunks[0].fill()
	c.Sites = []Site{{Name: "partner", URL: "wss://livekit.partner.example", APIKey: "k", APISecret: "s"}}
	c.Sites[0].fill()
	return c
}

func TestValidateGood(t *testing.T) {
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	if w := good().Warnings(); len(w) != 0 {
		t.Fatal(w)
	}
	if w := Defaults().Warnings(); len(w) != 1 || !strings.Contains(w[0], "nobody can call") {
		t.Fatal(w)
	}
}

func TestValidateDefaultsLackOnlyTheSecret(t *testing.T) {
	err := Defaults().Validate()
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "livekit.api_secret: none: expected") {
		t.Fatal(err)
	}
}

func TestValidateRefuses(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Config)
	}{
		{`node.name: "a b": expected`, func(c *Config) { c.Node.Name = "a b" }},
		{`log.level: "loud": expected debug, info, warn or error`, func(c *Config) { c.Log.Level = "loud" }},
		{`log.format: "xml": expected text or json`, func(c *Config) { c.Log.Format = "xml" }},
		{`http.listen: "localhost:80": expected an IP address and a port`, func(c *Config) { c.HTTP.Listen = "localhost:80" }},
		{`http.listen: "127.0.0.1:65536"`, func(c *Config) { c.HTTP.Listen = "127.0.0.1:65536" }},
		{`http.listen: "": expected an address`, func(c *Config) { c.HTTP.Listen, c.HTTP.Tokens = "", "tokens.yaml" }},
		{`http.cert_file: "": expected the certificate`, func(c *Config) { c.HTTP.KeyFile = "key.pem" }},
		{`http.key_file: "": expected the key`, func(c *Config) { c.HTTP.CertFile = "cert.pem" }},
		{`http.cert_file: "load.go": expected a PEM certificate`, func(c *Config) { c.HTTP.CertFile, c.HTTP.KeyFile = "load.go", "load.go" }},
		{`http.cert_file: "": expected a certificate`, func(c *Config) { c.HTTP.ClientCA = "load.go" }},
		{`http.client_ca: "load.go": expected certificates`, func(c *Config) { c.HTTP.ClientCA = "load.go" }},
		{`http.rate: 0: expected 1 to 10000`, func(c *Config) { c.HTTP.Rate = 0 }},
		{`egress.networks[1]: "10.0.0.0/33": expected`, func(c *Config) { c.Egress.Networks = []string{"192.0.2.1", "10.0.0.0/33"} }},
		{`livekit.url: "http://127.0.0.1": expected`, func(c *Config) { c.LiveKit.URL = "http://127.0.0.1" }},
		{`livekit.url: "ws://u:xxxxx@h": expected no user`, func(c *Config) { c.LiveKit.URL = "ws://u:hunter2@h" }},
		{`livekit.url: (not a URL)`, func(c *Config) { c.LiveKit.URL = "ws://u:hunter2@%zz" }},
		{`livekit.api_key: ""`, func(c *Config) { c.LiveKit.APIKey = "" }},
		{`livekit.ca_file: "/nowhere": expected a file`, func(c *Config) { c.LiveKit.CAFile = "/nowhere" }},
		{`livekit.ca_file: "passerelle.yaml": expected certificates in PEM form`, func(c *Config) { c.LiveKit.CAFile = "passerelle.yaml" }},
		{`livekit.udp_listen: ""`, func(c *Config) { c.LiveKit.UDPListen = "" }},
		{`livekit.join_timeout: 0s: expected 100ms to 5m0s`, func(c *Config) { c.LiveKit.JoinTimeout = 0 }},
		{`livekit.reconnect_for: -1ns`, func(c *Config) { c.LiveKit.ReconnectFor = -1 }},
		{`directory: no source`, func(c *Config) { c.Directory.LiveKit = false }},
		{`directory.file: "/nowhere": expected a file`, func(c *Config) { c.Directory.File = "/nowhere" }},
		{`directory.refresh: 0s`, func(c *Config) { c.Directory.Refresh = 0 }},
		{`directory.timeout: 0s`, func(c *Config) { c.Directory.Timeout = 0 }},
		{`directory.roomkit.url: "ftp://x"`, func(c *Config) { c.Directory.Roomkit = Roomkit{URL: "ftp://x", Token: "t"} }},
		{`directory.roomkit.token: none`, func(c *Config) { c.Directory.Roomkit.URL = "https://x" }},
		{`directory.roomkit.token: •••: expected printable`, func(c *Config) { c.Directory.Roomkit = Roomkit{URL: "https://x", Token: "hunter2\nx"} }},
		{`directory.livekit: false: expected true`, func(c *Config) {
			c.Directory = Directory{File: "load.go", Refresh: 1e9, Timeout: 1e9, Roomkit: Roomkit{URL: "https://x", Token: "t"}}
		}},
		{`ivr.languages: []`, func(c *Config) { c.IVR.Languages = nil }},
		{`ivr.languages[1]: "../x": expected a language`, func(c *Config) { c.IVR.Languages = []string{"fr", "../x"} }},
		{`ivr.languages[1]: "de": expected fr or en, or recordings`, func(c *Config) { c.IVR.Languages = []string{"fr", "de"} }},
		{`ivr.languages[1]: "fr": expected each language once`, func(c *Config) { c.IVR.Languages = []string{"fr", "fr"} }},
		{`ivr.language: "en": expected one of ivr.languages: fr`, func(c *Config) { c.IVR.Language, c.IVR.Languages = "en", []string{"fr"} }},
		{`ivr.prompts_dir: "load.go": expected a directory`, func(c *Config) { c.IVR.PromptsDir = "load.go" }},
		{`ivr.languages[1]: "de": expected recordings in "de"`, func(c *Config) { c.IVR.PromptsDir, c.IVR.Languages = ".", []string{"fr", "de"} }},
		{`ivr.pin_length: 3: expected 4 to 32`, func(c *Config) { c.IVR.PINLength = 3 }},
		{`ivr.pin_tries: 0: expected 1 to 10`, func(c *Config) { c.IVR.PINTries = 0 }},
		{`ivr.guess.overall: 3: expected 30 to`, func(c *Config) { c.IVR.Guess.Overall = 3 }},
		{`calls.max: 0`, func(c *Config) { c.Calls.Max = 0 }},
		{`calls.media_timeout: 0s`, func(c *Config) { c.Calls.MediaTimeout = 0 }},
		{`media.address: "x"`, func(c *Config) { c.Media.Address = "x" }},
		{`media.port_min: 20001: expected an even port`, func(c *Config) { c.Media.PortMin = 20001 }},
		{`media.port_max: 20000: expected a port above`, func(c *Config) { c.Media.PortMax = 20000 }},
		{`media.port_max: 20099: expected two ports for each of calls.max (500) calls; this range holds 50`, func(c *Config) { c.Media.PortMax = 20099 }},
		{`sip: no listener`, func(c *Config) { c.SIP.UDP, c.SIP.TCP = nil, nil }},
		{`sip.udp[0]: "": expected`, func(c *Config) { c.SIP.UDP = []string{""} }},
		{`sip.tcp[0]: "5060": expected`, func(c *Config) { c.SIP.TCP = []string{"5060"} }},
		{`sip.tls.min_version: "1.1": expected 1.2 or 1.3`, func(c *Config) { c.SIP.TLS.MinVersion = "1.1" }},
		{`sip.tls.cert_file: ""`, func(c *Config) { c.SIP.TLS.Listen = []string{":5061"} }},
		{`sip.tls.require_client_cert: true`, func(c *Config) { c.SIP.TLS.RequireClientCert = true }},
		{`sip.advertise: "host:5060"`, func(c *Config) { c.SIP.Advertise = "host:5060" }},
		{`sip.user_agent: "a\r\nb"`, func(c *Config) { c.SIP.UserAgent = "a\r\nb" }},
		{`sip.unknown_rate: NaN`, func(c *Config) { c.SIP.UnknownRate = math.NaN() }},
		{`sip.min_se: 1m0s: expected 1m30s`, func(c *Config) { c.SIP.MinSE = 60e9 }},
		{`sip.session_expiry: 1m35s: expected 1m40s`, func(c *Config) { c.SIP.MinSE, c.SIP.SessionExpiry = 100e9, 95e9 }},
		{`sites[0].name: "a b": expected`, func(c *Config) { c.Sites[0].Name = "a b" }},
		{`sites[1].name: "partner": expected a name that no other site has`, func(c *Config) { c.Sites = append(c.Sites, c.Sites[0]) }},
		{`sites[0].url: "https://a": expected a URL such as wss://`, func(c *Config) { c.Sites[0].URL = "https://a" }},
		{`sites[0].url: "wss://a/?b=c": expected no user, query or fragment`, func(c *Config) { c.Sites[0].URL = "wss://a/?b=c" }},
		{`sites[0].url: "ws://127.0.0.1:7880": expected another LiveKit than livekit.url`, func(c *Config) { c.Sites[0].URL = c.LiveKit.URL }},
		{`sites[0].api_key: "": expected`, func(c *Config) { c.Sites[0].APIKey = "" }},
		{`sites[0].api_secret: none: expected the secret`, func(c *Config) { c.Sites[0].APISecret = "" }},
		{`sites[0].ca_file: "load.go": expected certificates`, func(c *Config) { c.Sites[0].CAFile = "load.go" }},
		{`sites[0].address: "here": expected an IP address`, func(c *Config) { c.Sites[0].Address = "here" }},
		{`sites[0].language: "de": expected one of`, func(c *Config) { c.Sites[0].Language = "de" }},
		{`sites[0].as: "a\nb": expected`, func(c *Config) { c.Sites[0].As = "a\nb" }},
		{`sip.trunks[0]: matches nobody: expected addresses, tls_names or digest.user`, func(c *Config) { c.SIP.Trunks[0].Addresses = nil }},
		{`sip.trunks[0].name: "": expected`, func(c *Config) { c.SIP.Trunks[0].Name = "" }},
		{`sip.trunks[1].name: "pbx": expected a name that no other trunk has`, func(c *Config) { c.SIP.Trunks = append(c.SIP.Trunks, c.SIP.Trunks[0]) }},
		{`sip.trunks[0].addresses[0]: "pbx.example": expected`, func(c *Config) { c.SIP.Trunks[0].Addresses[0] = "pbx.example" }},
		{`sip.trunks[0].media_networks[0]: "x": expected`, func(c *Config) { c.SIP.Trunks[0].MediaNetworks = []string{"x"} }},
		{`sip.trunks[0].tls_names[0]: "*.x": expected`, func(c *Config) { c.SIP.Trunks[0].TLSNames = []string{"*.x"} }},
		{`sip.trunks[0].tls_names: "a.b": expected sip.tls.listen and sip.tls.client_ca`, func(c *Config) { c.SIP.Trunks[0].TLSNames = []string{"a.b"} }},
		{`sip.trunks[0].digest.password: none`, func(c *Config) { c.SIP.Trunks[0].Digest = Digest{User: "u", Realm: "r"} }},
		{`sip.trunks[0].digest.algorithms[0]: "md5": expected`, func(c *Config) {
			c.SIP.Trunks[0].Digest = Digest{User: "u", Password: "p", Realm: "r", Algorithms: []string{"md5"}}
		}},
		{`sip.trunks[0].digest.user: "": expected`, func(c *Config) { c.SIP.Trunks[0].Digest = Digest{Password: "p"} }},
		{`sip.trunks[0].digest.realm: "a\"b": expected`, func(c *Config) { c.SIP.Trunks[0].Digest = Digest{User: "u", Password: "p", Realm: `a"b`} }},
		{`sip.trunks[0].language: "de": expected one of ivr.languages: fr, en`, func(c *Config) { c.SIP.Trunks[0].Language = "de" }},
		{`sip.trunks[0].codecs[1]: "G729": expected opus`, func(c *Config) { c.SIP.Trunks[0].Codecs = []string{"pcma", "G729"} }},
		{`sip.trunks[0].encryption: "maybe": expected require, prefer or off`, func(c *Config) { c.SIP.Trunks[0].Encryption = "maybe" }},
		{`sip.trunks[0].max_calls: 501: expected 0 to 500`, func(c *Config) { c.SIP.Trunks[0].MaxCalls = 501 }},
		{`sip.trunks[0].call_rate: -1`, func(c *Config) { c.SIP.Trunks[0].CallRate = -1 }},
		{`guests.turn_url: "stun:a.example": expected`, func(c *Config) { c.Guests.TURNURL = "stun:a.example" }},
		{`guests.turn_url: "turn:a>b": expected`, func(c *Config) { c.Guests.TURNURL = "turn:a>b" }},
		{`guests.origins[1]: "a.example": expected an origin`, func(c *Config) { c.Guests.Origins = []string{"*", "a.example"} }},
		{`guests.tiles: 26: expected 0 to 25`, func(c *Config) { c.Guests.Tiles = 26 }},
	} {
		t.Run(c.want, func(t *testing.T) {
			cfg := good()
			c.change(&cfg)
			err := cfg.Validate()
			if err == nil {
				t.Fatal("no problem was found")
			}
			if !strings.Contains("\n"+err.Error(), "\n"+c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestWarnsOfTokensThatTravelInTheClear(t *testing.T) {
	for listen, want := range map[string]int{"127.0.0.1:8080": 0, "[::1]:8080": 0, ":8080": 1, "192.0.2.1:8080": 1} {
		c := good()
		c.HTTP.Listen, c.HTTP.Tokens = listen, "tokens.yaml"
		if w := c.Warnings(); len(w) != want {
			t.Errorf("%s: %v", listen, w)
		}
	}
}

func TestValidateReportsAllAtOnce(t *testing.T) {
	c := good()
	c.Log.Level, c.Calls.Max, c.SIP.Trunks[0].Encryption = "x", 0, "y"
	if n := strings.Count(c.Validate().Error(), "\n") + 1; n != 3 {
		t.Fatalf("%d problems: %v", n, c.Validate())
	}
}

func TestValidateCertificate(t *testing.T) {
	cert, key := certificate(t)
	c := good()
	c.SIP.TLS = TLS{Listen: []string{"[::1]:5061"}, CertFile: cert, KeyFile: key, MinVersion: "1.3", ClientCA: cert, RequireClientCert: true}
	c.SIP.Trunks[0].TLSNames = []string{"sip.example.org"}
	c.SIP.Trunks[0].Encryption = "require"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	_, c.SIP.TLS.KeyFile = certificate(t)
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "sip.tls.cert_file") {
		t.Fatalf("a certificate with another's key: %v", err)
	}
}

func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
