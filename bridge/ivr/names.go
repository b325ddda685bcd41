// Package ivr is what a caller hears and types: spoken prompts and sounds, the choice of a language, the PIN, and the keys during a call. It
// knows neither calls nor protocols, and waits for nothing: time and digits are passed in.
package ivr

// Name is a spoken prompt: the name of its file, without .wav.
type Name string

// The prompts that every language has. Numbers come besides them, see Prompts.Number.
const (
	Welcome        Name = "welcome"
	ChooseLanguage Name = "choose_language" // "For English, press the star key": said in the language that * leads to

	EnterPIN     Name = "enter_pin"
	NoInput      Name = "no_input"
	WrongPIN     Name = "wrong_pin"
	LastTry      Name = "last_try" // instead of WrongPIN, before the last one
	TooManyTries Name = "too_many_tries"
	Goodbye      Name = "goodbye"

	Connecting           Name = "connecting"
	DirectoryUnavailable Name = "directory_unavailable" // whether there is such a room cannot be found out now
	SFUUnavailable       Name = "sfu_unavailable"
	RefusedE2EE          Name = "refused_e2ee"       // the room is end-to-end encrypted
	RefusedEncryption    Name = "refused_encryption" // the room wants encrypted calls, and this one is not

	RefusedRules       Name = "refused_rules"
	RefusedBusy        Name = "refused_busy"
	RefusedUnavailable Name = "refused_unavailable" // who decides about calls does not answer now

	LobbyWait     Name = "lobby_wait" // WaitingMusic follows
	LobbyAdmitted Name = "lobby_admitted"
	LobbyRefused  Name = "lobby_refused"
	LobbyTimeout  Name = "lobby_timeout"

	ForeignNoticeCaller Name = "foreign_notice_caller" // to who calls from outside the sovereign side
	ForeignNoticeRoom   Name = "foreign_notice_room"   // to the room that they enter
	ListenOnly          Name = "listen_only"
	SpeakOnly           Name = "speak_only"

	Joined      Name = "joined"
	Alone       Name = "alone"
	CountOne    Name = "count_one"
	CountBefore Name = "count_before" // "There are": a number and CountAfter follow, see Prompts.Count
	CountAfter  Name = "count_after"

	Muted            Name = "muted"
	Unmuted          Name = "unmuted"
	MutedByHost      Name = "muted_by_host"
	UnmuteNotAllowed Name = "unmute_not_allowed"
	MayUnmute        Name = "may_unmute"

	HandUp            Name = "hand_up"
	HandDown          Name = "hand_down"
	HandLoweredByHost Name = "hand_lowered_by_host"

	VolumeUp   Name = "louder"
	VolumeDown Name = "quieter"
	VolumeMax  Name = "volume_max"
	VolumeMin  Name = "volume_min"

	KeysHelp      Name = "keys_help"
	KeysHint      Name = "keys_hint"       // this key does nothing, there is help
	KeyNotAllowed Name = "key_not_allowed" // the key is known, and not granted to this call

	RecordingStarted Name = "recording_started"
	RecordingStopped Name = "recording_stopped"
	RecordingMuted   Name = "recording_muted" // instead of RecordingStarted, where the call may not be recorded

	LineInterrupted Name = "line_interrupted"
	LineRestored    Name = "line_restored"
	Removed         Name = "removed"
	RoomEnded       Name = "room_ended"
	Draining        Name = "draining"
	MaxDurationSoon Name = "max_duration_soon"
	IdleEnd         Name = "idle_end" // nobody else was there for too long
	Moved           Name = "moved"

	RulesChangedEnd    Name = "rules_changed_end"
	RulesChangedNarrow Name = "rules_changed_narrow"
)

// Names lists the prompts that every language has.
func Names() []Name {
	return []Name{
		Welcome, ChooseLanguage,
		EnterPIN, NoInput, WrongPIN, LastTry, TooManyTries, Goodbye,
		Connecting, DirectoryUnavailable, SFUUnavailable, RefusedE2EE, RefusedEncryption,
		RefusedRules, RefusedBusy, RefusedUnavailable,
		LobbyWait, LobbyAdmitted, LobbyRefused, LobbyTimeout,
		ForeignNoticeCaller, ForeignNoticeRoom, ListenOnly, SpeakOnly,
		Joined, Alone, CountOne, CountBefore, CountAfter,
		Muted, Unmuted, MutedByHost, UnmuteNotAllowed, MayUnmute,
		HandUp, HandDown, HandLoweredByHost,
		VolumeUp, VolumeDown, VolumeMax, VolumeMin,
		KeysHelp, KeysHint, KeyNotAllowed,
		RecordingStarted, RecordingStopped, RecordingMuted,
		LineInterrupted, LineRestored, Removed, RoomEnded, Draining, MaxDurationSoon, IdleEnd, Moved,
		RulesChangedEnd, RulesChangedNarrow,
	}
}
