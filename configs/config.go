// Package configs holds the configuration of a Passerelle node: its shape, its defaults, how it is loaded and how it is checked.
package configs

import "time"

// Config is everything that an admin can set on a node. Keys are written in YAML as the koanf tags say.
type Config struct {
	Node      Node      `koanf:"node"`
	Log       Log       `koanf:"log"`
	HTTP      HTTP      `koanf:"http"`
	Egress    Egress    `koanf:"egress"`
	LiveKit   LiveKit   `koanf:"livekit"`
	Directory Directory `koanf:"directory"`
	IVR       IVR       `koanf:"ivr"`
	Calls     Calls     `koanf:"calls"`
	Media     Media     `koanf:"media"`
	Rules     Rules     `koanf:"rules"`
	Lobby     Lobby     `koanf:"lobby"`
	Journal   Journal   `koanf:"journal"`
	Guests    Guests    `koanf:"guests"`
	Sites     []Site    `koanf:"sites"`
	SIP       SIP       `koanf:"sip"`
}

// Node names this process among others.
type Node struct {
	Name string `koanf:"name"` // empty: the host's name
}

// Log says how much is written to standard error, and in which form.
type Log struct {
	Level  string `koanf:"level"`  // debug, info, warn, error
	Format string `koanf:"format"` // text, json
}

// HTTP is the listener of health, readiness and metrics, and of the admin API where there are tokens.
type HTTP struct {
	Listen   string `koanf:"listen"`      // host:port; empty: off
	CertFile string `koanf:"cert_file"`   // PEM; empty: HTTP without TLS
	KeyFile  string `koanf:"key_file"`    // PEM
	ClientCA string `koanf:"client_ca"`   // PEM; the admin API takes only clients with a certificate of it; empty: none is asked for
	Tokens   string `koanf:"tokens_file"` // who may use the admin API, as `passerelle token` writes it; empty: nobody
	Rate     int    `koanf:"rate"`        // requests a second of one token, and of one address without one
}

// Egress lists the national networks besides the machine's own (loopback, private and link-local ones): all calls, and the node itself, may send there.
// The networks of a trunk or of a rule are for its calls only.
type Egress struct {
	Networks []string `koanf:"networks"` // CIDR
}

// LiveKit is the sovereign SFU.
type LiveKit struct {
	URL       string `koanf:"url"`        // ws:// or wss://
	APIKey    string `koanf:"api_key"`    // name of the key
	APISecret Secret `koanf:"api_secret"` // the key itself
	// APISecretFile is read when APISecret is empty.
	APISecretFile string        `koanf:"api_secret_file"`
	CAFile        string        `koanf:"ca_file"`    // PEM; empty: the system's
	UDPListen     string        `koanf:"udp_listen"` // host:port of the one media port that all sessions share; port 0: any
	JoinTimeout   time.Duration `koanf:"join_timeout"`
	ReconnectFor  time.Duration `koanf:"reconnect_for"` // how long a caller is held while the SFU is away
}

// Directory says where the room behind a PIN is found. Sources are asked in the order: file, LiveKit, roomkit.
type Directory struct {
	File    string        `koanf:"file"`    // YAML list of rooms; empty: none
	LiveKit bool          `koanf:"livekit"` // ask LiveKit's SIP dispatch rules, as Visio writes them
	Refresh time.Duration `koanf:"refresh"` // shortest time between two listings of dispatch rules
	Timeout time.Duration `koanf:"timeout"` // for one look-up as a whole
	Roomkit Roomkit       `koanf:"roomkit"`
	Visio   Visio         `koanf:"visio"`
}

// Roomkit is Visio's API that prepares a room which has not started.
type Roomkit struct {
	URL       string `koanf:"url"` // https://…/api/v1.0/roomkit/join/; empty: off
	Token     Secret `koanf:"token"`
	TokenFile string `koanf:"token_file"`
	CAFile    string `koanf:"ca_file"` // PEM; empty: the system's
}

// Visio is Visio's API that tells who enters a room without waiting.
type Visio struct {
	URL    string `koanf:"url"`     // https://…/api/v1.0/; empty: off
	CAFile string `koanf:"ca_file"` // PEM; empty: the system's
}

// IVR is what a caller hears and types before and during a meeting.
type IVR struct {
	Language   string        `koanf:"language"` // of callers whose trunk names none
	Languages  []string      `koanf:"languages"`
	PromptsDir string        `koanf:"prompts_dir"` // the admin's own recordings, DIR/<language>/<name>.wav; empty: built in
	PINLength  int           `koanf:"pin_length"`  // a PIN of this many digits needs no #; 0: always #
	PINTries   int           `koanf:"pin_tries"`
	PINTimeout time.Duration `koanf:"pin_timeout"` // between two digits, and before the first
	Guess      Guess         `koanf:"guess"`
	EntrySound bool          `koanf:"entry_sound"`
}

// Guess bounds how fast PINs can be tried.
type Guess struct {
	PerSource int           `koanf:"per_source"` // wrong PINs from one source in Window; 0: no limit of its own
	Overall   int           `koanf:"overall"`    // wrong PINs from all sources in Window
	Window    time.Duration `koanf:"window"`
}

// Calls bounds what the node takes.
type Calls struct {
	Max          int           `koanf:"max"`           // at the same time
	MaxLoad      int           `koanf:"max_load"`      // percent; above it no call is taken; 0: not looked at
	DrainTimeout time.Duration `koanf:"drain_timeout"` // after SIGTERM, running calls may go on for this long
	MediaTimeout time.Duration `koanf:"media_timeout"` // a call without any packet for this long is ended
	MaxDuration  time.Duration `koanf:"max_duration"`  // 0: no limit
}

// Media is the RTP side of SIP calls.
type Media struct {
	Address   string `koanf:"address"`   // IP address to bind; empty: that of the SIP listener which took the call
	Advertise string `koanf:"advertise"` // IP address to write into SDP; empty: the bound one
	PortMin   int    `koanf:"port_min"`  // even; RTCP takes the next
	PortMax   int    `koanf:"port_max"`
}

// SIP is the SIP user agent.
type SIP struct {
	UDP       []string `koanf:"udp"` // host:port to listen on
	TCP       []string `koanf:"tcp"`
	TLS       TLS      `koanf:"tls"`
	Advertise string   `koanf:"advertise"` // host to write into Contact and Via; empty: the listener's address
	UserAgent string   `koanf:"user_agent"`
	// UnknownRate is how many requests a second one source that matches no trunk may send before they are dropped unread.
	UnknownRate   float64       `koanf:"unknown_rate"`
	SessionExpiry time.Duration `koanf:"session_expiry"` // RFC 4028 Session-Expires that we ask for; 0: none of our own
	MinSE         time.Duration `koanf:"min_se"`
	Trunks        []Trunk       `koanf:"trunks"`
}

// TLS is the SIP over TLS listener.
type TLS struct {
	Listen     []string `koanf:"listen"`
	CertFile   string   `koanf:"cert_file"`
	KeyFile    string   `koanf:"key_file"`
	MinVersion string   `koanf:"min_version"` // "1.2", "1.3"
	ClientCA   string   `koanf:"client_ca"`   // PEM; client certificates are verified against it when they are given
	// RequireClientCert refuses connections without a certificate of ClientCA.
	RequireClientCert bool `koanf:"require_client_cert"`
}

// Trunk is one peer that may call: a carrier, a PBX, a room system. A request belongs to the first trunk that it matches;
// where a trunk names several of addresses, TLS names and digest, all that it names must hold.
type Trunk struct {
	Name      string   `koanf:"name"`
	Addresses []string `koanf:"addresses"` // IP addresses or CIDR; none: the national networks; 0.0.0.0/0 and ::/0: anywhere, which names nobody
	TLSNames  []string `koanf:"tls_names"` // DNS names or CN in the client's certificate
	Digest    Digest   `koanf:"digest"`
	Language  string   `koanf:"language"` // empty: ivr.language

	Codecs     []string `koanf:"codecs"`     // in order of preference: opus, G722, PCMA, PCMU, L16; Load fills in all of them for none
	Encryption string   `koanf:"encryption"` // require, prefer, off; Load fills in prefer for none
	// Networks from which and to which media may go besides Addresses, CIDR.
	MediaNetworks []string `koanf:"media_networks"`

	MaxCalls      int     `koanf:"max_calls"`      // at the same time; 0: calls.max
	CallRate      float64 `koanf:"call_rate"`      // new calls a second; 0: no limit of its own
	TrustIdentity bool    `koanf:"trust_identity"` // believe P-Asserted-Identity
}

// Digest is a trunk's user and password. An empty user: no digest.
type Digest struct {
	User         string `koanf:"user"`
	Password     Secret `koanf:"password"`
	PasswordFile string `koanf:"password_file"`
	Realm        string `koanf:"realm"` // Load fills in "sip" for none
	// Algorithms that are asked for: SHA-256, MD5; none: both, which telephones do not understand that take a challenge they do not know as an error.
	Algorithms []string `koanf:"algorithms"`
}

// Rules say which calls may be, and what they may do.
type Rules struct {
	File    string  `koanf:"file"`    // YAML; empty: the built-in rules, which take every guest by link and every call that a trunk lets in
	Running string  `koanf:"running"` // what becomes of running calls when the rules change: end, narrow, keep
	Service Service `koanf:"service"`
}

// Service is an HTTP service that is asked after the rules and can only narrow what they grant.
type Service struct {
	URL       string        `koanf:"url"` // https://…; empty: off
	Token     Secret        `koanf:"token"`
	TokenFile string        `koanf:"token_file"`
	CAFile    string        `koanf:"ca_file"` // PEM; empty: the system's
	Timeout   time.Duration `koanf:"timeout"`
	Cache     time.Duration `koanf:"cache"` // how long an answer holds for the same question; 0: it is asked each time
}

// Lobby is where callers wait for a host.
type Lobby struct {
	HostAttribute string        `koanf:"host_attribute"` // participant attribute that makes a host
	HostValues    []string      `koanf:"host_values"`    // values of it that do
	Timeout       time.Duration `koanf:"timeout"`        // how long a caller may wait
}

// Journal is the record of calls, decisions and changes.
type Journal struct {
	URL          string        `koanf:"url"` // sqlite:PATH, postgres://…, off; empty: journal.db in Dir
	Password     Secret        `koanf:"password"`
	PasswordFile string        `koanf:"password_file"`
	Dir          string        `koanf:"dir"`      // of the database, the key and what waits to be written; empty: the node's state directory
	KeyFile      string        `koanf:"key_file"` // Ed25519, PEM: signs the heads of the chain; empty: made in Dir
	HeadEvery    time.Duration `koanf:"head_every"`
	Keep         Keep          `koanf:"keep"`
	ShortenAfter time.Duration `koanf:"shorten_after"` // numbers and addresses older than this lose their last digits; 0: never
}

// Keep says how long entries of the journal are kept, by kind. 0: for ever.
type Keep struct {
	Calls     time.Duration `koanf:"calls"`
	Decisions time.Duration `koanf:"decisions"` // and admissions
	Others    time.Duration `koanf:"others"`    // admin actions, configuration, refused destinations
}

// Guests are people who come by a link: to the page that this node serves, or with WHIP and WHEP.
type Guests struct {
	Listen    string   `koanf:"listen"`     // host:port of the page and of what it asks for; empty: off
	PublicURL string   `koanf:"public_url"` // https://…: what links begin with; empty: the listener's address
	CertFile  string   `koanf:"cert_file"`  // PEM; empty: HTTP without TLS, for a proxy in front
	KeyFile   string   `koanf:"key_file"`   // PEM
	Proxies   []string `koanf:"proxies"`    // CIDR; what they write into X-Forwarded-For and X-Forwarded-Proto is believed
	Origins   []string `koanf:"origins"`    // https://…: pages besides our own that may use the WebSocket, WHIP and WHEP; *: all for WHIP and WHEP

	UDPListen  string   `koanf:"udp_listen"`  // host:port: one for the media of all guests
	TCPListen  string   `koanf:"tcp_listen"`  // host:port for the media of guests behind a firewall that lets no UDP through; empty: off
	TURNListen string   `koanf:"turn_listen"` // host:port of our own TURN server, over TLS where there is a certificate; empty: off
	TURNURL    string   `koanf:"turn_url"`    // turns:host:port?transport=tcp, as guests reach it; empty: the listener's address
	Advertise  []string `koanf:"advertise"`   // IP addresses to tell guests instead of the bound ones, where a NAT changes them
	Networks   []string `koanf:"networks"`    // CIDR; where guests' media may go to, besides national networks and what a rule grants

	HostedIn string `koanf:"hosted_in"` // told to guests before they join: "France"
	Consent  string `koanf:"consent"`   // further text that they agree to; plain

	Max           int           `koanf:"max"`             // guests at the same time
	MaxPerAddress int           `koanf:"max_per_address"` // guests from one address; 0: no limit of its own
	Rate          int           `koanf:"rate"`            // requests a second from one address, after a burst of ten times as many
	Grace         time.Duration `koanf:"grace"`           // how long a place in the room is kept for somebody whose network is gone
	Tiles         int           `koanf:"tiles"`           // pictures that one guest may see at the same time
	Kbps          int           `koanf:"kbps"`            // of pictures to one guest, at most

	KeyDir         string `koanf:"key_dir"`     // of the Ed25519 keys that sign links, PEM; empty: links in the state directory, where a first one is made
	LinkSecret     Secret `koanf:"link_secret"` // shared secrets that sign links instead (HS256), one on each line: the first signs, all are good
	LinkSecretFile string `koanf:"link_secret_file"`
}

// Site is the LiveKit of somebody else, whose rooms can be joined with ours: livekit://NAME/ROOM.
type Site struct {
	Name          string `koanf:"name"`       // the platform that rules name
	URL           string `koanf:"url"`        // ws:// or wss://
	APIKey        string `koanf:"api_key"`    // that the site gave us
	APISecret     Secret `koanf:"api_secret"` // of it
	APISecretFile string `koanf:"api_secret_file"`
	CAFile        string `koanf:"ca_file"`  // PEM; empty: the system's
	Address       string `koanf:"address"`  // IP address of ours for media; empty: that of livekit.udp_listen
	Language      string `koanf:"language"` // empty: ivr.language
	As            string `koanf:"as"`       // how the site's people see our room; Load fills in "Passerelle" for none
}

// Secret is a string that never shows itself: it prints, logs and marshals as "•••", or as nothing where it is empty.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "•••"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
