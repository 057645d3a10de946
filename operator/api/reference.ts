/**
 * Writes docs/reference/: a page for each resource, from the CRDs. Run `node operator/api/reference.ts` after a change to crds/;
 * `make check` fails if the two differ.
 */
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {format, resolveConfig} from 'prettier';
import {parse} from 'yaml';
import {crdPaths} from './crds.ts';
import {type CrdDocument, referencePage} from './reference-page.ts';

const folder = new URL('../../docs/reference/', import.meta.url).pathname;
mkdirSync(folder, {recursive: true});
for (const path of crdPaths()) {
  const crd = parse(readFileSync(path, 'utf8')) as CrdDocument; // our own files, which an API server has accepted in the tests
  const target = `${folder}${crd.spec.names.kind.toLowerCase()}.md`;
  writeFileSync(target, await format(referencePage(crd), {...(await resolveConfig(target)), parser: 'markdown'}));
}
