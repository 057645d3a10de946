/** What zod has to say of a document, at its place in the file. */
import type {z} from 'zod';
import {type FileProblem, type Located, type Path, problemAt} from './problem.ts';

const withoutSymbols = (path: readonly PropertyKey[]): Path =>
  path.map((part) => (typeof part === 'symbol' ? String(part) : part));

export const schemaProblems = (source: Located, error: z.ZodError): FileProblem[] =>
  error.issues.flatMap((issue) => {
    const path = withoutSymbols(issue.path);
    if (issue.code !== 'unrecognized_keys') return [problemAt(source, path, issue.message)];
    return issue.keys.map((key) => problemAt(source, [...path, key], `no field of this name: check its spelling`));
  });
