package shadow

// inspect looks for texts hidden in v.
func (t *Text) inspect(v *view) {}

// conceal reveals a text that was spelled by invisible characters: raw bytes from to to of v.
func (t *Text) conceal(v *view, kind Kind, from, to int, text []byte) {
	start, end := v.start, v.end
	if v.traced {
		start, end = from, to
	}
	t.add(kind, v.depth+1, start, end, text)
}
