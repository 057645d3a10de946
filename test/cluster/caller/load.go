package main

import (
	"fmt"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Plan of a load: an even flow of plain requests, and so many streams at a time.
type Plan struct {
	PlainPerSecond float64
	PlainTokens    int
	Streams        int
	StreamTokens   int
	Pace           float64
}

const mostFailures = 20

// Report of a load. Times in milliseconds.
type Report struct {
	OK           int            `json:"ok"`
	Failed       int            `json:"failed"`
	Seconds      float64        `json:"seconds"`
	Plain        map[string]int `json:"plain"`
	Streams      map[string]int `json:"streams"`
	Backends     map[string]int `json:"backends"`
	Servers      map[string]int `json:"servers"`
	Connections  Connections    `json:"connections"`
	PlainLatency Spread         `json:"plainLatencyMs"`
	FirstToken   Spread         `json:"firstTokenMs"`
	TokenGap     Spread         `json:"tokenGapMs"`
	FirstFailure *time.Time     `json:"firstFailureAt,omitempty"`
	LastFailure  *time.Time     `json:"lastFailureAt,omitempty"`
	Failures     []Result       `json:"failures"`
}

// Connections opened, used again, and replaced because the server had closed them before a byte was written.
type Connections struct {
	Opened   int64 `json:"opened"`
	Reused   int64 `json:"reused"`
	Redialed int64 `json:"redialed"`
}

// Spread of times in milliseconds, of answers that were whole.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type tally struct {
	mutex       sync.Mutex
	report      Report
	latency     []float64
	lastOutcome string
	first       []float64
	gap         []float64
}

func milliseconds(duration time.Duration) float64 { return float64(duration.Microseconds()) / 1000 }

func (t *tally) add(result Result) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	outcomes := t.report.Plain
	if result.Kind == "stream" {
		outcomes = t.report.Streams
	}
	outcomes[result.Outcome]++
	if result.Backend != "" {
		t.report.Backends[result.Backend]++
	}
	if result.Server != "" {
		t.report.Servers[result.Server]++
	}
	if result.Outcome != ok {
		t.fail(result)
		return
	}
	t.report.OK++
	if result.Kind == "stream" {
		t.first, t.gap = append(t.first, milliseconds(result.First)), append(t.gap, milliseconds(result.Gap))
	} else {
		t.latency = append(t.latency, milliseconds(result.Latency))
	}
}

func (t *tally) fail(result Result) {
	now := time.Now()
	t.report.Failed++
	t.lastOutcome = result.Outcome
	if t.report.FirstFailure == nil {
		t.report.FirstFailure = &now
	}
	t.report.LastFailure = &now
	if len(t.report.Failures) < mostFailures {
		result.Detail = shortened(result.Detail)
		t.report.Failures = append(t.report.Failures, result)
	}
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := append([]float64(nil), values...)
	sort.Float64s(sorted)
	at := func(part float64) float64 { return sorted[int(part*float64(len(sorted)-1))] }
	return Spread{P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func (t *tally) line(seconds float64, running int64) string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	last := ""
	if t.lastOutcome != "" {
		last = ", the last: " + t.lastOutcome
	}
	return fmt.Sprintf("%4.0f s: %d ok, %d failed, %d running%s", seconds, t.report.OK, t.report.Failed, running, last)
}

// runLoad until it is told to stop or the duration (0: none) is over; then what runs is let run to its end.
func runLoad(caller *Caller, plan Plan, duration time.Duration, stop <-chan os.Signal) Report {
	counts := &tally{report: Report{
		Plain: map[string]int{}, Streams: map[string]int{}, Backends: map[string]int{}, Servers: map[string]int{}, Failures: []Result{},
	}}
	start := time.Now()
	ending := make(chan struct{})
	var running atomic.Int64
	var group sync.WaitGroup
	one := func(call func() Result) {
		running.Add(1)
		counts.add(call())
		running.Add(-1)
	}
	for range plan.Streams {
		group.Go(func() {
			for !isClosed(ending) {
				// The same load whether a server is faster than asked for, or refuses at once.
				next := time.Now().Add(time.Duration(float64(plan.StreamTokens) / plan.Pace * float64(time.Second)))
				one(func() Result { return caller.stream(plan.StreamTokens, plan.Pace) })
				pause(ending, time.Until(next))
			}
		})
	}
	if plan.PlainPerSecond > 0 {
		group.Go(func() {
			tick := time.NewTicker(time.Duration(float64(time.Second) / plan.PlainPerSecond))
			defer tick.Stop()
			for {
				select {
				case <-ending:
					return
				case <-tick.C:
					group.Go(func() { one(func() Result { return caller.plain(plan.PlainTokens) }) })
				}
			}
		})
	}
	waitForEnd(duration, stop, func() { fmt.Fprintln(os.Stderr, counts.line(time.Since(start).Seconds(), running.Load())) })
	close(ending)
	group.Wait()

	report := counts.report
	report.Seconds = time.Since(start).Seconds()
	report.PlainLatency, report.FirstToken, report.TokenGap = spread(counts.latency), spread(counts.first), spread(counts.gap)
	report.Connections = Connections{Opened: caller.opened.Load(), Reused: caller.reused.Load(), Redialed: caller.redialed.Load()}
	return report
}

func isClosed(ending <-chan struct{}) bool {
	select {
	case <-ending:
		return true
	default:
		return false
	}
}

func pause(ending <-chan struct{}, duration time.Duration) {
	select {
	case <-ending:
	case <-time.After(duration):
	}
}

func waitForEnd(duration time.Duration, stop <-chan os.Signal, everySecond func()) {
	var over <-chan time.Time
	if duration > 0 {
		over = time.After(duration)
	}
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	for {
		select {
		case <-stop:
			return
		case <-over:
			return
		case <-seconds.C:
			everySecond()
		}
	}
}
