/** YAML (or JSON, which is YAML) to plain values that remember where they stood, read as kubectl reads them. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  visit,
  type Document,
  type ParsedNode,
  type Tags,
  type YAMLError,
} from 'yaml';
import {messageOf} from '../message-of.ts';
import {pathText} from '../plan/text.ts';
import {type FileProblem, type Located, type Path, type Position, problemOfFile} from './problem.ts';

/** One document, or one item of a List. */
export type SourceDocument = Located & {value: unknown};

export type Parsed = {documents: SourceDocument[]; problems: FileProblem[]};

/** kubectl's YAML 1.1 has no base-60 numbers (`1:30`), and hands timestamps and binaries on as the text they are. */
const tagsOfKubectl = (tags: Tags): Tags =>
  tags.filter(
    (tag) =>
      typeof tag === 'string' || !(/:(timestamp|binary)$/.test(tag.tag) || ('format' in tag && tag.format === 'TIME')),
  );

const keyText = (key: unknown): string => {
  const value: unknown = isScalar(key) ? key.value : key;
  return typeof value === 'symbol' ? (value.description ?? '') : String(value); // the parser's `<<` is a symbol
};

/** The item of `node` under `part`, through aliases and merge keys, with the node that marks its place. */
const step = (
  document: Document,
  node: unknown,
  part: string | number,
): {place: unknown; value: unknown} | undefined => {
  const target = isAlias(node) ? node.resolve(document) : node;
  if (isSeq(target) && typeof part === 'number') {
    const item = target.items[part];
    return item === undefined ? undefined : {place: item, value: item};
  }
  if (!isMap(target)) return undefined;
  const pair = target.items.find(({key}) => keyText(key) === String(part));
  if (pair !== undefined) return {place: pair.key, value: pair.value};
  const merged = target.items.filter(({key}) => keyText(key) === '<<');
  return merged.map(({value}) => step(document, value, part)).find((found) => found !== undefined);
};

/** The offset of the deepest part of `path` that exists: of its key, or of the item itself in a list. */
const offsetOf = (document: Document.Parsed, path: Path): number => {
  let node: unknown = document.contents;
  let offset = document.contents?.range[0] ?? document.range[0];
  for (const part of path) {
    const found = step(document, node, part);
    if (found === undefined) break;
    node = found.value;
    offset = rangeStart(found.place) ?? offset;
  }
  return offset;
};

const rangeStart = (node: unknown): number | undefined => (node as Partial<ParsedNode> | null)?.range?.[0];

const positionAt = (lines: LineCounter, offset: number): Position => {
  const {line, col} = lines.linePos(offset);
  return {line: Math.max(line, 1), column: Math.max(col, 1)};
};

/** The path of the key that starts at `offset`: the parser knows where a duplicate key stands, people want to know what it is. */
const pathOfKeyAt = (document: Document.Parsed, offset: number): Path => {
  let path: Path = [];
  visit(document, {
    Pair: (_, pair, ancestors) => {
      if (rangeStart(pair.key) !== offset) return undefined;
      path = [...ancestors, pair].flatMap((ancestor, index, all): Path => {
        const parent = all[index - 1];
        if (isSeq(parent)) return [parent.items.indexOf(ancestor)];
        return typeof ancestor === 'object' && 'key' in ancestor ? [keyText(ancestor.key)] : [];
      });
      return visit.BREAK;
    },
  });
  return path;
};

const describe = (error: YAMLError, path: Path): string => {
  // The first line without "at line 3, column 1:", which the problem says itself.
  const what = error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? error.code;
  if (error.code === 'DUPLICATE_KEY')
    return `the key "${String(path.at(-1) ?? '')}" stands twice in one mapping: keep one of the two`;
  if (error.code === 'TAG_RESOLVE_FAILED') return `${what}: remove the tag (the word that starts with !)`;
  if (what.includes('call stack')) return 'not valid YAML: nested too deeply: check for brackets that are not closed';
  if (error.code === 'TAB_AS_INDENT') return 'a tab as indentation: YAML is indented with spaces';
  return `not valid YAML: ${what}`;
};

type Source = {file: string; lines: LineCounter; /** Where the text ends but for white space. */ end: number};

/** What does not spoil the rest of the document, so that every one of them is worth telling. */
const standsAlone = ({code}: YAMLError): boolean => code === 'DUPLICATE_KEY' || code === 'TAG_RESOLVE_FAILED';

const syntaxProblems = (document: Document.Parsed, {file, lines, end}: Source): FileProblem[] => {
  const faults: YAMLError[] = [...document.errors, ...document.warnings];
  const first = faults.find((fault) => !standsAlone(fault));
  return faults
    .filter((fault) => fault === first || standsAlone(fault))
    .map((fault) => {
      const path = fault.code === 'DUPLICATE_KEY' ? pathOfKeyAt(document, fault.pos[0]) : [];
      const {line, column} = positionAt(lines, Math.min(fault.pos[0], end));
      return {...problemOfFile(file, describe(fault, path), line), column, path: pathText(path)};
    });
};

/** What JSON can say: an alias inside what it stands for would make a value without end. */
const plainValue = (document: Document.Parsed): unknown => {
  const value: unknown = document.toJS();
  try {
    JSON.stringify(value);
  } catch {
    throw new Error('an alias stands inside of what it stands for');
  }
  return value;
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `kind: List`, and typed lists such as SecretList, whose items may leave out what the list says for them. */
const unpackList = (document: SourceDocument): SourceDocument[] => {
  const {value, locate} = document;
  if (!isRecord(value)) return [document];
  const {apiVersion, kind, items} = value;
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) return [document];
  const inherited = kind === 'List' ? {} : {apiVersion, kind: kind.slice(0, -'List'.length)};
  return items.flatMap((item: unknown, index) =>
    unpackList({
      ...document,
      value: isRecord(item) ? {...inherited, ...item} : item,
      prefix: [...document.prefix, 'items', index],
      locate: (path) => locate(['items', index, ...path]),
    }),
  );
};

/** Everything that `text` holds; documents without content are skipped, one that does not parse is a problem and left out. */
export const parseDocuments = (file: string, text: string): Parsed => {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    version: '1.1',
    lineCounter: lines,
    customTags: tagsOfKubectl,
    logLevel: 'silent',
  });
  const result: Parsed = {documents: [], problems: []};
  for (const document of 'empty' in parsed ? [] : parsed) {
    const problems = syntaxProblems(document, {file, lines, end: text.trimEnd().length});
    result.problems.push(...problems);
    if (problems.length > 0) continue;
    const locate = (path: Path): Position => positionAt(lines, offsetOf(document, path));
    try {
      const value = plainValue(document);
      if (value !== null) result.documents.push(...unpackList({file, value, prefix: [], locate}));
    } catch (error) {
      // An alias without its anchor, or so many that they would fill the memory.
      result.problems.push({...problemOfFile(file, `not valid YAML: ${messageOf(error)}`, locate([]).line)});
    }
  }
  return result;
};
