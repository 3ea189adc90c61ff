import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { DestinationStream, Logger } from 'pino';
import { destination, pino, stdSerializers } from 'pino';
import { isJsonObject } from '../api/schema/json-schema.ts';
import type { LogLevel } from './config-schema.ts';
import { formatEntry, syslogPriority } from './log-text.ts';

/** Colours and clock for a terminal, priority and text for the journal, JSON for everything else. */
export type LogFormat = 'pretty' | 'journal' | 'json';

const STDOUT_FD = 1;

/** What reads standard output: systemd tells a service's journal socket by device and inode, which children inherit wrongly. */
export function detectLogFormat(journalStream: string | undefined, fd = STDOUT_FD): LogFormat {
  if (isatty(fd)) return 'pretty';
  if (journalStream === undefined) return 'json';
  const { dev, ino } = fstatSync(fd);
  return journalStream === `${dev}:${ino}` ? 'journal' : 'json';
}

/** The daemon's logger. Writes are synchronous: the last line before an end is never lost. */
export async function createLogger(level: LogLevel, format: LogFormat): Promise<Logger> {
  const showStacks = level === 'debug' || level === 'trace';
  const err = (error: unknown): unknown =>
    error instanceof Error && !showStacks ? withoutStack(error) : serializeError(error);
  return pino({ level, base: null, serializers: { err } }, await openDestination(format));
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

function serializeError(error: unknown): unknown {
  return error instanceof Error ? stdSerializers.err(error) : error;
}

function withoutStack(error: Error): object {
  return 'code' in error ? { message: error.message, code: error.code } : { message: error.message, type: error.name };
}
