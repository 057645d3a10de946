/** OpenTelemetry metrics, read by Prometheus from the admin port. Labels are names from the config, so their number is bounded. */
import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Meter} from '@opentelemetry/api';
import {PrometheusExporter} from '@opentelemetry/exporter-prometheus';
import {AggregationType, MeterProvider} from '@opentelemetry/sdk-metrics';
import {createTallies} from './tallies.ts';

export type RequestObservation = {
  route: string;
  api: string;
  status: number;
  /** '' for none. */
  errorCode: string;
  seconds: number;
  attempts: number;
  backend: string;
  firstTokenSeconds: number | undefined;
  tokens: {promptTokens: number; completionTokens: number; estimated: boolean} | undefined;
  malformedEvents: number;
};

export type BackendGauge = {
  route: string;
  backend: string;
  inFlight: number;
  breaker: 'Closed' | 'HalfOpen' | 'Open';
  endpoints: number;
};

export type GaugeSources = {
  requestsInFlight: () => number;
  bufferedBytes: () => number;
  backends: () => readonly BackendGauge[];
};

export type Metrics = {
  observe(request: RequestObservation): void;
  /** Bytes that were no request. */
  refused(errorCode: string): void;
  configRejected(): void;
  /** Writes all of it, in Prometheus' text format. */
  serve(request: IncomingMessage, response: ServerResponse): void;
};

const secondsBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const breakerStates = {Closed: 0, HalfOpen: 1, Open: 2};

function createGauges(meter: Meter, sources: GaugeSources): void {
  meter
    .createObservableGauge('modelroute.requests.in_flight', {description: 'Requests that run now.'})
    .addCallback((result) => result.observe(sources.requestsInFlight()));
  meter
    .createObservableGauge('modelroute.buffered.bytes', {
      unit: 'By',
      description: 'Bodies and unfinished answers in memory.',
    })
    .addCallback((result) => result.observe(sources.bufferedBytes()));
  const inFlight = meter.createObservableGauge('modelroute.backend.in_flight', {description: 'Attempts that run now.'});
  const breaker = meter.createObservableGauge('modelroute.backend.breaker_state', {
    description: '0 closed, 1 half-open, 2 open.',
  });
  const endpoints = meter.createObservableGauge('modelroute.backend.endpoints', {
    description: 'Endpoints known, those of last resort not counted.',
  });
  meter.addBatchObservableCallback(
    (result) => {
      for (const {route, backend, ...gauge} of sources.backends()) {
        const labels = {route, backend};
        result.observe(inFlight, gauge.inFlight, labels);
        result.observe(breaker, breakerStates[gauge.breaker], labels);
        result.observe(endpoints, gauge.endpoints, labels);
      }
    },
    [inFlight, breaker, endpoints],
  );
}

export function createMetrics(sources: GaugeSources): Metrics {
  const exporter = new PrometheusExporter({preventServerStart: true, withoutScopeInfo: true, withoutTargetInfo: true});
  const aggregation = {type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: {boundaries: secondsBuckets}} as const;
  const provider = new MeterProvider({readers: [exporter], views: [{instrumentUnit: 's', aggregation}]});
  const meter = provider.getMeter('modelroute');

  const tallyOf = createTallies(meter);
  const duration = meter.createHistogram('modelroute.request.duration.seconds', {
    unit: 's',
    description: 'From the arrival of a request to the end of its answer.',
  });
  const firstToken = meter.createHistogram('modelroute.time_to_first_token.seconds', {
    unit: 's',
    description: 'From the arrival of a request to the first content of its streamed answer.',
  });
  const rejected = meter.createCounter('modelroute.config.rejected', {
    description: 'Configs that were refused; the one before stayed in use.',
  });
  rejected.add(0);
  createGauges(meter, sources);

  return {
    observe(request) {
      const {route, api, status, errorCode, backend, tokens, firstTokenSeconds} = request;
      const tally = tallyOf({route, api, status, errorCode, backend, estimated: tokens?.estimated ?? false});
      tally.requests += 1;
      if (errorCode !== '') tally.errors += 1;
      tally.attempts += request.attempts;
      tally.promptTokens += tokens?.promptTokens ?? 0;
      tally.completionTokens += tokens?.completionTokens ?? 0;
      tally.malformedEvents += request.malformedEvents;
      duration.record(request.seconds, {route, api});
      if (firstTokenSeconds !== undefined) firstToken.record(firstTokenSeconds, {route, backend});
    },
    refused(errorCode) {
      tallyOf({route: '', api: '', status: 0, errorCode, backend: '', estimated: false}).errors += 1;
    },
    configRejected: () => rejected.add(1),
    serve: (request, response) => exporter.getMetricsRequestHandler(request, response),
  };
}
