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
	// uses holds what literals do. Index 0 is no literal's.
	uses []use
}

type cell struct {
	base  int32 // children are at base + byte
	check int32 // the parent, or -1 for a free cell
	whole int32 // index into uses of literals that end here at the end of a word, 0 for none
	part  int32 // the same for literals that may go on (a prefix, or one that ends in punctuation)
}

// entry is one literal and what it does.
type entry struct {
	text string
	open bool // matches whatever follows
	use  use
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
	a := &automaton{uses: make([]use, 1, 1+len(entries))}
	nodes := []node{{}}
	for _, e := range entries {
		at := int32(0)
		for i := range len(e.text) {
			at = child(&nodes, at, e.text[i])
		}
		use := int32(len(a.uses)) //nolint:gosec // far below 2^31 literals
		a.uses = append(a.uses, e.use)
		if e.open {
			nodes[at].part = use
		} else {
			nodes[at].whole = use
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

// pack lays the nodes out so that no two of them claim the same cell: nodes with
// many children first, while there is room, then the others into the gaps. The
// array ends with 256 free cells, so that base + byte never leaves it.
func (a *automaton) pack(nodes []node) {
	order := make([]int32, 0, len(nodes))
	for i := range nodes {
		if len(nodes[i].edges) > 0 {
			order = append(order, int32(i)) //nolint:gosec // bounded by the bytes of all literals
		}
	}
	slices.SortStableFunc(order, func(x, y int32) int {
		return cmp.Compare(len(nodes[y].edges), len(nodes[x].edges))
	})
	used := make([]bool, 2*len(nodes)+1024)
	base := make([]int32, len(nodes))
	free, last := 256, 256 // no child below 256: see place
	for _, n := range order {
		edges := nodes[n].edges
		for used[free] {
			free++
		}
		b := free - int(edges[0].b)
		for !fits(used, b, edges) {
			b++
		}
		for len(used) < b+1024 {
			used = append(used, make([]bool, len(used))...)
		}
		for _, e := range edges {
			used[b+int(e.b)] = true
			last = max(last, b+int(e.b))
		}
		base[n] = int32(b) //nolint:gosec // bounded by the cells
	}
	a.cells = make([]cell, last+257)
	for i := range a.cells {
		a.cells[i].check = -1
	}
	a.place(nodes, base)
}

// place writes the cells. A leaf keeps base 0; the cells from there on are free,
// so that no walk goes on from a leaf.
func (a *automaton) place(nodes []node, base []int32) {
	at := make([]int32, len(nodes))
	a.cells[0] = cell{base: base[0], whole: nodes[0].whole, part: nodes[0].part}
	for n := range nodes { // a child is always numbered after its parent
		for _, e := range nodes[n].edges {
			to := base[n] + int32(e.b)
			at[e.to] = to
			a.cells[to] = cell{base: base[e.to], check: at[n], whole: nodes[e.to].whole, part: nodes[e.to].part}
		}
	}
	a.cells[0].check = -1
}

func fits(used []bool, base int, edges []edge) bool {
	for _, e := range edges {
		if used[base+int(e.b)] {
			return false
		}
	}
	return true
}
