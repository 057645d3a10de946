package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Expected of an answer. Not Exact: some text and a finish, as of a model that says what it likes.
type Expected struct {
	Tokens []string
	Exact  bool
}

type failure struct {
	outcome string
	detail  string
}

func (f *failure) Error() string { return f.outcome + ": " + f.detail }

func fail(outcome, format string, values ...any) error {
	return &failure{outcome: outcome, detail: fmt.Sprintf(format, values...)}
}

type answer struct {
	Object      string `json:"object"`
	Fingerprint string `json:"system_fingerprint"`
	Choices     []struct {
		Index   int `json:"index"`
		Message *struct {
			Content string `json:"content"`
		} `json:"message"`
		Delta *struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Error json.RawMessage `json:"error"`
}

func shortened(text string) string {
	if len(text) > 300 {
		return text[:300] + "…"
	}
	return text
}

func (e Expected) checkEnd(text, finish string) error {
	if !e.Exact {
		if text == "" {
			return fail(malformed, "no text")
		}
		if finish != "stop" && finish != "length" {
			return fail(malformed, "finish_reason %q", finish)
		}
		return nil
	}
	if whole := strings.Join(e.Tokens, ""); text != whole {
		return fail(malformed, "expected %q, got %q", shortened(whole), shortened(text))
	}
	if finish != "stop" {
		return fail(malformed, "finish_reason %q", finish)
	}
	return nil
}

func checkPlain(body io.Reader, expected Expected, result *Result) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var parsed answer
	if err := json.Unmarshal(text, &parsed); err != nil {
		return fail(malformed, "%s: %s", err, shortened(string(text)))
	}
	if parsed.Error != nil {
		return fail(malformed, "an error in a 200: %s", shortened(string(text)))
	}
	result.Server = parsed.Fingerprint
	if parsed.Object != "chat.completion" || len(parsed.Choices) != 1 || parsed.Choices[0].Message == nil {
		return fail(malformed, "no chat completion with one choice: %s", shortened(string(text)))
	}
	choice := parsed.Choices[0]
	if choice.FinishReason == nil {
		return fail(malformed, "no finish_reason: %s", shortened(string(text)))
	}
	return expected.checkEnd(choice.Message.Content, *choice.FinishReason)
}

// An event stream read up to [DONE], as https://html.spec.whatwg.org/multipage/server-sent-events.html has it.
type streamCheck struct {
	expected Expected
	result   *Result
	whole    string
	text     strings.Builder
	finish   string
	done     bool
	last     time.Time
}

func checkStream(body io.Reader, expected Expected, result *Result) error {
	check := &streamCheck{expected: expected, result: result, whole: strings.Join(expected.Tokens, ""), last: result.At}
	lines := bufio.NewReader(body)
	var event string
	var data []string
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			if line != "" || data != nil {
				return fail(cut, "in the middle of an event")
			}
			return check.end()
		}
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != nil {
				if err := check.event(event, strings.Join(data, "\n")); err != nil {
					return err
				}
			}
			event, data = "", nil
		case field == "": // a comment
		case field == "event":
			event = value
		case field == "data":
			data = append(data, value)
		case field == "id" || field == "retry":
		default:
			return fail(malformed, "a line that is no field of an event: %q", shortened(line))
		}
	}
}

func (c *streamCheck) event(name, data string) error {
	if c.done {
		return fail(malformed, "an event after [DONE]: %s", shortened(data))
	}
	if data == "[DONE]" {
		c.done = true
		if c.finish == "" {
			return fail(malformed, "[DONE] without a finish_reason")
		}
		return nil
	}
	var chunk answer
	if err := json.NewDecoder(bytes.NewReader([]byte(data))).Decode(&chunk); err != nil {
		return fail(malformed, "%s: %s", err, shortened(data))
	}
	if name == "error" || chunk.Error != nil {
		return fail(strings.TrimSpace("event "+codeIn([]byte(data))), "%s", shortened(data))
	}
	if chunk.Object != "chat.completion.chunk" {
		return fail(malformed, "no chunk of a chat completion: %s", shortened(data))
	}
	if chunk.Fingerprint != "" {
		c.result.Server = chunk.Fingerprint
	}
	for _, choice := range chunk.Choices {
		if choice.Index != 0 || choice.Delta == nil {
			return fail(malformed, "no choice 0 with a delta: %s", shortened(data))
		}
		if err := c.take(choice.Delta.Content); err != nil {
			return err
		}
		if choice.FinishReason != nil {
			c.finish = *choice.FinishReason
		}
	}
	return nil
}

func (c *streamCheck) take(content string) error {
	if content == "" {
		return nil
	}
	if c.finish != "" {
		return fail(malformed, "text after the finish_reason: %q", shortened(content))
	}
	now := time.Now()
	if c.text.Len() == 0 {
		c.result.First = now.Sub(c.last)
	} else if gap := now.Sub(c.last); gap > c.result.Gap {
		c.result.Gap = gap
	}
	c.last = now
	c.text.WriteString(content)
	if c.expected.Exact && !strings.HasPrefix(c.whole, c.text.String()) {
		return fail(malformed, "after %d bytes in order: %q", c.text.Len()-len(content), shortened(content))
	}
	return nil
}

func (c *streamCheck) end() error {
	if !c.done {
		return fail(cut, "the stream ended without [DONE], after %q", shortened(c.text.String()))
	}
	return c.expected.checkEnd(c.text.String(), c.finish)
}
