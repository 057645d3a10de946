/** Files and folders from disk, as `kubectl -f` takes them. */
import {readdirSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {type FileProblem, problemOfFile} from './problem.ts';

export type TextFile = {file: string; text: string};
export type TextFiles = {files: TextFile[]; problems: FileProblem[]};

const extensions = /\.(yaml|yml|json)$/;

/** Which files of a folder are read: not those of folders below it, as kubectl does without --recursive. */
export const isConfigFileName = (name: string): boolean => extensions.test(name);

const reasons: Record<string, string> = {
  ENOENT: 'there is no such file or folder: check the path',
  EACCES: 'no permission to read it: give this user read access',
  EPERM: 'no permission to read it: give this user read access',
  ELOOP: 'a symbolic link that leads back to itself: point it at a file',
  ENOTDIR: 'a part of this path is a file, not a folder: check the path',
  ENAMETOOLONG: 'the path is too long: check it',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'not UTF-8 text: save it as UTF-8',
};

const reasonOf = (error: unknown): string => {
  const {code, message} = error as Partial<NodeJS.ErrnoException>; // file system and decoder throw nothing else
  return reasons[code ?? ''] ?? `cannot be read: ${message ?? String(error)}`;
};

const notAFile = 'neither a file nor a folder (a socket, a pipe or a device): name a regular file';

const readText = (file: string): TextFiles => {
  try {
    const text = new TextDecoder('utf-8', {fatal: true}).decode(readFileSync(file));
    return {files: [{file, text}], problems: []};
  } catch (error) {
    return {files: [], problems: [problemOfFile(file, reasonOf(error))]};
  }
};

const readFolder = (folder: string): TextFiles => {
  const names = readdirSync(folder).filter(isConfigFileName).sort();
  const entries = names.map((name) => readEntry(join(folder, name)));
  const problems = entries.flatMap((entry) => entry.problems);
  const files = entries.flatMap((entry) => entry.files);
  if (files.length === 0 && problems.length === 0) {
    problems.push(problemOfFile(folder, 'holds no *.yaml, *.yml or *.json file: add one, or name another folder'));
  }
  return {files, problems};
};

/** One name in a folder: a folder below it is skipped even if it is called `x.yaml`. */
const readEntry = (path: string): TextFiles => {
  try {
    const found = statSync(path);
    if (found.isDirectory()) return {files: [], problems: []};
    return found.isFile() ? readText(path) : {files: [], problems: [problemOfFile(path, notAFile)]};
  } catch (error) {
    return {files: [], problems: [problemOfFile(path, reasonOf(error))]};
  }
};

const readPath = (path: string): TextFiles => {
  try {
    return statSync(path).isDirectory() ? readFolder(path) : readEntry(path);
  } catch (error) {
    return {files: [], problems: [problemOfFile(path, reasonOf(error))]};
  }
};

/** The text of every file that `paths` name, in that order, a folder's files sorted; a file named twice is read once. */
export const readFiles = (paths: readonly string[]): TextFiles => {
  const read = [...new Set(paths)].map(readPath);
  const byName = new Map(read.flatMap(({files}) => files).map((file) => [file.file, file]));
  return {files: [...byName.values()], problems: read.flatMap(({problems}) => problems)};
};
