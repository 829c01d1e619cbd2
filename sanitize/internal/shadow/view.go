package shadow

import "sort"

// A Kind says how a view was won from the text.
type Kind uint8

// The kinds of views. Plain is the whole text, everything else was hidden in it.
const (
	Plain     Kind = iota
	Base64         // standard and URL alphabet
	Base32         //
	Base85         // of Adobe and of RFC 1924
	Hex            // 49676e6f, 49 67 6e, 0x49
	Escaped        // \x49 \u0049 %49 &#73; =49, undone in their surroundings
	Binary         // 01001001 01100111
	Decimal        // 73 103 110, also octal
	Alphabet       // 9 7 14 15: the numbers of letters
	Morse          //
	Nato           // india golf november
	Rot            // letters moved in the alphabet, ROT13 among them
	Atbash         // the alphabet backwards
	Rot47          //
	Reversed       // the text backwards
	Mirrored       // each word backwards
	Reordered      // the words in opposite order
	Flipped        // upside-down letters
	PigLatin       //
	Tags           // Unicode tag characters
	Selectors      // bytes as variation selectors
	ZeroWidth      // bits as zero-width characters
	Fragments      // string parts put together: "ig" + "nore"
	numKinds
)

var kindNames = [numKinds]string{"plain", "base64", "base32", "base85", "hex", "escaped", "binary", "decimal", "alphabet", "morse", "nato",
	"rot", "atbash", "rot47", "reversed", "mirrored", "reordered", "flipped", "pig latin", "tags", "selectors", "zero width", "fragments"}

// String returns the name of the kind in lower case.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return "unknown"
}

// A View is a text to match against: the folded text itself, or something that was hidden in it.
type View struct {
	Kind  Kind
	Depth int    // 0 for the text itself, 1 for what was hidden in it, 2 for what was hidden in that
	Bytes []byte // folded; valid until the next Fold
	// Start and End are the bytes of the original that carried it.
	Start, End int
}

// A view has the storage of a View, and the way back to its source.
type view struct {
	kind       Kind
	depth      int
	raw        []byte // what is folded
	buf        []byte // what comes of it
	runs       []run
	start, end int
	traced     bool // runs lead to the original, not only into a decoded payload
	found      findings
}

// A run says that from folded byte at on, bytes stand where source byte src stands, one to one, until the next run.
type run struct{ at, src int32 }

func (v *view) reset(kind Kind, depth, start, end int) {
	v.kind, v.depth, v.start, v.end, v.traced = kind, depth, start, end, depth == 0
	v.raw, v.buf, v.runs = v.raw[:0], v.buf[:0], v.runs[:0]
	v.found = findings{}
}

// jump says that the next folded byte comes from source byte src.
func (v *view) jump(src int) {
	at := int32(len(v.buf)) //nolint:gosec // texts are far below 2 GiB
	if n := len(v.runs); n > 0 {
		last := &v.runs[n-1]
		if last.src+at-last.at == int32(src) { //nolint:gosec // as above
			return
		}
		if last.at == at {
			last.src = int32(src) //nolint:gosec // as above
			return
		}
	}
	v.runs = append(v.runs, run{at, int32(src)}) //nolint:gosec // as above
}

// put appends what stands for the source bytes from src on.
func (v *view) put(s string, src int) {
	v.jump(src)
	v.buf = append(v.buf, s...)
}

// cut drops everything from folded byte at on.
func (v *view) cut(at int) {
	v.buf = v.buf[:at]
	n := len(v.runs)
	for n > 0 && int(v.runs[n-1].at) >= at {
		n--
	}
	v.runs = v.runs[:n]
}

// A cursor answers origin for rising positions, without searching.
type cursor struct {
	v *view
	k int // runs before or at the last position
}

func (c *cursor) origin(i int) int {
	runs := c.v.runs
	for c.k < len(runs) && int(runs[c.k].at) <= i {
		c.k++
	}
	if c.k == 0 {
		return i
	}
	src := int(runs[c.k-1].src) + i - int(runs[c.k-1].at)
	if c.k < len(runs) {
		src = min(src, int(runs[c.k].src))
	}
	return src
}

// from sets the cursor to position i.
func (c *cursor) from(i int) {
	c.k = sort.Search(len(c.v.runs), func(k int) bool { return int(c.v.runs[k].at) > i })
}

// origin returns the source byte that folded byte i stands for; len(buf) stands for the end.
func (v *view) origin(i int) int {
	c := cursor{v: v}
	c.from(i)
	return c.origin(i)
}
