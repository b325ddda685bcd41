// Package bridge is the core: the life of a call from its first ring to its record, the rooms of this node, and what a leg and an SFU must be
// able to do. It knows no protocol. call.go tells the life of a call from top to bottom.
package bridge
