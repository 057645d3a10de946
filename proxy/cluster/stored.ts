/** The config and the credentials of one gateway, as the operator stores them. What comes is checked whole or refused whole. */
import {createHash} from 'node:crypto';
import {gunzipSync} from 'node:zlib';
import {z} from 'zod';
import {jsonIn} from '../../kube/json.ts';
import {gatewayConfigSchema, longestConfigText, type Credentials, type GatewayConfig} from '../config/schema.ts';
import type {Rejection} from '../engine/gateway.ts';

export type ObjectName = {namespace: string; name: string};

/** `hash`: SHA-256 in hex of the text that it was read from. `gzip`: of that text, as it came. */
export type LoadedConfig = {config: GatewayConfig; hash: string; gzip: Uint8Array};

export type StoredConfig = {loaded: LoadedConfig} | {rejection: Rejection};

export type StoredCredentials = {credentials: Credentials} | {problem: string};

/** Where it is mounted; in the state folder the last good one. */
export const configFile = 'config.json.gz';
export const credentialsFile = 'credentials.json';

const mostIssues = 3;

function describeIssues({issues}: z.ZodError): string {
  const described = issues.slice(0, mostIssues).map(({path, message}) => `${path.join('.')}: ${message}`);
  if (issues.length > mostIssues) described.push(`and ${issues.length - mostIssues} more`);
  return described.join('; ');
}

function unpack(gzip: Uint8Array): Buffer | string {
  try {
    return gunzipSync(gzip, {maxOutputLength: longestConfigText});
  } catch (error) {
    return `${configFile} cannot be unpacked: ${(error as Error).message}`; // zlib throws nothing else
  }
}

/** Why a config that the schema lets pass is not for this proxy. */
function faultIn({gateway, routes}: GatewayConfig, own: ObjectName): string | undefined {
  if (gateway.namespace !== own.namespace || gateway.name !== own.name)
    return `it is the config of gateway ${gateway.namespace}/${gateway.name}, and this proxy belongs to ${own.namespace}/${own.name}`;
  const targets = routes.flatMap(({backends}) => backends.map(({target}) => target));
  const isBroken = targets.some((target) => target.type === 'Url' && !URL.canParse(target.url));
  return isBroken ? 'the url of a backend is no URL' : undefined;
}

/** `gzip`: of the JSON text. `own`: the gateway that it has to be for. */
export function readConfig(gzip: Uint8Array, own: ObjectName): StoredConfig {
  const text = unpack(gzip);
  if (typeof text === 'string') return {rejection: {hash: '', reason: text}};
  const hash = createHash('sha256').update(text).digest('hex');
  const refuse = (reason: string): StoredConfig => ({rejection: {hash, reason}});
  const value = jsonIn(text.toString('utf8'));
  if (value === undefined) return refuse(`${configFile} holds no JSON`);
  const parsed = gatewayConfigSchema.safeParse(value);
  if (!parsed.success) return refuse(describeIssues(parsed.error));
  const fault = faultIn(parsed.data, own);
  return fault === undefined ? {loaded: {config: parsed.data, hash, gzip}} : refuse(fault);
}

const credentialsSchema = z.record(z.string(), z.string());

/** A problem says nothing of what the text holds. */
export function readCredentials(text: string): StoredCredentials {
  const parsed = credentialsSchema.safeParse(jsonIn(text));
  return parsed.success
    ? {credentials: new Map(Object.entries(parsed.data))}
    : {problem: `${credentialsFile} is no JSON object of texts`};
}
