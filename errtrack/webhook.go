package errtrack

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// WebhookConfig says where reports go.
type WebhookConfig struct {
	// URL receives each report as JSON by POST. Required.
	URL string
	// Secret signs what is sent, so that the receiver knows who did: the header
	// X-Spark-Signature is "t=<unix seconds>,v1=<hex>", where hex is the
	// HMAC-SHA-256, by the secret, of the seconds, a dot and the body. Required,
	// at least 16 bytes.
	Secret []byte
	// MinSeverity leaves out what is less severe. 0 means all.
	MinSeverity Severity
	// Client sends. Redirects are not followed: a report is for who is named in
	// URL. Nil means [http.DefaultClient].
	Client *http.Client
}

const minSecret = 16

// Webhook is a [Reporter] that posts reports to a URL.
type Webhook struct{ cfg WebhookConfig }

// NewWebhook returns a Webhook for cfg.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("errtrack: WebhookConfig.URL is no http or https URL")
	}
	if len(cfg.Secret) < minSecret {
		return nil, fmt.Errorf("errtrack: WebhookConfig.Secret has %d bytes, want at least %d", len(cfg.Secret), minSecret)
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	client := *cfg.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.Client, cfg.Secret = &client, bytes.Clone(cfg.Secret)
	return &Webhook{cfg}, nil
}

// Report implements [Reporter]. A status of 300 to 499, except 408, 425 and 429,
// is an answer that does not change.
func (h *Webhook) Report(ctx context.Context, r Report) error {
	if r.Sample.Severity < h.cfg.MinSeverity {
		return nil
	}
	body, err := json.Marshal(r)
	if err != nil {
		return Permanent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Spark-Signature", sign(h.cfg.Secret, time.Now(), body))
	resp, err := h.cfg.Client.Do(req)
	if err != nil {
		return fmt.Errorf("errtrack: webhook could not be reached: %w", withoutURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	err = fmt.Errorf("errtrack: webhook answered with status %d", resp.StatusCode)
	switch status := resp.StatusCode; {
	case status < 300:
		return nil
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		return err
	default:
		return Permanent(err)
	}
}

// withoutURL drops the URL, which can hold a secret, from an error of a client.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func sign(secret []byte, now time.Time, body []byte) string {
	seconds := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Verify reports whether signature, the header of a [Webhook]'s request, is that
// of body by secret and no older than maxAge; 0 means 5 minutes. It is for the
// receiver, who must not parse the body before. A secret of less than 16 bytes,
// which is a mistake, verifies nothing.
func Verify(secret []byte, signature string, body []byte, maxAge time.Duration) bool {
	if maxAge == 0 {
		maxAge = 5 * time.Minute
	}
	seconds, _, ok := bytes.Cut(bytes.TrimPrefix([]byte(signature), []byte("t=")), []byte(","))
	if !ok {
		return false
	}
	unix, err := strconv.ParseInt(string(seconds), 10, 64)
	if err != nil {
		return false
	}
	at := time.Unix(unix, 0)
	return time.Since(at).Abs() <= maxAge && len(secret) >= minSecret &&
		hmac.Equal([]byte(signature), []byte(sign(secret, at, body)))
}
