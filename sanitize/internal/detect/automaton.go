package detect

import (
	"cmp"
	"slices"
)

// automaton is a trie over the literals of all rules, packed into a double
// array: one step is one addition, one load and one comparison, and the first
// byte that no literal continues with ends the walk. The whole vocabulary
// shares it, so that the text is read once, however many rules there are.
type automaton struct {
	cells []cell
	// outs[cell.out:] up to a negative entry are the slots that a literal which
	// ends in that cell fills.
	outs []int32
}

type cell struct {
	base  int32 // children are at base + byte
	check int32 // the parent, or -1 for a free cell
	whole int32 // index into outs of literals that end here at the end of a word, 0 for none
	part  int32 // the same for literals that may go on (a prefix, or one that ends in punctuation)
}

// entry is one literal and the slots it fills.
type entry struct {
	text  string
	open  bool // matches whatever follows
	slots []int32
}

type node struct {
	edges       []edge
	whole, part int32
}

type edge struct {
	b  byte
	to int32
}

// newAutomaton packs the entries. Entries with the same text and openness are
// merged by the caller.
func newAutomaton(entries []entry) *automaton {
	a := &automaton{outs: []int32{-1}}
	nodes := []node{{}}
	for _, e := range entries {
		at := int32(0)
		for i := range len(e.text) {
			at = child(&nodes, at, e.text[i])
		}
		out := int32(len(a.outs)) //nolint:gosec // far below 2^31 literals
		a.outs = append(a.outs, e.slots...)
		a.outs = append(a.outs, -1)
		if e.open {
			nodes[at].part = out
		} else {
			nodes[at].whole = out
		}
	}
	a.pack(nodes)
	return a
}

// child finds or adds the node that b leads to.
func child(nodes *[]node, at int32, b byte) int32 {
	n := &(*nodes)[at]
	for _, e := range n.edges {
		if e.b == b {
			return e.to
		}
	}
	to := int32(len(*nodes)) //nolint:gosec // bounded by the bytes of all literals
	n.edges = append(n.edges, edge{b, to})
	*nodes = append(*nodes, node{})
	return to
}

// pack lays the nodes out so that no two of them claim the same cell. The cell
// array ends with 256 free cells, so that base + byte never leaves it.
func (a *automaton) pack(nodes []node) {
	cells := make([]cell, 2*len(nodes)+512)
	for i := range cells {
		cells[i].check = -1
	}
	place := make([]int32, len(nodes)) // node -> cell
	cells[0] = cell{check: 0, whole: nodes[0].whole, part: nodes[0].part}
	queue := []int32{0}
	free := 1
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		n := &nodes[at]
		if len(n.edges) == 0 {
			continue
		}
		slices.SortFunc(n.edges, func(x, y edge) int { return cmp.Compare(x.b, y.b) })
		for cells[free].check >= 0 {
			free++
		}
		base := max(1, free-int(n.edges[0].b))
		for ; ; base++ {
			for base+256 > len(cells)-1 {
				cells = append(cells, cell{check: -1})
			}
			if fits(cells, base, n.edges) {
				break
			}
		}
		from := place[at]
		cells[from].base = int32(base) //nolint:gosec // bounded by the cells
		for _, e := range n.edges {
			p := base + int(e.b)
			cells[p] = cell{check: from, whole: nodes[e.to].whole, part: nodes[e.to].part}
			place[e.to] = int32(p) //nolint:gosec // bounded by the cells
			queue = append(queue, e.to)
		}
	}
	last := len(cells) - 1
	for last > 0 && cells[last].check < 0 {
		last--
	}
	for len(cells) <= last+256 {
		cells = append(cells, cell{check: -1})
	}
	a.cells = slices.Clip(cells[:last+257])
	for i := range a.cells {
		// A leaf keeps base 0: its children would be the cells of the root,
		// whose check is 0 or more and never the leaf's own number.
		if a.cells[i].check < 0 {
			a.cells[i] = cell{check: -1}
		}
	}
}

func fits(cells []cell, base int, edges []edge) bool {
	for _, e := range edges {
		if cells[base+int(e.b)].check >= 0 {
			return false
		}
	}
	return true
}
