package livekit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/protobuf/proto"

	"passerelle/configs"
	"passerelle/webrtc/livekit/lksig"
)

// maxAnswer bounds an answer of LiveKit's API, and pageSize the dispatch rules in one.
const (
	maxAnswer = 16 << 20
	pageSize  = 1000
	maxRules  = 100_000
)

// DispatchRule is one of LiveKit's SIP dispatch rules: the PIN of a room. It can be printed: the PIN does not show.
type DispatchRule struct {
	ID, Name, Room string
	PIN            configs.Secret
	TrunkIDs       []string // LiveKit's own trunks that the rule is for; none: all
}

// APIError is an error that LiveKit's API answers, in Twirp's form.
type APIError struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"msg"`
}

func (e *APIError) Error() string {
	return fmt.Sprintf("LiveKit's API answers %d %s: %s", e.Status, e.Code, e.Message)
}

// Grant says what a call of LiveKit's API needs.
type Grant int

// The grants.
const (
	SIPAdmin  Grant = iota // SIP
	RoomAdmin              // RoomService, all of it in the one room named beside
)

// ListDispatchRules lists the rules that put a call into one room, as Visio makes them. LiveKit has them only when it runs with Redis.
func (c *Client) ListDispatchRules(ctx context.Context) ([]DispatchRule, error) {
	var rules []DispatchRule
	page := &lksig.Pagination{Limit: pageSize}
	for {
		var answer lksig.ListSIPDispatchRuleResponse
		if err := c.Call(ctx, "SIP/ListSIPDispatchRule", SIPAdmin, "", &lksig.ListSIPDispatchRuleRequest{Page: page}, &answer); err != nil {
			return nil, err
		}
		for _, r := range answer.GetItems() {
			if direct := r.GetRule().GetDispatchRuleDirect(); direct != nil && len(rules) < maxRules {
				rules = append(rules, DispatchRule{
					ID: r.GetSipDispatchRuleId(), Name: r.GetName(), Room: direct.GetRoomName(), PIN: configs.Secret(direct.GetPin()), TrunkIDs: r.GetTrunkIds(),
				})
			}
		}
		n := len(answer.GetItems())
		if n < pageSize || len(rules) == maxRules || answer.GetItems()[n-1].GetSipDispatchRuleId() == page.GetAfterId() {
			return rules, nil // an older LiveKit knows no pages and answers all at once
		}
		page.AfterId = answer.GetItems()[n-1].GetSipDispatchRuleId()
	}
}

// Call makes one call of LiveKit's API, for example "RoomService/DeleteRoom". Errors of the server are *APIError.
func (c *Client) Call(ctx context.Context, method string, grant Grant, room string, request, answer proto.Message) error {
	body, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	var cl claims
	switch grant {
	case SIPAdmin:
		cl.SIP = &sipGrant{Admin: true}
	case RoomAdmin:
		cl.Video = &videoGrant{Room: room, RoomAdmin: true, RoomCreate: true, RoomList: true}
	}
	token, err := c.sign(cl)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.String()+"/twirp/livekit."+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/protobuf")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", method, err)
	case len(b) > maxAnswer:
		return fmt.Errorf("%s: an answer of more than %d bytes", method, maxAnswer)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %w", method, apiError(resp.StatusCode, b))
	}
	if err := proto.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

func apiError(status int, b []byte) *APIError {
	e := &APIError{Status: status}
	if json.Unmarshal(b, e) != nil || len(e.Message) > 500 {
		e.Code, e.Message = "", http.StatusText(status) // a proxy's page, perhaps
	}
	return e
}
