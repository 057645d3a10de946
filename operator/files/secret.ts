/** A Secret document to its values. */
import {createHash, randomBytes} from 'node:crypto';
import {z} from 'zod';
import type {SecretValue} from '../plan/world.ts';
import type {SourceObject} from './identity.ts';
import {type FileProblem, problemAt} from './problem.ts';
import {schemaProblems} from './schema-problems.ts';

const texts = z.record(z.string(), z.string('must be text: put it in quotes')).nullish();

const secretSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.unknown(),
  type: z.string('must be text').optional(),
  immutable: z.boolean('must be true or false').nullish(),
  data: texts,
  stringData: texts,
});

export type ReadSecret = {secret?: SecretValue; problems: FileProblem[]};

/** Salted anew in each process: nobody can tell from a config whether two installations share a key. */
const salt = randomBytes(16);

const versionOf = (values: Record<string, string>): string =>
  createHash('sha256').update(salt).update(JSON.stringify(values)).digest('base64url').slice(0, 16);

/** As the API server decodes it: line breaks are allowed, missing padding is not. */
const decode = (text: string): string | undefined => {
  const compact = text.replaceAll(/[\r\n]/g, '');
  const isBase64 = compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact);
  return isBase64 ? Buffer.from(compact, 'base64').toString('utf8') : undefined;
};

export const readSecret = (object: SourceObject): ReadSecret => {
  const parsed = secretSchema.safeParse(object.value);
  if (!parsed.success) return {problems: schemaProblems(object, parsed.error)};
  const problems: FileProblem[] = [];
  const values: Record<string, string> = {};
  for (const [key, text] of Object.entries(parsed.data.data ?? {})) {
    const value = decode(text);
    if (value !== undefined) values[key] = value;
    else
      problems.push(
        problemAt(object, ['data', key], 'is not base64: encode it, or put the plain text under stringData'),
      );
  }
  Object.assign(values, parsed.data.stringData);
  const {namespace, name} = object;
  // In a cluster both come from the API server; here the value itself says whether it is another one.
  return {secret: {namespace, name, uid: `${namespace}/${name}`, resourceVersion: versionOf(values), values}, problems};
};
