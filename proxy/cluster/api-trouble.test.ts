import {beforeEach, describe, expect, it} from '@jest/globals';
import {KubeError} from '../../kube/errors.ts';
import {createApiTrouble, type ApiTrouble} from './api-trouble.ts';

const away = new KubeError('ECONNREFUSED');
const forbidden = new KubeError('may not', {status: 403});

let log: string[];
let trouble: ApiTrouble;
beforeEach(() => {
  log = [];
  const say = (message: string): void => void log.push(message.replace(/,.*/, ''));
  trouble = createApiTrouble({info: say, warn: say, error: say});
});

describe('trouble with the API server', () => {
  it('is told once for all watches, and once when one of them is answered', () => {
    const [one, two] = [trouble.of('a').listeners, trouble.of('b').listeners];
    one.onProblem(away);
    two.onProblem(away);
    two.onRecovered();
    one.onRecovered();
    expect(log).toEqual(['API server does not answer', 'API server answers again']);
  });

  it('is told again though a watch was stopped while nobody answered it', () => {
    const [one, two] = [trouble.of('a'), trouble.of('a')];
    one.listeners.onProblem(away);
    one.stopped();
    two.listeners.onProblem(away);
    two.listeners.onRecovered();
    expect(log).toEqual(['API server does not answer', 'API server does not answer', 'API server answers again']);
  });

  it('is told of each watch that is refused', () => {
    const {listeners} = trouble.of('a');
    listeners.onProblem(away);
    listeners.onProblem(forbidden);
    listeners.onRecovered();
    expect(log).toEqual([
      'API server does not answer',
      'API server answers again',
      'API server refuses',
      'API server allows again',
    ]);
  });
});
