package shadow

// morseCode holds the letters at the place that their signs lead to: a dot to 2n, a dash to 2n+1.
const morseCode = "  etianmsurwdkgohvf l pjbxcyzq  54 3   2  +    16=/     7   8 90"

// A telegraph collects the letters of a message in Morse code.
type telegraph struct {
	out          []byte
	from, end    int // of the message in the view
	count        int // letters
	dots, dashes int
}

// morse decodes runs of dots and dashes.
func (t *Text) morse(v *view) {
	m := telegraph{out: t.out[:0]}
	finish := func() {
		if m.count >= 5 && m.dots > 1 && m.dashes > 1 && readable(m.out) {
			t.reveal(Morse, v, m.from, m.end, m.out)
		}
		m = telegraph{out: t.out[:0]}
	}
	b := v.buf
	for i := 0; i < len(b); {
		switch b[i] {
		case '.', '-', '_':
			next, ok := m.letter(v, i)
			if !ok {
				finish()
			}
			i = next
			continue
		case ' ', '/', '|', '\n':
		default:
			if m.count == 0 || isAlnum(b[i]) || b[i] >= 0x80 {
				finish()
			} else {
				m.out = append(m.out, b[i]) // a comma has a code, but not everybody uses it
			}
		}
		i++
	}
	t.out = m.out
	finish()
}

// letter reads the signs at i as a letter, and returns their end. It fails if they are none.
func (m *telegraph) letter(v *view, i int) (end int, ok bool) {
	b := v.buf
	at, start := 1, i
	for i < len(b) && (b[i] == '.' || b[i] == '-' || b[i] == '_') && i-start < 8 {
		at = at << 1 & 0x1FF
		if b[i] == '.' {
			m.dots++
		} else {
			at |= 1
			m.dashes++
		}
		i++
	}
	if at >= len(morseCode) || morseCode[at] == ' ' || i < len(b) && isAlnum(b[i]) {
		return i, false
	}
	if m.count == 0 {
		m.from = start
	} else if start-m.end > 1 || b[m.end] != ' ' || v.origin(start)-v.origin(m.end) > 2 {
		m.out = append(m.out, ' ')
	}
	m.out = append(m.out, morseCode[at])
	m.end = i
	m.count++
	return i, true
}
