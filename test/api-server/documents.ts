/** The objects that both sides judge. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseAllDocuments} from 'yaml';

export type Resource = {
  apiVersion: string;
  kind: string;
  metadata: {name?: string; namespace?: string; annotations?: {expect?: string}};
  spec?: unknown;
};

/** `expected`: a part of the one message that refuses the object; undefined if it is accepted. */
export type Document = {title: string; object: Resource; expected: string | undefined};

const kinds = ['ModelRoute', 'ModelGateway'];

const readDocuments = (folder: string): Document[] => {
  const root = fileURLToPath(new URL(folder, import.meta.url));
  const files = readdirSync(root, {recursive: true, encoding: 'utf8'}).filter((file) => file.endsWith('.yaml'));
  return files.sort().flatMap((file) =>
    parseAllDocuments(readFileSync(join(root, file), 'utf8'), {version: '1.1'}).flatMap((document) => {
      if (document.errors.length > 0) throw new Error(`${file}: ${document.errors[0]?.message}`);
      const object = document.toJS() as Resource | null;
      if (object === null || !kinds.includes(object.kind)) return [];
      const title = `${object.kind} ${object.metadata.name} of ${file}`;
      return [{title, object, expected: object.metadata.annotations?.expect}];
    }),
  );
};

export const examples = readDocuments('../../examples');
const documents = readDocuments('documents');
export const accepted = documents.filter(({expected}) => expected === undefined);
export const refused = documents.filter(({expected}) => expected !== undefined);
