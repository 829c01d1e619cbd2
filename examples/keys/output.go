package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sparkhttp/spark/auth"
)

// entry is a key as it is written as JSON.
type entry struct {
	// Key is the key itself, if it was issued just now.
	Key    string `json:"key,omitempty"`
	Status string `json:"status"`
	auth.KeyInfo
}

// issued shows a key, this once.
func (c *command) issued(key auth.Key, info auth.KeyInfo) error {
	if c.json {
		return c.encode(entry{key.Reveal(), info.Status(time.Now()), info})
	}
	_, err := fmt.Fprintf(c.out, "%s\n\n", key.Reveal())
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c.errs, "Keep this key: it can't be shown again."); err != nil {
		return err
	}
	return c.show([]auth.KeyInfo{info})
}

// show writes keys without their secrets: as a table, or as one JSON value per
// line.
func (c *command) show(infos []auth.KeyInfo) error {
	now := time.Now()
	if c.json {
		for _, info := range infos {
			if err := c.encode(entry{Status: info.Status(now), KeyInfo: info}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tOWNER\tNAME\tPLAN\tSCOPES\tSTATUS\tCREATED\tEXPIRES\tLAST USED\tOLD KEY UNTIL") // Flush has the error
	for _, k := range infos {
		_, _ = fmt.Fprintln(w, strings.Join([]string{
			k.ID, k.Owner, dash(k.Name), dash(k.Plan), dash(strings.Join(k.Scopes, ",")), k.Status(now),
			date(k.Created), date(k.Expires), date(k.LastUsed), date(k.PreviousExpires),
		}, "\t"))
	}
	return w.Flush()
}

func (c *command) encode(v any) error { return json.NewEncoder(c.out).Encode(v) }

func dash(s string) string { return cmp.Or(s, "-") }

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}
