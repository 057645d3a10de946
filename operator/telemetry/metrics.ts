/**
 * Metrics under the names that controller-runtime and client-go's work queue have, so that dashboards made for those work:
 * https://book.kubebuilder.io/reference/metrics-reference
 */
import type {IncomingMessage, ServerResponse} from 'node:http';
import {PrometheusExporter} from '@opentelemetry/exporter-prometheus';
import {AggregationType, MeterProvider} from '@opentelemetry/sdk-metrics';
import type {Observation, Outcome, QueueNumbers} from '../../kube/work-queue.ts';

export type OperatorMetrics = {
  observe(observation: Observation<string>): void;
  /** Writes all of it, in Prometheus' text format. */
  serve(request: IncomingMessage, response: ServerResponse): void;
};

export type MetricSources = {
  queue: () => QueueNumbers;
  isLeader: () => boolean;
  maxConcurrent: number;
  leaseName: string;
};

const controller = {controller: 'modelgateway'};
const queue = {name: 'modelgateway', controller: 'modelgateway'};

/** controller-runtime's words. */
const results: Record<Outcome['type'], string> = {
  Done: 'success',
  Again: 'requeue_after',
  Failed: 'error',
  FailedForGood: 'error',
};

/** client-go's buckets for queues, in seconds. */
const queueBuckets = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1_000];
/** controller-runtime's, with fewer steps. */
const reconcileBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createOperatorMetrics(sources: MetricSources): OperatorMetrics {
  const exporter = new PrometheusExporter({preventServerStart: true, withoutScopeInfo: true, withoutTargetInfo: true});
  const histogram = (instrumentName: string, boundaries: number[]): object => ({
    instrumentName,
    aggregation: {type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: {boundaries}},
  });
  const provider = new MeterProvider({
    readers: [exporter],
    views: [
      histogram('workqueue_queue_duration_seconds', queueBuckets),
      histogram('workqueue_work_duration_seconds', queueBuckets),
      histogram('controller_runtime_reconcile_time_seconds', reconcileBuckets),
    ],
  });
  const meter = provider.getMeter('modelroute');

  const reconciles = meter.createCounter('controller_runtime_reconcile_total', {
    description: 'Reconciliations by outcome',
  });
  const errors = meter.createCounter('controller_runtime_reconcile_errors_total', {
    description: 'Reconciliations that failed',
  });
  for (const result of new Set(Object.values(results))) reconciles.add(0, {...controller, result});
  errors.add(0, controller);
  const reconcileTime = meter.createHistogram('controller_runtime_reconcile_time_seconds', {
    description: 'How long a reconciliation took',
  });
  const waited = meter.createHistogram('workqueue_queue_duration_seconds', {
    description: 'How long a key waited in the queue',
  });
  const worked = meter.createHistogram('workqueue_work_duration_seconds', {
    description: 'How long a key was worked on',
  });

  const gauge = (name: string, description: string, labels: object, read: () => number): void =>
    meter.createObservableGauge(name, {description}).addCallback((result) => result.observe(read(), {...labels}));
  const counter = (name: string, description: string, read: () => number): void =>
    meter.createObservableCounter(name, {description}).addCallback((result) => result.observe(read(), queue));
  counter('workqueue_adds_total', 'Keys added', () => sources.queue().adds);
  counter('workqueue_retries_total', 'Keys that were to come back later', () => sources.queue().retries);
  gauge('workqueue_depth', 'Keys that wait', queue, () => sources.queue().depth);
  gauge(
    'workqueue_unfinished_work_seconds',
    'How long what is worked on has taken, in all',
    queue,
    () => sources.queue().unfinishedMs / 1_000,
  );
  gauge(
    'workqueue_longest_running_processor_seconds',
    'How long the longest of it has taken',
    queue,
    () => sources.queue().longestRunningMs / 1_000,
  );
  gauge('controller_runtime_active_workers', 'Keys being worked on', controller, () => sources.queue().active);
  gauge(
    'controller_runtime_max_concurrent_reconciles',
    'Keys that may be worked on at a time',
    controller,
    () => sources.maxConcurrent,
  );
  gauge('leader_election_master_status', '1 if this process leads', {name: sources.leaseName}, () =>
    sources.isLeader() ? 1 : 0,
  );

  // Prometheus' own names: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
  meter.createObservableCounter('process_cpu_seconds_total', {description: 'CPU time'}).addCallback((result) => {
    const {user, system} = process.cpuUsage();
    result.observe((user + system) / 1e6);
  });
  gauge('process_resident_memory_bytes', 'Resident memory', {}, () => process.memoryUsage.rss());

  return {
    observe(observation) {
      if (observation.type === 'Started') return waited.record(observation.waitedMs / 1_000, queue);
      const {outcome, workedMs} = observation;
      reconciles.add(1, {...controller, result: results[outcome.type]});
      if (results[outcome.type] === 'error') errors.add(1, controller);
      reconcileTime.record(workedMs / 1_000, controller);
      worked.record(workedMs / 1_000, queue);
    },
    serve: (request, response) => exporter.getMetricsRequestHandler(request, response),
  };
}
