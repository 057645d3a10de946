/** Operator and proxies one release apart: what either writes, the other reads. The documents are frozen: never change one, add one. */
import {describe, expect, it} from '@jest/globals';
import {readdirSync, readFileSync} from 'node:fs';
import {z} from 'zod';
import {formatVersion, gatewayConfigSchema, type GatewayConfig} from './schema.ts';

const folder = new URL('../../test/fixtures/config/', import.meta.url);
const read = (file: string): GatewayConfig => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as GatewayConfig; // frozen
const files = readdirSync(folder).sort();
const whole = read('whole.json');

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** With fields of a later release in every object. */
const extended = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(extended);
  if (!isRecord(value)) return value;
  const members = Object.entries(value).map(([key, member]) => [key, extended(member)]);
  return {...Object.fromEntries(members), addedLater: {a: [1]}, constructor: 'added too'};
};

/** Every field of the document, as `routes.backends.target.url`. */
const fieldsOf = (value: unknown, at: string): string[] => {
  if (Array.isArray(value)) return value.flatMap((item) => fieldsOf(item, at));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, member]) => [`${at}${key}`, ...fieldsOf(member, `${at}${key}.`)]);
};

type JsonSchema = {
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  oneOf?: JsonSchema[];
  anyOf?: JsonSchema[];
};

const fieldsOfSchema = ({properties = {}, items, oneOf = [], anyOf = []}: JsonSchema, at: string): string[] => [
  ...Object.entries(properties).flatMap(([key, member]) => [`${at}${key}`, ...fieldsOfSchema(member, `${at}${key}.`)]),
  ...[...oneOf, ...anyOf, ...(items === undefined ? [] : [items])].flatMap((part) => fieldsOfSchema(part, at)),
];

describe('a config', () => {
  it.each(files)('of this format parses: %s', (file) => {
    expect(gatewayConfigSchema.parse(read(file))).toMatchObject(read(file));
  });

  it('that says everything is taken over whole', () => {
    expect(gatewayConfigSchema.parse(whole)).toEqual(whole);
  });

  it('that is frozen has every field that there is', () => {
    const schema = z.toJSONSchema(gatewayConfigSchema) as JsonSchema; // plain objects and lists alone
    expect([...new Set(fieldsOf(whole, ''))].sort()).toEqual([...new Set(fieldsOfSchema(schema, ''))].sort());
  });

  it('of a later release is taken over but for what is new', () => {
    expect(gatewayConfigSchema.parse(extended(whole))).toEqual(whole);
  });

  it('without any field added since the first release gets what was done before', () => {
    const before = read('before-zones.json');
    const routes = before.routes.map((route) => ({
      ...route,
      loadBalancing: {...route.loadBalancing, zonePreference: 'None'},
    }));
    expect(gatewayConfigSchema.parse(before)).toEqual({...before, routes});
  });

  it.each([
    ['later', 2, 'formatVersion 2 is not known here'],
    ['earlier', 0, 'formatVersion 0 is not known here'],
    ['missing', undefined, 'there is no formatVersion'],
    ['no number', '1', 'formatVersion is not a number'],
  ])('of another format is refused, saying what is read here: %s', (_, version, problem) => {
    const {error} = gatewayConfigSchema.safeParse({...whole, formatVersion: version});
    expect(error?.issues.map(({path, message}) => `${path.join('.')}: ${message}`)).toEqual([
      `formatVersion: ${problem}: this proxy reads formatVersion ${formatVersion}, so run an operator and proxies of one release`,
    ]);
  });
});
