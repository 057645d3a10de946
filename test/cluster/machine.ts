/** Whether this machine can run a cluster: what test/cluster/up needs, as test/prepare installs it. */
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';

const programs = [
  'containerd',
  'ctr',
  'runc',
  'buildah',
  'iptables',
  'conntrack',
  'ip',
  'openssl',
  'nsenter',
  'unshare',
  'flock',
  'curl',
  'go',
];

const isThere = (program: string): boolean => spawnSync('sh', ['-c', 'command -v "$0"', program]).status === 0;

const whatIsMissing = (): string[] => {
  if (process.platform !== 'linux') return ['Linux'];
  const missing = programs.filter((program) => !isThere(program));
  if (!existsSync('/usr/lib/cni/bridge')) missing.push('/usr/lib/cni/bridge (containernetworking-plugins)');
  if (process.getuid?.() !== 0) missing.push('root');
  return missing;
};

/** `say` gets one line if it cannot. On CI that is an error, for a skipped proof proves nothing. */
export const canRunCluster = (say: (line: string) => void): boolean => {
  const missing = whatIsMissing();
  if (missing.length === 0) return true;
  const message = `no cluster: it would need ${missing.join(', ')}; test/prepare, run as root, installs what Debian has`;
  if (process.env['CI'] === 'true') throw new Error(message);
  say(`skipped: ${message}\n`);
  return false;
};
