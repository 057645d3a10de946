/** `modelroute simulate`: a model server for demos and tests that does what it is told. */
import {Command, InvalidArgumentError} from 'commander';
import {behaviourNames, startSimulator, type Simulator, type SimulatorOptions} from '../simulator/index.ts';
import {option, parseDurationMs, parseHostPort, type HostPort} from './options.ts';
import {stopOnSignals} from './running.ts';

type Flags = {
  listen: HostPort;
  model: string[];
  name: string;
  ttft: number;
  tokensPerSecond: number;
  tokens: number;
  contextWindow?: number;
};

const wholeNumber =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > 1_000_000) {
      throw new InvalidArgumentError(`Expected a whole number from ${least} to 1000000, got "${text}".`);
    }
    return value;
  };

const rate = (text: string): number => {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) {
    throw new InvalidArgumentError(`Expected a number, such as 100 (0: all at once), got "${text}".`);
  }
  return value;
};

/** Commas too, because an environment variable has no other way to say more than one. */
const modelNames = (text: string, earlier: string[] = []): string[] => {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError(`Expected a model name, got "${text}".`);
  return [...earlier, ...names];
};

const help = `
Example:
  $ modelroute simulate --listen 127.0.0.1:8001 --model chat --name local
  $ curl 127.0.0.1:8001/v1/chat/completions -d '{"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}'

While it runs, tell it what to do; "times" says for how many requests, without it until told otherwise:
  $ curl 127.0.0.1:8001/control/behaviour -d '{"do": "status", "status": 503, "times": 3}'
  $ curl 127.0.0.1:8001/control/behaviour -d '{"do": "hang", "where": "AfterTokens", "tokens": 5}'
  $ curl -X DELETE 127.0.0.1:8001/control/behaviour
A single request can bring its own: header "x-simulate", or field "simulate" in its body or form, all with the same JSON.
"do" is one of: ${behaviourNames.join(', ')}.

  GET /control            its state and counters
  GET /control/schema     every "do" and its fields, as JSON Schema
  GET /control/requests   what it was asked
`;

const started = async (command: Command, options: SimulatorOptions, {host, port}: HostPort): Promise<Simulator> => {
  try {
    return await startSimulator(options);
  } catch (error) {
    const {code, message} = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE')
      return command.error(`error: port ${port} on ${host} is in use: choose another one with --listen`);
    if (code === 'EACCES')
      return command.error(`error: port ${port} on ${host} needs more rights: choose one above 1023 with --listen`);
    return command.error(`error: cannot listen on ${host}:${port}: ${message}`);
  }
};

const run = async (flags: Flags, command: Command): Promise<void> => {
  const simulator = await started(
    command,
    {
      ...flags.listen,
      models: flags.model,
      name: flags.name,
      ttftMs: flags.ttft,
      tokensPerSecond: flags.tokensPerSecond,
      tokens: flags.tokens,
      contextWindow: flags.contextWindow,
    },
    flags.listen,
  );
  console.log(
    `Simulating ${flags.model.join(', ')} as "${flags.name}" on ${simulator.url}; ` +
      `to change what it does: curl ${simulator.origin}/control/behaviour -d '{"do": "status", "status": 503}'`,
  );
  // With the server closed nothing is left to do, so the process ends with 0.
  stopOnSignals(() => simulator.close());
};

export const simulateCommand = (): Command =>
  new Command('simulate')
    .summary('run a model server that does what it is told')
    .description(
      'Runs a model server with the APIs of OpenAI and Anthropic that says pleasant nothings and, when told so, fails in any way a real one ' +
        'does: for demos, and to test what stands in front of it.',
    )
    .addOption(
      option('--listen <host:port>', 'address to serve on')
        .argParser(parseHostPort)
        .default({host: '127.0.0.1', port: 8000}, '127.0.0.1:8000'),
    )
    .addOption(
      option('--model <name...>', 'models that it serves, separated by spaces or commas')
        .argParser(modelNames)
        .makeOptionMandatory(),
    )
    .addOption(option('--name <name>', 'what it calls itself in its answers').default('simulator'))
    .addOption(
      option('--ttft <duration>', 'from a request to its first token').argParser(parseDurationMs).default(50, '50ms'),
    )
    .addOption(
      option('--tokens-per-second <number>', 'speed after the first token, 0: all at once')
        .argParser(rate)
        .default(100),
    )
    .addOption(
      option('--tokens <number>', 'length of an answer whose request does not ask for less')
        .argParser(wholeNumber(1))
        .default(100),
    )
    .addOption(
      option(
        '--context-window <tokens>',
        'refuse longer prompts, as a real server does (default: any length)',
      ).argParser(wholeNumber(1)),
    )
    .addHelpText('after', help)
    .action((flags: Flags, command: Command) => run(flags, command));
