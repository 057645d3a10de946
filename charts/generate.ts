/**
 * Writes what is generated under charts/: run `node charts/generate.ts` after a change to crds/ or to a values.yaml; `make check` fails
 * if they differ.
 */
import {writeFileSync} from 'node:fs';
import {generatedFiles} from './generated-files.ts';

for (const {path, text} of await generatedFiles()) writeFileSync(path, text);
