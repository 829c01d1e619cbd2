// Package architecture checks that the packages stay independent of each other.
package architecture

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sparkhttp/spark"

// libraries are what a package may stand on beside the standard library and the
// leaves. A package that isn't named stands on nothing else.
var libraries = map[string][]string{
	"breaker":   {"github.com/sony/gobreaker/v2"},
	"cache":     {"github.com/jellydator/ttlcache/v3", "golang.org/x/sync"},
	"metrics":   {"github.com/prometheus/"},
	"ratelimit": {"golang.org/x/time/rate"},
	"sanitize":  {"golang.org/x/text/"},
}

// leaf reports whether a package of the module may be imported by all others.
func leaf(name string) bool { return name == "problem" || name == "internal" }

// The imports are read from the source, not asked of the go command, so that
// the test is run again whenever a file changes.
func TestPackagesAreIndependent(t *testing.T) {
	root := filepath.Join("..", "..")
	packages := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(file, rel, d.Name())
		}
		name, _, inside := strings.Cut(filepath.ToSlash(rel), "/")
		if !inside || !strings.HasSuffix(file, ".go") {
			return nil
		}
		packages[name] = true
		test := strings.HasSuffix(file, "_test.go")
		for _, imported := range imports(t, file) {
			require.True(t, allowed(name, imported, test), "%s imports %s", rel, imported)
		}
		return nil
	})
	require.NoError(t, err)
	for _, name := range []string{"sanitize", "ratelimit", "auth", "breaker", "cache", "metrics", "errtrack", "headers", "health", "problem"} {
		require.Contains(t, packages, name)
	}
}

// skipDir leaves out hidden folders, test data and nested modules.
func skipDir(file, rel, name string) error {
	if rel == "." {
		return nil
	}
	_, err := os.Stat(filepath.Join(file, "go.mod"))
	if strings.HasPrefix(name, ".") || name == "testdata" || err == nil {
		return fs.SkipDir
	}
	return nil
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	require.NoError(t, err)
	var paths []string
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		paths = append(paths, p)
	}
	return paths
}

func allowed(name, imported string, test bool) bool {
	if rest, ours := strings.CutPrefix(imported, module+"/"); ours {
		first, _, _ := strings.Cut(rest, "/")
		return leaf(first) || first == name
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	if test {
		return strings.HasPrefix(imported, "github.com/stretchr/testify/") || mayUse(name, imported)
	}
	// A conformance kit is test code that users import.
	if strings.HasPrefix(imported, "github.com/stretchr/testify/") {
		return false
	}
	return mayUse(name, imported)
}

func mayUse(name, imported string) bool {
	return slices.ContainsFunc(libraries[name], func(lib string) bool {
		return imported == lib || strings.HasPrefix(imported, path.Clean(lib)+"/")
	})
}
