// Caller is a client that shares no code with the product: it puts a steady load of chat completions on a URL, checks every answer
// whole, and counts what came of each. It never asks twice: a call that failed stays a failed call.
//
//	caller load  --url http://models.team-a/v1 ...   until SIGTERM or --duration; a line a second on stderr, the report on stdout
//	caller until --url http://models.team-a/v1 ...   asks until an answer is whole, and says when that was
//	caller fetch URL [--body TEXT]                    one exchange, whatever its status
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type headers map[string]string

func (h headers) String() string { return "" }
func (h headers) Set(text string) error {
	name, value, found := strings.Cut(text, ":")
	if !found {
		return fmt.Errorf("expected NAME: VALUE, got %q", text)
	}
	h[strings.TrimSpace(name)] = strings.TrimSpace(value)
	return nil
}

// Options of one kind of call, as the flags give them.
type Options struct {
	URL      string
	Model    string
	Headers  headers
	DNS      string
	Simulate string
	Expect   string
	Timeout  time.Duration
}

func commonFlags(flags *flag.FlagSet) *Options {
	options := &Options{Headers: headers{}}
	flags.StringVar(&options.URL, "url", "", "base URL, with /v1")
	flags.StringVar(&options.Model, "model", "chat", "model to ask for")
	flags.Var(options.Headers, "header", "header of each request, NAME: VALUE; may be given several times")
	flags.StringVar(&options.DNS, "dns", "", "HOST:PORT of the name server (default: the system's)")
	flags.StringVar(&options.Simulate, "simulate", `{"do":"answer"}`, "what simulators are told to do with each request, as JSON")
	flags.StringVar(&options.Expect, "expect", "exact", "exact: the tokens that the request asked a simulator for; any: some text and a finish")
	flags.DurationVar(&options.Timeout, "timeout", 30*time.Second, "longest wait for a plain answer, and for a streamed one beyond its own pace")
	return options
}

func usage(err error) {
	fmt.Fprintln(os.Stderr, "caller:", err)
	os.Exit(2)
}

func printJSON(value any) {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		panic(err) // all of it is plain data
	}
}

func load(arguments []string) {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	options := commonFlags(flags)
	plan := Plan{}
	flags.Float64Var(&plan.PlainPerSecond, "plain", 20, "plain requests per second, sent whether or not earlier ones are answered")
	flags.IntVar(&plan.PlainTokens, "plain-tokens", 8, "length of a plain answer")
	flags.IntVar(&plan.Streams, "streams", 10, "streams at a time, each followed by another")
	flags.IntVar(&plan.StreamTokens, "stream-tokens", 40, "length of a streamed answer")
	flags.Float64Var(&plan.Pace, "pace", 20, "tokens per second of a streamed answer")
	duration := flags.Duration("duration", 0, "how long (default: until SIGTERM)")
	untilEOF := flags.Bool("until-eof", false, "end at once when standard input ends: whoever started this has gone")
	_ = flags.Parse(arguments)
	caller, err := newCaller(*options)
	if err != nil {
		usage(err)
	}
	if *untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	report := runLoad(caller, plan, *duration, stop)
	printJSON(report)
	if report.Failed > 0 || report.OK == 0 {
		os.Exit(1)
	}
}

func until(arguments []string) {
	flags := flag.NewFlagSet("until", flag.ExitOnError)
	options := commonFlags(flags)
	within := flags.Duration("within", time.Minute, "give up after")
	_ = flags.Parse(arguments)
	caller, err := newCaller(*options)
	if err != nil {
		usage(err)
	}
	start := time.Now()
	for attempts := 1; ; attempts++ {
		result := caller.plain(1)
		if result.Outcome == ok {
			printJSON(map[string]any{"atMs": time.Now().UnixMilli(), "attempts": attempts, "backend": result.Backend})
			return
		}
		if time.Since(start) > *within {
			fmt.Fprintf(os.Stderr, "caller: no whole answer in %s; the last: %s: %s\n", *within, result.Outcome, result.Detail)
			os.Exit(1)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func fetch(arguments []string) {
	flags := flag.NewFlagSet("fetch", flag.ExitOnError)
	options := commonFlags(flags)
	method := flags.String("method", "", "default: POST with a body, else GET")
	body := flags.String("body", "", "JSON to send")
	_ = flags.Parse(arguments)
	if *method == "" {
		*method = http.MethodGet
		if *body != "" {
			*method = http.MethodPost
		}
	}
	client := &http.Client{Transport: newTransport(options.DNS), Timeout: options.Timeout}
	request, err := http.NewRequest(*method, options.URL, strings.NewReader(*body))
	if err != nil {
		usage(err)
	}
	request.Header.Set("content-type", "application/json")
	for name, value := range options.Headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, "caller:", err)
		os.Exit(1)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		fmt.Fprintln(os.Stderr, "caller:", err)
		os.Exit(1)
	}
	printJSON(map[string]any{"status": response.StatusCode, "headers": response.Header, "body": string(text)})
}

func main() {
	commands := map[string]func([]string){"load": load, "until": until, "fetch": fetch}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		usage(fmt.Errorf("expected a command: load, until or fetch; each has --help"))
	}
	commands[os.Args[1]](os.Args[2:])
}
