import {describe, expect, it} from '@jest/globals';
import {parseDocuments} from './documents.ts';
import type {Path} from './problem.ts';

const values = (text: string): unknown[] => parseDocuments('f.yaml', text).documents.map(({value}) => value);

describe('YAML as kubectl reads it', () => {
  const cases: Record<string, {text: string; expected: unknown[]}> = {
    'has several documents': {text: 'a: 1\n---\nb: 2\n', expected: [{a: 1}, {b: 2}]},
    'skips documents without content': {text: '---\n# nothing\n---\na: 1\n---\n', expected: [{a: 1}]},
    'has the booleans of YAML 1.1': {text: 'a: yes\nb: off\n', expected: [{a: true, b: false}]},
    'has octal numbers': {text: 'a: 0777\n', expected: [{a: 511}]},
    'has no base-60 numbers': {text: 'a: 1:30\n', expected: [{a: '1:30'}]},
    'keeps timestamps as text': {text: 'a: 2026-01-01T00:00:00Z\n', expected: [{a: '2026-01-01T00:00:00Z'}]},
    'has anchors and merge keys': {text: 'a: &x {b: 1}\nc: {<<: *x, d: 2}\n', expected: [{a: {b: 1}, c: {b: 1, d: 2}}]},
    'may be JSON, with tabs': {text: '{\n\t"a": [\n\t\t1\n\t]\n}\n', expected: [{a: [1]}]},
    'may start with a byte-order mark': {text: '\ufeffa: 1\n', expected: [{a: 1}]},
    'may end its lines as Windows does': {text: 'a: 1\r\n---\r\nb: 2\r\n', expected: [{a: 1}, {b: 2}]},
    'unpacks a List': {text: 'kind: List\nitems: [{a: 1}, {b: 2}]\n', expected: [{a: 1}, {b: 2}]},
    'unpacks a typed list, whose items may be silent about their kind': {
      text: 'apiVersion: v1\nkind: SecretList\nitems: [{a: 1}, {kind: Other}]\n',
      expected: [
        {apiVersion: 'v1', kind: 'Secret', a: 1},
        {apiVersion: 'v1', kind: 'Other'},
      ],
    },
    'keeps a key that JavaScript has its own use for': {
      text: '__proto__: 1\n',
      expected: [Object.fromEntries([['__proto__', 1]])],
    },
    'is nothing if it is empty': {text: '', expected: []},
  };
  it.each(Object.entries(cases))('%s', (_, {text, expected}) => {
    expect(parseDocuments('f.yaml', text).problems).toEqual([]);
    expect(values(text)).toEqual(expected);
  });
});

describe('the place of a field', () => {
  const text = [
    'a: 1',
    '---',
    'base: &base',
    '  inner: 1',
    'spec:',
    '  list:',
    '  - name: x',
    '  - name: y',
    '    url: z',
    '  merged:',
    '    <<: *base',
    '  aliased: *base',
  ].join('\n');

  const cases: [string, Path, {line: number; column: number}][] = [
    ['of a document is its first', [], {line: 3, column: 1}],
    ['is that of its key', ['spec', 'list'], {line: 6, column: 3}],
    ['of an item is where it starts', ['spec', 'list', 1], {line: 8, column: 5}],
    ['is found inside items', ['spec', 'list', 1, 'url'], {line: 9, column: 5}],
    ['that is missing is that of what lacks it', ['spec', 'list', 0, 'url'], {line: 7, column: 5}],
    ['through an alias is where it was written', ['spec', 'aliased', 'inner'], {line: 4, column: 3}],
    ['through a merge key is where it was written', ['spec', 'merged', 'inner'], {line: 4, column: 3}],
    ['that is nowhere is that of the document', ['status', 'x'], {line: 3, column: 1}],
  ];
  it.each(cases)('%s', (_, path, expected) => {
    expect(parseDocuments('f.yaml', text).documents[1]?.locate(path)).toEqual(expected);
  });

  it('inside a List is counted from the item', () => {
    const [, second] = parseDocuments('f.yaml', 'kind: List\nitems:\n- a: 1\n- b:\n    c: 1\n').documents;
    expect(second?.prefix).toEqual(['items', 1]);
    expect(second?.locate(['b', 'c'])).toEqual({line: 5, column: 5});
  });
});

describe('YAML that does not parse', () => {
  const cases: Record<string, {text: string; line: number; path?: string; message: RegExp}> = {
    'is told with its line': {text: 'a: 1\nb: [1,\nc: 2\n', line: 3, message: /^not valid YAML: Flow sequence/},
    'may have a key twice': {
      text: 'spec:\n  list:\n  - a: 1\n    b: 2\n    a: 3\n',
      line: 5,
      path: 'spec.list[0].a',
      message: /^the key "a" stands twice in one mapping: keep one/,
    },
    'may be indented with tabs': {text: 'a:\n\tb: 1\n', line: 2, message: /tab/i},
    'may have a tag of its own': {text: 'a: !secret x\n', line: 1, message: /Unresolved tag: !secret: remove the tag/},
    'may have an alias without anchor': {text: 'a: 1\nb: *nowhere\n', line: 1, message: /Unresolved alias .*nowhere/},
    'may have an alias inside of what it stands for': {
      text: 'a: 1\nb: &b {c: [*b]}\n',
      line: 1,
      message: /^not valid YAML: an alias stands inside/,
    },
    'may be nested without end': {text: '['.repeat(100_000), line: 1, message: /nested too deeply/},
    'may be an alias bomb': {
      text: `a0: &a0 [1]\n${Array.from({length: 30}, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join('\n')}\n`,
      line: 1,
      message: /^not valid YAML: Excessive alias count/,
    },
  };
  it.each(Object.entries(cases))('%s', (_, {text, line, path = '', message}) => {
    const {documents, problems} = parseDocuments('f.yaml', text);
    expect(documents).toEqual([]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({
      file: 'f.yaml',
      line,
      path,
      message: expect.stringMatching(message),
      effect: 'RejectsAll',
    });
  });

  it('does not spoil the documents beside it', () => {
    const {documents, problems} = parseDocuments('f.yaml', 'a: 1\n---\nb: 1\nb: 2\n---\nc: 3\n');
    expect(documents.map(({value}) => value)).toEqual([{a: 1}, {c: 3}]);
    expect(problems.map(({line}) => line)).toEqual([4]);
  });
});
