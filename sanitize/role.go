package sanitize

import "slices"

// roles says which texts are looked at less, or more, than a user's.
type roles struct{ exempt, strict []string }

// defaultStrict are the roles and part types under which tool results travel in
// the APIs of Anthropic and OpenAI. Nobody has a reason to give orders in them.
var defaultStrict = []string{
	"tool", "function", "tool_result", "function_call_output", "custom_tool_call_output",
	"computer_call_output", "mcp_tool_result", "web_search_tool_result", "web_fetch_tool_result",
}

// tell notes what the object s says of the text t inside it. The innermost role
// names it; to be exempt, every role around it must be, so that a part of a
// user's message can't call itself the system's.
func (r *roles) tell(t *passage, s scope) {
	if s.roles > 0 {
		role := string(s.role)
		if t.role == "" {
			t.role = r.known(role)
		}
		t.roles++
		// Which of two roles counts is up to whoever reads them next.
		t.exempt = t.exempt && s.roles == 1 && slices.Contains(r.exempt, role)
		t.strict = t.strict || slices.Contains(r.strict, role)
	}
	if typ := string(s.typ); slices.Contains(r.strict, typ) {
		t.strict = true
		if t.role == "" {
			t.role = typ
		}
	}
}

// known returns role if it is one that has a name here, else "other": what a
// client writes is not repeated in logs and documents.
func (r *roles) known(role string) string {
	switch role {
	case "user", "assistant", "system", "developer", "model":
		return role
	}
	if slices.Contains(r.strict, role) || slices.Contains(r.exempt, role) {
		return role
	}
	return "other"
}
