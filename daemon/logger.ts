import type { DestinationStream, Logger } from 'pino';
import { destination, pino, stdSerializers } from 'pino';
import { isJsonObject } from '../api/schema/json-schema.ts';
import type { LogLevel } from './config-schema.ts';
import type { LogFormat } from './log-format.ts';
import { formatEntry, syslogPriority } from './log-text.ts';

const STDOUT_FD = 1;

/** The daemon's logger. Writes are synchronous: the last line before an end is never lost. */
export async function createLogger(level: LogLevel, format: LogFormat): Promise<Logger> {
  return pino({ level, base: null, serializers: { err: errorSerializer(level) } }, await openDestination(format));
}

/** How errors are logged: with their stacks only for whoever asks for this level. */
export function errorSerializer(level: LogLevel): (error: unknown) => unknown {
  const showStacks = level === 'debug' || level === 'trace';
  return (error) => {
    if (!(error instanceof Error)) return error;
    return showStacks ? stdSerializers.err(error) : withoutStack(error);
  };
}

/** A destination that writes pino's JSON lines as text with a syslog priority. */
export function journalDestination(write: (line: string) => void): DestinationStream {
  return {
    write(json) {
      const entry: unknown = JSON.parse(json);
      if (isJsonObject(entry)) write(`<${syslogPriority(entry.level)}>${formatEntry(entry)}\n`);
    },
  };
}

async function openDestination(format: LogFormat): Promise<DestinationStream> {
  const stdout = destination({ fd: STDOUT_FD, sync: true });
  switch (format) {
    case 'journal':
      return journalDestination((line) => stdout.write(line));
    case 'json':
      return stdout;
    case 'pretty': {
      // Loaded only where a person watches; in the process, since a worker thread would need a file of its own.
      const { default: pretty } = await import('pino-pretty');
      return pretty({ sync: true, destination: STDOUT_FD, translateTime: 'SYS:HH:MM:ss.l', singleLine: true });
    }
  }
}

function withoutStack(error: Error): object {
  return 'code' in error ? { message: error.message, code: error.code } : { message: error.message, type: error.name };
}
