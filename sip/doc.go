// Package sip is the SIP user agent: trunks call in over UDP, TCP and TLS, each call is a Leg for the bridge, and the test telephone dials out.
//
//	socket → gate (rate) → parser → transactions → trunk (who is it?) → dialog (Leg) → bridge
//
// Messages are sipgo's: its parser, its headers, its URIs. Its transport and transaction layers are not used, because what they do cannot be
// bounded or guarded from outside: an answer whose connection is gone makes them resolve and dial the host that the request's Via names, UDP
// requests open sockets of their own, the pool of UDP sources grows until the listener closes, messages that do not parse are logged with
// their secrets, CANCEL is answered under a To tag that no other answer had, and T1 is a global variable. Ours are transport.go, listen.go and
// transaction*.go: sockets come from internal/egress, messages of one socket are handled in their order, retransmissions are the same bytes.
//
// One goroutine owns each Leg; transports, timers and the bridge send it functions to run. There is one file per operation, named after it.
package sip
