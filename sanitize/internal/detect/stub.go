package detect

import "strings"

const classifierWeight = 1

type kind struct{}

func (kind) String() string { return "" }

type view struct{ b []byte }
type viewOf struct {
	Bytes []byte
	Kind  kind
}

func (v *view) Fold(s string) {
	v.b = append(v.b[:0], strings.ToLower(s)...)
}
func (v *view) Len() int                         { return 1 }
func (v *view) View(int) viewOf                  { return viewOf{Bytes: v.b} }
func (v *view) Span(_, from, to int) (int, int) { return from, to }
func (s *scratch) logit() float64                { return 0 }
func foldLiteral(s string) string                { return strings.ToLower(s) }
