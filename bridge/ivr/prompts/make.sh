#!/bin/sh
# Makes the spoken prompts: one <language>/<name>.wav (16 kHz, mono, 16 bit) for each line "name<TAB>text" of <language>.txt.
# Needs espeak-ng and sox. The same texts give the same files; made-from.sha256 lets a test see when a text was changed and they were not.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Voice, pitch (0-99) and speed (words a minute) of a language. Calm and a little slow: it must be understood over a bad telephone line.
voice() {
	case $1 in
	fr) echo "-v fr-fr -p 42 -s 150" ;;
	en) echo "-v en-gb-x-rp -p 42 -s 155" ;;
	*) echo "-v $1 -p 42 -s 150" ;;
	esac
}

# clip TEXT FILE OPTIONS…: speak, cut the silence at both ends, then bring the level to -20 dBFS RMS, or to peaks of -3 dBFS where that is less.
clip() {
	text=$1 file=$2
	shift 2
	espeak-ng -b 1 "$@" -w "$work/raw.wav" -- "$text"
	sox -D -v 0.5 "$work/raw.wav" -r 16000 "$work/cut.wav" highpass 90 \
		silence 1 0.01 0.5% fade t 0.005 reverse silence 1 0.01 0.5% fade t 0.02 reverse pad 0.02 0.08
	gain=$(sox "$work/cut.wav" -n stats 2>&1 |
		awk '/^Pk lev/ { p = -3 - $NF } /^RMS lev/ { r = -20 - $NF } END { printf "%.2f", (p < r ? p : r) }')
	sox -D "$work/cut.wav" -b 16 "$file" gain "$gain"
}

for table in *.txt; do
	language=${table%.txt}
	rm -rf "$language"
	mkdir "$language"
	while IFS="$(printf '\t')" read -r name text; do
		# shellcheck disable=SC2046 # options are words
		clip "$text" "$language/$name.wav" $(voice "$language")
	done <"$table"
	echo "$language: $(ls "$language" | wc -l) prompts, $(du -sk "$language" | cut -f1) KiB"
done
sha256sum make.sh ./*.txt >made-from.sha256
