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

	KeysHelp Name = "keys_help"
	KeysHint Name = "keys_hint" // this key does nothing, there is help

	LineInterrupted Name = "line_interrupted"
	LineRestored    Name = "line_restored"
	Removed         Name = "removed"
	RoomEnded       Name = "room_ended"
	Draining        Name = "draining"
	MaxDurationSoon Name = "max_duration_soon"

	RefusedRules Name = "refused_rules" // this call is not allowed
	RefusedBusy  Name = "refused_busy"  // there are as many calls as there may be

	LobbyWait     Name = "lobby_wait" // a host must let the caller in
	LobbyAdmitted Name = "lobby_admitted"
	LobbyRefused  Name = "lobby_refused"
	LobbyTimeout  Name = "lobby_timeout"

	RecordingStarted Name = "recording_started"
	RecordingStopped Name = "recording_stopped"
	RecordingMuted   Name = "recording_muted" // the microphone is closed while the meeting is recorded

	KeyNotAllowed Name = "key_not_allowed"
	ListenOnly    Name = "listen_only" // the caller hears and is not heard
	SpeakOnly     Name = "speak_only"  // the caller is heard and does not hear

	RulesChangedEnd    Name = "rules_changed_end"
	RulesChangedNarrow Name = "rules_changed_narrow"
	Moved              Name = "moved" // into another room
	IdleEnd            Name = "idle_end"

	ForeignNoticeCaller Name = "foreign_notice_caller" // for rules: to a foreign caller
	ForeignNoticeRoom   Name = "foreign_notice_room"   // for rules: to the room that they enter
)

// Names lists the prompts that every language has.
func Names() []Name {
	return []Name{
		Welcome, ChooseLanguage,
		EnterPIN, NoInput, WrongPIN, LastTry, TooManyTries, Goodbye,
		Connecting, DirectoryUnavailable, SFUUnavailable, RefusedE2EE, RefusedEncryption,
		Joined, Alone, CountOne, CountBefore, CountAfter,
		Muted, Unmuted, MutedByHost, UnmuteNotAllowed, MayUnmute,
		HandUp, HandDown, HandLoweredByHost,
		VolumeUp, VolumeDown, VolumeMax, VolumeMin,
		KeysHelp, KeysHint,
		LineInterrupted, LineRestored, Removed, RoomEnded, Draining, MaxDurationSoon,
	}
}
