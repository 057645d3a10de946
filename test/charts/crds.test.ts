/** The chart of the definitions says word for word what crds/ says. */
import {readFileSync} from 'node:fs';
import {basename} from 'node:path';
import {describe, expect, it} from '@jest/globals';
import {parse} from 'yaml';
import {crdTemplate, generatedFiles} from '../../charts/generated-files.ts';
import {valuesTable} from '../../charts/values-table.ts';
import {crdPaths} from '../../operator/api/crds.ts';
import {createHelm, findHelm, type KubeDocument} from './helm.ts';

const program = findHelm((line) => process.stderr.write(line));
const helm = createHelm(program ?? '');

const written = (): KubeDocument[] => crdPaths().map((path) => parse(readFileSync(path, 'utf8')) as KubeDocument);
type Named = {metadata: {name: string}};
const byName = (a: Named, b: Named): number => (a.metadata.name < b.metadata.name ? -1 : 1);

it('what is generated under charts/ is as it should be: run node charts/generate.ts', async () => {
  for (const {path, text} of await generatedFiles())
    expect({path, text: readFileSync(path, 'utf8')}).toEqual({path, text});
});

(program === undefined ? describe.skip : describe)('the rendered definitions', () => {
  it('are those of crds/, kept', async () => {
    const rendered = await helm.render('modelroute-crds');
    const kept = written().map((crd) => ({
      ...crd,
      metadata: {
        ...crd.metadata,
        labels: expect.objectContaining({'app.kubernetes.io/name': 'modelroute-crds'}),
        annotations: {...crd.metadata.annotations, 'helm.sh/resource-policy': 'keep'},
      },
    }));
    expect(rendered.toSorted(byName)).toEqual(kept.toSorted(byName));
  });

  it('go with the release unless they are kept', async () => {
    for (const {metadata} of await helm.render('modelroute-crds', {keep: false}))
      expect(metadata.annotations).not.toHaveProperty('helm.sh/resource-policy');
  });

  it('keep their own annotations and labels whatever the values', async () => {
    const rendered = await helm.render('modelroute-crds', {
      annotations: {'modelroute.dev/schema-version': '99', 'example.com/a': 'b'},
      extraLabels: {'app.kubernetes.io/name': 'x', team: 'platform'},
    });
    for (const {metadata} of rendered) {
      const own = written().find((crd) => crd.metadata.name === metadata.name);
      expect(metadata.annotations).toMatchObject({...own?.metadata.annotations, 'example.com/a': 'b'});
      expect(metadata.labels).toMatchObject({'app.kubernetes.io/name': 'modelroute-crds', team: 'platform'});
    }
  });
});

describe('a template of a definition', () => {
  const crd = (head: string, spec = '  a: b\n'): string =>
    `# Why.\napiVersion: v1\nkind: K\nmetadata:\n  name: n\n${head}spec:\n${spec}`;

  it('prints what Go would take for a template', () => {
    expect(crdTemplate('x.yaml', crd('', '  a: "{{ b }}"\n'))).toContain('spec:\n  a: "{{ "{{" }} b }}"\n');
  });

  it('is not made of a file with something that it would lose', () => {
    expect(() => crdTemplate('x.yaml', crd('  labels: {a: b}\n'))).toThrow('labels');
    expect(() => crdTemplate('x.yaml', crd('status: {}\n'))).toThrow('status');
  });

  it.each(crdPaths().map((path) => [basename(path), path]))('says where it comes from: %s', (file, path) => {
    expect(crdTemplate(file, readFileSync(path, 'utf8'))).toContain(`From crds/${file} by charts/generate.ts`);
  });
});

describe('a table of values', () => {
  it('has a row for each comment, and joins its lines', () => {
    const table = valuesTable(
      'group:\n  # One\n  # of two.\n  a: 1\n  # Either | or.\n  b: {c: "|"}\n# A list.\nd: []\n',
    );
    expect(table.split('\n').slice(2)).toEqual([
      '| `group.a` | `1` | One of two. |',
      '| `group.b` | `{"c":"\\|"}` | Either \\| or. |',
      '| `d` | `[]` | A list. |',
    ]);
  });

  it('is not made of a value without comment', () => {
    expect(() => valuesTable('# One.\na: 1\nb: 2\n')).toThrow('b has no comment');
  });
});
