package livekit

import (
	"cmp"
	"slices"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// sourceOf is what a track is of, as bridge knows it: sound has no source.
func sourceOf(s lksig.TrackSource) bridge.Source {
	switch s {
	case lksig.TrackSource_CAMERA:
		return bridge.Camera
	case lksig.TrackSource_SCREEN_SHARE:
		return bridge.Content
	}
	return ""
}

func lksourceOf(s bridge.Source) lksig.TrackSource {
	switch s {
	case bridge.Camera:
		return lksig.TrackSource_CAMERA
	case bridge.Content:
		return lksig.TrackSource_SCREEN_SHARE
	}
	return lksig.TrackSource_UNKNOWN
}

// layerRID is the name that LiveKit has for the i-th layer from below.
func layerRID(i int) string { return [bridge.MaxLayers]string{"q", "h", "f"}[i] }

// lklayersOf announces layers, from small to large. A track with one layer has it as the best, as LiveKit wants it; with more, qualities count
// from below, as its numbering of streams does.
func lklayersOf(layers []bridge.Layer) []*lksig.VideoLayer {
	list := make([]*lksig.VideoLayer, 0, len(layers))
	for i, l := range layers {
		out := &lksig.VideoLayer{
			Quality: lksig.VideoQuality(i), SpatialLayer: int32(i), Rid: layerRID(i),
			Width: uint32(max(l.Width, 0)), Height: uint32(max(l.Height, 0)), Bitrate: uint32(max(l.Kbps, 0)) * 1000,
		}
		if len(layers) == 1 {
			out.Quality, out.Rid = lksig.VideoQuality_HIGH, ""
		}
		list = append(list, out)
	}
	return list
}

// videoInfo is what a track says of its picture. Newer servers tell layers with the codec, older ones with the track.
func videoInfo(t *lksig.TrackInfo) bridge.VideoInfo {
	if t.GetType() != lksig.TrackType_VIDEO {
		return bridge.VideoInfo{}
	}
	v := bridge.VideoInfo{Source: sourceOf(t.GetSource()), Kind: kindOf(t.GetMimeType()), Width: size(t.GetWidth()), Height: size(t.GetHeight())}
	layers := t.GetLayers()
	if c := t.GetCodecs(); len(c) > 0 {
		if len(c[0].GetLayers()) > 0 {
			layers = c[0].GetLayers()
		}
		if v.Kind == "" {
			v.Kind = kindOf(c[0].GetMimeType())
		}
	}
	for _, l := range layers {
		if len(v.Layers) == bridge.MaxLayers {
			break
		}
		if l.GetQuality() <= lksig.VideoQuality_HIGH {
			v.Layers = append(v.Layers, bridge.Layer{
				RID: l.GetRid(), Width: size(l.GetWidth()), Height: size(l.GetHeight()), Kbps: int(l.GetBitrate() / 1000),
			})
		}
	}
	slices.SortStableFunc(v.Layers, func(a, b bridge.Layer) int { return cmp.Compare(a.Height, b.Height) })
	return v
}

// size bounds a size in pixels.
func size(n uint32) int { return int(min(n, 1<<14)) }

// onWanted tells which layers of ours anybody watches.
func (s *Session) onWanted(u *lksig.SubscribedQualityUpdate) {
	s.mu.Lock()
	t, ok := s.find(func(t *published) bool { return t.sid != "" && t.sid == u.GetTrackSid() }).(*VideoTrack)
	s.mu.Unlock()
	if !ok || t.wish.WantLayers == nil {
		return
	}
	for _, c := range u.GetSubscribedCodecs() {
		if kindOf(c.GetCodec()) != t.wish.Codec.Kind && kindOf("video/"+c.GetCodec()) != t.wish.Codec.Kind {
			continue
		}
		t.wish.WantLayers(wantedLayers(c.GetQualities(), len(t.wish.Layers)))
	}
}

// wantedLayers is which of n layers are watched.
func wantedLayers(list []*lksig.SubscribedQuality, n int) (wanted [bridge.MaxLayers]bool) {
	for _, q := range list {
		i := int(q.GetQuality())
		if n == 1 {
			i = 0 // whatever it is called
		}
		if q.GetEnabled() && i >= 0 && i < n {
			wanted[i] = true
		}
	}
	return wanted
}
