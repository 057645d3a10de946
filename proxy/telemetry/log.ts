/** winston: JSON on pipes, readable on a terminal. A line is a constant message and fields; never a credential or a prompt. */
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
};

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

const {combine, timestamp, json, printf, colorize} = winston.format;

/** What a caller sent must not steer the terminal of whoever reads: only printable ASCII passes bare, control codes of Latin-1 never. */
const show = (value: unknown): string =>
  typeof value === 'string' && /^[!#-<>-~]+$/.test(value)
    ? value
    : (JSON.stringify(value) ?? '').replace(/[\x7f-\x9f]/g, (control) => `\\u00${control.charCodeAt(0).toString(16)}`);

const readable = printf(({timestamp: at, level, message, ...fields}) => {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  const shown = known.map(([name, value]) => ` ${name}=${show(value)}`);
  return `${String(at).slice(11, 23)} ${level} ${String(message)}${shown.join('')}`;
});

/** `terminal`: a person reads it. */
export function createLog(stream: NodeJS.WritableStream, terminal: boolean): Log {
  const format = terminal ? combine(timestamp(), colorize(), readable) : combine(timestamp(), json());
  const logger = winston.createLogger({level: 'info', format, transports: [new winston.transports.Stream({stream})]});
  return {
    error: (message, fields) => void logger.error(message, fields),
    warn: (message, fields) => void logger.warn(message, fields),
    info: (message, fields) => void logger.info(message, fields),
    debug: (message, fields) => void logger.debug(message, fields),
    writes: (level) => logger.isLevelEnabled(level),
    setLevel(level) {
      logger.level = level;
    },
  };
}
