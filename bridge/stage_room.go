package bridge

import (
	"context"
	"iter"
	"log/slog"
	"maps"
)

// openStage is a room's stage and how it ends.
type openStage struct {
	*stage
	stop context.CancelFunc
	done chan struct{}
}

// raise makes a stage for the first leg that shows pictures, of a listener's session and of those who are there. It is nil where the SFU carries none.
func raise(n *Node, name string, session Session, people map[string]Participant) *openStage {
	return begin(n.Log.With("room", name), session, maps.Values(people), func(ctx context.Context) (Session, error) {
		s, _, err := n.SFU.Join(ctx, Join{Room: name, Identity: newIdentity("listener"), Name: "Passerelle", Hidden: true, Subscribe: true})
		return s, err
	})
}

// begin runs a stage with those who are there: see newStage. It is nil where the session carries no pictures.
func begin(log *slog.Logger, session Session, people iter.Seq[Participant], second func(context.Context) (Session, error)) *openStage {
	video, ok := session.(VideoSession)
	if !ok {
		return nil
	}
	st := newStage(log, video, second)
	for p := range people {
		st.arrive(p)
	}
	ctx, stop := context.WithCancel(context.Background())
	o := &openStage{st, stop, make(chan struct{})}
	go func() {
		defer close(o.done)
		st.run(ctx)
	}()
	return o
}

// stageFor is the room's stage where the call's leg has a screen, raised for the first of them; else nil.
func (r *room) stageFor(c *call) *openStage {
	if _, ok := c.leg.(Screen); !ok {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stage == nil {
		r.stage = raise(r.node, r.name, r.session, r.people)
	}
	return r.stage
}

// openedStage is the room's stage, or nil.
func (r *room) openedStage() *openStage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stage
}

// follow takes what the listener is told. There may be no stage.
func (o *openStage) follow(e SessionEvent) {
	if o == nil {
		return
	}
	switch e.Kind {
	case ParticipantChanged:
		o.arrive(e.Participant)
	case ParticipantLeft:
		o.depart(e.Participant.Identity)
	case SpeakersChanged:
		o.speak(e.Speakers)
	}
}

// close ends the stage. There is no place any more. There may be no stage.
func (o *openStage) close() {
	if o != nil {
		o.stop()
		<-o.done
	}
}

// asScreen has a leg with pictures come into the room as one who may show what its grant lets it show.
func (c *call) asScreen(j *Join) {
	if _, ok := c.leg.(Screen); ok {
		j.Phone = false
		j.Camera, j.Content = c.decision.Grant.Video.Sends(), c.decision.Grant.Content.Sends()
	}
}

// takePlace gives the leg a place in front of a stage, where it has pictures and there is a stage; else nil. session is the leg's own, me how it joined.
func (c *call) takePlace(o *openStage, session Session, me Join) *place {
	screen, ok := c.leg.(Screen)
	video, also := session.(VideoSession)
	if !ok || !also || o == nil {
		return nil
	}
	return o.enter(context.Background(), screen, video, joinedAs(me), c.decision.Grant, c.log)
}

// joinedAs is a participant as it came.
func joinedAs(me Join) Participant {
	return Participant{Identity: me.Identity, CanShow: me.Camera, CanShare: me.Content, Attributes: me.Attributes}
}

// follow takes what the leg's own session is told. The place may be nil. It answers true for what is about pictures alone.
func (pl *place) follow(e SessionEvent) bool {
	if pl == nil {
		return e.Kind == MutedByHost && e.Source != ""
	}
	switch {
	case e.Kind == MutedByHost && e.Source != "":
		pl.hostMuted(e.Source, e.Muted)
		return true
	case e.Kind == SelfChanged:
		pl.permit(e.Participant)
	}
	return false
}
