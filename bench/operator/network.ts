/**
 * A network of its own for a measurement, so that each proxy can have an address with the ports that the operator expects: the API server
 * takes no loopback address for an endpoint's.
 */
import {spawnSync} from 'node:child_process';
import {userInfo} from 'node:os';

/** Kept for benchmarks (RFC 2544). */
const prefix = '198.18.0';
const addresses = 32;

/** From 0. */
export const addressOf = (number: number): string => `${prefix}.${number + 1}`;

/** kube-apiserver does not start without a default route. */
const setUp =
  `ip link set lo up && for number in $(seq ${addresses}); do ip address add ${prefix}.$number/32 dev lo || exit; done; ` +
  'ip route add default dev lo && exec "$0" "$@"';

/** What stands before a command that is to run in one. It takes the command's place, so that the process id is the command's. */
export const ownNetwork: readonly string[] = [
  'unshare',
  ...(userInfo().uid === 0 ? ['--net'] : ['--map-root-user', '--net']),
  'sh',
  '-c',
  setUp,
];

/** Why there can be none on this machine; undefined: there can. */
export function whyNoNetwork(): string | undefined {
  const [command = '', ...rest] = ownNetwork;
  const {status, stderr, error} = spawnSync(command, [...rest, 'true'], {encoding: 'utf8'});
  if (status === 0) return undefined;
  return `no network namespace, which takes util-linux, iproute2 and root or user namespaces: ${error?.message ?? stderr}`;
}
