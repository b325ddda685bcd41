package sipp

import (
	"fmt"
	"strings"
)

// Scenario is a script for SIPp, written step by step. Within its texts SIPp's own keywords may be used: [media_ip], [media_port], [$name].
type Scenario struct {
	b    strings.Builder
	cseq int
}

// SDP is a body with one audio stream, and further lines behind it.
func SDP(version int, codec, more string) string {
	return fmt.Sprintf("v=0\no=sipp 1 %d IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\nm=audio [media_port] RTP/AVP %s\n%s", version, codec, more)
}

// Request sends a request of the call, an ACK too. headers and body may be empty; a body is SDP unless the headers name its type.
func (s *Scenario) Request(method, headers, body string) *Scenario {
	if method != "ACK" && method != "CANCEL" {
		s.cseq++
	}
	return s.request(method, headers, body, s.cseq)
}

// Ack acknowledges the answer to the last INVITE, which may not be the last request.
func (s *Scenario) Ack(invite int, body string) *Scenario { return s.request("ACK", "", body, invite) }

func (s *Scenario) request(method, headers, body string, cseq int) *Scenario {
	to := "<sip:room@[remote_ip]:[remote_port]>"
	if cseq > 1 || method != "INVITE" {
		to += "[peer_tag_param]"
	}
	if body != "" && !strings.Contains(headers, "Content-Type") {
		headers += "Content-Type: application/sdp\n"
	}
	retrans := ` retrans="500"`
	if method == "ACK" {
		retrans = ""
	}
	fmt.Fprintf(&s.b, "<send%s><![CDATA[\n\n%s sip:room@[remote_ip]:[remote_port] SIP/2.0\n"+
		"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"+
		"From: \"SIPp\" <sip:+33198765432@[local_ip]>;tag=[pid]c[call_number]\n"+
		"To: %s\nCall-ID: [call_id]\nCSeq: %d %s\nContact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>\nMax-Forwards: 70\n%s"+
		"Content-Length: [len]\n\n%s\n]]></send>\n", retrans, method, to, cseq, method, headers, body)
	return s
}

// Digit presses a key by an INFO request, as application/dtmf-relay or as application/dtmf.
func (s *Scenario) Digit(key rune, relay bool) *Scenario {
	if relay {
		s.Request("INFO", "Content-Type: application/dtmf-relay\n", fmt.Sprintf("Signal=%c\nDuration=160", key))
	} else {
		s.Request("INFO", "Content-Type: application/dtmf\n", string(key))
	}
	return s.Expect(200)
}

// Expect waits for an answer.
func (s *Scenario) Expect(code int) *Scenario { return s.recv(code, "", "") }

// Provisional waits for an answer that may not come.
func (s *Scenario) Provisional(code int) *Scenario { return s.recv(code, ` optional="true"`, "") }

// Take waits for an answer and keeps the first number of one of its headers as [$header].
func (s *Scenario) Take(code int, header string) *Scenario {
	return s.recv(code, "", fmt.Sprintf(`<action><ereg regexp="[0-9]+" search_in="hdr" header="%s:" assign_to="%s"/></action>`, header, header))
}

func (s *Scenario) recv(code int, attributes, action string) *Scenario {
	fmt.Fprintf(&s.b, "<recv response=\"%d\"%s>%s</recv>\n", code, attributes, action)
	return s
}

// Play begins to send a file of encoded audio by RTP, from [rtpstream_audio_port].
func (s *Scenario) Play(path, payloadType, format string) *Scenario {
	fmt.Fprintf(&s.b, "<nop><action><exec rtp_stream=\"%s,1,%s,%s\"/></action></nop>\n", path, payloadType, format)
	return s
}

// Pause waits.
func (s *Scenario) Pause(milliseconds int) *Scenario {
	fmt.Fprintf(&s.b, "<pause milliseconds=\"%d\"/>\n", milliseconds)
	return s
}

// Bye waits until the far end hangs up.
func (s *Scenario) Bye() *Scenario {
	s.b.WriteString("<recv request=\"BYE\"/>\n<send><![CDATA[\n\nSIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n" +
		"[last_CSeq:]\nContent-Length: 0\n\n]]></send>\n")
	return s
}

// String is the scenario as SIPp reads it.
func (s *Scenario) String() string {
	return "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<scenario name=\"test\">\n" + s.b.String() + "</scenario>\n"
}
