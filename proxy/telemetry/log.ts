/** winston: JSON on pipes, readable on a terminal. A line is a constant message and fields; never a credential or a prompt. */
import {Writable} from 'node:stream';
import winston from 'winston';

export type Fields = Record<string, unknown>;

export type Log = {
  error(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  debug(message: string, fields?: Fields): void;
  /** Ask before building a line that may not be written. */
  writes(level: LogLevel): boolean;
  setLevel(level: LogLevel): void;
  /** Writes the lines of this turn of the event loop now: for a process that ends before the next one. */
  flush(): void;
};

/** As winston has them. */
const ranks = {error: 0, warn: 1, info: 2, debug: 5};

export type LogLevel = keyof typeof ranks;

/** Fields stand apart until the line is made: an object that winston has put its symbols on takes JSON.stringify four times as long. */
type Entry = {level: string; message: string; fields: Fields};

const toJson = ({level, message, fields}: Entry): string =>
  JSON.stringify({timestamp: new Date().toISOString(), level, message, ...fields});

/** What a caller sent must not steer the terminal of whoever reads: only printable ASCII passes bare, control codes of Latin-1 never. */
const show = (value: unknown): string =>
  typeof value === 'string' && /^[!#-<>-~]+$/.test(value)
    ? value
    : (JSON.stringify(value) ?? '').replace(/[\x7f-\x9f]/g, (control) => `\\u00${control.charCodeAt(0).toString(16)}`);

const colours = winston.format.colorize();

const toReadable = ({level, message, fields}: Entry): string => {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  const shown = known.map(([name, value]) => ` ${name}=${show(value)}`);
  return `${new Date().toISOString().slice(11, 23)} ${colours.colorize(level, level)} ${message}${shown.join('')}`;
};

type Batch = {lines: Writable; flush: () => void};

/** One write for all lines of one turn of the event loop: under load, a write for each costs more than making it. */
function createBatch(stream: NodeJS.WritableStream): Batch {
  let pending = '';
  const flush = (): void => {
    const lines = pending;
    pending = '';
    if (lines !== '') stream.write(lines);
  };
  const lines = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      if (pending === '') setImmediate(flush);
      pending += text;
      done();
    },
  });
  return {lines, flush};
}

/** `terminal`: a person reads it. */
export function createLog(stream: NodeJS.WritableStream, terminal: boolean): Log {
  const toLine = terminal ? toReadable : toJson;
  const format = winston.format.printf((info) => toLine(info as unknown as Entry)); // as `write` made it
  const {lines, flush} = createBatch(stream);
  const transports = [new winston.transports.Stream({stream: lines, eol: '\n'})];
  const logger = winston.createLogger({level: 'info', format, transports});
  let least = ranks.info;
  const writes = (level: LogLevel): boolean => ranks[level] <= least; // winston's own question costs ten times as much
  const write =
    (level: LogLevel) =>
    (message: string, fields: Fields = {}): void => {
      if (writes(level)) logger.log({level, message, fields} satisfies Entry);
    };
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    writes,
    setLevel(level) {
      logger.level = level;
      least = ranks[level];
    },
    flush,
  };
}
