/** winston: JSON on pipes, readable on a terminal. A line is a constant message and fields; never a credential or a prompt. */
import winston from 'winston';
import Transport from 'winston-transport';

export type Fields = Record<string, unknown>;

export type Log = {
  error(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  debug(message: string, fields?: Fields): void;
  /** Ask before building a line that may not be written. */
  writes(level: LogLevel): boolean;
  setLevel(level: LogLevel): void;
  /** Writes now what waits: for a process that is about to end. */
  flush(): void;
};

/** As winston has them. */
const ranks = {error: 0, warn: 1, info: 2, debug: 5};

export type LogLevel = keyof typeof ranks;

/** Fields stand apart until the line is made: an object that winston has put its symbols on takes JSON.stringify four times as long. */
type Entry = {level: string; message: string; fields: Fields};

const timestamp = createTimestamp();

/** RFC 3339, in UTC; made once for all lines of a millisecond. */
function createTimestamp(): () => string {
  let madeAt = 0;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== madeAt) {
      madeAt = now;
      text = new Date(now).toISOString();
    }
    return text;
  };
}

/** Joined as text: to copy twenty fields behind three others takes as long as to write all of them. */
function toJson({level, message, fields}: Entry): string {
  const head = `{"timestamp":"${timestamp()}","level":"${level}","message":${JSON.stringify(message)}`;
  const rest = JSON.stringify(fields);
  return rest === '{}' ? `${head}}` : `${head},${rest.slice(1)}`;
}

/** What a caller sent must not steer the terminal of whoever reads: only printable ASCII passes bare, control codes of Latin-1 never. */
const show = (value: unknown): string =>
  typeof value === 'string' && /^[!#-<>-~]+$/.test(value)
    ? value
    : (JSON.stringify(value) ?? '').replace(/[\x7f-\x9f]/g, (control) => `\\u00${control.charCodeAt(0).toString(16)}`);

const colours = winston.format.colorize();

const toReadable = ({level, message, fields}: Entry): string => {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  const shown = known.map(([name, value]) => ` ${name}=${show(value)}`);
  return `${timestamp().slice(11, 23)} ${colours.colorize(level, level)} ${message}${shown.join('')}`;
};

/** Where winston's formats leave the line. */
const LINE = Symbol.for('message');

/** A write wakes whoever reads at the other end of the pipe, which costs more than to make the line. */
const flushMs = 10;

/** One write for all lines of so many milliseconds. */
class BatchTransport extends Transport {
  #pending = '';
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    super();
    this.#stream = stream;
  }

  override log(info: {[LINE]: string}, next: () => void): void {
    if (this.#pending === '') setTimeout(() => this.flush(), flushMs); // keeps a process that ends alive for so long
    this.#pending += `${info[LINE]}\n`;
    next();
  }

  flush(): void {
    const lines = this.#pending;
    this.#pending = '';
    if (lines !== '') this.#stream.write(lines);
  }
}

/** `terminal`: a person reads it. */
export function createLog(stream: NodeJS.WritableStream, terminal: boolean): Log {
  const toLine = terminal ? toReadable : toJson;
  const format = winston.format.printf((info) => toLine(info as unknown as Entry)); // as `write` made it
  const batch = new BatchTransport(stream);
  const logger = winston.createLogger({level: 'info', format, transports: [batch]});
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
    flush: () => batch.flush(),
  };
}
