/** What all measurements of the operator have in common. */
export type Sizes = {
  /** Of the gateway whose routes are changed. */
  proxies: number;
  /** Clients that follow its config, proxies included. */
  clients: number;
  /** Of its routes, one after the other. */
  changes: number;
  /** Changes by a kubectl of its own. */
  kubectlRuns: number;
  gateways: number;
  routesPerGateway: number;
  quietSeconds: number;
};

export type Settings = {
  /** Folder of etcd, kube-apiserver and kubectl. */
  assets: string;
  /** The `modelroute` that is measured. */
  program: string;
  rounds: number;
  sizes: Sizes;
};

export type Outcome = {
  /** By name; one number per round. */
  metrics: Record<string, number[]>;
  /** What was not as it must be, whatever the numbers. */
  faults: string[];
};

export type Measure = (settings: Settings) => Promise<Outcome>;

/** Collects what the rounds have measured. */
export function createOutcome(): Outcome & {add(metrics: Record<string, number>): void} {
  const metrics: Record<string, number[]> = {};
  return {
    metrics,
    faults: [],
    add(round) {
      for (const [name, value] of Object.entries(round)) (metrics[name] ??= []).push(value);
    },
  };
}

export const full: Sizes = {
  proxies: 10,
  clients: 100,
  changes: 100,
  kubectlRuns: 10,
  gateways: 20,
  routesPerGateway: 50,
  quietSeconds: 60,
};

/** Enough to see that everything works. */
export const small: Sizes = {
  proxies: 2,
  clients: 4,
  changes: 3,
  kubectlRuns: 1,
  gateways: 2,
  routesPerGateway: 4,
  quietSeconds: 3,
};
