// Package webrtc wraps pion's peer connections for the SFU side and for guests: sockets come from the egress guard, candidates pass it, nothing is
// asked of STUN or TURN servers, no name is resolved, and many peer connections share one UDP port where the far end allows it.
package webrtc
