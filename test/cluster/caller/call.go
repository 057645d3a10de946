package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

// Outcomes of a call. An answer that says what failed is "status 503 no_ready_endpoints" or "event upstream_cut".
const (
	ok        = "ok"
	cut       = "cut"       // the connection ended, or the stream did without [DONE]
	noConnect = "connect"   // no connection, or no address for the name
	timedOut  = "timeout"   // silence
	malformed = "malformed" // a 200 that is not the answer to this request
)

// Result is what came of one call.
type Result struct {
	Kind      string        `json:"kind"`
	Outcome   string        `json:"outcome"`
	Detail    string        `json:"detail,omitempty"`
	At        time.Time     `json:"at"`
	Backend   string        `json:"backend,omitempty"`
	Server    string        `json:"server,omitempty"`
	Attempts  string        `json:"attempts,omitempty"`
	RequestID string        `json:"requestId,omitempty"`
	Remote    string        `json:"remote,omitempty"`
	Latency   time.Duration `json:"-"`
	First     time.Duration `json:"-"` // until the first token of a stream
	Gap       time.Duration `json:"-"` // longest between two tokens of a stream
}

// Caller makes calls; its counters are of connections.
type Caller struct {
	options  Options
	simulate map[string]any
	client   *http.Client
	number   atomic.Int64
	prefix   string

	opened   atomic.Int64
	reused   atomic.Int64
	redialed atomic.Int64
}

// newTransport keeps connections as the official clients do, and asks for the name anew whenever it opens one.
//
// net/http sends a POST a second time in one case only: the server had closed a kept connection before a byte of the request was
// written to it. That is no retry of a call, since nobody has seen it; it is counted as redialed.
func newTransport(dns string) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if dns != "" {
		dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, dns)
		}}
	}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConnsPerHost: 100,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
}

func newCaller(options Options) (*Caller, error) {
	if options.URL == "" {
		return nil, errors.New("--url is missing")
	}
	if options.Expect != "exact" && options.Expect != "any" {
		return nil, fmt.Errorf("--expect is exact or any, not %q", options.Expect)
	}
	caller := &Caller{options: options, client: &http.Client{Transport: newTransport(options.DNS)}}
	caller.prefix = fmt.Sprintf("%x", time.Now().UnixNano()&0xffffff)
	if err := json.Unmarshal([]byte(options.Simulate), &caller.simulate); err != nil {
		return nil, fmt.Errorf("--simulate: %w", err)
	}
	return caller, nil
}

// expectedTokens are of this call alone, so that an answer to another one, a token lost, doubled or out of order all show.
func expectedTokens(name string, count int) []string {
	tokens := make([]string, count)
	for index := range tokens {
		tokens[index] = fmt.Sprintf("%s-%d ", name, index)
	}
	return tokens
}

func (c *Caller) body(tokens []string, stream bool, pace float64) []byte {
	simulate := map[string]any{}
	for key, value := range c.simulate {
		simulate[key] = value
	}
	if c.options.Expect == "exact" {
		simulate["text"] = tokens
		if stream {
			simulate["tokensPerSecond"] = pace
		} else {
			simulate["tokensPerSecond"] = 0
		}
	}
	body := map[string]any{
		"model":      c.options.Model,
		"messages":   []map[string]string{{"role": "user", "content": "Say what you like."}},
		"max_tokens": len(tokens),
		"stream":     stream,
	}
	if c.options.Expect == "exact" {
		body["simulate"] = simulate
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // all of it is plain data
	}
	return text
}

func (c *Caller) plain(count int) Result {
	return c.call("plain", count, 0, c.options.Timeout)
}

func (c *Caller) stream(count int, pace float64) Result {
	return c.call("stream", count, pace, c.options.Timeout+time.Duration(float64(count)/pace*float64(time.Second)))
}

func (c *Caller) call(kind string, count int, pace float64, timeout time.Duration) Result {
	result := Result{Kind: kind, At: time.Now()}
	tokens := expectedTokens(fmt.Sprintf("%s.%d", c.prefix, c.number.Add(1)), count)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	connections := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		connections++
		result.Remote = info.Conn.RemoteAddr().String()
		if info.Reused {
			c.reused.Add(1)
		} else {
			c.opened.Add(1)
		}
		if connections > 1 {
			c.redialed.Add(1)
		}
	}})
	url := strings.TrimRight(c.options.URL, "/") + "/chat/completions"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(c.body(tokens, kind == "stream", pace)))
	if err != nil {
		result.Outcome, result.Detail = malformed, err.Error()
		return result
	}
	request.Header.Set("content-type", "application/json")
	for name, value := range c.options.Headers {
		request.Header.Set(name, value)
	}
	c.exchange(request, tokens, &result)
	result.Latency = time.Since(result.At)
	return result
}

func (c *Caller) exchange(request *http.Request, tokens []string, result *Result) {
	response, err := c.client.Do(request)
	if err != nil {
		result.Outcome, result.Detail = outcomeOf(err), "before the headers: "+err.Error()
		return
	}
	defer response.Body.Close()
	result.Backend = response.Header.Get("x-modelroute-backend")
	result.Attempts = response.Header.Get("x-modelroute-attempts")
	result.RequestID = response.Header.Get("x-request-id")
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		result.Outcome = strings.TrimSpace(fmt.Sprintf("status %d %s", response.StatusCode, codeIn(text)))
		result.Detail = string(text)
		return
	}
	check := checkPlain
	wanted := "application/json"
	if result.Kind == "stream" {
		check, wanted = checkStream, "text/event-stream"
	}
	if got := response.Header.Get("content-type"); !strings.HasPrefix(got, wanted) {
		result.Outcome, result.Detail = malformed, fmt.Sprintf("content-type %q", got)
		return
	}
	expected := Expected{Tokens: tokens, Exact: c.options.Expect == "exact"}
	if err := check(response.Body, expected, result); err != nil {
		var failed *failure
		if errors.As(err, &failed) {
			result.Outcome, result.Detail = failed.outcome, failed.detail
		} else {
			result.Outcome, result.Detail = outcomeOf(err), "in the body: "+err.Error()
		}
		return
	}
	result.Outcome = ok
}

// outcomeOf an error of the transport, which is none of the server's own words.
func outcomeOf(err error) string {
	var operation *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &operation) && operation.Op == "dial":
		return noConnect
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return timedOut
	case strings.Contains(err.Error(), "malformed"):
		return malformed
	default:
		return cut
	}
}

// codeIn an error object as OpenAI words it; empty if it is none.
func codeIn(text []byte) string {
	var body struct {
		Error struct {
			Code any    `json:"code"`
			Type string `json:"type"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &body) != nil {
		return ""
	}
	if body.Error.Code != nil {
		return fmt.Sprint(body.Error.Code)
	}
	return body.Error.Type
}
