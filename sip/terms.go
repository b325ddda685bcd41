package sip

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"passerelle/bridge"
	"passerelle/bridge/policy"
	"passerelle/sip/sdp"
	"passerelle/transcode"
)

// agree fixes what the far end may be agreed with, once, for the whole of the call, and answers its offer under these terms. The far end learns of
// the answer when the call is taken. After an error the call can only be ended.
func (l *Leg) agree(t bridge.Terms) error {
	if l.state != stateEarly || l.uas == nil {
		return l.notNow()
	}
	if l.fixed {
		return nil
	}
	a := &l.media.abilities
	var err error
	if a.Codecs, err = narrowed(a.Codecs, t.Codecs); err != nil {
		return err
	}
	if a.Encryption, err = protected(a.Encryption, t.Encryption); err != nil {
		return err
	}
	l.dialog.pass.Grant(t.Networks...)
	if !l.uas.lateOffer {
		if l.uas.answer, err = l.media.answer(l.uas.offer); err != nil {
			return mediaReason(err)
		}
		l.log.Debug("sip: agreed", "codec", l.media.agreed.Codec.Name, "encrypted", l.media.agreed.Encrypted())
	}
	l.fixed = true
	return nil
}

// lookUp grants the call the addresses of hosts. One that is not found grants nothing: what is at its address is refused like everything else.
func (l *Leg) lookUp(ctx context.Context, hosts []string) {
	ctx, stop := context.WithTimeout(ctx, lookupTimeout)
	defer stop()
	for _, h := range hosts {
		if err := l.dialog.pass.GrantName(ctx, h); err != nil {
			l.log.Warn("sip: a host that a rule grants is not found", "host", h, "err", err)
		}
	}
}

// narrowed is the trunk's codecs that are wanted, in the order in which they are. nil wants them as they are.
func narrowed(codecs []transcode.Codec, want []string) ([]transcode.Codec, error) {
	if want == nil {
		return codecs, nil
	}
	var list []transcode.Codec
	for _, name := range want {
		for _, c := range codecs {
			if strings.EqualFold(c.Name, name) && !slices.ContainsFunc(list, c.Is) {
				list = append(list, c)
			}
		}
	}
	if list == nil {
		return nil, fmt.Errorf("%w: granted %s; the trunk has %s", bridge.ErrNoCodec, strings.Join(want, ", "), names(codecs))
	}
	return list, nil
}

func names(codecs []transcode.Codec) string {
	var list []string
	for _, c := range codecs {
		list = append(list, c.Name)
	}
	return strings.Join(list, ", ")
}

// protected is the stricter of what the trunk asks for and what is wanted. A trunk without encryption gets none by wishing for it.
func protected(trunk sdp.Encryption, want policy.Encryption) (sdp.Encryption, error) {
	switch {
	case want != policy.Require:
		return trunk, nil // a trunk that prefers encryption does so already, and one that requires it keeps doing so
	case trunk == sdp.Off:
		return trunk, fmt.Errorf("%w: encryption is off for the trunk", bridge.ErrNotEncrypted)
	}
	return sdp.Require, nil
}
