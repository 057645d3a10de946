/** The folder with etcd, kube-apiserver and kubectl, as envtest looks for it. */
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const kubernetes = '1.34.4';
const build = fileURLToPath(new URL('../cluster/build', import.meta.url));

const isComplete = (folder: string): boolean =>
  ['etcd', 'kube-apiserver'].every((program) => existsSync(join(folder, program)));

const builtFolder = (): string | undefined => {
  if (spawnSync('go', ['version']).status !== 0) return undefined;
  process.stderr.write(`building an API server, once: ${build}, about 6 minutes\n`);
  const result = spawnSync(build, {stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8'});
  return result.status === 0 ? result.stdout.trim() : undefined;
};

/** `say` gets one line if there is none. Undefined: this machine has none and cannot build one. On CI that is an error, for a skipped proof proves nothing. */
export const findAssets = (say: (line: string) => void): string | undefined => {
  const {KUBEBUILDER_ASSETS, CLUSTER_CACHE, CI} = process.env;
  if (KUBEBUILDER_ASSETS !== undefined && !isComplete(KUBEBUILDER_ASSETS))
    throw new Error(`KUBEBUILDER_ASSETS is ${KUBEBUILDER_ASSETS}, but etcd or kube-apiserver is not there`);
  const cached = join(CLUSTER_CACHE ?? join(homedir(), '.cache/modelroute-cluster'), kubernetes);
  const folder = KUBEBUILDER_ASSETS ?? (isComplete(cached) ? cached : builtFolder());
  if (folder !== undefined) return folder;
  const message = 'no API server: set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver, or install Go 1.26';
  if (CI === 'true') throw new Error(message);
  say(`skipped: ${message}\n`);
  return undefined;
};
