package detect

// Work scans text and returns the steps that the matcher took and the bytes of
// the views that it read.
func (e *Engine) Work(text string) (steps, bytes int) {
	s := newScratch(e)
	s.text.Fold(text)
	for i := range s.text.Len() {
		v := s.text.View(i)
		bytes += len(v.Bytes)
		s.m.scan(v.Bytes)
	}
	return s.m.work, bytes
}

// Matches scans a view as it is and returns the ids of the rules found.
func (e *Engine) Matches(view string) []string {
	m := newMatcher(e.prog, len(e.rules))
	m.scan([]byte(view))
	var ids []string
	for _, h := range m.hits {
		ids = append(ids, e.rules[h.rule].ID)
	}
	return ids
}

// Restart makes the word numbers of the next scan run into the limit at which
// they begin again.
func (e *Engine) Restart(view string, from uint32) []string {
	m := newMatcher(e.prog, len(e.rules))
	m.scan([]byte(view))
	m.word = from
	m.scan([]byte(view))
	var ids []string
	for _, h := range m.hits {
		ids = append(ids, e.rules[h.rule].ID)
	}
	return ids
}
