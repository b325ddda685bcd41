package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/icholy/digest"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/configs"
)

func digestTrunk(c *configs.SIP, _ *Deps) {
	c.Trunks = []configs.Trunk{{Name: "pbx", Digest: configs.Digest{User: "alice", Password: "secret", Realm: "example.org"}}}
}

// credentials answers a challenge.
func credentials(t *testing.T, challenge, method, uri, user, password string, nc int) string {
	t.Helper()
	c, err := digest.ParseChallenge(challenge)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := digest.Digest(c, digest.Options{Method: method, URI: uri, Username: user, Password: password, Count: nc})
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: " + cred.String() + "\r\n"
}

// challenges are the WWW-Authenticate headers of a 401.
func challenges(m string) (list []string) {
	for _, l := range strings.Split(m, "\r\n") {
		if v, ok := strings.CutPrefix(l, "WWW-Authenticate: "); ok {
			list = append(list, v)
		}
	}
	return list
}

func TestDigestCall(t *testing.T) {
	t.Parallel()
	for i, algorithm := range []string{"SHA-256", "MD5"} {
		t.Run(algorithm, func(t *testing.T) {
			s := start(t, nil, digestTrunk)
			p := newPhone(t, s)
			p.invite("")
			list := challenges(p.status(401, "INVITE"))
			if len(list) != 2 || !strings.Contains(list[i], "algorithm="+algorithm) {
				t.Fatalf("challenges: %q", list)
			}
			auth := credentials(t, list[i], "INVITE", p.target, "alice", "secret", 1)
			p.call(auth)
			p.bye()
			q := newPhone(t, s)
			q.invite(auth) // the same credentials again
			q.status(401, "INVITE")
			q.call(credentials(t, list[i], "INVITE", q.target, "alice", "secret", 2))
			q.bye()
		})
	}
}

func TestDigestWrong(t *testing.T) {
	t.Parallel()
	s := start(t, nil, digestTrunk)
	p := newPhone(t, s)
	p.invite("")
	list := challenges(p.status(401, "INVITE"))
	for name, auth := range map[string]string{
		"password": credentials(t, list[0], "INVITE", p.target, "alice", "wrong", 1),
		"user":     credentials(t, list[0], "INVITE", p.target, "bob", "secret", 1),
		"method":   credentials(t, list[0], "BYE", p.target, "alice", "secret", 1),
		"nonce":    credentials(t, `Digest realm="example.org",nonce="AAAA",algorithm=MD5,qop="auth"`, "INVITE", p.target, "alice", "secret", 1),
		"no qop":   credentials(t, strings.Replace(list[1], `qop="auth"`, `x="y"`, 1), "INVITE", p.target, "alice", "secret", 1),
		"garbage":  "Authorization: Digest ,,,=\"\r\n",
	} {
		p.invite(auth)
		if res := p.status(401, "INVITE"); strings.Contains(res, "stale=true") {
			t.Errorf("%s: stale", name)
		}
	}
}

func TestNonce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDigestServer()
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		tr := &trunk{Trunk: configs.Trunk{Digest: configs.Digest{User: "u", Realm: "r"}}, password: "p"}
		nonce := d.nonce(a)
		try := func(source netip.Addr, nc int) digestResult {
			chal := &digest.Challenge{Realm: "r", Nonce: nonce, QOP: []string{"auth"}}
			c, err := digest.Digest(chal, digest.Options{Method: "INVITE", URI: "sip:x", Username: "u", Password: "p", Count: nc})
			if err != nil {
				t.Fatal(err)
			}
			req := sipgo.NewRequest(sipgo.INVITE, sipgo.Uri{Scheme: "sip", Host: "x"})
			req.AppendHeader(sipgo.NewHeader("Authorization", c.String()))
			return d.verify(req, tr, source)
		}
		for i, c := range []struct {
			wait   time.Duration
			source netip.Addr
			nc     int
			want   digestResult
		}{
			{0, a, 1, digestRight},
			{0, a, 1, digestWrong}, // replayed
			{0, a, 5, digestRight},
			{0, a, 4, digestWrong},
			{0, b, 6, digestWrong}, // stolen
			{nonceFor - time.Second, a, 6, digestRight},
			{2 * time.Second, a, 7, digestStale},
		} {
			time.Sleep(c.wait)
			if got := try(c.source, c.nc); got != c.want {
				t.Errorf("step %d: %d, want %d", i, got, c.want)
			}
		}
		// A full table forgets, and what was forgotten is stale, never right again.
		nonce = d.nonce(a)
		if try(a, 1) != digestRight {
			t.Error("a new nonce is not right")
		}
		old := nonce
		time.Sleep(time.Second)
		for i := 0; len(d.counts) < maxNonces; i++ {
			d.counts[fmt.Sprint(i)] = 1
		}
		nonce = d.nonce(a)
		if try(a, 1) != digestStale {
			t.Error("a nonce beyond the table is not stale")
		}
		nonce = old
		if try(a, 1) != digestStale {
			t.Error("a forgotten nonce can be replayed")
		}
		time.Sleep(time.Second)
		if nonce = d.nonce(a); try(a, 1) != digestRight {
			t.Error("a nonce after that is not right")
		}
	})
}

// TestDigestAlgorithms has a trunk ask for MD5 alone, and take nothing else.
func TestDigestAlgorithms(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(c *configs.SIP, d *Deps) {
		digestTrunk(c, d)
		c.Trunks[0].Digest.Algorithms = []string{"MD5"}
	})
	p := newPhone(t, s)
	p.invite("")
	list := challenges(p.status(401, "INVITE"))
	if len(list) != 1 || !strings.Contains(list[0], "algorithm=MD5") {
		t.Fatalf("challenges: %q", list)
	}
	p.invite(credentials(t, strings.Replace(list[0], "algorithm=MD5", "algorithm=SHA-256", 1), "INVITE", p.target, "alice", "secret", 1))
	p.status(401, "INVITE")
	p.call(credentials(t, list[0], "INVITE", p.target, "alice", "secret", 2))
	p.bye()
}
