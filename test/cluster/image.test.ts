/** The size of the image, as registries and nodes keep it, without its base. */
import {execFileSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {expect, it} from '@jest/globals';
import {describeOnCluster, setUpMs} from './scenario.ts';

const mostBytes = 80_000_000;

describeOnCluster('the image', () => {
  const tar = (...args: string[]): string => execFileSync('tar', args, {encoding: 'utf8'});

  it(
    'adds no more than 80 MB to its base, unpacked',
    () => {
      const script = fileURLToPath(new URL('image', import.meta.url));
      const archive = execFileSync(script, ['modelroute'], {encoding: 'utf8'}).trim();
      const [{Layers: layers}] = JSON.parse(tar('-xOf', archive, 'manifest.json')) as [{Layers: string[]}];
      const own = layers.slice(1); // the base, as it is made here, is one layer
      const bytes = own.map((layer) => Number(tar('-tvf', archive, layer).split(/ +/)[2]));
      expect(bytes.length).toBeGreaterThan(0);
      expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(mostBytes);
    },
    setUpMs,
  );
});
