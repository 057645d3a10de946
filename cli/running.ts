/** What the sub-commands that serve share: how they name their addresses, why they cannot listen, and how they end. */
import type {Command} from 'commander';
import type {HostPort} from './options.ts';

/** As a URL, with the port that was found. */
export const shownAddress = ({host}: HostPort, port: number): string =>
  `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

const reasons: Record<string, string> = {
  EADDRINUSE: 'is in use',
  EACCES: 'may not be opened by this user',
  EADDRNOTAVAIL: 'is no address of this machine',
  ENOTFOUND: 'is no known host',
};

/** Ends the process with one line, or throws what is no error of listening. */
export function explainListenError(command: Command, error: unknown): never {
  const {code, address, port} = error as NodeJS.ErrnoException & {address?: string; port?: number};
  const reason = reasons[code ?? ''];
  if (reason === undefined) throw error;
  command.error(
    `error: ${address ?? 'the address'}:${port ?? ''} ${reason}: choose another one with --listen or --admin`,
  );
}

/** Until {@link stopOnSignals}: there is nothing to finish. The first process of a container has to say so, or a signal does nothing to it. */
const endAtOnce = (): void => process.exit(0);

const signals = ['SIGTERM', 'SIGINT'] as const;

export function endOnSignals(): void {
  for (const signal of signals) process.on(signal, endAtOnce);
}

/** A second signal ends at once. */
export function stopOnSignals(stop: () => Promise<void>): void {
  let isStopping = false;
  const stopOnce = (): void => {
    if (isStopping) process.exit(1);
    isStopping = true;
    void stop().then(() => {
      process.exitCode = 0;
    });
  };
  for (const signal of signals) {
    process.on(signal, stopOnce);
    process.off(signal, endAtOnce);
  }
}
