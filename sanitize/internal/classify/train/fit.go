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
	margin   float64
	length   float64
	ours     float64
}

var defaults = options{epochs: 12, rate: 0.15, l2: 2e-3, offset: 8, minDocs: 3, share: 0.5, margin: 0.9, length: 0.3, ours: 2}

// A trained model: the weight of each bucket.
type trained struct {
	w      []float32
	bias   float64
	offset float64
	margin float64
	length float64
}

func newModel(o options) *trained {
	return &trained{w: make([]float32, classify.Buckets), offset: o.offset, margin: o.margin, length: o.length}
}

// fit trains on all texts but those of group left and those whose attack does not show. It is logistic regression by AdaGrad;
// a text counts by its worst window. The weights are the mean of those after each pass of the second half, which hang less on the
// order of the texts.
func fit(texts []*text, left int, o options) *trained {
	samples := choose(texts, left, o)
	t := newTrainer(common(samples, o), o)
	mean := newModel(o)
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same order each time
	half := o.epochs / 2
	for pass := range o.epochs {
		rng.Shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
		for _, s := range samples {
			t.learn(s)
		}
		if pass >= half {
			mean.add(&t.trained, 1/float64(o.epochs-half))
		}
	}
	return mean
}

// A trainer is a model in training.
type trainer struct {
	trained
	o          options
	use        []bool // which buckets count
	squares    []float32
	squareBias float64
}

func newTrainer(use []bool, o options) *trainer {
	return &trainer{
		trained: *newModel(o), o: o,
		use: use, squares: make([]float32, classify.Buckets), squareBias: 1,
	}
}

// learn moves the weights of the worst window of a text.
func (t *trainer) learn(s sample) {
	words, z := t.worst(s.views)
	g := 1 / (1 + math.Exp(-z))
	if s.attack {
		g--
	}
	g *= s.weight
	t.squareBias += g * g
	t.bias -= t.o.rate * g / math.Sqrt(t.squareBias)
	g /= math.Sqrt(float64(len(words)) + t.o.offset)
	for _, f := range words {
		for _, b := range f {
			if !t.use[b] {
				continue
			}
			d := float32(g) + float32(t.o.l2)*t.w[b]
			t.squares[b] += d * d
			t.w[b] -= float32(t.o.rate) * d / float32(math.Sqrt(float64(t.squares[b])+1e-3))
		}
	}
}

// add adds a share of another model.
func (m *trained) add(other *trained, share float64) {
	for i, x := range other.w {
		m.w[i] += x * float32(share)
	}
	m.bias += other.bias * share
}

// A sample is a text as the training sees it.
type sample struct {
	views  [][]classify.Feature
	attack bool
	weight float64
}

// choose takes the texts to train on. Attacks and harmless texts weigh the same.
func choose(texts []*text, left int, o options) []sample {
	var samples []sample
	sum := map[bool]float64{}
	for _, t := range texts {
		if t.group == left || t.Tier == "B" || len(t.views) == 0 {
			continue
		}
		s := sample{views: t.views, attack: t.attack, weight: math.Pow(float64(t.size), -o.share)}
		if t.ours {
			s.weight *= o.ours
		}
		samples = append(samples, s)
		sum[s.attack] += s.weight
	}
	for i := range samples {
		s := &samples[i]
		s.weight = min(10, s.weight/sum[s.attack]*float64(len(samples))/2)
	}
	return samples
}

// common says which buckets are used by enough texts to be trusted.
func common(samples []sample, o options) []bool {
	docs := make([]int, classify.Buckets)
	seen := make([]int, classify.Buckets)
	for i, s := range samples {
		for _, view := range s.views {
			for _, f := range view {
				for _, b := range f {
					if seen[b] != i+1 {
						seen[b] = i + 1
						docs[b]++
					}
				}
			}
		}
	}
	use := make([]bool, classify.Buckets)
	for b := 1; b < len(use); b++ {
		use[b] = docs[b] >= o.minDocs
	}
	return use
}

// worst returns the window of a text that looks most like an attack. A long text has short windows, too, and these have to look
// worse by the margin. All have to look the worse the more there are.
func (m *trained) worst(views [][]classify.Feature) (words []classify.Feature, z float64) {
	z = math.Inf(-1)
	for _, view := range views {
		much := m.length * math.Log(max(1, float64(len(view))/classify.Window))
		if from, s := m.worstOf(view, classify.Window); s-much > z {
			words, z = view[from:min(len(view), from+classify.Window)], s-much
		}
		if len(view) <= classify.Window {
			continue
		}
		if from, s := m.worstOf(view, classify.Short); s-m.margin-much > z {
			words, z = view[from:from+classify.Short], s-m.margin-much
		}
	}
	return words, z + m.bias
}

// worstOf returns where the worst window of a size begins, and what it scores. A text that is shorter is a window.
func (m *trained) worstOf(view []classify.Feature, size int) (from int, z float64) {
	z = math.Inf(-1)
	sum := 0.0
	for i, f := range view {
		sum += m.of(f)
		if i >= size {
			sum -= m.of(view[i-size])
		}
		if i+1 < size && i+1 < len(view) {
			continue
		}
		start := max(0, i+1-size)
		if s := sum / math.Sqrt(float64(i+1-start)+m.offset); s > z {
			from, z = start, s
		}
	}
	return from, z
}

func (m *trained) of(f classify.Feature) float64 {
	sum := float32(0)
	for _, b := range f {
		sum += m.w[b]
	}
	return float64(sum)
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
	for _, p := range []float64{a * step, a*m.bias + b, m.offset, a * m.margin, a * m.length} {
		_ = binary.Write(&out, binary.LittleEndian, float32(p))
	}
	for _, x := range m.w {
		out.WriteByte(byte(int8(max(-127, min(127, math.Round(float64(x)/step)))))) //nolint:gosec // bounded
	}
	_, err := w.Write(out.Bytes())
	return err
}
