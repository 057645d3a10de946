/** What there is to measure; each is loaded where it runs, for some load a lot. */
import type {Measure} from './measurement.ts';

export type Measurement = {
  name: string;
  /** A network of its own, for an API server of its own; or the cluster that the tests have, too. */
  where: 'OwnNetwork' | 'Cluster';
  load: () => Promise<Measure>;
};

export const measurements: readonly Measurement[] = [
  {name: 'propagation', where: 'OwnNetwork', load: async () => (await import('./propagation.ts')).propagation},
  {name: 'scale', where: 'OwnNetwork', load: async () => (await import('./scale.ts')).scale},
  {name: 'hand-over', where: 'OwnNetwork', load: async () => (await import('./hand-over.ts')).handOver},
  {name: 'cluster', where: 'Cluster', load: async () => (await import('./cluster.ts')).cluster},
];
