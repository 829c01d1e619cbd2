package main

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRunbookFlags compares the table of flags with what -help says.
func TestRunbookFlags(t *testing.T) {
	var help bytes.Buffer
	_, err := parseConfig([]string{"-help"}, func(string) string { return "" }, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	defaults := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z0-9-]+)[^\n]*\n[ \t]+([^\n]*)`).FindAllStringSubmatch(help.String(), -1) {
		defaults[m[1]] = ""
		if d := regexp.MustCompile(`\(default "?([^"]*?)"?\)$`).FindStringSubmatch(m[2]); d != nil {
			defaults[m[1]] = d[1]
		}
	}
	require.Greater(t, len(defaults), 20)

	var inTable []string
	for _, m := range regexp.MustCompile("(?m)^\\| `-([a-z0-9-]+)` \\| `(\\w+)` \\| ([^|]*) \\|").FindAllStringSubmatch(runbook(t), -1) {
		name := m[1]
		require.NotContains(t, inTable, name)
		inTable = append(inTable, name)
		require.Contains(t, defaults, name, "the server has no such flag")
		require.Equal(t, "SPARK_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), m[2])
		if defaults[name] != "" {
			require.Equal(t, "`"+defaults[name]+"`", strings.TrimSpace(m[3]), "default of -%s", name)
		}
	}
	for name := range defaults {
		require.Contains(t, inTable, name, "the runbook leaves a flag out")
	}
}

// TestAlertsAreInRunbook follows the link of each alert: the section is there,
// names the alert, and says what it means and what to do.
func TestAlertsAreInRunbook(t *testing.T) {
	sections := map[string]string{}
	for _, text := range regexp.MustCompile(`(?m)^#{1,4} `).Split(runbook(t), -1)[1:] {
		title, body, _ := strings.Cut(text, "\n")
		sections[anchor(title)] = body
	}
	rules, err := os.ReadFile("monitoring/rules.yml")
	require.NoError(t, err)
	alerts := regexp.MustCompile(`(?m)^      - alert: `).Split(string(rules), -1)[1:]
	require.Greater(t, len(alerts), 15)
	for _, alert := range alerts {
		name, rule, _ := strings.Cut(alert, "\n")
		require.Regexp(t, `severity: (critical|warning|info)\b`, rule, name)
		require.Regexp(t, `(?m)^          summary: `, rule, name)
		link := regexp.MustCompile(`(?m)^          runbook_url: https://\S+/examples/generate/RUNBOOK\.md#(\S+)$`).FindStringSubmatch(rule)
		require.NotNil(t, link, "%s has no link", name)
		section := sections[link[1]]
		require.Contains(t, section, "`"+name+"`", "the section #%s", link[1])
		for _, part := range []string{"**Means.**", "**Look.**", "**First.**", "**Escalate.**"} {
			require.Contains(t, section, part, "the section #%s", link[1])
		}
	}
}

func runbook(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("RUNBOOK.md")
	require.NoError(t, err)
	return string(text)
}

// anchor returns what GitHub makes of the title of a section.
func anchor(title string) string {
	title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
	return strings.ReplaceAll(title, " ", "-")
}
