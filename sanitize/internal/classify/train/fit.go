package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sparkhttp/spark/sanitize/internal/classify"
)

// options are the knobs of the training. defaults were chosen with whole groups of sources left out.
type options struct {
	epochs   int
	rate, l2 float64
	offset   float64
	minDocs  int
	share    float64
	general  float64
	splice   float64
	triples  bool
}

var defaults = options{epochs: 12, rate: 0.3, l2: 1e-3, offset: 8, minDocs: 3, share: 0.5, general: 1, splice: 0.3, triples: true}

// A trained model: the weight of each bucket.
type trained struct {
	w      []float32
	bias   float64
	offset float64
}

// fit trains on all texts but those of group left and those whose attack does not show. It is logistic regression by AdaGrad;
// a text counts by its worst window.
func fit(texts []*text, left int, o options) *trained {
	samples := choose(texts, left, o)
	scale := generality(samples, o)
	m := &trained{w: make([]float32, classify.Buckets), offset: o.offset}
	raw := make([]float32, classify.Buckets)
	squares := make([]float32, classify.Buckets)
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same order each time
	squareBias := 1.0
	last := len(classify.Feature{})
	if !o.triples {
		last--
	}
	for range o.epochs {
		rng.Shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
		for _, s := range samples {
			words, z := m.worst(s.views)
			g := 1 / (1 + math.Exp(-z))
			if s.attack {
				g--
			}
			g *= s.weight
			squareBias += g * g
			m.bias -= o.rate * g / math.Sqrt(squareBias)
			g /= math.Sqrt(float64(len(words)) + o.offset)
			for _, f := range words {
				for _, b := range f[:last] {
					if scale[b] == 0 {
						continue
					}
					d := float32(g)*scale[b] + float32(o.l2)*raw[b]
					squares[b] += d * d
					raw[b] -= float32(o.rate) * d / float32(math.Sqrt(float64(squares[b])+1e-3))
					m.w[b] = raw[b] * scale[b]
				}
			}
		}
	}
	return m
}

// A sample is a text as the training sees it.
type sample struct {
	views  [][]classify.Feature
	attack bool
	group  int
	weight float64
}

// choose takes the texts to train on, and puts attacks into harmless documents. Attacks and harmless texts weigh the same.
func choose(texts []*text, left int, o options) []sample {
	var samples []sample
	var harmless []sample
	for _, t := range texts {
		if t.group == left || t.Tier == "B" || len(t.views) == 0 {
			continue
		}
		s := sample{views: t.views, attack: t.attack, group: t.group, weight: math.Pow(float64(t.size), -o.share)}
		samples = append(samples, s)
		if !t.attack && len(t.views[0]) > classify.Window {
			harmless = append(harmless, s)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same choice each time
	for _, s := range slices.Clone(samples) {
		if !s.attack || len(s.views[0]) > classify.Window || len(harmless) == 0 || rng.Float64() > o.splice {
			continue
		}
		in := harmless[rng.IntN(len(harmless))].views[0]
		at := rng.IntN(len(in))
		spliced := slices.Concat(in[:at], s.views[0], in[at:])
		samples = append(samples, sample{views: [][]classify.Feature{spliced}, attack: true, group: s.group, weight: s.weight})
	}
	sum := map[bool]float64{}
	for _, s := range samples {
		sum[s.attack] += s.weight
	}
	for i := range samples {
		s := &samples[i]
		s.weight = min(10, s.weight/sum[s.attack]*float64(len(samples))/2)
	}
	return samples
}

// generality says for each bucket how far its features can be trusted: nothing if few texts have them, more if they tell
// attacks from harmless texts in source after source.
func generality(samples []sample, o options) []float32 {
	type side struct {
		group  int
		attack bool
	}
	total := map[side]float64{}
	groups := map[bool]float64{}
	for _, s := range samples {
		k := side{s.group, s.attack}
		if total[k] == 0 {
			groups[s.attack]++
		}
		total[k]++
	}
	docs := make([]int32, classify.Buckets)
	seen := make([]int, classify.Buckets)
	var often [2][]float64
	often[0], often[1] = make([]float64, classify.Buckets), make([]float64, classify.Buckets)
	for i, s := range samples {
		y := 0
		if s.attack {
			y = 1
		}
		for _, view := range s.views {
			for _, f := range view {
				for _, b := range f {
					if seen[b] != i+1 {
						seen[b] = i + 1
						docs[b]++
						often[y][b] += 1 / (total[side{s.group, s.attack}] + 5) / groups[s.attack]
					}
				}
			}
		}
	}
	const least = 0.002 // keeps what is rare from looking certain
	scale := make([]float32, classify.Buckets)
	for b := range scale {
		if int(docs[b]) >= o.minDocs {
			ratio := math.Abs(math.Log((often[1][b] + least) / (often[0][b] + least)))
			scale[b] = float32(math.Pow(min(ratio, 3)/1.5, o.general))
		}
	}
	return scale
}

// worst returns the window of a text that looks most like an attack.
func (m *trained) worst(views [][]classify.Feature) (words []classify.Feature, z float64) {
	z = math.Inf(-1)
	for _, view := range views {
		sum := 0.0
		for i, f := range view {
			sum += m.of(f)
			if i >= classify.Window {
				sum -= m.of(view[i-classify.Window])
			}
			if i+1 < classify.Window && i+1 < len(view) {
				continue
			}
			from := max(0, i+1-classify.Window)
			if s := sum / math.Sqrt(float64(i+1-from)+m.offset); s > z {
				words, z = view[from:i+1], s
			}
		}
	}
	return words, z + m.bias
}

func (m *trained) of(f classify.Feature) float64 {
	return float64(m.w[f[0]] + m.w[f[1]] + m.w[f[2]] + m.w[f[3]])
}

func (m *trained) score(t *text) float64 {
	if len(t.views) == 0 {
		return m.bias
	}
	_, z := m.worst(t.views)
	return z
}

// write writes the weights as package classify reads them, with the calibration z ↦ a·z+b worked in.
func (m *trained) write(w io.Writer, a, b float64) error {
	var all []float64
	for _, x := range m.w {
		if x != 0 {
			all = append(all, math.Abs(float64(x)))
		}
	}
	slices.Sort(all)
	step := all[len(all)*999/1000] / 127 // what lies beyond is cut
	var out bytes.Buffer
	for _, p := range []float64{a * step, a*m.bias + b, m.offset} {
		_ = binary.Write(&out, binary.LittleEndian, float32(p))
	}
	for _, x := range m.w {
		out.WriteByte(byte(int8(max(-127, min(127, math.Round(float64(x)/step)))))) //nolint:gosec // bounded
	}
	_, err := w.Write(out.Bytes())
	return err
}
