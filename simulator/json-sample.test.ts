import {describe, expect, it} from '@jest/globals';
import {Ajv2020} from 'ajv/dist/2020.js';
import {sampleOf, sayJson} from './json-sample.ts';

const person = {
  type: 'object',
  properties: {
    name: {type: 'string', minLength: 20},
    age: {type: 'integer', minimum: 18, maximum: 99},
    share: {type: 'number', maximum: 1},
    kind: {enum: ['adult', 'child']},
    version: {const: 2},
    friends: {type: 'array', items: {$ref: '#/$defs/friend'}, minItems: 2},
    note: {anyOf: [{type: 'string', maxLength: 3}, {type: 'null'}]},
    nick: {type: ['string', 'null']},
  },
  required: ['name', 'age', 'friends'],
  additionalProperties: false,
  $defs: {friend: {type: 'object', properties: {name: {type: 'string'}}, required: ['name']}},
};

const tree = {
  type: 'object',
  properties: {value: {type: 'boolean'}, left: {$ref: '#'}, right: {$ref: '#'}},
  required: ['value'],
};

describe('a sample of JSON', () => {
  it.each([
    ['an object of everything', person],
    ['a schema that refers to itself', tree],
    ['a list', {type: 'array', items: {type: 'string'}, minItems: 1}],
    ['no type but properties', {properties: {a: {type: 'integer'}}}],
    ['names with slashes', {$ref: '#/$defs/a~1b', $defs: {'a/b': {type: 'boolean'}}}],
  ])('satisfies its schema: %s', (_, schema) => {
    const validate = new Ajv2020({strict: false}).compile(schema);
    expect(validate(sampleOf(schema))).toBe(true);
    expect(sayJson(sampleOf(schema)).join('')).toBe(JSON.stringify(sampleOf(schema)));
  });

  it.each([undefined, true, {}, {$ref: '#/nowhere'}, {type: 'unheard of'}])(
    'of what says nothing is null: %j',
    (schema) => {
      expect(sampleOf(schema)).toBeNull();
    },
  );
});
