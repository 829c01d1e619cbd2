// Package shadow makes the view of a text that detection looks at.
//
// A text can say the same thing to a language model in a hundred spellings: in full-width letters, with Cyrillic
// look-alikes, as leetspeak, with a dot after each letter, with invisible characters inside its words, as base64. A rule that
// had to know them all would be slow and still miss one. So a text is folded once into the plainest spelling of itself,
// rules are written in that spelling, and what was encoded is decoded into further views, folded the same way.
//
// It decides nothing and changes nothing: views are for looking, the text that is forwarded stays as it was. Span leads from
// a view back to the bytes of the original.
//
//	var t shadow.Text // reuse it
//	t.Fold("Ｉ g n 0 r e  previous")
//	for i := range t.Len() {
//		match(t.View(i).Bytes)
//	}
//
// Everything is linear in the text, and the further views together are bounded (maxViews, maxHidden, maxDepth).
package shadow

// The bounds of what is looked for inside a text.
const (
	maxDepth  = 3        // an encoding in an encoding in an encoding
	maxViews  = 16       // views of one text
	maxHidden = 16 << 10 // bytes of all further views together
)

// A Text is the folded form of one text. The zero value is ready. Reusing one costs no allocations once its buffers have
// grown. It is not safe for concurrent use.
type Text struct {
	views   [maxViews]view
	n       int
	hidden  int // bytes in further views
	signals Signals
	words   scanner
	out     []byte // a payload in the making
	tmp     view   // a view in the making
}

// Signals count the disguises that were undone on the way to the main view.
type Signals struct {
	Invisible int // characters that show nothing, next to Latin letters; soft hyphens, emoji and joiners of other scripts don't count
	Bidi      int // characters that turn the direction of writing
	Tags      int // Unicode tag characters, flags of emoji not counted
	Selectors int // variation selectors that follow one another
	Mixed     int // words of several scripts, folded to Latin
	Styled    int // letters in full width, bold, circled and the like
	Flipped   int // letters upside down
	Leet      int // words with digits and signs for letters
	Spaced    int // words put together from single letters
	Split     int // key words put together from parts
	Marks     int // markup, terminal codes and stacked accents inside words
	Escaped   int // characters with a backslash before each, in a row that no escapes of a programming language make
	Disguised int // disguised words that turned out to be key words: ignore, previous, system
}

// Fold builds the views of src. Slices from earlier calls become invalid.
func (t *Text) Fold(src string) {
	t.n, t.hidden, t.signals = 0, 0, Signals{}
	v := t.open(Plain, 0, 0, len(src))
	v.raw = append(v.raw, src...)
	t.fold(v)
	for i := 0; i < t.n; i++ { // hidden texts may hide texts
		t.inspect(&t.views[i])
	}
}

// Len returns the number of views. The main view has number 0.
func (t *Text) Len() int { return t.n }

// View returns view i.
func (t *Text) View(i int) View {
	v := &t.views[i]
	return View{Kind: v.kind, Depth: v.depth, Bytes: v.buf, Start: v.start, End: v.end}
}

// Bytes returns the main view.
func (t *Text) Bytes() []byte { return t.views[0].buf }

// Signals returns what was undone.
func (t *Text) Signals() Signals { return t.signals }

// Span returns the bytes of the original that bytes from to to of view i stand for. For a decoded view it is the place of the
// whole encoded part, for a view that has the order of the original it is exact.
func (t *Text) Span(i, from, to int) (start, end int) {
	v := &t.views[i]
	if !v.traced || from >= to {
		if !v.traced {
			return v.start, v.end
		}
		to = from
	}
	start = min(v.origin(from), len(t.views[0].raw))
	if to <= from {
		return start, start
	}
	if to >= len(v.buf) {
		return start, v.end
	}
	return start, max(start, min(v.origin(to), len(t.views[0].raw)))
}

// Origin returns the byte of the original that byte i of the main view stands for.
func (t *Text) Origin(i int) int { return min(t.views[0].origin(i), len(t.views[0].raw)) }

// FoldString folds a rule's literal as texts are folded, without looking for anything hidden in it.
func FoldString(s string) string {
	if isFolded(s) {
		return s
	}
	var t Text
	v := t.open(Plain, 0, 0, len(s))
	v.raw = append(v.raw, s...)
	t.foldRunes(v)
	return string(v.buf)
}

// isFolded reports whether s is ASCII that folding leaves as it is, as most literals are.
func isFolded(s string) bool {
	last := byte(' ')
	for i := range len(s) {
		if c := s[i]; (lower[c] != c || c == 0) && (c != ' ' || last == ' ') {
			return false
		}
		last = s[i]
	}
	return last != ' '
}

// open takes the next free view, nil if there is none.
func (t *Text) open(kind Kind, depth, start, end int) *view {
	if t.n == maxViews || depth > maxDepth {
		return nil
	}
	v := &t.views[t.n]
	t.n++
	v.reset(kind, depth, start, end)
	return v
}

// reveal folds a hidden text into a view of its own: folded bytes from to to of in carried it.
func (t *Text) reveal(kind Kind, in *view, from, to int, text []byte) {
	start, end := in.start, in.end
	if in.traced {
		start = min(in.origin(from), len(t.views[0].raw))
		end = max(start, min(in.origin(to), len(t.views[0].raw)))
	}
	t.add(kind, in.depth+1, start, end, text)
}

// add folds a hidden text into a view of its own.
func (t *Text) add(kind Kind, depth, start, end int, text []byte) {
	if len(text) == 0 || t.hidden+len(text) > maxHidden {
		return
	}
	v := t.open(kind, depth, start, end)
	if v == nil {
		return
	}
	t.hidden += len(text)
	v.raw = append(v.raw, text...)
	t.fold(v)
}

// fold turns what v holds into its view: characters first, then words.
func (t *Text) fold(v *view) {
	t.foldRunes(v)
	t.repair(v)
}
