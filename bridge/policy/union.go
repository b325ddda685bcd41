package policy

// union is the most that either grant gives, under the duties that both have. It is what may be promised to a caller while it is not known which
// of the two will hold.
func union(a, b Grant) Grant {
	g := Grant{
		Foreign:    a.Foreign && b.Foreign,
		Room:       same(a.Room, b.Room),
		Lobby:      milder(lobbies(), a.Lobby, b.Lobby),
		Audio:      a.Audio.or(b.Audio),
		Video:      a.Video.or(b.Video),
		Content:    a.Content.or(b.Content),
		Picture:    Picture{higher(a.Picture.Height, b.Picture.Height), higher(a.Picture.Rate, b.Picture.Rate), higher(a.Picture.Kbps, b.Picture.Kbps)},
		Encryption: milder(encryptions(), a.Encryption, b.Encryption),
		Networks:   either(a.Networks, b.Networks),
		Hosts:      either(a.Hosts, b.Hosts),
		Origins:    either(a.Origins, b.Origins),
		Name:       same(a.Name, b.Name),
		ShowNumber: milder(shown(), a.ShowNumber, b.ShowNumber),
		Learn:      milder(learnings(), a.Learn, b.Learn),
		Notices:    Notices{Caller: common(a.Notices.Caller, b.Notices.Caller), Room: common(a.Notices.Room, b.Notices.Room)},
		Banner:     same(a.Banner, b.Banner),
		Duration:   higher(a.Duration, b.Duration),
		Idle:       higher(a.Idle, b.Idle),
		MaxInRoom:  higher(a.MaxInRoom, b.MaxInRoom),
		MaxSource:  higher(a.MaxSource, b.MaxSource),
		MaxRule:    higher(a.MaxRule, b.MaxRule),
		Recording:  a.Recording || b.Recording,
		Keys:       either(a.Keys, b.Keys),
	}
	if a.Codecs != nil && b.Codecs != nil {
		g.Codecs = either(a.Codecs, b.Codecs)
	}
	return g
}

// same is the word that both have, else none.
func same(a, b string) string {
	if a != b {
		return ""
	}
	return a
}
