import {describe, expect, it} from '@jest/globals';
import type {Schema} from './crds.ts';
import {anchor, type CrdDocument, referencePage} from './reference-page.ts';

const crdOf = (spec: Record<string, Schema>, required: string[] = []): CrdDocument => ({
  metadata: {name: 'things.example.com'},
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: {kind: 'Thing', plural: 'things', shortNames: ['th'], categories: ['all']},
    versions: [
      {
        name: 'v1',
        subresources: {
          scale: {specReplicasPath: '.spec.size', statusReplicasPath: '.status.size', labelSelectorPath: '.status.of'},
        },
        additionalPrinterColumns: [{name: 'Size', type: 'integer', jsonPath: '.spec.size', priority: 1}],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description: 'A thing.',
            properties: {spec: {type: 'object', description: 'What is wanted.', properties: spec, required}},
          },
        },
      },
    ],
  },
});

/** The cells of the row of `field`: its type, default, meaning and what it has to be. */
const cellsOf = (field: string, schema: Schema, required: string[] = []): string[] => {
  const page = referencePage(crdOf({[field]: schema}, required));
  const line = page.split('\n').find((text) => text.startsWith(`| \`${field}\` |`)) ?? '';
  return line
    .split(/(?<!\\)\|/)
    .slice(2, -1)
    .map((text) => text.trim());
};

const cases: Record<string, {schema: Schema; required?: string[]; cells: string[]}> = {
  'a default of the schema': {
    schema: {type: 'integer', description: 'Its size. 2 unless set.', default: 2, minimum: 0, maximum: 9},
    cells: ['integer', '`2`', 'Its size.', '0 to 9'],
  },
  'a default in one word, out of the description': {
    schema: {type: 'string', description: 'The least level. Info unless set.', enum: ['Info', 'Warn']},
    cells: ['string', '`Info`', 'The least level.', 'one of `Info`, `Warn`'],
  },
  'a default in words': {
    schema: {type: 'integer', description: 'Requests at a time. No limit unless set.', minimum: 1},
    cells: ['integer', 'No limit', 'Requests at a time.', 'at least 1'],
  },
  'what follows after "unless set" stays in the description': {
    schema: {type: 'string', description: 'A key. Every one unless set, with operator Exists.'},
    cells: ['string', '', 'A key. Every one unless set, with operator Exists.', ''],
  },
  'a field that is required': {
    schema: {type: 'string', description: 'Its name.', maxLength: 63, minLength: 1},
    required: ['field'],
    cells: ['string', '**required**', 'Its name.', 'at most 63 characters'],
  },
  'a list whose entries have rules': {
    schema: {
      type: 'array',
      description: 'Names.',
      minItems: 1,
      maxItems: 64,
      'x-kubernetes-list-type': 'set',
      items: {type: 'string', maxLength: 9, 'x-kubernetes-validations': [{rule: 'true', message: 'must be short'}]},
    },
    cells: [
      'list of string',
      '',
      'Names.',
      '1 to 64 entries; each once; each entry: at most 9 characters; must be short',
    ],
  },
  'a map': {
    schema: {type: 'object', description: 'Labels.', additionalProperties: {type: 'string'}, maxProperties: 8},
    cells: ['map of string', '', 'Labels.', 'at most 8 entries'],
  },
  'an object, which has a section of its own': {
    schema: {type: 'object', description: 'More.', properties: {a: {type: 'string'}}},
    cells: ['[object](#specfield)', '', 'More.', ''],
  },
  'signs that Markdown would take for its own': {
    schema: {type: 'string', description: 'One * at an end, `a|b*`, <x>.', pattern: '^(a|b)$'},
    cells: ['string', '', 'One \\* at an end, `a\\|b*`, \\<x>.', 'matches `^(a\\|b)$`'],
  },
  'an amount': {
    schema: {'x-kubernetes-int-or-string': true, description: 'An amount.'},
    cells: ['integer or string', '', 'An amount.', ''],
  },
};

describe('a row', () => {
  it.each(Object.entries(cases))('tells %s', (_, {schema, required, cells}) => {
    expect(cellsOf('field', schema, required)).toEqual(cells);
  });
});

describe('a page', () => {
  const page = referencePage(
    crdOf({
      inner: {
        type: 'object',
        description: 'Inside.',
        properties: {
          list: {
            type: 'array',
            description: 'Many.',
            items: {type: 'object', description: 'One of them.', properties: {name: {type: 'string'}}},
          },
        },
        'x-kubernetes-validations': [{rule: 'true', message: 'must be first', fieldPath: '.list'}],
      },
    }),
  );

  it('names the resource as kubectl takes it', () => expect(page).toContain('`things.example.com`, `th`'));
  it('has the columns of kubectl get', () => expect(page).toContain('| SIZE | `.spec.size` | with `-o wide` |'));
  it('says what kubectl scale does', () => expect(page).toContain('read and write `.spec.size`'));
  it('has a section for each object, in the order of the schema', () => {
    expect(page.match(/^#+ .*$/gm)).toEqual([
      '# Thing',
      '## kubectl get',
      '## Scale',
      '## spec',
      '### spec.inner',
      '### spec.inner.list[]',
    ]);
  });
  it('has the rules of an object above its fields', () => expect(page).toContain('- `list`: must be first\n'));
  it('links to headings by the anchors that they get', () => expect(anchor('spec.inner.list[]')).toBe('specinnerlist'));
});
