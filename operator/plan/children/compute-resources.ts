/** Compute resources of a proxy: what the gateway says, and a request for CPU and memory in any case. */
import type {GatewayPod} from '../../api/generated.ts';

export type ComputeResources = {requests: Record<string, string>; limits?: Record<string, string>};

const defaultRequests = {cpu: '250m', memory: '256Mi'};

const prefixes = ['', 'K', 'M', 'G', 'T', 'P', 'E'];
const factors = new Map<string, number>([
  ['n', 1e-9],
  ['u', 1e-6],
  ['m', 1e-3],
  ['', 1],
  ['k', 1e3],
  ...prefixes.slice(2).map((prefix, index): [string, number] => [prefix, 1000 ** (index + 2)]),
  ...prefixes.slice(1).map((prefix, index): [string, number] => [`${prefix}i`, 1024 ** (index + 1)]),
]);

/** A Kubernetes quantity, such as 250m, 1.5Gi or 1e3; the resources' schema has checked the text. */
export const parseQuantity = (text: string): number => {
  const [, amount, suffix = ''] = /^([0-9.]+)(.*)$/.exec(text) ?? [];
  const factor = factors.get(suffix) ?? Number(`1${suffix}`);
  const value = Number(amount) * factor;
  if (Number.isNaN(value)) throw new Error(`bug: the schema let "${text}" pass as a quantity`);
  return value;
};

/** YAML has `cpu: 2` as a number. */
const texts = (amounts: Record<string, number | string>): Record<string, string> =>
  Object.fromEntries(Object.entries(amounts).map(([resource, amount]) => [resource, String(amount)]));

/** Nothing may be requested beyond its limit: where that is lower than our default, it is requested whole. */
const defaultsWithin = (limits: Record<string, string>): [string, string][] =>
  Object.entries(defaultRequests).map(([resource, amount]) => {
    const limit = limits[resource];
    return [resource, limit !== undefined && parseQuantity(limit) < parseQuantity(amount) ? limit : amount];
  });

export const computeResources = ({requests = {}, limits = {}}: GatewayPod['resources'] = {}): ComputeResources => ({
  requests: {...Object.fromEntries(defaultsWithin(texts(limits))), ...texts(requests)},
  ...(Object.keys(limits).length > 0 && {limits: texts(limits)}),
});
