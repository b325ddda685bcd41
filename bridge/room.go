package bridge

import (
	"context"
	"fmt"
	"sync"

	"passerelle/bridge/ivr"
	"passerelle/transcode/mix"
)

// room is a room of the SFU in which calls of this node are. The node listens to it once, hidden, for all of them, and mixes it once. Legs of
// the room on this node hear each other through the mixer, without going through the SFU.
type room struct {
	name    string
	node    *Node
	mixer   *mix.Mixer
	session Session // the hidden listener's
	chimes  *chimes

	ready  chan struct{} // closed when the listener is in, or failed is set
	giveUp context.CancelFunc
	refs   int // guarded by rooms.mu

	mu      sync.Mutex
	people  map[string]Participant // by identity; hidden ones are not here
	own     map[string]leg         // this node's, by identity
	hearing *Hearing               // nil: the listener is not in yet
	members map[chan struct{}]bool // told when people or failed change
	lobby   lobby                  // who waits to come in
	stage   *openStage             // of its pictures; nil until a leg has a screen
	away    bool                   // the listener has lost the SFU, for now
	failed  error
}

// leg is what a room knows of one of this node's legs.
type leg struct{ discreet bool } // discreet: it may learn nothing of the room, so nobody hears a sound when people come and go

// join brings the hidden listener in. It closes ready.
func (r *room) join(ctx context.Context) {
	defer close(r.ready)
	session, present, err := r.node.SFU.Join(ctx, Join{
		Room: r.name, Identity: newIdentity("listener"), Name: "Passerelle", Hidden: true, Subscribe: true,
	})
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failed = err
		return
	}
	r.session = session
	r.mu.Lock()
	r.hearing = NewHearing(session, r.mixer, r.node.Log.With("room", r.name))
	r.mu.Unlock()
	for _, p := range present {
		r.arrive(p, false)
	}
	r.node.Clock.Add(r.mixer)
	go r.listen()
}

// listen follows the room until its session ends.
func (r *room) listen() {
	reason := fmt.Errorf("%w: its session ended", ErrSFU)
	for e := range r.session.Events() {
		switch e.Kind {
		case ParticipantChanged:
			r.arrive(e.Participant, true)
		case ParticipantLeft:
			r.depart(e.Participant.Identity)
		case DataReceived:
			r.hear(e)
		case Interrupted, Restored:
			r.mu.Lock()
			r.away = e.Kind == Interrupted
			r.tell()
			r.mu.Unlock()
		case SessionEnded:
			if e.Reason != nil {
				reason = e.Reason
			}
		}
		r.openedStage().follow(e) // after people has it: a stage that is raised meanwhile begins with them
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = reason
	r.tell()
}

// leave takes the listener out and lets go of the mixer. Nobody uses the room any more.
func (r *room) leave() {
	if r.session == nil {
		return
	}
	r.stage.close()
	r.session.Leave()
	r.node.Clock.Remove(r.mixer)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hearing.Close()
	r.mixer.Close()
}

// arrive takes in a participant who came or changed, and subscribes to what they say. ring: the room hears somebody new come.
func (r *room) arrive(p Participant, ring bool) {
	if p.Hidden {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known := r.people[p.Identity]
	r.people[p.Identity] = p
	r.noteHost(p)
	if ring && !known {
		r.ring(ivr.EntryChime())
	}
	if _, ours := r.own[p.Identity]; !ours {
		r.hearing.Follow(old, p)
	}
	r.tell()
}

// depart lets a participant go.
func (r *room) depart(identity string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.people[identity]
	if !ok {
		return
	}
	delete(r.people, identity)
	delete(r.lobby.hosts, identity)
	delete(r.lobby.doubted, identity)
	r.hearing.Follow(p, Participant{})
	r.ring(ivr.ExitChime())
	r.tell()
}

// ring lets the legs of this node hear that somebody comes or goes. r.mu is held.
func (r *room) ring(chime []int16) {
	for _, l := range r.own {
		if l.discreet {
			return
		}
	}
	r.chimes.play(chime)
}

// watch has changed told of every change of the room, until unwatch. A change that finds it full is not lost: the reader looks at all there is.
func (r *room) watch(identity string, l leg, changed chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own[identity] = l
	r.members[changed] = true
}

func (r *room) unwatch(identity string, changed chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.own, identity)
	delete(r.members, changed)
}

// tell wakes those who watch. r.mu is held.
func (r *room) tell() {
	for changed := range r.members {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// state says how many people are in the room besides the one with the identity self, whom the listener may not have been told of yet, and why the
// room cannot be used any more, if so.
func (r *room) state(self string) (others int, failed error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	others = len(r.people)
	if _, told := r.people[self]; told {
		others--
	}
	if r.failed != nil {
		return others, r.failed
	}
	for _, p := range r.people {
		for _, t := range p.Tracks {
			if t.Encrypted {
				return others, ErrE2EE
			}
		}
	}
	return others, nil
}

// souls is how many people are in the room, other rooms not counted.
func (r *room) souls() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.people {
		if p.Attributes[BridgeAttribute] == "" {
			n++
		}
	}
	return n
}

// deaf tells whether nothing is heard of the room for now.
func (r *room) deaf() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}
