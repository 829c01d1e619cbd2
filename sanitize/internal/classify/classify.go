// Package classify judges a text by its words: a linear model over hashed words and pairs of words, trained on a
// corpus of attacks and of harmless texts (MODEL.md says which, with what result, and where it fails).
//
// It reads a folded view (package shadow), looks at windows of it, so that an instruction in a long document weighs as much as
// one on its own, and says how likely the window that looks worst is an attack. It takes about a microsecond for a short text
// and allocates nothing.
//
// It knows words, not meaning: a harmless text in the words of the corpus' attacks is suspicious, a new kind of attack is not.
// It is one voice; the rules of package detect are the other.
//
//	p := classify.Score(view) // 0 harmless … 1 attack
package classify

import (
	_ "embed"
	"encoding/binary"
	"math"
)

// model is written by the command in train, from a corpus that is not in the repository: five parameters, then the weights.
//
//go:embed model.bin
var model string

// Window is how many words are judged together, and Short how many also are in a text that is longer than a window: an
// instruction in a document is shorter.
const (
	Window = 64
	Short  = 24
)

// Where the parameters stand, as float32.
const (
	scaleAt    = 4 * iota // what a weight of 1 is worth
	biasAt                // log-odds of a text without known words
	offsetAt              // words that are added to the length of a window
	marginAt              // log-odds by which a short window has to be worse
	lengthAt              // log-odds by which a text e times as long as a window has to be worse: it has more to choose from
	headerSize            // the weights follow, one int8 each
)

// Logit returns the log-odds that the text behind a folded view is an attack, calibrated on texts from sources that the model
// had not seen.
func Logit(view []byte) float64 {
	var (
		r          = reader{view: view}
		f          Feature
		ring       [Window]int32
		sum, short int32
		n          uint
		// The worst windows.
		best, bestShort = int32(math.MinInt32), int32(math.MinInt32)
		// The three words before: a word said over and over, or a bracket around each, says no more than once.
		a, b, c = uint32(math.MaxUint32), uint32(math.MaxUint32), uint32(math.MaxUint32)
	)
	for r.next(&f) {
		w := int32(0)
		if f[0] != a && f[0] != b && f[0] != c {
			w = weight(f[0]) + weight(f[1]) + weight(f[2])
			if f[3] != 0 {
				w += weight(f[3]) + weight(f[4]) + weight(f[5])
			}
		}
		a, b, c = f[0], a, b
		sum += w - ring[n%Window]
		short += w - ring[(n-Short)%Window] // nothing yet where n < Short
		ring[n%Window] = w
		if n++; n >= Short {
			bestShort = max(bestShort, short)
		}
		if n >= Window {
			best = max(best, sum)
		}
	}
	if n <= Window {
		return logit(sum, int(n)) //nolint:gosec // a small number
	}
	worst := max(logit(best, Window), logit(bestShort, Short)-param(marginAt))
	return worst - param(lengthAt)*math.Log(float64(n)/Window)
}

// logit turns the sum of the weights of n words into log-odds.
func logit(sum int32, n int) float64 {
	return float64(sum)*param(scaleAt)/math.Sqrt(float64(n)+param(offsetAt)) + param(biasAt)
}

// Score is Logit as a probability.
func Score(view []byte) float64 { return 1 / (1 + math.Exp(-Logit(view))) }

func weight(bucket uint32) int32 { return int32(int8(model[headerSize+bucket])) } //nolint:gosec // stored as int8

func param(at int) float64 {
	return float64(math.Float32frombits(binary.LittleEndian.Uint32([]byte(model[at : at+4]))))
}
