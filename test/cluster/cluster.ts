/**
 * A real cluster for the tests: one for a whole run of Jest, made when the first test file asks and gone when Jest has ended. One test file has it at a
 * time, the next one waits: an outage in one would be an error in the other. TEST_CLUSTER=NAME takes a running one of that name (`make cluster`
 * leaves `modelroute`) and keeps it.
 */
import {type ChildProcess, execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

export type Output = {stdout: string; stderr: string};

/** The names that test/cluster/part knows. */
export type Part = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kubelet' | 'coredns';

/** Every command that fails throws an error with its stderr in the message. */
export type Cluster = {
  /** With KUBECONFIG and a PATH that has kubectl and helm, for a process that a test starts itself. */
  env: NodeJS.ProcessEnv;
  kubectl(args: readonly string[], options?: {stdin?: string}): Promise<Output>;
  /** kubectl apply of YAML or JSON documents. */
  apply(documents: string): Promise<void>;
  helm(args: readonly string[]): Promise<Output>;
  /** Inside the cluster's network, where Services have their names: `run('curl', 'http://models.team-a/v1/models')`. */
  run(...command: string[]): Promise<Output>;
  /** The same, going on beside the test, which ends it. */
  start(...command: string[]): ChildProcess;
  /** The parts of Kubernetes: `stop` asks, `kill` does not; `start` resolves when it answers again. */
  part: Record<'start' | 'stop' | 'kill' | 'restart', (part: Part) => Promise<void>>;
  /** localhost/modelroute:test and localhost/model-server:test, made if they are out of date. */
  loadImages(): Promise<void>;
  /** Another name for an image on the node. */
  tagImage(image: string, name: string): Promise<void>;
  /** A condition that throws does not hold yet; its last error is the cause if time runs out. */
  waitFor(condition: () => Promise<boolean>, what: string, timeoutMs?: number): Promise<void>;
  /** What a pod, `deployment/name` or `-l=label=value` has logged. */
  logs(namespace: string, target: string): Promise<string>;
  /** Lets the next test file have it. */
  stop(): Promise<void>;
};

/** For `beforeAll`: on a machine that has built nothing yet this is a quarter of an hour, and other test files may come first. */
export const startMs = 60 * 60_000;

const folder = fileURLToPath(new URL('.', import.meta.url));
const script = (name: string): string => join(folder, name);

type Execution = {env: NodeJS.ProcessEnv; stdin?: string};

const execute = (program: string, args: readonly string[], {env, stdin}: Execution): Promise<Output> =>
  new Promise((resolve, reject) => {
    const child = execFile(program, args, {env, maxBuffer: 1 << 28}, (error, stdout, stderr) => {
      if (error === null) resolve({stdout, stderr});
      else reject(error);
    });
    child.stdin?.on('error', () => undefined); // it ended without reading; its status says why
    child.stdin?.end(stdin);
  });

/** Resolves with what gives it back. A worker that dies gives it back too. */
async function takeLock(): Promise<() => Promise<void>> {
  const lock = spawn('flock', [join(tmpdir(), 'modelroute-test-cluster.lock'), 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await Promise.race([
    once(lock.stdout, 'data'),
    once(lock, 'exit').then(() => Promise.reject(new Error('flock has ended without the lock'))),
  ]);
  return async () => {
    if (lock.exitCode !== null) return;
    const ended = once(lock, 'exit');
    lock.stdin.end();
    await ended;
  };
}

const clusterName = process.env['TEST_CLUSTER'] ?? 'modelroute-test';

/** What stands before a command that runs in the cluster's network, for a process that a test starts itself. */
export const inCluster: readonly string[] = ['env', `CLUSTER_NAME=${clusterName}`, script('run')];

/** Jest's first process: a worker of it has a channel to it, and ends earlier. */
const owner = process.send === undefined ? process.pid : process.ppid;

async function environment(): Promise<NodeJS.ProcessEnv> {
  const env = {...process.env, CLUSTER_NAME: clusterName};
  if (process.env['TEST_CLUSTER'] === undefined)
    await execute(script('up'), [], {env: {...env, CLUSTER_OWNER: String(owner)}});
  const print = `eval "$("$0")" && printf '%s\\n%s' "$KUBECONFIG" "$PATH"`;
  const {stdout} = await execute('bash', ['-c', print, script('env')], {env});
  const [KUBECONFIG = '', PATH = ''] = stdout.split('\n');
  return {...env, KUBECONFIG, PATH};
}

async function waitFor(condition: () => Promise<boolean>, what: string, timeoutMs = 60_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  let cause: Error | undefined;
  while (performance.now() < end) {
    try {
      if (await condition()) return;
      cause = undefined;
    } catch (error) {
      cause = error instanceof Error ? error : new Error(String(error));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited ${timeoutMs} ms in vain: ${what}${cause === undefined ? '' : `: ${cause.message}`}`, {cause});
}

/** For tests for which `canRunCluster` holds. Throws what did not come up. */
export async function startCluster(): Promise<Cluster> {
  const unlock = await takeLock();
  const env = await environment().catch(async (error: unknown) => {
    await unlock();
    throw error;
  });
  const kubectl: Cluster['kubectl'] = (args, options) => execute('kubectl', args, {env, ...options});
  const act = (verb: string) => async (part: Part) => void (await execute(script('part'), [verb, part], {env}));

  return {
    env,
    kubectl,
    async apply(documents) {
      await kubectl(['apply', '-f', '-'], {stdin: documents});
    },
    helm: (args) => execute('helm', args, {env}),
    run: (...command) => execute(script('run'), command, {env}),
    start: (...command) => spawn(script('run'), command, {env, stdio: ['pipe', 'pipe', 'pipe']}),
    part: {start: act('start'), stop: act('stop'), kill: act('kill'), restart: act('restart')},
    async loadImages() {
      const {stdout} = await execute(script('image'), ['modelroute', 'model-server'], {env});
      await execute(script('load'), stdout.trim().split('\n'), {env});
    },
    async tagImage(image, name) {
      await execute(script('tag'), [image, name], {env});
    },
    waitFor,
    async logs(namespace, target) {
      const {stdout} = await kubectl(['logs', '-n', namespace, target, '--tail=-1']);
      return stdout;
    },
    stop: unlock,
  };
}
