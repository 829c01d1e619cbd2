package cache_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
)

func TestNewKeyRefuses(t *testing.T) {
	_, err := cache.NewKey(cache.Scope{}, cache.Call{})
	require.ErrorIs(t, err, cache.ErrNoScope)
	_, err = cache.NewKey(cache.Tenant(""), cache.Call{})
	require.ErrorIs(t, err, cache.ErrNoScope)

	for name, params := range map[string]string{
		"no value": `{"a":}`, "nothing but space": "  ", "tail": `{} {}`, "comma": `[1,]`, "comma in object": `{"a":1,}`, "no comma": `[1 2]`,
		"no colon": `{"a" 1}`, "no name": `{1:2}`, "no end": `{"a":1`, "no end of text": `"a`, "no end of escape": `"\`, "word": `nul`,
		"control": "\"\x01\"", "escape": `"\x"`, "no UTF-8": "\"\xff\"", "half a pair": `"\ud800"`, "half a pair and text": `"\ud800x"`,
		"two first halves": `"\ud800\ud800"`, "second half": `"\udc00"`, "short escape": `"\u12"`, "bad escape": `"\u12g4"`,
		"zero first": `01`, "no digit": `-`, "no fraction": `1.`, "no exponent": `1e`, "no exponent after sign": `1e+`, "exponent": `1e99999999999999`, "plus": `+1`,
		"twice": `{"a":1,"b":2,"a":1}`, "twice by escape": `{"a":1,"\u0061":1}`, "twice inside": `[{"a":{"b":1,"b":1}}]`,
		"too deep": strings.Repeat("[", 201) + strings.Repeat("]", 201),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cache.NewKey(cache.Public(), cache.Call{Params: []byte(params)})
			require.ErrorIs(t, err, cache.ErrParams)
			require.ErrorContains(t, err, "cache: ")
		})
	}
}

// same are texts of one meaning, one set per line; texts of different lines
// mean different things.
var same = [][]string{
	{``},
	{`null`, ` null `},
	{`0`, `-0`, `0.0`, `0e5`, `-0.00e-7`},
	{`1`, `1.0`, `1e0`, `10e-1`, `0.1e1`, `1E+0`},
	{`-1`, `-1.0`},
	{`100`, `1e2`, `1E2`, `100.00`, `0.01e4`},
	{`0.7`, `7e-1`, `0.70`},
	{`12345678901234567890`, `12345678901234567890.0`},
	{`12345678901234567891`},
	{`1e400`},
	{`1e401`},
	{`"1"`},
	{`[1]`},
	{`[[1]]`},
	{`true`},
	{`false`},
	{`""`},
	{`"A\/\n\u00e9"`, "\"\\u0041/\\u000aé\""},
	{`"e\u0301"`},
	{`"\ud83d\ude00"`, `"😀"`},
	{`"\u0000"`},
	{`"\\u0000"`},
	{`{}`, "{\t}"},
	{`[]`, `[ ]`},
	{`{"a":1,"b":[1,2]}`, `{ "b": [1, 2.0], "a": 1e0 }`, "{\"\\u0062\":[1,2],\n\"a\":1}"},
	{`{"a":1,"b":[2,1]}`},
	{`{"a":{"b":1}}`},
	{`{"a":[{"b":1}]}`},
	{`{"a.b":1}`},
	{`{"a":1}`},
	{`{"a":null}`},
	{`{"a":"1,\"b\":2"}`},
	{`{"a":"1","b":"2"}`, `{"b":"2","a":"1"}`},
	{`["a","b"]`},
	{`["a,b"]`},
	{`["a\",\"b"]`},
	{`{"b":{"d":1,"c":2},"a":{"f":{"h":1,"g":2},"e":0}}`, `{"a":{"e":0,"f":{"g":2,"h":1}},"b":{"c":2,"d":1}}`},
}

func TestSameMeaningIsSameKey(t *testing.T) {
	seen := map[string]string{}
	for _, texts := range same {
		first := key(t, "a", texts[0]).String()
		require.NotContains(t, seen, first, "%s and %s", texts[0], seen[first])
		seen[first] = texts[0]
		for _, text := range texts[1:] {
			require.Equal(t, first, key(t, "a", text).String(), "%s and %s", texts[0], text)
		}
	}
}

// What is not plain text in a string is found wherever it stands.
func TestStringsOfAnyLength(t *testing.T) {
	things := []string{`\\]`, `\"#`, `\n!`, `\u00e9`, "é", "€", "😀", "\xc3", "\xe2\x82", "é\xff", "\xed\xa0\x80"}
	for b := range 256 {
		things = append(things, string([]byte{byte(b)}))
	}
	keys := map[string]string{}
	for _, thing := range things {
		for before := range 18 {
			for _, after := range []string{"", "a", "#]! ", "12345678é", "a long one after it"} {
				text := []byte(`"` + strings.Repeat("a", before) + thing + after + `"`)
				k, err := cache.NewKey(cache.Public(), cache.Call{Params: text})
				if !json.Valid(text) || !utf8.Valid(text) {
					require.Error(t, err, "%q", text)
					continue
				}
				require.NoError(t, err, "%q", text)
				var s string
				require.NoError(t, json.Unmarshal(text, &s))
				other, same := keys[k.String()]
				require.True(t, !same || other == s, "%q and %q", s, other)
				keys[k.String()] = s
				var escaped strings.Builder
				for _, unit := range utf16.Encode([]rune(s)) {
					fmt.Fprintf(&escaped, `\u%04x`, unit)
				}
				again, err := cache.NewKey(cache.Public(), cache.Call{Params: []byte(`"` + escaped.String() + `"`)})
				require.NoError(t, err)
				require.Equal(t, k.String(), again.String(), "%q", text)
			}
		}
	}
}

func TestEveryPartOfACallCounts(t *testing.T) {
	base := cache.Call{Method: "POST", Route: "/a", Provider: "p", Model: "m", Params: []byte(`{}`), Extra: []string{"x", "y"}}
	changed := func(f func(*cache.Call)) cache.Call {
		c := base
		f(&c)
		return c
	}
	calls := []cache.Call{
		base,
		changed(func(c *cache.Call) { c.Method = "PUT" }),
		changed(func(c *cache.Call) { c.Method, c.Route = "POST/", "a" }),
		changed(func(c *cache.Call) { c.Route, c.Provider = "/ap", "" }),
		changed(func(c *cache.Call) { c.Provider, c.Model = "pm", "" }),
		changed(func(c *cache.Call) { c.Provider, c.Model = "", "pm" }),
		changed(func(c *cache.Call) { c.Model = "n" }),
		changed(func(c *cache.Call) { c.Params = []byte(`{"unknown":1}`) }),
		changed(func(c *cache.Call) { c.Extra = []string{"xy"} }),
		changed(func(c *cache.Call) { c.Extra = []string{"x", "y", ""} }),
		changed(func(c *cache.Call) { c.Extra = []string{"y", "x"} }),
	}
	keys := map[string]bool{}
	for _, scope := range []cache.Scope{cache.Public(), cache.Tenant("public"), cache.Tenant("a"), cache.Tenant("a\x00")} {
		for _, call := range calls {
			k, err := cache.NewKey(scope, call)
			require.NoError(t, err)
			require.False(t, keys[k.String()], "%+v", call)
			keys[k.String()] = true
			require.Equal(t, scope, k.Scope())
			require.Regexp(t, `^[\w-]{22}\.[\w-]{11}\.[\w-]{43}$`, k.String())
		}
	}
}

// A key says the same of its scope and model whatever key was made before it.
func TestKeysDoNotDependOnTheOneBefore(t *testing.T) {
	scopes := []cache.Scope{cache.Tenant("a"), cache.Tenant("public"), cache.Public()}
	models := []string{"m", "", "n"}
	scopeParts, modelParts := map[string]cache.Scope{}, map[string]string{}
	for i := range 100 {
		scope, model := scopes[i*i%7%3], models[i%3]
		k, err := cache.NewKey(scope, cache.Call{Model: model})
		require.NoError(t, err)
		parts := strings.Split(k.String(), ".")
		if known, ok := scopeParts[parts[0]]; ok {
			require.Equal(t, scope, known)
		}
		if known, ok := modelParts[parts[1]]; ok {
			require.Equal(t, model, known)
		}
		scopeParts[parts[0]], modelParts[parts[1]] = scope, model
	}
	require.Len(t, scopeParts, 3)
	require.Len(t, modelParts, 3)
}

func TestScope(t *testing.T) {
	require.True(t, cache.Scope{}.IsZero())
	require.True(t, cache.Tenant("").IsZero())
	require.False(t, cache.Public().IsZero())
	require.Equal(t, "public", cache.Public().String())
	require.Equal(t, "t", cache.Tenant("t").String())
	require.NotEqual(t, cache.Public(), cache.Tenant("public"))
	require.Empty(t, cache.Key{}.String())
	require.True(t, cache.Key{}.Scope().IsZero())
}

// meaning writes down what a JSON text means, as encoding/json and math/big
// understand it: an oracle that shares no code with the package.
func meaning(text []byte) (string, bool) {
	if len(text) == 0 {
		return "nothing", true
	}
	if !json.Valid(text) || !utf8.Valid(text) || bytes.Contains(text, []byte(`\u`)) && bytes.ContainsAny(text, "dD") {
		return "", false // surrogates are for the tables
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return describe(d)
}

func describe(d *json.Decoder) (string, bool) {
	token, err := d.Token()
	if err != nil {
		return "", false
	}
	switch token {
	case json.Delim('['):
		var parts []string
		for d.More() {
			part, ok := describe(d)
			if !ok {
				return "", false
			}
			parts = append(parts, part)
		}
		_, _ = d.Token()
		return fmt.Sprintf("array%q", parts), true
	case json.Delim('{'):
		members := map[string]string{}
		for d.More() {
			name, _ := d.Token()
			value, ok := describe(d)
			if _, twice := members[fmt.Sprint(name)]; twice || !ok {
				return "", false
			}
			members[fmt.Sprint(name)] = value
		}
		_, _ = d.Token()
		var parts []string
		for name, value := range members {
			parts = append(parts, fmt.Sprintf("%q is %q", name, value))
		}
		slices.Sort(parts)
		return fmt.Sprintf("object%q", parts), true
	}
	if n, ok := token.(json.Number); ok {
		if i := strings.IndexAny(n.String(), "eE"); i >= 0 && len(n)-i > 4 {
			return "", false // big.Rat would take for ever
		}
		r, ok := new(big.Rat).SetString(n.String())
		return "number " + r.String(), ok
	}
	return fmt.Sprintf("%T %q", token, fmt.Sprint(token)), true
}

// Two calls have one key exactly if they mean the same in the same scope.
func FuzzKeysDifferAsMeaningsDo(f *testing.F) {
	for i, texts := range same {
		f.Add("a", texts[0], "a", texts[len(texts)-1])
		f.Add("a", texts[0], "b", texts[0])
		f.Add("a", texts[0], "a", same[(i+1)%len(same)][0])
	}
	f.Fuzz(func(t *testing.T, tenant1, params1, tenant2, params2 string) {
		mean1, ok1 := meaning([]byte(params1))
		mean2, ok2 := meaning([]byte(params2))
		if !ok1 || !ok2 || tenant1 == "" || tenant2 == "" {
			return
		}
		k1, err := cache.NewKey(cache.Tenant(tenant1), cache.Call{Params: []byte(params1)})
		if err != nil {
			require.Contains(t, err.Error(), "nested too deep")
			return
		}
		k2, err := cache.NewKey(cache.Tenant(tenant2), cache.Call{Params: []byte(params2)})
		if err != nil {
			require.Contains(t, err.Error(), "nested too deep")
			return
		}
		require.Equal(t, tenant1 == tenant2 && mean1 == mean2, k1.String() == k2.String(), "%s / %s", mean1, mean2)
	})
}

// What is not JSON has no key, and the same text written in another way has
// the same one.
func FuzzRewrittenParamsHaveTheSameKey(f *testing.F) {
	for i, texts := range same {
		for _, text := range texts {
			f.Add(text, uint64(i))
		}
	}
	f.Add(`{"a":1,"a":2}`, uint64(1))
	f.Add(`{"a":"\ud800"}`, uint64(1))
	f.Fuzz(func(t *testing.T, params string, seed uint64) {
		k, err := cache.NewKey(cache.Public(), cache.Call{Params: []byte(params)})
		if err != nil {
			return
		}
		if params == "" {
			return
		}
		require.True(t, json.Valid([]byte(params)), "a key for what is no JSON: %q", params)
		require.True(t, utf8.ValidString(params))
		d := json.NewDecoder(strings.NewReader(params))
		d.UseNumber()
		var v any
		require.NoError(t, d.Decode(&v))
		var b strings.Builder
		rewrite(&b, rand.New(rand.NewPCG(seed, 1)), v)
		again, err := cache.NewKey(cache.Public(), cache.Call{Params: []byte(b.String())})
		require.NoError(t, err, b.String())
		require.Equal(t, k.String(), again.String(), "%s\n%s", params, b.String())
	})
}

// rewrite writes v with members in any order, white space, escapes.
func rewrite(b *strings.Builder, rnd *rand.Rand, v any) {
	space := func() { b.WriteString([]string{"", " ", "\n\t", "\r"}[rnd.IntN(4)]) }
	space()
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		b.WriteByte('{')
		for i, name := range names {
			if i > 0 {
				b.WriteByte(',')
			}
			rewrite(b, rnd, name)
			b.WriteByte(':')
			rewrite(b, rnd, v[name])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			rewrite(b, rnd, e)
		}
		b.WriteByte(']')
	case string:
		b.WriteByte('"')
		for _, r := range v {
			if r < ' ' || r == '"' || r == '\\' || r < 0x10000 && rnd.IntN(3) == 0 {
				fmt.Fprintf(b, `\u%04X`, r)
			} else {
				b.WriteRune(r)
			}
		}
		b.WriteByte('"')
	case json.Number:
		b.WriteString(v.String())
		if !strings.ContainsAny(v.String(), ".eE") && rnd.IntN(2) == 0 {
			b.WriteString([]string{".0", "e0", ".000E-0"}[rnd.IntN(3)])
		}
	default:
		text, _ := json.Marshal(v)
		b.Write(text)
	}
	space()
}
