/**
 * What is published of a plan: the config in a ConfigMap, the credentials that it names in a Secret. A proxy knows the config by the hash of
 * its text, as it stands in the object: parsed, it could be another for a proxy of another release.
 */
import {createHash} from 'node:crypto';
import {gunzipSync, gzipSync} from 'node:zlib';
import {z} from 'zod';
import {jsonIn} from '../../kube/json.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {longestConfigText, type Credentials, type GatewayConfig} from '../../proxy/config/schema.ts';
import type {ModelGateway} from '../api/generated.ts';
import {childMetadata} from '../plan/children/child-metadata.ts';
import {configName, credentialsName} from '../plan/children/names.ts';
import type {Child} from '../plan/fleet.ts';

export type ConfigObjects = {
  /** To be written first: a config must not name a credential that is not there. */
  secret: Child;
  configMap: Child;
  /** SHA-256, in hex, of the config's text. */
  hash: string;
  /** What is too large to be stored, and what would help; then neither may be written. */
  tooLarge?: string;
};

export type ConfigObjectsInput = {
  /** As the API server has it, with its uid. */
  gateway: ModelGateway;
  config: GatewayConfig;
  credentials: Credentials;
  /**
   * Credentials already stored that older configs name, until no proxy needs them: one that boots between the two writes, or still has the
   * older config, finds its own.
   */
  keep: Credentials;
};

const configKey = 'config.json.gz';
const credentialsKey = 'credentials.json';

/** As stored, below the 1 MiB that the API server takes. */
const maxBytes = 900_000;

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

const kilobytes = (bytes: number): string => `${Math.ceil(bytes / 1_000)} KB`;

const tooLargeOf = (text: string, config: Buffer, credentials: Buffer): string | undefined => {
  const most = `at most ${kilobytes(maxBytes)} can be stored`;
  const textBytes = Buffer.byteLength(text);
  if (textBytes > longestConfigText)
    return `the config of this gateway's routes has ${kilobytes(textBytes)}; a proxy takes at most ${kilobytes(longestConfigText)}: move routes to another gateway`;
  if (config.length > maxBytes)
    return `the config of this gateway's routes has ${kilobytes(config.length)} compressed; ${most}: move routes to another gateway`;
  if (credentials.length > maxBytes)
    return `the credentials of this gateway's routes have ${kilobytes(credentials.length)}; ${most}: move routes to another gateway`;
  return undefined;
};

/** The same input makes the same objects, byte for byte. */
export function configObjects({gateway, config, credentials, keep}: ConfigObjectsInput): ConfigObjects {
  const text = JSON.stringify(config);
  const zipped = gzipSync(text); // it holds no time
  const sorted = [...new Map([...keep, ...credentials])].sort(([a], [b]) => (a < b ? -1 : 1));
  const values = Buffer.from(JSON.stringify(Object.fromEntries(sorted)));
  const tooLarge = tooLargeOf(text, zipped, values);
  const {name} = gateway.metadata;
  return {
    secret: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: childMetadata(gateway, credentialsName(name)),
      type: 'Opaque',
      data: {[credentialsKey]: values.toString('base64')},
    },
    configMap: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: childMetadata(gateway, configName(name)),
      binaryData: {[configKey]: zipped.toString('base64')},
    },
    hash: hashOf(text),
    ...(tooLarge !== undefined && {tooLarge}),
  };
}

const configMapSchema = z.object({binaryData: z.object({[configKey]: z.string()})});
const secretSchema = z.object({data: z.object({[credentialsKey]: z.string()})});
const valuesSchema = z.record(z.string(), z.string());

/** Undefined: there is none in it, or what is there has been damaged. */
export function readConfigMap(object: KubeObject): {text: string; hash: string} | undefined {
  const {data} = configMapSchema.safeParse(object);
  if (data === undefined) return undefined;
  try {
    const zipped = Buffer.from(data.binaryData[configKey], 'base64');
    const text = gunzipSync(zipped, {maxOutputLength: longestConfigText}).toString('utf8');
    return {text, hash: hashOf(text)};
  } catch {
    return undefined;
  }
}

/** Empty if there are none in it, or what is there has been damaged. */
export function readCredentials(secret: KubeObject): Credentials {
  const {data} = secretSchema.safeParse(secret);
  if (data === undefined) return new Map();
  const text = Buffer.from(data.data[credentialsKey], 'base64').toString('utf8');
  return new Map(Object.entries(valuesSchema.safeParse(jsonIn(text)).data ?? {}));
}
