package yamldoc

import "strings"

// Hint names the known word that an unknown one was probably meant to be, or all of them where there are few, or nothing.
func Hint(unknown string, known []string) string {
	best, distance := "", min(len(unknown), 64)/2+1
	for _, k := range known {
		if d := edits(unknown, k); d < distance {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return "; did you mean " + best + "?"
	case len(known) <= 16:
		return "; known here: " + strings.Join(known, ", ")
	}
	return ""
}

// edits is the Levenshtein distance of two words, where either is cut to 64 bytes.
func edits(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
