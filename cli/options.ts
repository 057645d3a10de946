/** Shared by the sub-commands: options that carry an environment variable each. */
import {InvalidArgumentError, Option} from 'commander';
import {parseDuration} from '../operator/plan/duration.ts';

/** `--some-flag` that can also be set as `MODELROUTE_SOME_FLAG`. */
export const option = (flags: string, description: string): Option => {
  const created = new Option(flags, description);
  return created.env(`MODELROUTE_${created.name().replaceAll('-', '_').toUpperCase()}`);
};

export type HostPort = {host: string; port: number};

/** `127.0.0.1:8080`, `[::1]:8080`, `:8080` (every address), `localhost:0` (a free port). */
export const parseHostPort = (text: string): HostPort => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535)
    throw new InvalidArgumentError(`Expected HOST:PORT, such as 127.0.0.1:8080, got "${text}".`);
  return {host: match[1] ?? (match[2] === '' || match[2] === undefined ? '::' : match[2]), port};
};

/** A duration as the resources write it (`500ms`, `1m30s`, `0s`), in milliseconds. */
export const parseDurationMs = (text: string): number => {
  if (!/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(text))
    throw new InvalidArgumentError(`Expected a duration, such as 500ms or 1m30s, got "${text}".`);
  return parseDuration(text);
};
